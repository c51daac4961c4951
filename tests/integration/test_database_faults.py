"""The database fails amid a run: exit code 8 in words, nothing changed, and the next run makes it good."""

import copy
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import fault_server as fault
import postgres as postgres_server
import pytest
from builders import body, item
from canary import find_secrets
from deployment import Deployment
from fault_server import FaultServer
from mirror import Mirror, account, give_version, serving
from sqlalchemy import Connection, Engine, event, text
from test_postgres import own_server  # noqa: F401 - a fixture
from waiting import HANG_SECONDS, SOON_SECONDS

from syncer.errors import DatabaseFailed
from syncer.model import Answer, Read, RunResult, RunStatus, Trigger
from syncer.storage import connections, database, runs, schema
from syncer.storage.tables import instance_history, instances
from syncer.views import verify

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


def run_while(
    mirror: Mirror, sabotage: Callable[[], object], engine: Engine | None = None, items: list[Any] = AFTER
) -> RunResult:
    """A run during whose fetch something happens to the database."""

    after = serving(body(items))

    def fetch(read: Callable[[Iterable[bytes]], Read]) -> Answer[Read]:
        sabotage()
        return after(read)

    runner = copy.copy(mirror)
    runner.engine = engine or mirror.engine
    return runner.observe([], after=timedelta(), fetch=fetch)


def assert_made_good(mirror: Mirror, before: tuple[list[object], list[object]]) -> None:
    """Nothing was changed; the next run records exactly what is different; the promises hold."""
    assert before == tables(mirror)
    mirror.observe(AFTER)
    *_, failed, last = mirror.runs()
    assert (failed["status"], failed["error_kind"]) in {("failed", "database"), ("abandoned", "abandoned")}
    assert last["status"] == "ok"
    assert [(row["id_instance"], row["transition"]) for row in mirror.history()[5:]] == [(1, "changed"), (2, "deleted")]
    assert verify.verify(mirror.engine).holds


def tables(mirror: Mirror) -> tuple[list[object], list[object]]:
    return list(mirror.rows(instances)), list(mirror.rows(instance_history))


def assert_told(report: RunResult, words: str) -> None:
    assert report.exit_code == 8
    assert words in str(report.error)
    assert "\n" not in str(report.error)
    assert find_secrets(str(report.error).encode()) == []


