"""The database fails amid a run: exit code 8 in words, nothing changed, and the next run makes it good."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import postgres as postgres_server
import pytest
from builders import body, item
from canary import find_secrets
from mirror import Mirror, account, serving
from sqlalchemy import Engine, text
from test_postgres import own_server  # noqa: F401 - a fixture

from syncer import database, verify
from syncer.errors import DatabaseFailed
from syncer.model import Answer, Read, Trigger
from syncer.sync import RunReport, run_once
from syncer.tables import instance_history, instances

BEFORE = [item(number) for number in range(1, 6)]
AFTER = [item(1, name="renamed"), item(2, deleted=True), *BEFORE[2:]]


@pytest.fixture
def postgresql_mirror(postgres: postgres_server.Postgres, postgresql_template: str) -> Iterator[Mirror]:
    url = postgres.create_database(postgresql_template)
    made = Mirror(url)
    made.observe(BEFORE)
    yield made
    made.engine.dispose()
    postgres.drop_database(url)


@pytest.fixture
def sqlite_mirror(sqlite_url: str) -> Mirror:
    made = Mirror(sqlite_url)
    made.observe(BEFORE)
    return made


def run_while(mirror: Mirror, sabotage: Callable[[], object], engine: Engine | None = None) -> RunReport:
    """A run during whose fetch something happens to the database."""

    after = serving(body(AFTER))

    def fetch(read: Callable[[Iterable[bytes]], Read]) -> Answer[Read]:
        sabotage()
        return after(read)

    return run_once(engine or mirror.engine, account(), fetch, lambda: mirror.now, Trigger.MANUAL)


def assert_made_good(mirror: Mirror, before: tuple[list[object], list[object]]) -> None:
    """Nothing was changed; the next run records exactly what is different; the promises hold."""
    assert before == tables(mirror)
    mirror.observe(AFTER)
    assert [(row["id_instance"], row["transition"]) for row in mirror.history()[5:]] == [(1, "changed"), (2, "deleted")]
    assert verify.verify(mirror.engine).holds


def tables(mirror: Mirror) -> tuple[list[object], list[object]]:
    return list(mirror.rows(instances)), list(mirror.rows(instance_history))


def assert_told(report: RunReport, words: str) -> None:
    assert report.exit_code == 8
    assert words in str(report.error)
    assert "\n" not in str(report.error)
    assert find_secrets(str(report.error).encode()) == []


RAISED = {
    "deadlock": ("RAISE EXCEPTION USING ERRCODE = '40P01'", "another transaction was in the way"),
    "serialization failure": ("RAISE EXCEPTION USING ERRCODE = '40001'", "another transaction was in the way"),
    "statement timeout": ("SET LOCAL statement_timeout = '5ms'; PERFORM pg_sleep(5)", "the server ended the work"),
    "disk full": ("RAISE EXCEPTION USING ERRCODE = '53100'", "the server is out of a resource"),
    "connection dropped amid the transaction": ("PERFORM pg_terminate_backend(pg_backend_pid())", "PostgreSQL cannot be reached"),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "words"), RAISED.values(), ids=RAISED)
def test_a_write_that_the_server_breaks_off_changes_nothing(
    postgresql_mirror: Mirror, statement: str, words: str
) -> None:
    mirror, before = postgresql_mirror, tables(postgresql_mirror)
    admin = mirror.engine.execution_options(isolation_level="AUTOCOMMIT")

    def sabotage() -> None:
        with admin.connect() as connection:
            connection.execute(
                text(
                    f"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {statement}; RETURN NEW; END$$"
                )
            )
            connection.execute(
                text("CREATE TRIGGER fail BEFORE INSERT ON instance_history FOR EACH ROW EXECUTE FUNCTION fail()")
            )

    report = run_while(mirror, sabotage)
    with admin.connect() as connection:
        connection.execute(text("DROP FUNCTION fail CASCADE"))

    assert_told(report, words)
    assert mirror.runs()[-1]["status"] == "failed"
    assert_made_good(mirror, before)


def test_a_primary_that_became_a_replica_is_told(postgresql_mirror: Mirror) -> None:
    mirror, before = postgresql_mirror, tables(postgresql_mirror)
    name = mirror.engine.url.database
    admin = mirror.engine.execution_options(isolation_level="AUTOCOMMIT")

    def switch(state: str) -> None:
        with admin.connect() as connection:
            connection.execute(text("SET default_transaction_read_only = off"))
            connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}"))
        mirror.engine.dispose()

    report = run_while(mirror, lambda: switch("on"))
    switch("off")

    assert_told(report, "the server is read-only; point SYNCER_DATABASE_URL at the primary")
    assert_made_good(mirror, before)


def test_a_right_that_is_missing_on_one_table_is_told(postgresql_mirror: Mirror) -> None:
    mirror, before = postgresql_mirror, tables(postgresql_mirror)
    role = f"clerk_{mirror.engine.url.database}"
    with mirror.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
        connection.execute(text(f"REVOKE INSERT ON instance_history FROM {role}"))
    engine = database.open_engine(mirror.engine.url.set(username=role))
    try:
        report = run_while(mirror, lambda: None, engine)
    finally:
        engine.dispose()
        with mirror.engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))

    assert_told(report, "grant the right to syncer's role")
    assert_made_good(mirror, before)


def test_too_many_connections_and_an_unknown_user_are_told(postgresql_mirror: Mirror) -> None:
    mirror = postgresql_mirror
    role = f"crowd_{mirror.engine.url.database}"
    with mirror.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0"))
    said = []
    for user in (role, "nobody_of_this_name"):
        engine = database.open_engine(mirror.engine.url.set(username=user))
        with pytest.raises(DatabaseFailed) as failed:
            run_while(mirror, lambda: None, engine)
        said.append(str(failed.value))
        engine.dispose()
    with mirror.engine.begin() as connection:
        connection.execute(text(f"DROP ROLE {role}"))

    assert "too many connections for role" in said[0]
    assert "nobody_of_this_name" in said[1]
    assert find_secrets("".join(said).encode()) == []


def test_a_server_that_goes_down_amid_a_run_costs_that_run_alone(own_server: postgres_server.Postgres) -> None:  # noqa: F811
    mirror = Mirror(own_server.create_database())
    mirror.observe(BEFORE)
    before = tables(mirror)

    report = run_while(mirror, lambda: own_server.stop("immediate"))
    own_server.start()

    assert_told(report, "PostgreSQL")
    assert_made_good(mirror, before)
    assert [run["status"] for run in mirror.runs()] == ["ok", "abandoned", "ok"]
    mirror.engine.dispose()


def test_a_file_that_is_deleted_amid_a_run_is_not_made_anew(sqlite_mirror: Mirror, tmp_path: Path) -> None:
    path = tmp_path / "syncer.db"

    report = run_while(sqlite_mirror, path.unlink)

    assert_told(report, "the file cannot be opened; check that it exists")
    assert not path.exists()


def test_a_file_that_turns_read_only_amid_a_run_is_told(sqlite_mirror: Mirror, tmp_path: Path) -> None:
    """SQLite writes no file whose header names a later format for writing; a mode would not stop root."""
    path, before = tmp_path / "syncer.db", tables(sqlite_mirror)

    def format_for_writing(version: int) -> None:
        with path.open("r+b") as file:
            file.seek(18)
            file.write(bytes([version]))

    report = run_while(sqlite_mirror, lambda: format_for_writing(3))
    format_for_writing(2)

    assert_told(report, "read-only; make both writable")
    assert_made_good(sqlite_mirror, before)
