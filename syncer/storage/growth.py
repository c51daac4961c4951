"""What grows while somebody reads for long: SQLite's write-ahead log, and rows that PostgreSQL cannot clean up."""

from sqlalchemy import Connection, Engine, text

from syncer.storage.sqlite_file import sqlite_path

_OLDEST = text(
    "SELECT CAST(max(extract(epoch FROM clock_timestamp() - xact_start)) AS float) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


def log_bytes(engine: Engine) -> int | None:
    """The size of an SQLite file's write-ahead log; None where there is none, on PostgreSQL too."""
    if engine.dialect.name != "sqlite":
        return None
    path = sqlite_path(engine.url)
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except OSError:
        return None


def oldest_transaction_seconds(connection: Connection) -> float | None:
    """The age of the oldest transaction in PostgreSQL's database, of those that this role may see; None on SQLite.

    SQLite does not tell of its readers.
    """
    if connection.dialect.name != "postgresql":
        return None
    found: float | None = connection.execute(_OLDEST).scalar()
    return found
