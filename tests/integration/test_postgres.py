"""The tests' own PostgreSQL: fresh databases, and a server that can be taken away."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import postgres as postgres_server
import psycopg
import pytest
from conftest import CHECKOUT
from postgres import Postgres
from waiting import wait_for


def tables(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]


def create_table(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (n int)")


def test_a_database_is_fresh_whatever_was_done_to_another(postgres: Postgres) -> None:
    first, second = postgres.create_database(), postgres.create_database()
    create_table(first)
    held = (tables(first), tables(second))
    postgres.drop_database(first)
    postgres.drop_database(second)

    assert (["kept"], []) == held


def test_a_dropped_database_is_gone_though_someone_is_connected(postgres: Postgres) -> None:
    url = postgres.create_database()
    with psycopg.connect(url) as connection:
        postgres.drop_database(url)

        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_text_is_utf_8_and_sorts_by_bytes(postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url) as connection:
        row = connection.execute("SELECT current_setting('server_encoding'), 'Клиент 🥐' || '', 'Z' < 'a'").fetchone()

    assert ("UTF8", "Клиент 🥐", True) == row


def test_what_is_in_the_query_of_a_given_address_is_kept() -> None:
    server = Postgres("postgresql://u:pw@127.0.0.1:5432/postgres?sslmode=disable")

    assert server.url("other") == "postgresql://u:pw@127.0.0.1:5432/other?sslmode=disable"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_sqlite_file_is_not_there_yet(database_url: str) -> None:
    assert not Path(database_url.removeprefix("sqlite:///")).exists()


@pytest.fixture
def own_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """A server apart from the session's, which this test may stop."""
    monkeypatch.delenv("SYNCER_TEST_PG_URL", raising=False)
    server = postgres_server.start()
    yield server
    if server.server is not None:
        server.server.remove()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_was_stopped_comes_back_with_what_it_held(own_server: Postgres, mode: str) -> None:
    url = own_server.create_database()
    create_table(url)
    own_server.stop(mode)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)

    own_server.start()

    assert tables(url) == ["kept"]


def test_a_server_takes_the_connections_of_many_workers(own_server: Postgres) -> None:
    with psycopg.connect(own_server.admin_url) as connection:
        limit = connection.execute("SHOW max_connections").fetchone()

    assert limit == ("200",)
    assert (own_server.bin / "pg_ctl").is_file()


@pytest.mark.skipif(os.getuid() != 0, reason="only root's PostgreSQL runs as another user")
def test_binaries_out_of_reach_of_the_unprivileged_user_are_copied_to_it(tmp_path: Path) -> None:
    binaries = postgres_server.find_binaries()
    package = binaries.parent.parent
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    for original in (package, package.with_name(f"{package.name}.libs")):
        (locked / original.name).symlink_to(original)

    server = postgres_server.OwnServer(locked / package.name / binaries.parent.name / binaries.name)

    with psycopg.connect(server.admin_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not server.bin.is_relative_to(locked)
    server.remove()


def test_a_server_ends_with_the_process_that_started_it_and_leaves_no_file(reachable_folder: Path) -> None:
    program = "import postgres; print(postgres.start().admin_url); raise SystemExit('died')"
    environment = {name: value for name, value in os.environ.items() if name != "SYNCER_TEST_PG_URL"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"PYTHONPATH": str(CHECKOUT / "tests"), "TMPDIR": str(reachable_folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stderr == "died\n"
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(done.stdout.strip())
    assert list(reachable_folder.iterdir()) == []


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_ends_though_the_process_that_started_it_was_killed(
    reachable_folder: Path, by: signal.Signals
) -> None:
    program = "import postgres; print(postgres.start().admin_url, flush=True); input()"
    environment = {name: value for name, value in os.environ.items() if name != "SYNCER_TEST_PG_URL"}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment | {"PYTHONPATH": str(CHECKOUT / "tests"), "TMPDIR": str(reachable_folder)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        psycopg.connect(url).close()
        process.send_signal(by)
    wait_for(lambda: not list(reachable_folder.iterdir()))

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """Beside pytest's own folders, which are closed to the other user that PostgreSQL runs as under root."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o711)
        yield folder
