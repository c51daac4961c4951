"""The file of an SQLite database, and those that SQLite keeps beside it."""

import os
from pathlib import Path

from sqlalchemy.engine import URL

from syncer.errors import DatabaseFailed


def sqlite_path(url: URL) -> Path:
    """Where an SQLite URL's file lies."""
    return Path(url.database or "").absolute()


def why_unknown(path: Path) -> str | None:
    """Why the system does not even say whether the file is there; None where it does."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return error.strerror
    return None


def is_there(path: Path) -> bool:
    """Whether the file is there; raises `DatabaseFailed` where the system does not say."""
    if (problem := why_unknown(path)) is not None:
        raise DatabaseFailed(
            f"opening the database {path}: {problem}; let syncer's user into the folder, or correct SYNCER_DATABASE_URL"
        )
    return os.path.exists(path)  # noqa: PTH110 - Path's raises what is no answer, until Python 3.14


def sqlite_files(path: Path) -> list[Path]:
    """The database's file and those that SQLite keeps beside it, as far as they are seen to be there."""
    beside = (path.with_name(path.name + end) for end in ("", "-wal", "-shm"))
    return [file for file in beside if os.path.exists(file)]  # noqa: PTH110 - as above


def closed_to_us(path: Path) -> list[Path]:
    """Those of its files that this user may not both read and write; another user may have made them."""
    effective = os.access in os.supports_effective_ids
    return [file for file in sqlite_files(path) if not os.access(file, os.R_OK | os.W_OK, effective_ids=effective)]
