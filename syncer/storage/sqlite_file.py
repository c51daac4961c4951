"""The file of an SQLite database, and those that SQLite keeps beside it."""

import os
from pathlib import Path

from sqlalchemy.engine import URL


def sqlite_path(url: URL) -> Path:
    """Where an SQLite URL's file lies."""
    return Path(url.database or "").absolute()


def sqlite_files(path: Path) -> list[Path]:
    """The database's file and those that SQLite keeps beside it, as far as they are there."""
    return [file for end in ("", "-wal", "-shm") if (file := path.with_name(path.name + end)).exists()]


def closed_to_us(path: Path) -> list[Path]:
    """Those of its files that this user may not both read and write; another user may have made them."""
    effective = os.access in os.supports_effective_ids
    return [file for file in sqlite_files(path) if not os.access(file, os.R_OK | os.W_OK, effective_ids=effective)]
