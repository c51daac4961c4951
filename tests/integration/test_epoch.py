"""The database's epoch: one for as long as it is the same database, another one for whatever was made of a copy."""

import json
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from builders import item
from mirror import Mirror
from postgres import Postgres
from sqlalchemy import text

from syncer.storage import database, epoch
from syncer.storage.tables import syncer_epoch


def current(mirror: Mirror) -> str:
    with database.writing(mirror.engine, "asking for the epoch") as connection:
        return epoch.current(connection)


def test_an_epoch_stays_while_the_database_lives(mirror: Mirror) -> None:
    begun = current(mirror)
    mirror.observe([item(1)])
    mirror.engine.dispose()

    assert begun == current(mirror)
    assert [begun] == [row["epoch"] for row in mirror.rows(syncer_epoch)]


def test_a_vacuum_ends_no_epoch(mirror: Mirror, tmp_path: Path) -> None:
    begun = current(mirror)
    mirror.engine.dispose()
    if mirror.engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(tmp_path / "syncer.db", isolation_level=None)) as lite:
            lite.execute("VACUUM")
    else:
        with mirror.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM FULL instance_history")

    assert begun == current(mirror)


@pytest.mark.parametrize("mirror", ["sqlite"], indirect=True)
def test_a_copy_of_the_file_begins_an_epoch_of_its_own(mirror: Mirror, tmp_path: Path) -> None:
    begun = current(mirror)
    mirror.engine.dispose()
    shutil.copy(tmp_path / "syncer.db", tmp_path / "copy.db")
    copied = Mirror(f"sqlite:///{tmp_path}/copy.db")

    assert [begun] == [row["epoch"] for row in copied.rows(syncer_epoch)]
    assert begun != current(copied)
    assert begun == current(mirror)
    copied.engine.dispose()


class Restored:
    """A file of which a backup was made before more was told; `put_back` leaves it its inode."""

    def __init__(self, mirror: Mirror, folder: Path) -> None:
        self.mirror = mirror
        self.path, self.beside = folder / "syncer.db", folder / ".syncer.db-epoch"
        mirror.observe([item(1)])
        self.begun = tell(mirror)
        shutil.copy(self.path, folder / "backup.db")  # nobody has it open: all of it is in the one file

    def go_on(self, *items: dict[str, Any]) -> str:
        """The history grows, and is told; gives under which epoch."""
        self.mirror.observe(items)
        return tell(self.mirror)

    def remembered(self) -> dict[str, int]:
        """Up to which row of the history each epoch was told."""
        return {epoch: history_id for epoch, (history_id, _mark) in json.loads(self.beside.read_bytes()).items()}

    def put_back(self) -> None:
        """As after `rm syncer.db*`, where the file system gives the same inode again."""
        inode = self.path.stat().st_ino
        for path in self.path.parent.glob("syncer.db?*"):
            path.unlink()
        shutil.copy(self.path.with_name("backup.db"), self.path)
        assert inode == self.path.stat().st_ino


def tell(mirror: Mirror) -> str:
    """What a sender does before it sends all that there is."""
    with database.writing(mirror.engine, "telling") as connection:
        now = epoch.current(connection)
        assert epoch.remember(connection, now, mirror.history()[-1]["id"]) is None
    return now


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Restored]:
    mirror = Mirror(f"sqlite:///{tmp_path}/syncer.db")
    yield Restored(mirror, tmp_path)
    mirror.engine.dispose()


def test_a_backup_that_is_put_back_into_its_file_begins_an_epoch_where_more_was_told(restored: Restored) -> None:
    assert restored.begun == restored.go_on(item(1), item(2))
    restored.put_back()

    assert restored.begun != current(restored.mirror)


def test_so_it_does_when_its_history_has_grown_again(restored: Restored) -> None:
    restored.go_on(item(1), item(2))
    restored.put_back()
    restored.mirror.observe([item(1), item(3), item(4)])

    assert restored.begun != current(restored.mirror)


def test_so_it_does_each_time_that_the_same_backup_is_put_back(restored: Restored) -> None:
    found = [restored.begun]
    for key in range(2, 5):
        restored.go_on(item(1), item(key))
        restored.put_back()
        found.append(restored.go_on(item(1), item(key + 10)))
        restored.put_back()

    assert 4 == len(set(found))


