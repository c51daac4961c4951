"""Fixtures: databases, the program as a process, and the search for leaked secrets after everything has run."""

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import postgres as postgres_server
import psycopg
import pytest
from canary import PARTNER_TOKEN, find_secrets
from hypothesis import HealthCheck, settings
from mirror import Mirror
from psycopg import sql
from waiting import HANG_SECONDS

from syncer.upstream import client

# As a shell has it: under nohup, or in the background of a script, the processes of the tests would ignore the signals
# that they are sent.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

CHECKOUT = Path(__file__).parent.parent
KEPT_VARIABLES = {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE"}
# SQLAlchemy mutes itself, and every row of every test would fill the disk; one test hears it out, see test_run.
SEARCHED_LOGGERS = ("syncer", "httpx", "httpcore.http11", "alembic.runtime.migration")
EXEMPT = ".secret"  # files that hold a token because a test gives it to syncer that way

# How long an example takes is the machine's affair.
settings.register_profile("syncer", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("syncer")

_dumps: list[tuple[str, bytes]] = []
_outputs: list[tuple[str, bytes]] = []


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Postgres]:
    """A PostgreSQL server."""
    server = postgres_server.start()
    yield server
    if server.server is not None:
        server.server.remove()


@pytest.fixture
def postgresql_url(postgres: postgres_server.Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh PostgreSQL database; what is in it at the end is searched for secrets."""
    url = postgres.create_database()
    yield url
    try:
        _dumps.append((f"the PostgreSQL database of {request.node.nodeid}", _dump(url)))
    finally:
        postgres.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A place for an SQLite database; the file is not there yet."""
    return f"sqlite:///{tmp_path}/syncer.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The same test on either database."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def stop() -> threading.Event:
    """An event that tells a fetch to stop; not set."""
    return threading.Event()


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits as long between two tries as a run does."""
    monkeypatch.setattr(client, "FIRST_PAUSE_SECONDS", 0.001)


RunSyncer = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def syncer_environment() -> dict[str, str]:
    """The environment of a user without any setting of syncer's, but for the canary token."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES}
    return kept | {"PYTHONPATH": str(CHECKOUT), "SYNCER_PARTNER_TOKEN": PARTNER_TOKEN}


@pytest.fixture
def run_syncer(tmp_path: Path, syncer_environment: dict[str, str]) -> RunSyncer:
    """Runs the real program, in an empty folder unless told otherwise."""

    def run(
        *arguments: str, env: dict[str, str] | None = None, cwd: Path = tmp_path, timeout: float = HANG_SECONDS
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "syncer", *arguments],
            env=syncer_environment | (env or {}),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert find_secrets((done.stdout + done.stderr).encode()) == []
        return done

    return run


@pytest.fixture(scope="session", autouse=True)
def _no_secret_leaks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Everything that the tests leave behind is searched for the canary tokens, logs at DEBUG included."""
    log_file = tmp_path_factory.getbasetemp() / "everything.log"
    handler = logging.FileHandler(log_file, encoding="utf-8", errors="surrogatepass")
    handler.setFormatter(_EveryWord())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield
    for library in SEARCHED_LOGGERS:
        logging.getLogger(library).debug("heard to the end: %s", library)
    handler.close()
    root.removeHandler(handler)
    searched = [*_dumps, *_outputs]
    searched += [
        (str(path), path.read_bytes())
        for path in tmp_path_factory.getbasetemp().rglob("*")
        if path.is_file() and not path.name.endswith(EXEMPT)
    ]
    log = log_file.read_text("utf-8", "surrogatepass")
    deaf = [library for library in SEARCHED_LOGGERS if f"heard to the end: {library}\n" not in log]
    assert deaf == [], "a test muted these loggers for all that followed, so their leaks would go unseen"
    searched += [
        (f"the rows of {path}", _rows_of_sqlite(path))
        for path, data in [(Path(place), data) for place, data in searched]
        if data.startswith(b"SQLite format 3")
    ]
    leaks = [f"{place}: {encoding}" for place, data in searched for encoding in find_secrets(data)]
    if leaks:  # an assert would cut the list
        pytest.fail("secrets were left behind:\n" + "\n".join(leaks), pytrace=False)


class _EveryWord(logging.Formatter):
    """The message, its traceback, and the fields that production writes beside them."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        return super().format(record) + (f" {fields}" if fields else "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: "proof" not in item.path.parts)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what a test printed for the search at the end."""
    for name, text in report.sections:
        _outputs.append((f"{name} of {report.nodeid}", text.encode("utf-8", "surrogatepass")))


def _dump(url: str) -> bytes:
    """Every row of every table and view, as text."""
    with psycopg.connect(url) as connection:
        connection.execute("SET lock_timeout = '10s'")  # a test that left a lock behind fails, and holds up no other
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        rows = [
            row[0]
            for (name,) in names
            for row in connection.execute(
                sql.SQL("SELECT row_to_json(t)::text FROM {} AS t").format(sql.Identifier(name))
            )
        ]
    return "\n".join(rows).encode()


def _rows_of_sqlite(path: Path) -> bytes:
    """Every row as SQL: a long value lies in pieces in the file, and a secret may be where it was cut."""
    with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.DatabaseError):  # some tests spoil their file
        return "\n".join(connection.iterdump()).encode("utf-8", "surrogatepass")
    return b""


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the schema; a copy of it is had quicker than a migration."""
    path = tmp_path_factory.mktemp("template") / "syncer.db"
    Mirror(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgresql_template(postgres: postgres_server.Postgres) -> Iterator[str]:
    """The name of a PostgreSQL database with the schema."""
    url = postgres.create_database()
    Mirror(url).engine.dispose()
    yield urlsplit(url).path.removeprefix("/")
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def mirror(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mirror]:
    """An empty mirror on either database."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "syncer.db")
        url = f"sqlite:///{tmp_path}/syncer.db"
    else:
        server: postgres_server.Postgres = request.getfixturevalue("postgres")
        url = server.create_database(request.getfixturevalue("postgresql_template"))
    made = Mirror(url)
    yield made
    made.engine.dispose()
    if request.param == "postgresql":
        try:
            _dumps.append((f"the PostgreSQL database of {request.node.nodeid}", _dump(url)))
        finally:
            server.drop_database(url)
