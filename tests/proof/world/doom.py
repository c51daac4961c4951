"""What befalls a process: deaths and faults at a line, a statement or a commit, and locks that a dead one leaves."""

import sqlite3
import threading
from collections.abc import Callable

import psycopg
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError


class Killed(BaseException):
    """The process is dead: nothing of it happens any more. No handler of production's catches it."""


class Doom:
    """What is to befall a process's work, and what has befallen it; counts statements and commits of its engine."""

    def __init__(self) -> None:
        self.is_dead = False
        self.armed: tuple[str, int] | None = None
        self.late: Callable[[bool], None] = bool  # what a slow way leads to, of a transaction that writes or not
        self.struck: list[str] = []  # what came true
        self.beside: tuple[str, int, Callable[[], None]] | None = None  # who acts at the nth `line` or `statement`

    def watch(self, engine: Engine) -> None:
        """Be told of all that the engine does."""
        event.listen(engine, "before_cursor_execute", self._statement)
        event.listen(engine, "commit", self._commit)
        event.listen(engine, "begin", self._begin)

    def is_due(self, *kinds: str) -> str | None:
        """Count one of these down; the kind whose time has come."""
        if self.armed is None or self.armed[0] not in kinds:
            return None
        kind, nth = self.armed
        self.armed = (kind, nth - 1) if nth > 1 else None
        if nth > 1:
            return None
        self.struck.append(kind)
        return kind

    @property
    def counts_lines(self) -> bool:
        """Whether something is to happen at a line."""
        return "line" in {of[0] for of in (self.armed, self.beside) if of is not None}

    def meet(self, at: str) -> None:
        """Let somebody else act amid the work, if it is the time."""
        if self.beside is None or self.beside[0] != at:
            return
        _, nth, act = self.beside
        self.beside = (at, nth - 1, act) if nth > 1 else None
        if nth <= 1:
            act()

    def die(self) -> None:
        self.is_dead = True
        raise Killed

    def _statement(self, connection: Connection, *_of: object) -> None:
        if self.is_dead:
            raise Killed
        self.meet("statement")
        kind = self.is_due("statement", "error")
        if kind == "statement":
            self.die()
        if kind == "error":
            raise _refused(connection, "a statement")

    def _begin(self, connection: Connection) -> None:
        """On SQLite nobody waits for a network, and who waits in a transaction keeps its own process waiting."""
        if connection.dialect.name == "postgresql" and self.is_due("slow"):
            self.late(bool(connection.get_execution_options().get("syncer_writes")))

    def _commit(self, connection: Connection) -> None:
        if self.is_dead:
            raise Killed
        kind = self.is_due("commit", "after commit", "lost", "unheard")
        if kind in {"after commit", "unheard"}:
            connection.connection.commit()
        if kind in {"commit", "after commit"}:
            self.die()
        if kind in {"lost", "unheard"}:
            raise _refused(connection, "COMMIT")


def _refused(connection: Connection, what: str) -> OperationalError:
    """As a database says that it failed."""
    if connection.dialect.name == "sqlite":
        return OperationalError(what, {}, sqlite3.OperationalError("disk I/O error"))
    closing = psycopg.errors.AdminShutdown("terminating connection due to administrator command")
    return OperationalError(what, {}, closing)


class Lock:
    """A lock in a process's own memory: of a dead one it holds up nobody, whoever had it when it died.

    Who is killed at the line at which a block ends, or before it has begun, gives nothing back.
    """

    def __init__(self, doom: Doom) -> None:
        self._doom, self._lock = doom, threading.Lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return self._doom.is_dead or self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        if self._lock.locked():
            self._lock.release()

    def _is_owned(self) -> bool:
        return True

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_of: object) -> None:
        self.release()
