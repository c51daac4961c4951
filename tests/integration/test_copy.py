"""`syncer db copy`: every row, ids and all, into another database; killed amid it, it goes on (docs/operating.md)."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from builders import item, paid
from conftest import RunSyncer
from mirror import Mirror, account
from sqlalchemy import delete, insert, text, update
from test_upgrade import fill

from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.storage import copying, database, schema
from syncer.storage.lease import Keeper, database_now
from syncer.storage.tables import instance_history, instances, leases, sync_runs, syncer_epoch
from syncer.views import verify


@pytest.fixture(params=["sqlite to postgresql", "postgresql to sqlite"])
def ends(request: pytest.FixtureRequest, tmp_path: Path, postgresql_url: str) -> Iterator[tuple[Mirror, str]]:
    """A mirror with something in every table, and an empty database of the other kind."""
    lite = f"sqlite:///{tmp_path}/copy.db"
    source, target = (lite, postgresql_url) if request.param == "sqlite to postgresql" else (postgresql_url, lite)
    mirror = Mirror(source)
    fill(mirror)
    mirror.observe([item(17, name='Ёж \U0001f994 "\\\\\t', note={"a": [1, None, "б"]}), paid(8)], of=account("north"))
    yield mirror, target
    mirror.engine.dispose()


def open_target(url: str) -> database.Engine:
    return database.open_engine(database.parse_database_url(url))


def test_every_row_is_the_same_and_life_goes_on(ends: tuple[Mirror, str]) -> None:
    source, url = ends
    target = Mirror(url)
    copied = copying.copy(source.engine, target.engine)
    target.now = source.now
    before = {table.name: source.rows(table) for table in copying.copied_tables()}

    assert before == {table.name: target.rows(table) for table in copying.copied_tables()}
    assert [] == target.rows(syncer_epoch)  # it lies elsewhere: a receiver is told another epoch
    assert {"receivers", "attention_told"} <= before.keys()
    assert copied == {name: len(rows) for name, rows in before.items()}
    assert all(rows for rows in before.values())
    assert verify.verify(target.engine).holds
    reports = [one.observe([item(17, deleted=True), paid(8)], of=account("north")) for one in (source, target)]
    assert [report.status for report in reports] == ["ok", "ok"]
    assert source.history() == target.history()
    target.engine.dispose()


class _Killed(Exception):
    pass


@pytest.mark.parametrize("after", [1, 2, 4, 7])
def test_a_copy_that_was_killed_goes_on_where_it_was(
    ends: tuple[Mirror, str], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH_ROWS", 2)
    source, url = ends
    batches = iter(range(1, 1000))

    def told(_table: str, _rows: int) -> None:
        if next(batches) == after:
            raise _Killed

    target = open_target(url)
    with pytest.raises(_Killed):
        copying.copy(source.engine, target, told)
    with target.connect() as connection:
        bases = set(connection.execute(text("SELECT last_accepted_run_id FROM accounts")).scalars())
    copied = copying.copy(source.engine, target)
    again = copying.copy(source.engine, target)
    target.dispose()

    assert bases == {None}
    assert copied == again
    assert copied["instance_history"] == len(source.history())


def test_an_id_that_was_given_is_given_to_nothing_else(ends: tuple[Mirror, str]) -> None:
    source, url = ends
    last = max(row["id"] for row in source.rows(sync_runs))
    with source.engine.begin() as connection:
        lost = connection.execute(
            text(
                "INSERT INTO sync_runs (account, trigger, started_at, status) VALUES ('north', 'manual', '2026-11-01 12:00:00.000000', 'running') RETURNING id"
            )
        ).scalar_one()
        connection.execute(delete(sync_runs).where(sync_runs.c.id == lost))
    target = Mirror(url)
    copying.copy(source.engine, target.engine)
    report = target.observe([paid(8)], of=account("north"))
    target.engine.dispose()

    assert (lost, report.id) == (last + 1, last + 2)


def test_a_target_with_other_rows_is_left_alone(ends: tuple[Mirror, str]) -> None:
    source, url = ends
    other = Mirror(url)
    other.observe([item(99)], of=account("north"))
    before = other.rows(instances)

    with pytest.raises(DatabaseFailed, match="of the target holds other rows than the source"):
        copying.copy(source.engine, other.engine)

    assert before == other.rows(instances)
    other.engine.dispose()


def test_a_row_that_was_spoilt_on_the_way_is_told(ends: tuple[Mirror, str]) -> None:
    source, url = ends
    target = open_target(url)
    copying.copy(source.engine, target)
    with target.begin() as connection:
        connection.execute(update(instance_history).where(instance_history.c.id == 1).values(name="spoilt"))

    with pytest.raises(DatabaseFailed, match="instance_history"):
        copying.copy(source.engine, target)
    target.dispose()


def test_nothing_is_copied_while_a_syncer_is_at_work(ends: tuple[Mirror, str]) -> None:
    source, url = ends
    keeper = Keeper(source.engine)
    keeper.acquire("north")
    target = open_target(url)
    try:
        with pytest.raises(DatabaseFailed, match="is at work on account north in the source; stop every syncer"):
            copying.copy(source.engine, target)
    finally:
        keeper.release("north")
    with pytest.raises(ConfigurationError, match="it is the database that is copied"):
        copying.refuse_same(source.engine, source.engine)
    schema.require_current(target)
    target.dispose()


def test_a_lease_of_the_future_keeps_no_mirror_from_its_copy(ends: tuple[Mirror, str]) -> None:
    """Nobody will release it: it was left by a clock that was set back."""
    source, url = ends
    with database.writing(source.engine, "a clock that was wrong") as connection:
        ahead = database_now(connection) + timedelta(hours=2)
        lease = {"account": "north", "holder": "elsewhere:1:0123456789ab:00000001", "expires_at": ahead}
        connection.execute(insert(leases).values(lease))
    target = open_target(url)

    assert copying.copy(source.engine, target)["instances"] > 0
    target.dispose()


def test_the_command_copies_verifies_and_says_what_comes_next(
    run_syncer: RunSyncer, tmp_path: Path, postgresql_url: str
) -> None:
    mirror = Mirror(f"sqlite:///{tmp_path}/syncer.db")
    mirror.observe([item(1), item(2)])
    mirror.engine.dispose()
    (tmp_path / "url.secret").write_text(postgresql_url)
    (tmp_path / "url.secret").chmod(0o600)
    shown = run_syncer("db", "copy", "--to", postgresql_url)
    done = run_syncer("db", "copy", "--to-file", "url.secret")
    missing = run_syncer("db", "copy")
    (tmp_path / "empty.secret").touch(mode=0o600)
    wrong = [run_syncer("db", "copy", *words) for words in (("--to", "sqlite://"), ("--to-file", "empty.secret"))]

    assert (shown.returncode, missing.returncode) == (2, 2)
    assert "use --to-file" in shown.stderr
    assert [told.stderr.split()[1] for told in wrong] == ["--to:", "--to-file:"]
    assert done.returncode == 0, done.stderr
    assert "instances: 2 rows, the same in both" in done.stdout
    assert "the copy is whole" in done.stdout
    assert run_syncer("verify", env={"SYNCER_DATABASE_URL_FILE": "url.secret"}).returncode == 0
