"""Engines and transactions for SQLite and PostgreSQL, and what their errors mean to a person."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from threading import Lock
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.scrub import MISPLACED, holds_password
from syncer.storage.connections import (
    CONNECT_TIMEOUT_SECONDS,
    KEPT_CONNECTIONS,
    MOST_CONNECTIONS,
    POOL_TIMEOUT_SECONDS,
    Connecting,
    connected,
    count_connections,
)
from syncer.storage.database_errors import explain, explain_sqlite, explained
from syncer.storage.sqlite_file import sqlite_path

LOCK_TIMEOUT_SECONDS = 30
TURN_TIMEOUT_SECONDS = 300
# One transaction at a time writes history, so ids become visible in order. The mode is its own rival and nobody else's,
# and only who may write the table gets it: a reader that could take the lock could stop every run.
SOLE_WRITER_LOCK = "LOCK TABLE leases IN SHARE UPDATE EXCLUSIVE MODE"
UPGRADE_LOCK = 0x73796E636572  # "syncer"; an advisory lock: there may be no table yet
# A session has these from the role, the database or the server, as somebody set them there; syncer relies on them.
_SESSION = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
}

_WRITES = {"syncer_writes": True}


def parse_database_url(text: str, called: str = "SYNCER_DATABASE_URL") -> URL:
    """The URL with its driver settled: SQLite's own, or psycopg 3; raises `ConfigurationError` without its password.

    `called` is what errors call the place that it was given at.
    """
    try:
        url = make_url(text)
        dialect = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        url, dialect = None, ""
    if url is not None and dialect != "sqlite" and "@" in f"{url.host}{url.database}{url.username}":
        raise ConfigurationError(f"{called}: its host would contain an @; write %40 for each @ of the password")
    if url is not None and dialect == "sqlite":
        if url.drivername not in {"sqlite", "sqlite+pysqlite"} or "?" in text or url.host:
            raise ConfigurationError(
                f"{called}: write SQLite as sqlite:///path/to/file.db, without options; "
                "a name with a ? in it cannot be given"
            )
        if not url.database or url.database == ":memory:":
            raise ConfigurationError(f"{called}: an in-memory database forgets; name a file: sqlite:///syncer.db")
        if holds_password(url.database):
            raise ConfigurationError(f"{called}: it is {MISPLACED}; give what belongs there")
        return url.set(drivername="sqlite+pysqlite")
    if url is not None and dialect in {"postgresql", "postgres"}:
        if url.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ConfigurationError(f"{called}: syncer speaks psycopg 3; write postgresql://… without a driver")
        return url.set(drivername="postgresql+psycopg")
    raise ConfigurationError(
        f"{called}: it is no URL for SQLite or PostgreSQL; "
        "examples: sqlite:///syncer.db, postgresql://user:password@host/database"
    )


def open_engine(url: URL, reread: Callable[[], URL] | None = None) -> Engine:
    """An engine that hides parameters. Nothing is connected or created yet.

    `reread` reads the URL anew where it lies in a file: it is asked when a connection fails, since a password may have
    been changed since.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            creator=lambda: _connect_sqlite(url),
            poolclass=NullPool,
            hide_parameters=True,
            execution_options={"syncer_turn": Lock()},
        )
    else:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=KEPT_CONNECTIONS,
            max_overflow=MOST_CONNECTIONS - KEPT_CONNECTIONS,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "client_encoding": "UTF8",
                "prepare_threshold": None,  # PgBouncer in transaction mode
                "application_name": "syncer",
                "keepalives_idle": 30,
                "tcp_user_timeout": 60_000,  # milliseconds until a silent server counts as gone
            },
        )
        count_connections(engine)
        if reread is not None:
            event.listen(engine, "do_connect", Connecting(url, reread))
    event.listen(engine, "begin", _begin)
    return engine


