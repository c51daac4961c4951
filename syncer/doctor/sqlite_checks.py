"""What `syncer doctor` finds of an SQLite file: rights, room, whether it can be written, and its log."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from syncer.doctor.finding import Finding, error, failure, ok, warning
from syncer.errors import DatabaseFailed
from syncer.storage import database, growth, schema
from syncer.storage.sqlite_file import closed_to_us, sqlite_files, sqlite_path, why_unknown

SMALLEST_FREE_BYTES = 10**9
FREE_PER_FILE = 2  # an upgrade or a backup may need the file's size once more
LARGE_LOG_BYTES = 64 * 2**20
SHARING = "give the folder and its files to a group of both users, then chmod 2770 the folder and 660 its files"
EFFECTIVE = os.access in os.supports_effective_ids


def file_findings(url: URL) -> Iterator[Finding]:
    path = sqlite_path(url)
    folder = path.parent
    check = "database.file"
    if (problem := why_unknown(path)) is not None:
        remedy = "let syncer's user into the folder, or correct SYNCER_DATABASE_URL"
        yield error(check, f"{path} cannot be looked for: {problem}", remedy)
        return
    if not folder.is_dir():
        yield error(check, f"there is no folder {folder}", "create it, or correct SYNCER_DATABASE_URL")
        return
    if path.exists() and not path.is_file():
        yield error(check, f"{path} is no file", "correct SYNCER_DATABASE_URL: it must name a file")
        return
    closed = [] if os.access(folder, os.R_OK | os.W_OK, effective_ids=EFFECTIVE) else [folder]
    for place in [*closed, *closed_to_us(path)]:
        yield error(
            check,
            f"{place} is read-only for this user",
            f"make it writable for the user that runs syncer: SQLite writes {path.name}-wal beside the file; "
            f"to share it with a reader: {SHARING}",
        )
        return
    if path.exists():
        yield _sqlite_modes(path)
    yield _free_room(path, folder)


def _sqlite_modes(path: Path) -> Finding:
    check = "database.file"
    files = sqlite_files(path)
    everybody = [file for file in files if file.stat().st_mode & stat.S_IRWXO]
    group = [file for file in files if file.stat().st_mode & stat.S_IRWXG]
    names = " ".join(str(file) for file in everybody or group)
    if everybody:
        return warning(check, f"everybody may read or write {names}, which holds names", f"run: chmod 600 {names}")
    if not group:
        return ok(check, f"only its owner may read {path}")
    folder = path.parent.stat()
    if folder.st_mode & stat.S_ISGID and all(file.stat().st_gid == folder.st_gid for file in files):
        return ok(
            check, f"its owner and a group may read {path}, and what SQLite writes beside it belongs to the group"
        )
    return warning(
        check,
        f"a group may read or write {names}, and what SQLite writes beside it may belong to another",
        f"to share it: {SHARING}; else run: chmod 600 {names}",
    )


def _free_room(path: Path, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    wanted = max(SMALLEST_FREE_BYTES, FREE_PER_FILE * (path.stat().st_size if path.exists() else 0))
    if free < wanted:
        return warning(
            "database.disk",
            f"{free // 10**6} MB are free where the database lies, less than {wanted // 10**6} MB",
            f"free some room on the disk of {folder}",
        )
    return ok("database.disk", f"{free // 10**6} MB are free where the database lies")


def writable_finding(engine: Engine) -> Finding:
    """A write that changes no row: on a read-only file SQLite lets a transaction begin and refuses its first write."""
    try:
        with database.writing(engine, "beginning to write") as connection:
            if schema.current(connection) is not None:
                connection.execute(text(schema.WRITES_NOTHING))
    except DatabaseFailed as problem:
        return failure("database.writable", problem)
    return ok("database.writable", "the file can be written")


def log_finding(engine: Engine) -> Finding:
    """The write-ahead log is written from its beginning again once nobody reads in it any more."""
    size = growth.log_bytes(engine) or 0
    if size > LARGE_LOG_BYTES:
        return warning(
            "database.wal",
            f"the write-ahead log has grown to {size // 10**6} MB: somebody has been reading for long",
            "end the oldest reader; who has the file open is told by: fuser -v syncer.db",
        )
    return ok("database.wal", f"the write-ahead log has {size // 1000} kB")
