"""A read replica: a hot standby of PostgreSQL, which serves BI tools and refuses what writes in one line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
from builders import item
from conftest import RunSyncer
from mirror import Mirror
from postgres import Postgres, start_standby
from sqlalchemy import select
from waiting import wait_for

from syncer.errors import DatabaseFailed
from syncer.storage import database
from syncer.storage.tables import accounts
from syncer.views.catalogue import VIEWS

WRITES = [
    "sync",
    "approve 3 --yes",
    "rates set PARTNER_23 12.50 RUB --from 2026-10-01",
    "rates remove PARTNER_23 --from 2026-10-01",
    "accounts rename default other",
    "accounts retire default",
    "customers load customers.csv --yes",
    "db upgrade",
    "db repair",
    "db grant-reader postgres",
]


class Replicated(NamedTuple):
    """The URLs of a mirror's database on its primary and on the replica."""

    primary_url: str
    replica_url: str

    def wait(self) -> None:
        """Until the replica has what the primary committed, the database itself among it."""
        with psycopg.connect(self.primary_url) as primary:
            place = primary.execute("SELECT pg_current_wal_lsn()").fetchone()
        server = urlsplit(self.replica_url)._replace(path="/postgres").geturl()
        with psycopg.connect(server, autocommit=True) as replica:
            wait_for(lambda: replica.execute("SELECT pg_last_wal_replay_lsn() >= %s", place).fetchone() == (True,))


@pytest.fixture(scope="module")
def standby(postgres: Postgres) -> Iterator[Postgres]:
    """A replica of the tests' server."""
    if postgres.server is None:
        pytest.skip("the server of SYNCER_TEST_PG_URL is not ours to copy")
    if not (postgres.bin / "pg_basebackup").exists():
        pytest.skip("this PostgreSQL has no pg_basebackup")
    replica = start_standby(postgres)
    yield replica
    assert replica.server is not None
    replica.server.remove()


@pytest.fixture(scope="module")
def replicated(postgres: Postgres, standby: Postgres, postgresql_template: str) -> Iterator[Replicated]:
    """One for all, since nothing of it can be changed."""
    url = postgres.create_database(postgresql_template)
    mirror = Mirror(url)
    mirror.observe([item(1), item(2)])
    mirror.observe([item(1, name="another"), item(2, deleted=True)])
    mirror.observe([])  # held
    mirror.engine.dispose()
    made = Replicated(url, standby.url(urlsplit(url).path.removeprefix("/")))
    made.wait()
    yield made
    postgres.drop_database(url)


def rows(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_says_the_same_on_the_replica(replicated: Replicated, view: str) -> None:
    # What counts from now on to the second is another second there.
    columns = ", ".join(column.name for column in VIEWS[view].columns if column.name != "age_seconds")
    statement = f"SELECT {columns} FROM {view} ORDER BY {columns}"

    assert rows(replicated.primary_url, statement) == rows(replicated.replica_url, statement)


def test_the_estate_as_of_a_moment_is_read_there(replicated: Replicated) -> None:
    statement = "SELECT id_instance, name, deleted FROM estate_as_of('2026-11-01 12:07:00+00') ORDER BY id_instance"

    assert rows(replicated.replica_url, statement) == [(1, "client", False), (2, "client", False)]


def test_status_says_that_it_reads_a_replica_and_of_when(replicated: Replicated, run_syncer: RunSyncer) -> None:
    there = {"SYNCER_DATABASE_URL": replicated.replica_url}
    shown = run_syncer("status", env=there)
    standby = json.loads(run_syncer("status", "--json", env=there).stdout)["standby"]

    assert (shown.returncode, shown.stderr) == (3, "")  # what was observed is old
    assert "the database is a standby, a read replica: it has what its primary committed until 20" in shown.stdout
    assert standby["replayed_at"].startswith("20")


def test_status_of_the_primary_speaks_of_no_replica(replicated: Replicated, run_syncer: RunSyncer) -> None:
    there = {"SYNCER_DATABASE_URL": replicated.primary_url}

    assert "standby" not in run_syncer("status", env=there).stdout
    assert json.loads(run_syncer("status", "--json", env=there).stdout)["standby"] is None


@pytest.mark.parametrize(
    "command",
    ["status --as-of today", "history", "explain 1", "find another", "diff 7d", "report", "bill 2026-11", "export bi_daily", "verify", "accounts list", "rates list", "customers list", "db check", "db current"],
)  # fmt: skip
def test_a_command_that_reads_works_there_as_on_the_primary(
    replicated: Replicated, run_syncer: RunSyncer, command: str
) -> None:
    done = run_syncer(*command.split(), env={"SYNCER_DATABASE_URL": replicated.replica_url})

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("command", WRITES)
def test_a_command_that_writes_says_in_one_line_that_it_is_a_replica(
    replicated: Replicated, run_syncer: RunSyncer, tmp_path: Path, command: str
) -> None:
    (tmp_path / "customers.csv").write_text("id_instance;customer;valid_from\n1;Nord;2026-10-01\n")
    done = run_syncer(
        *command.split(), env={"SYNCER_DATABASE_URL": replicated.replica_url}
    )  # fmt: skip
    lines = (done.stdout + done.stderr).splitlines()
    told = [line for line in lines if "replica" in line and not line.startswith("{")]  # the log beside it is JSON

    assert done.returncode == 8
    assert len(told) == 1, done.stdout + done.stderr
    assert (
        "the server is a standby, a read replica, so nothing can be written; point SYNCER_DATABASE_URL at the primary"
        in told[0]
    )


def test_a_replica_that_becomes_the_primary_is_written_to_by_the_same_engine(
    postgres: Postgres, replicated: Replicated
) -> None:
    replica = start_standby(postgres)
    assert replica.server is not None
    url = replica.url(urlsplit(replicated.primary_url).path.removeprefix("/"))
    engine = database.open_engine(database.parse_database_url(url))
    try:
        with pytest.raises(DatabaseFailed) as caught, database.writing(engine, "retiring an account"):
            pass
        refused = str(caught.value)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        with database.writing(engine, "retiring an account") as writer:
            writer.execute(accounts.update().values(interval_seconds=60))
        with database.reading(engine, "looking") as reader:
            found = reader.execute(select(accounts.c.interval_seconds)).all()
    finally:
        engine.dispose()
        replica.server.remove()

    assert refused == (
        "retiring an account: the server is a standby, a read replica, so nothing can be written; "
        "point SYNCER_DATABASE_URL at the primary"
    )
    assert found == [(60,)]
