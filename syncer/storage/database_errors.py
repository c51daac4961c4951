"""What an error of the database means to a person: one line with its remedy, by SQLSTATE and never by the message."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from syncer.errors import DatabaseFailed
from syncer.storage.sqlite_file import closed_to_us, sqlite_path

MORE_CONNECTIONS = "raise the limit of connections of the role, the database or the server: syncer doctor says how many"
_CROWDED = re.compile(r"too many (?:connections|clients)|connection slots|no more connections allowed")


@contextmanager
def explained(doing: str, url: URL | None = None) -> Iterator[None]:
    """Turn a database error into one line; row values and passwords are not in it."""
    try:
        yield
    except DBAPIError as error:
        problem = explain(error, url)
    except PoolTimeout:
        problem = f"no connection of this process came free; {MORE_CONNECTIONS}"
    except SQLAlchemyError as error:
        problem = f"{type(error).__name__}; check SYNCER_DATABASE_URL"
    else:
        return
    problem = " ".join(problem.split())
    raise DatabaseFailed(f"{doing}: {problem}")


def explain(error: DBAPIError, url: URL | None) -> str:
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return explain_sqlite(original, url)
    # PostgreSQL's DETAIL quotes row values: only the state and the primary message are shown.
    diagnostic = getattr(original, "diag", None)
    state = getattr(original, "sqlstate", None)
    message = getattr(diagnostic, "message_primary", None)
    if message is None:
        return _explain_connection(" ".join(str(original).split())[:300])
    remedies = {
        "2BP01": "drop what others made of it, do it again, and make that anew",
        "28": "check user and password in SYNCER_DATABASE_URL",
        "3D": "create the database, or correct its name in SYNCER_DATABASE_URL",
        "42703": "remove what refers to it, then do it again",
        "42501": "grant the right to syncer's role",
        "42P01": "run: syncer db upgrade",
        "55P03": "another program holds a lock; try again when it is done",
        "25006": "the server is read-only; point SYNCER_DATABASE_URL at the primary",
        "53": "the server is out of a resource; free some, then run again",
        "57": "the server ended the work; the next run tries again",
        "40": "another transaction was in the way; the next run tries again",
    }
    remedy = remedies.get(state or "") or remedies.get((state or "")[:2]) or "the next run tries again"
    if state == "2BP01":  # its detail names objects, never values
        message = f"{message}: {getattr(diagnostic, 'message_detail', None) or ''}"
    return f"PostgreSQL refused with {state}: {message}; {remedy}"


_UNREACHABLE = (
    "is the server running",
    "timeout expired",
    "could not translate host",
    "could not receive",
    "closed the connection",
)


def was_refused(problem: str) -> bool:
    """Whether a connection that failed did reach a server, which then said no, in whatever language."""
    return "failed: " in problem and not any(words in problem.lower() for words in _UNREACHABLE)


def is_crowded(problem: str) -> bool:
    """Whether the server, or PgBouncer before it, says in English that there are as many connections as may be."""
    return bool(_CROWDED.search(problem))


def _explain_connection(problem: str) -> str:
    """Before a connection stands there is no SQLSTATE, and the server's words are in its own language."""
    if is_crowded(problem):
        return f"PostgreSQL lets no further connection in ({problem}); {MORE_CONNECTIONS}"
    if was_refused(problem):
        return (
            f"PostgreSQL refused the connection ({problem}); check user, password and database in "
            "SYNCER_DATABASE_URL, pg_hba.conf and the limits of connections"
        )
    return f"PostgreSQL cannot be reached ({problem}); is it running, and is SYNCER_DATABASE_URL right?"


def explain_sqlite(error: sqlite3.Error, url: URL | None) -> str:
    where = f" {sqlite_path(url)}" if url is not None else ""
    name = getattr(error, "sqlite_errorname", "") or ""
    remedies = {
        "SQLITE_CANTOPEN": "the file cannot be opened; check that it exists (syncer db upgrade) and may be read",
        "SQLITE_BUSY": "another program has held its lock for too long; end it, then run again",
        "SQLITE_READONLY": "the file or its folder is read-only; make both writable for syncer's user",
        "SQLITE_FULL": "the disk is full; free some room, then run again",
        "SQLITE_IOERR": "the disk reported an error; check it, then run: syncer db check",
        "SQLITE_NOTADB": "the file is no SQLite database; correct SYNCER_DATABASE_URL or restore a backup",
        "SQLITE_CORRUPT": "the file is damaged; restore a backup",
    }
    closed = closed_to_us(sqlite_path(url)) if url is not None else []
    if closed and name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return (
            f"SQLite {closed[0]}: it is not open to syncer's user; give it to a group of both users, and the folder "
            "too: chmod 2770 on the folder, 660 on its files"
        )
    for code, remedy in remedies.items():
        if name.startswith(code):
            return f"SQLite{where}: {remedy}"
    return f"SQLite{where}: {error}"