def test_where_nothing_was_told_since_the_epoch_stays(restored: Restored) -> None:
    restored.mirror.observe([item(1), item(2)])
    restored.put_back()
    restored.mirror.observe([item(1), item(3)])

    assert restored.begun == current(restored.mirror)


def test_what_is_beside_the_file_is_its_owners_alone_and_holds_no_more_than_it_must(restored: Restored) -> None:
    assert 0o600 == stat.S_IMODE(restored.beside.stat().st_mode)
    assert {restored.begun: 1} == restored.remembered()


def test_of_epochs_that_ended_only_the_last_are_remembered(restored: Restored) -> None:
    with database.writing(restored.mirror.engine, "telling") as connection:
        for number in range(100):
            epoch.remember(connection, f"e{number}", 1)

    assert [f"e{number}" for number in range(80, 100)] == list(restored.remembered())


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"[1]", b"\xff", b"[" * 60_000, b'{"%s": [1]}', b'{"%s": [0, "a"]}', b'{"%s": "ab"}',
                b'{"%s": [' + b"9" * 30 + b', "a"]}'],
)  # fmt: skip
def test_what_is_garbled_says_nothing_and_is_written_anew(restored: Restored, garbage: bytes) -> None:
    restored.beside.write_bytes(garbage.replace(b"%s", restored.begun.encode()))

    assert restored.begun == current(restored.mirror)
    assert restored.begun == restored.go_on(item(1), item(2))
    assert {restored.begun: 2} == restored.remembered()


def test_what_is_beside_it_is_never_lowered(restored: Restored) -> None:
    restored.go_on(item(1), item(2))
    before = restored.beside.read_bytes()
    with database.writing(restored.mirror.engine, "telling") as connection:
        epoch.remember(connection, restored.begun, 1)

    assert before == restored.beside.read_bytes()


def test_what_several_tell_at_once_is_remembered_of_each(restored: Restored) -> None:
    restored.mirror.observe([item(key) for key in range(1, 60)])
    url = restored.mirror.engine.url

    def tell_each(start: int) -> None:
        engine = database.open_engine(url)
        for number in range(start, 60, 4):
            with database.writing(engine, "telling") as connection:
                epoch.remember(connection, restored.begun, number)
        engine.dispose()

    threads = [threading.Thread(target=tell_each, args=(start,)) for start in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {restored.begun: 59} == restored.remembered()
    assert [] == list(restored.path.parent.glob("*.new"))


def test_what_cannot_be_noted_is_said_and_what_cannot_be_read_stays(restored: Restored) -> None:
    restored.beside.unlink()
    restored.beside.mkdir()

    with database.writing(restored.mirror.engine, "telling") as connection:
        assert restored.begun == epoch.current(connection)
        problem = epoch.remember(connection, restored.begun, 1)

    assert f"{restored.beside}: Is a directory" == problem
    assert restored.beside.is_dir()


def test_by_another_name_of_the_file_it_is_the_same(restored: Restored, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.db").symlink_to(restored.path)
    restored.go_on(item(1), item(2))
    restored.put_back()
    linked = Mirror(f"sqlite:///{tmp_path}/elsewhere/link.db")

    assert restored.begun != current(linked)
    linked.engine.dispose()


@pytest.mark.parametrize("mirror", ["postgresql"], indirect=True)
def test_a_copy_of_the_database_begins_an_epoch_of_its_own(mirror: Mirror, postgres: Postgres) -> None:
    begun = current(mirror)
    mirror.engine.dispose()
    url = postgres.create_database(str(mirror.engine.url.database))
    copied = Mirror(url)
    try:
        assert [begun] == [row["epoch"] for row in copied.rows(syncer_epoch)]
        assert begun != current(copied)
        assert begun == current(mirror)
    finally:
        copied.engine.dispose()
        postgres.drop_database(url)


@pytest.mark.parametrize("mirror", ["postgresql"], indirect=True)
def test_a_server_that_does_not_tell_who_it_is_serves_too(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch, "_OF_SERVER", text("SELECT nobody_may_ask_this()"))

    begun = current(mirror)

    assert begun == current(mirror)
    (row,) = mirror.rows(syncer_epoch)
    assert 2 == len(row["place"].split())


def test_those_who_ask_at_once_begin_one_epoch(mirror: Mirror) -> None:
    found: list[str] = []
    together = threading.Barrier(5)

    def ask() -> None:
        together.wait()
        found.append(current(mirror))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [found[0]] * 5 == found
    assert 1 == len(mirror.rows(syncer_epoch))
