"""The database's epoch: within one, an id of the history means one row for ever (CONTRACT 9).

A backup that is restored goes on counting from its own last row, so that ids after it are given a second time: whoever
remembers ids must be told. Four things tell: the recipes of docs/operating.md leave a restored database without an
epoch; the database lies elsewhere than its epoch says; a file beside an SQLite database remembers a row that was told
and that the history does not have; a sender finds a cursor behind the one that it wrote.
"""

import hashlib
import secrets
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, text
from sqlalchemy.exc import DBAPIError

from syncer.storage import epoch_file
from syncer.storage.database import become_sole_writer
from syncer.storage.epoch_file import Told
from syncer.storage.lease import database_now
from syncer.storage.sqlite_file import sqlite_path
from syncer.storage.tables import instance_history, syncer_epoch

_OF_DATABASE = text(
    "SELECT concat_ws(' ', oid, 'instance_history'::regclass::oid) FROM pg_database WHERE datname = current_database()"
)
# A server that was restored to a point in time, or took another one's place, writes another timeline.
_OF_SERVER = text(
    "SELECT concat_ws(' ', system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8)) FROM pg_control_system()"
)


def current(connection: Connection) -> str:
    """The epoch, a new one where there is none or the database was restored; in a write transaction."""
    here = place_of(connection)
    row = _row(connection)
    if row is not None and row.place == here and not _has_gone_back(connection, row.epoch):
        return str(row.epoch)
    return begin(connection, None if row is None else row.epoch)


def remember(connection: Connection, epoch: str, history_id: int) -> str | None:
    """Note, where a restore leaves it, that an epoch is told up to a row of the history; before anything is sent, in a
    write transaction. Gives what is wrong where that cannot be noted; a server is known by its place alone.
    """
    mark = _mark_of(connection, history_id) if connection.dialect.name == "sqlite" else None
    if mark is None:
        return None
    url = connection.engine.url
    try:
        epoch_file.remember(url, epoch, Told(history_id, mark))
    except OSError as error:
        return f"{epoch_file.path_of(url)}: {error.strerror}"
    return None


def _has_gone_back(connection: Connection, epoch: str) -> bool:
    """Whether the row up to which the epoch was told is not in the history, or is another one of the same id."""
    if connection.dialect.name != "sqlite":
        return False
    told = epoch_file.read(connection.engine.url, epoch)
    return told is not None and _mark_of(connection, told.history_id) != told.mark


def _mark_of(connection: Connection, history_id: int) -> str | None:
    """What tells a row of the history from another one that is given its id after a restore; None where none is."""
    history = instance_history.c
    query = select(history.id_instance, history.transition, history.observed_at).where(history.id == history_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    said = f"{row.id_instance} {row.transition} {row.observed_at.isoformat()}"
    return hashlib.sha256(said.encode("utf-8")).hexdigest()[:16]


def read(connection: Connection) -> str | None:
    """The epoch that is noted, which may be another place's; None where there is none."""
    row = _row(connection)
    return None if row is None else str(row.epoch)


def begin(connection: Connection, ended: str | None = None) -> str:
    """Begin a new epoch after the one that has ended, once: if another one has begun since, it is that one."""
    become_sole_writer(connection)
    row = _row(connection)
    if row is not None and row.epoch != ended:
        return str(row.epoch)
    epoch = secrets.token_hex(6)
    connection.execute(delete(syncer_epoch))
    connection.execute(
        insert(syncer_epoch).values(epoch=epoch, place=place_of(connection), began_at=database_now(connection))
    )
    return epoch


def _row(connection: Connection) -> Row[Any] | None:
    return connection.execute(select(syncer_epoch)).one_or_none()


def place_of(connection: Connection) -> str:
    """What no copy of the database shares with it: which file it is, or which tables of which server."""
    if connection.dialect.name == "sqlite":
        return f"inode {sqlite_path(connection.engine.url).stat().st_ino}"
    place = str(connection.execute(_OF_DATABASE).scalar_one())
    try:
        with connection.begin_nested():
            return f"{place} {connection.execute(_OF_SERVER).scalar_one()}"
    except DBAPIError:  # not every service lets everybody ask
        return place