def _connect_sqlite(url: URL) -> sqlite3.Connection:
    # mode=rw: a file that went missing is an error, not a new and empty mirror.
    connection = sqlite3.connect(
        f"file:{quote(str(sqlite_path(url)))}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=LOCK_TIMEOUT_SECONDS,
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("syncer_writes", False)
    if connection.dialect.name == "sqlite":
        if writes:
            _prefer_write_ahead_log(connection)
        # A deferred transaction that reads first and writes later fails at once when another one wrote in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    else:
        # For the transaction alone: behind PgBouncer the session is somebody else's, too.
        settings = {**_SESSION, "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s"}
        query = f"SELECT {', '.join(['set_config(%s, %s, true)'] * len(settings))}, pg_is_in_recovery()"
        row = connection.exec_driver_sql(query, tuple(word for pair in settings.items() for word in pair)).one()
        connection.info["syncer_standby"] = row[-1]  # asked each time: a standby may have become the primary


def create_sqlite_file(url: URL) -> None:
    """Create the database file if it is missing, readable by its owner alone; its WAL inherits the mode."""
    path = sqlite_path(url)
    with explained("creating the database"):
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            problem = error.strerror
        else:
            return
    raise DatabaseFailed(f"creating the database {path}: {problem}; create the folder or correct SYNCER_DATABASE_URL")


def _prefer_write_ahead_log(connection: Connection) -> None:
    """A file that was copied or restored is without its log, and each reader of it would hold up every run."""
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if mode != "wal":
        # Where somebody reads right now it stays as it is, and the next transaction tries again.
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        with suppress(DBAPIError):
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {1000 * LOCK_TIMEOUT_SECONDS:.0f}")


def has_write_ahead_log(engine: Engine) -> bool:
    """Whether readers and the writer get on without waiting; on PostgreSQL they do."""
    if engine.dialect.name != "sqlite":
        return True
    with reading(engine, "reading the file's mode") as connection:
        return connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def use_write_ahead_log(engine: Engine) -> None:
    """Let readers of an SQLite file go on while it is written; the file remembers it."""
    try:
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode = WAL")  # impossible inside a transaction
    except sqlite3.Error as error:
        problem = explain_sqlite(error, engine.url)
    except DBAPIError as error:
        problem = explain(error, engine.url)
    else:
        return
    raise DatabaseFailed(f"preparing the database: {problem}")


@contextmanager
def reading(engine: Engine, doing: str) -> Iterator[Connection]:
    """A read transaction, rolled back; database errors become `DatabaseFailed`, which says what was being done."""
    with explained(doing, engine.url), connected(engine) as connection:
        yield connection


@contextmanager
def writing(engine: Engine, doing: str) -> Iterator[Connection]:
    """A write transaction, committed at the end; on SQLite it holds the write lock from its first moment.

    Writers of one process take turns before they ask SQLite, whose way of waiting lets some go hungry among hundreds.
    """
    with (
        _turn(engine, doing),
        explained(doing, engine.url),
        connected(engine).execution_options(**_WRITES) as connection,
        connection.begin(),
    ):
        if connection.info.get("syncer_standby"):
            raise DatabaseFailed(
                f"{doing}: the server is a standby, a read replica, so nothing can be written; "
                "point SYNCER_DATABASE_URL at the primary"
            )
        yield connection


@contextmanager
def _turn(engine: Engine, doing: str) -> Iterator[None]:
    turn: Lock | None = engine.get_execution_options().get("syncer_turn")
    if turn is None:
        yield
        return
    if not turn.acquire(timeout=TURN_TIMEOUT_SECONDS):
        raise DatabaseFailed(f"{doing}: too many runs wait for their turn to write; the next run tries again")
    try:
        yield
    finally:
        turn.release()


def become_sole_writer(connection: Connection) -> None:
    """Wait until no other transaction writes history, and keep others waiting until this one ends.

    History ids are then committed in ascending order, so a reader that resumes from the last id misses nothing,
    and no other account's run moves an instance between this run's reading and its writing.
    """
    if connection.dialect.name == "postgresql":
        # However many runs come first, each of them goes on: an answer is not lost for that.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{TURN_TIMEOUT_SECONDS}s'")
        connection.exec_driver_sql(SOLE_WRITER_LOCK)
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")


def insert_if_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row unless one with its key is there.

    The statement is imported late: the dialect that is not in use would be a tenth of a cold start.
    """
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_on_postgresql

        connection.execute(insert_on_postgresql(table).values(row).on_conflict_do_nothing())
    else:
        from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite

        connection.execute(insert_on_sqlite(table).values(row).on_conflict_do_nothing())
