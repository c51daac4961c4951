"""Engines and transactions for SQLite and PostgreSQL, and what their errors mean to a person."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from syncer.errors import ConfigurationError, DatabaseFailed

LOCK_TIMEOUT_SECONDS = 30
CONNECT_TIMEOUT_SECONDS = 10
POOL_TIMEOUT_SECONDS = 120  # many accounts share few connections; none is held while fetching
SOLE_WRITER_LOCK = 0x73796E636572  # "syncer"; one transaction at a time writes history, so ids become visible in order

_WRITES = {"syncer_writes": True}


def parse_database_url(text: str) -> URL:
    """The URL with its driver settled: SQLite's own, or psycopg 3; raises `ConfigurationError` without its password."""
    try:
        url = make_url(text)
        dialect = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        url, dialect = None, ""
    if url is not None and dialect != "sqlite" and "@" in f"{url.host}{url.database}{url.username}":
        raise ConfigurationError(
            "SYNCER_DATABASE_URL: its host would contain an @; write %40 for each @ of the password"
        )
    if url is not None and dialect == "sqlite":
        if url.drivername not in {"sqlite", "sqlite+pysqlite"} or url.query or url.host:
            raise ConfigurationError("SYNCER_DATABASE_URL: write SQLite as sqlite:///path/to/file.db, without options")
        if not url.database or url.database == ":memory:":
            raise ConfigurationError(
                "SYNCER_DATABASE_URL: an in-memory database forgets; name a file: sqlite:///syncer.db"
            )
        return url.set(drivername="sqlite+pysqlite")
    if url is not None and dialect in {"postgresql", "postgres"}:
        if url.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ConfigurationError(
                "SYNCER_DATABASE_URL: syncer speaks psycopg 3; write postgresql://… without a driver"
            )
        return url.set(drivername="postgresql+psycopg")
    raise ConfigurationError(
        "SYNCER_DATABASE_URL: it is no URL for SQLite or PostgreSQL; "
        "examples: sqlite:///syncer.db, postgresql://user:password@host/database"
    )


def open_engine(url: URL) -> Engine:
    """An engine that hides parameters. Nothing is connected or created yet."""
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, creator=lambda: _connect_sqlite(url), poolclass=NullPool, hide_parameters=True)
    else:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "prepare_threshold": None,  # PgBouncer in transaction mode
                "application_name": "syncer",
                "keepalives_idle": 30,
                "tcp_user_timeout": 60_000,  # milliseconds until a silent server counts as gone
            },
        )
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
        # A deferred transaction that reads first and writes later fails at once when another one wrote in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    else:
        connection.exec_driver_sql(
            "SELECT set_config('TimeZone', 'UTC', true), set_config('lock_timeout', %s, true)",
            (f"{LOCK_TIMEOUT_SECONDS}s",),
        )


def sqlite_path(url: URL) -> Path:
    """Where an SQLite URL's file lies."""
    return Path(url.database or "").absolute()


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


def use_write_ahead_log(engine: Engine) -> None:
    """Let readers of an SQLite file go on while it is written; the file remembers it."""
    try:
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode = WAL")  # impossible inside a transaction
    except sqlite3.Error as error:
        problem = _explain_sqlite(error, engine.url)
    except DBAPIError as error:
        problem = _explain(error, engine.url)
    else:
        return
    raise DatabaseFailed(f"preparing the database: {problem}")


@contextmanager
def reading(engine: Engine, doing: str) -> Iterator[Connection]:
    """A read transaction, rolled back; database errors become `DatabaseFailed`, which says what was being done."""
    with explained(doing, engine.url), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine, doing: str) -> Iterator[Connection]:
    """A write transaction, committed at the end; on SQLite it holds the write lock from its first moment."""
    with (
        explained(doing, engine.url),
        engine.connect().execution_options(**_WRITES) as connection,
        connection.begin(),
    ):
        yield connection


def become_sole_writer(connection: Connection) -> None:
    """Wait until no other transaction writes history, and keep others waiting until this one ends.

    History ids are then committed in ascending order, so a reader that resumes from the last id misses nothing,
    and no other account's run moves an instance between this run's reading and its writing.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (SOLE_WRITER_LOCK,))


@contextmanager
def explained(doing: str, url: URL | None = None) -> Iterator[None]:
    """Turn a database error into one line; row values and passwords are not in it."""
    try:
        yield
    except DBAPIError as error:
        problem = _explain(error, url)
    except SQLAlchemyError as error:
        problem = f"{type(error).__name__}; check SYNCER_DATABASE_URL"
    else:
        return
    problem = " ".join(problem.split())
    raise DatabaseFailed(f"{doing}: {problem}")


def _explain(error: DBAPIError, url: URL | None) -> str:
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return _explain_sqlite(original, url)
    # PostgreSQL's DETAIL quotes row values: only the state and the primary message are shown.
    diagnostic = getattr(original, "diag", None)
    state = getattr(original, "sqlstate", None)
    message = getattr(diagnostic, "message_primary", None)
    if message is None:
        message = " ".join(str(original).split())[:300]
        return f"PostgreSQL cannot be reached ({message}); is it running, and is SYNCER_DATABASE_URL right?"
    remedies = {
        "28": "check user and password in SYNCER_DATABASE_URL",
        "3D": "create the database, or correct its name in SYNCER_DATABASE_URL",
        "42501": "grant the right to syncer's role",
        "42P01": "run: syncer db upgrade",
        "55P03": "another program holds a lock; try again when it is done",
        "25006": "the server is read-only; point SYNCER_DATABASE_URL at the primary",
        "53": "the server is out of a resource; free some, then run again",
        "57": "the server ended the work; the next run tries again",
        "40": "another transaction was in the way; the next run tries again",
    }
    remedy = remedies.get(state or "") or remedies.get((state or "")[:2]) or "the next run tries again"
    return f"PostgreSQL refused with {state}: {message}; {remedy}"


def _explain_sqlite(error: sqlite3.Error, url: URL | None) -> str:
    where = f" {sqlite_path(url)}" if url is not None else ""
    name = getattr(error, "sqlite_errorname", "") or ""
    remedies = {
        "SQLITE_CANTOPEN": "the file cannot be opened; check that it exists (syncer db upgrade) and may be read",
        "SQLITE_BUSY": f"another program has held its lock for {LOCK_TIMEOUT_SECONDS} s; end it, then run again",
        "SQLITE_READONLY": "the file or its folder is read-only; make both writable for syncer's user",
        "SQLITE_FULL": "the disk is full; free some room, then run again",
        "SQLITE_IOERR": "the disk reported an error; check it, then run: syncer db check",
        "SQLITE_NOTADB": "the file is no SQLite database; correct SYNCER_DATABASE_URL or restore a backup",
        "SQLITE_CORRUPT": "the file is damaged; restore a backup",
    }
    for code, remedy in remedies.items():
        if name.startswith(code):
            return f"SQLite{where}: {remedy}"
    return f"SQLite{where}: {error}"


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
