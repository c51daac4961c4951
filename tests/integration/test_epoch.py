"""The database's epoch: one for as long as it is the same database, another one for whatever was made of a copy."""

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

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