RAISED = {
    "disk full": ("RAISE EXCEPTION USING ERRCODE = '53100'", "the server is out of a resource"),
    # Whether the server's last words arrive before the connection ends is a matter of chance.
    "connection dropped amid the transaction": (
        "PERFORM pg_terminate_backend(pg_backend_pid())",
        "PostgreSQL cannot be reached|PostgreSQL refused with 57P01: .*; the server ended the work",
    ),
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

    told = re.search(words, str(report.error))
    assert told
    assert_told(report, told[0])
    assert mirror.runs()[-1]["status"] == "failed"
    assert_made_good(mirror, before)


def set_for_new_sessions(mirror: Mirror, setting: str) -> None:
    """A setting of the database, as in SQL; the next connections begin with it."""
    admin = mirror.engine.execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {mirror.engine.url.database} {setting}"))
    mirror.engine.dispose()


def run_behind(mirror: Mirror, lock: str, amid: Callable[[Connection], object], setting: str = "") -> RunResult:
    """A run that has to wait for a lock of another session; when it does, something happens there, and then it ends."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))")
    if setting:
        set_for_new_sessions(mirror, f"SET {setting}")
    with ThreadPoolExecutor(1) as threads, mirror.engine.connect() as other:
        other.execute(
            text("SELECT set_config('deadlock_timeout', '20s', true), set_config('statement_timeout', '0', true)")
        )
        other.execute(text(lock))
        running = threads.submit(run_while, mirror, lambda: None)
        while not other.execute(waiting).scalar_one():
            assert not running.done(), running.result()
            time.sleep(0.002)
        amid(other)
        report = running.result(timeout=HANG_SECONDS)
        other.rollback()
    if setting:
        set_for_new_sessions(mirror, "RESET ALL")
    return report


SOLE_WRITER = database.SOLE_WRITER_LOCK


def test_a_run_that_starts_and_one_that_ends_do_not_wait_for_one_another(postgresql_mirror: Mirror) -> None:
    """The one that ends holds its account, and then wants its run, which the other has just closed for it."""
    mirror = postgresql_mirror
    with database.writing(mirror.engine, "starting the first run") as connection:
        first = runs.start_run(connection, "default", Trigger.MANUAL, mirror.now, 300)
    has_started = threading.Event()

    def start_another() -> None:
        with database.writing(mirror.engine, "starting another run") as other:
            runs.start_run(other, "default", Trigger.MANUAL, mirror.now, 300)
            has_started.set()

    starting = threading.Thread(target=start_another)
    with database.writing(mirror.engine, "ending the first run") as connection:
        runs.read_base(connection, "default", lock=True)
        starting.start()
        assert has_started.wait(SOON_SECONDS)
        starting.join(SOON_SECONDS)
        result = RunResult(first.id, "default", RunStatus.UNCHANGED, 5)
        runs.accept_run(connection, first, result, [], mirror.now)

    assert [run["status"] for run in mirror.runs()] == ["ok", "unchanged", "running"]


def test_a_deadlock_costs_that_run_alone(postgresql_mirror: Mirror) -> None:
    """Another session holds an instance that the run writes, and then wants the account that the run holds."""
    before = tables(postgresql_mirror)
    wanted = text("SELECT * FROM accounts FOR UPDATE")
    report = run_behind(
        postgresql_mirror, "SELECT * FROM instances FOR UPDATE", lambda other: other.execute(wanted), "deadlock_timeout = '300ms'"
    )  # fmt: skip

    assert_told(report, "40P01")
    assert_told(report, "another transaction was in the way; the next run tries again")
    assert_made_good(postgresql_mirror, before)


def test_a_serialization_failure_costs_that_run_alone(postgresql_mirror: Mirror) -> None:
    """The server's default is stricter than syncer needs, and another session changes the account meanwhile."""

    def touch(other: Connection) -> None:
        other.execute(text("UPDATE accounts SET interval_seconds = 301"))
        other.commit()

    before = tables(postgresql_mirror)
    report = run_behind(postgresql_mirror, SOLE_WRITER, touch, "default_transaction_isolation = 'repeatable read'")

    assert_told(report, "40001")
    assert_told(report, "another transaction was in the way; the next run tries again")
    assert_made_good(postgresql_mirror, before)


def test_a_statement_timeout_costs_that_run_alone(postgresql_mirror: Mirror) -> None:
    before = tables(postgresql_mirror)
    report = run_behind(postgresql_mirror, SOLE_WRITER, lambda _other: None, "statement_timeout = '150ms'")

    assert_told(report, "57014")
    assert_told(report, "the server ended the work; the next run tries again")
    assert_made_good(postgresql_mirror, before)


def test_a_run_waits_longer_for_its_turn_than_for_a_lock(
    postgresql_mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With thousands of accounts on a busy machine, runs gave up after 30 s though every one before them went on."""
    monkeypatch.setattr(database, "LOCK_TIMEOUT_SECONDS", 0.2)
    before = tables(postgresql_mirror)
    with postgresql_mirror.engine.connect() as other:
        other.exec_driver_sql(database.SOLE_WRITER_LOCK)
        letting_go = threading.Timer(1, other.rollback)
        report = run_while(postgresql_mirror, letting_go.start)
        letting_go.join()

    assert report.error is None
    assert tables(postgresql_mirror) != before
    with database.writing(postgresql_mirror.engine, "writing") as connection:
        database.become_sole_writer(connection)
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "200ms"


def test_a_lock_of_postgresql_that_is_held_for_too_long_is_told(
    postgresql_mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "TURN_TIMEOUT_SECONDS", 0.2)
    before = tables(postgresql_mirror)
    report = run_behind(postgresql_mirror, SOLE_WRITER, lambda _other: None)

    assert_told(report, "another program holds a lock")
    assert_made_good(postgresql_mirror, before)


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


def test_too_many_connections_and_an_unknown_user_are_told(
    postgresql_mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CROWD_TIMEOUT_SECONDS", 0)
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


def refusal_at_start(mirror: Mirror, url: Any) -> str:
    """What is said where not even the start of a run can be noted."""
    engine = database.open_engine(url)
    with pytest.raises(DatabaseFailed) as failed:
        run_while(mirror, lambda: None, engine)
    engine.dispose()
    said = str(failed.value)
    assert failed.value.exit_code == 8
    assert "\n" not in said
    assert find_secrets(said.encode()) == []
    return said


def test_a_server_that_is_down_at_the_start_is_told(postgresql_mirror: Mirror) -> None:
    before, runs = tables(postgresql_mirror), postgresql_mirror.runs()
    said = refusal_at_start(postgresql_mirror, postgresql_mirror.engine.url.set(port=9))

    assert "PostgreSQL cannot be reached" in said
    assert (before, runs) == (tables(postgresql_mirror), postgresql_mirror.runs())


def test_a_wrong_password_is_told(postgresql_mirror: Mirror, postgres: postgres_server.Postgres) -> None:
    mirror = postgresql_mirror
    if postgres.server is None:
        pytest.skip("the server of SYNCER_TEST_PG_URL is not ours to ask for passwords")
    role = f"keyed_{mirror.engine.url.database}"
    with mirror.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'right'"))
        connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
        connection.execute(text(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"))
        rules = Path(connection.execute(text("SHOW hba_file")).scalar_one())
        rules.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        connection.execute(text("SELECT pg_reload_conf()"))
    url = mirror.engine.url.set(username=role)
    right = database.open_engine(url.set(password="right"))
    before = tables(mirror)
    said = refusal_at_start(mirror, url)  # the canary is the wrong one
    report = run_while(mirror, lambda: None, right)
    right.dispose()
    with mirror.engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))

    assert "password authentication failed" in said
    assert report.error is None
    assert len(tables(mirror)[1]) == len(before[1]) + 2
    assert verify.verify(mirror.engine).holds


def test_an_sqlite_file_that_is_locked_for_too_long_is_told(
    sqlite_mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_TIMEOUT_SECONDS", 0.2)
    before = tables(sqlite_mirror)
    with closing(sqlite3.connect(tmp_path / "syncer.db", isolation_level=None)) as writer:
        report = run_while(sqlite_mirror, lambda: writer.execute("BEGIN IMMEDIATE"))

    assert_told(report, "another program has held its lock")
    assert_made_good(sqlite_mirror, before)


def test_an_sqlite_file_that_may_not_grow_changes_nothing(sqlite_mirror: Mirror) -> None:
    """SQLite's own limit on pages stands for the end of the disk."""
    with sqlite_mirror.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    before = tables(sqlite_mirror)
    engine = database.open_engine(sqlite_mirror.engine.url)
    event.listen(engine, "connect", lambda raw, _record: raw.execute(f"PRAGMA max_page_count = {pages + 2}"))
    grown = AFTER + [item(number, name="x" * 1000) for number in range(10, 60)]

    report = run_while(sqlite_mirror, lambda: None, engine, grown)

    assert_told(report, "the disk is full; free some room")
    assert_made_good(sqlite_mirror, before)


@pytest.mark.parametrize(
    ("spoilt", "words"), [("header", "is no SQLite database"), ("pages", "the file is damaged; restore a backup")]
)
def test_an_sqlite_file_that_is_spoilt_amid_a_run_is_told_and_left_as_it_is(
    sqlite_mirror: Mirror, tmp_path: Path, spoilt: str, words: str
) -> None:
    path, before = tmp_path / "syncer.db", tables(sqlite_mirror)
    whole = path.read_bytes()
    broken = b"\xff" * 100 + whole[100:] if spoilt == "header" else whole[:4096] + b"\xff" * (len(whole) - 4096)

    report = run_while(sqlite_mirror, lambda: path.write_bytes(broken))
    left = path.read_bytes()
    path.write_bytes(whole)

    assert_told(report, words)
    assert left == broken
    sqlite_mirror.observe(AFTER)
    assert before[1] == sqlite_mirror.rows(instance_history)[:5]
    assert len(sqlite_mirror.history()) == 7
    assert verify.verify(sqlite_mirror.engine).holds


def test_a_page_that_only_a_later_row_lies_on_is_told_like_any_other(sqlite_url: str, tmp_path: Path) -> None:
    """The hashes of the mirror are read row by row: SQLite meets the page when the first of them are here already."""
    path, last = tmp_path / "syncer.db", "the last of three hundred"
    items = [*(item(number) for number in range(1, 300)), item(300, name=last)]
    mirror = Mirror(sqlite_url)
    mirror.observe(items)
    whole = path.read_bytes()
    pages = [whole[at : at + 4096] for at in range(0, len(whole), 4096)]
    broken = b"".join(b"\xff" * 4096 if last.encode() in page else page for page in pages)

    report = run_while(mirror, lambda: path.write_bytes(broken), items=[item(1, name="renamed"), *items[1:]])
    path.write_bytes(whole)

    assert_told(report, "the file is damaged; restore a backup")
    assert mirror.observe(items).status is RunStatus.UNCHANGED
    assert verify.verify(mirror.engine).holds


def test_a_folder_that_goes_away_amid_a_run_is_told_and_not_made_anew(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    folder.mkdir()
    mirror = Mirror(f"sqlite:///{folder}/syncer.db")
    mirror.observe(BEFORE)
    before = tables(mirror)

    report = run_while(mirror, lambda: folder.rename(elsewhere))
    was_made = folder.exists()
    elsewhere.rename(folder)

    assert_told(report, "the file cannot be opened; check that it exists")
    assert not was_made
    assert_made_good(mirror, before)


@pytest.mark.parametrize("state", ["pending", "newer"])
def test_a_schema_that_is_not_this_codes_is_refused_at_the_start(mirror: Mirror, state: str) -> None:
    """Nothing is read or written; with the right schema, which a pending one is brought to, the run goes on."""
    mirror.observe(BEFORE)
    with mirror.engine.connect() as connection:
        (version,) = connection.execute(text("SELECT version_num FROM syncer_version")).one()
    if state == "pending":
        schema.downgrade(mirror.engine, schema.revisions()[0])
    else:
        give_version(mirror, "9999")
    runs = count(mirror, "sync_runs")
    with FaultServer([fault.json_list(AFTER)]) as server:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Mirror, "runs", lambda _mirror: [])  # its columns may not be there
            report = Deployment(mirror).sync(server.url, auto_migrate=False)
        refused = (len(server.requests), count(mirror, "sync_runs"), count(mirror, "instance_history"))
        if state == "newer":
            give_version(mirror, version)
        after = Deployment(mirror).sync(server.url)

    assert_told(report, "run: syncer db upgrade" if state == "pending" else "its schema is newer than this syncer")
    assert refused == (0, runs, 5)
    assert (after.exit_code, mirror.words()[5:]) == (0, ["changed", "deleted"])
    assert verify.verify(mirror.engine).holds


def count(mirror: Mirror, table: str) -> int:
    with mirror.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


@pytest.fixture
def pgbouncer(postgresql_mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a PgBouncer before the server, in transaction mode, with two connections for everybody."""
    if PGBOUNCER is None:
        pytest.skip("there is no PgBouncer here")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = postgresql_mirror.engine.url
    folder = Path("/tmp") if os.getuid() == 0 else tmp_path_factory.mktemp("pgbouncer")  # noqa: S108 - for another user
    settings = folder / f"syncer-pgbouncer-{port}.ini"
    own = f"own_{url.database}"  # a database under this name is reached as the role of this name
    settings.write_text(
        f"[databases]\n{own} = host={url.host} port={url.port} dbname={url.database} user={own}\n"
        f"* = host={url.host} port={url.port} user={url.username}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
    )
    settings.chmod(0o644)
    process = subprocess.Popen(
        [PGBOUNCER, settings],
        user=postgres_server.UNPRIVILEGED if os.getuid() == 0 else None,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(500):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.01)
    yield port
    process.terminate()
    process.wait()
    settings.unlink()


def test_behind_pgbouncer_in_transaction_mode_many_runs_are_as_good_as_without(
    postgresql_mirror: Mirror, pgbouncer: int
) -> None:
    """Three accounts at once, with their leases, on two connections of the server."""
    direct = postgresql_mirror
    through = copy.copy(direct)
    through.engine = database.open_engine(direct.engine.url.set(port=pgbouncer))

    def live(number: int) -> list[str]:
        mine = copy.copy(through)
        estate = [item(1000 * number + place) for place in range(5)]
        said = []
        for step in range(6):
            estate[0]["name"] = f"step {step}"
            estate[1]["deleted"] = step % 2 == 1
            said.append(str(mine.observe(estate, of=account(f"account{number}")).status))
        return said

    with ThreadPoolExecutor(3) as threads:
        said = list(threads.map(live, (1, 2, 3)))
    with FaultServer([fault.json_list(AFTER)]) as server:
        report = Deployment(through).sync(server.url)
    through.engine.dispose()

    assert said == [["ok"] * 6] * 3
    assert (report.exit_code, direct.words(1000), direct.words(2001)) == (
        0, ["created"] + ["changed"] * 5, ["created"] + ["deleted", "restored"] * 2 + ["deleted"],
    )  # fmt: skip
    assert len(direct.history()) == 5 + 3 * (5 + 2 * 5) + 2
    assert verify.verify(direct.engine).holds


def test_behind_pgbouncer_a_role_has_a_schema_of_its_own_and_the_session_is_as_needed(
    postgresql_mirror: Mirror, pgbouncer: int
) -> None:
    """PgBouncer passes no search_path on, so the role brings it; nor does a setting of one transaction stay behind."""
    direct = postgresql_mirror
    own = f"own_{direct.engine.url.database}"
    admin = direct.engine.execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE {own} LOGIN"))
        connection.execute(text(f"CREATE SCHEMA {own} AUTHORIZATION {own}"))
        connection.execute(text(f"ALTER ROLE {own} SET search_path = {own}"))
        connection.execute(text(f"ALTER ROLE {own} SET DateStyle = 'German'"))
    mirror = Mirror(direct.engine.url.set(port=pgbouncer, database=own).render_as_string(hide_password=False))
    try:
        mirror.observe([item(71), item(72)])
        report = mirror.observe([item(71), item(72, deleted=True)])
        mine, theirs = len(mirror.rows(instances)), {row["id_instance"] for row in direct.rows(instances)}
    finally:
        mirror.engine.dispose()
        with admin.connect() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :role"), {"role": own}
            )
            connection.execute(text(f"DROP OWNED BY {own} CASCADE"))
            connection.execute(text(f"DROP ROLE {own}"))

    assert (report.status, mine) == ("ok", 2)
    assert not theirs & {71, 72}
