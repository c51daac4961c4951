"""Where a world keeps its mirror: an SQLite file or a PostgreSQL database, with the world's time as their own."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg
from mirror import Mirror
from postgres import Postgres
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from syncer.storage import database
from world.link import Link

CLOCK = """
CREATE TABLE public.world_clock (now timestamptz NOT NULL);
INSERT INTO public.world_clock VALUES ('2026-01-01Z');
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz STABLE LANGUAGE sql AS 'SELECT now FROM public.world_clock';
CREATE FUNCTION public.now() RETURNS timestamptz STABLE LANGUAGE sql AS 'SELECT now FROM public.world_clock';
"""
PATH = "SET search_path = public, pg_catalog"
_PLAIN = sqlite3.connect(":memory:", check_same_thread=False)


class Timed(Protocol):
    """Whose time it is."""

    now: datetime


class Home(Protocol):
    """A database of one world."""

    url: URL
    folder: Path  # for files of people

    def link(self) -> Link | None:
        """A way of its own to a server; None where the database is a file."""

    def set_now(self, now: datetime) -> None:
        """Let the database's clock show this."""

    def back_up(self) -> Any:
        """A copy; nobody may be connected."""

    def restore(self, backup: Any) -> None:
        """Put a copy in the place of what is there; nobody may be connected."""

    def contents(self) -> bytes:
        """All that is in it."""

    def leave(self) -> None:
        """Remove it."""


_FIRST: dict[str, Engine] = {}


def opened(url: URL, place: Timed) -> Engine:
    """Production's engine, but for three things: the database's time is the world's, an SQLite file stays open between
    transactions, and what one engine of this process has compiled serves all: the three take longer than a run.
    """
    engine = database.open_engine(url)
    first = _FIRST.setdefault(engine.dialect.name, engine)
    kept = engine.pool
    if first is not engine:
        engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
    if engine.dialect.name == "sqlite":
        engine.pool = QueuePool(kept._creator, dialect=engine.dialect, _dispatch=kept.dispatch)  # type: ignore[attr-defined]
        _tell_time(engine, place)
    return engine


def _tell_time(engine: Engine, place: Timed) -> None:
    """SQLite's functions that are asked for the time say the world's."""

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        for name in ("strftime", "date"):
            connection.create_function(name, 2, _function(name, place), deterministic=True)

    event.listen(engine, "connect", on_connect)


def _to_the_millisecond(moment: datetime) -> datetime:
    """SQLite's clock is no finer, and both databases are to say the same."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _function(name: str, place: Timed) -> Callable[[Any, Any], Any]:
    query = f"SELECT {name}(?, ?)"

    def tell(*arguments: Any) -> Any:
        now = f"{_to_the_millisecond(place.now):%Y-%m-%d %H:%M:%S.%f}"
        given = [now if argument == "now" else argument for argument in arguments]
        return _PLAIN.execute(query, given).fetchone()[0]

    return tell


class File:
    """An SQLite file, a copy of one that has the schema."""

    def __init__(self, template: Path, path: Path) -> None:
        self.path, self.folder = path, path.parent
        self._backups = 0
        shutil.copy(template, path)
        self.url = database.parse_database_url(f"sqlite:///{path}")

    def link(self) -> None:
        """There is no way to break."""

    def set_now(self, now: datetime) -> None:
        """Its connections ask the world."""

    def back_up(self) -> Path:
        self._backups += 1
        backup = self.path.with_suffix(f".{self._backups}")
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
        return backup

    def restore(self, backup: Path) -> None:
        for ending in ("-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)
        copied = backup.with_suffix(".copy")
        shutil.copy(backup, copied)
        with closing(sqlite3.connect(copied)) as connection:
            connection.execute("DELETE FROM syncer_epoch")  # as docs/operating.md restores
            connection.commit()
        os.replace(copied, self.path)  # noqa: PTH105 - as mv does it

    def contents(self) -> bytes:
        with closing(sqlite3.connect(self.path)) as connection:
            return "\n".join(connection.iterdump()).encode("utf-8", "surrogatepass")

    def leave(self) -> None:
        for pattern in (f"{self.path.stem}.*", f".{self.path.name}-*"):
            for path in self.path.parent.glob(pattern):
                path.unlink()


class Server:
    """A database of PostgreSQL, in which its clock is a table of the world's."""

    def __init__(self, server: Postgres, template: str, folder: Path) -> None:
        self.server, self.folder = server, folder
        self._url = server.create_database(template)
        self._backups: list[str] = []
        self.url = database.parse_database_url(self._url).update_query_dict(
            {"options": "-csearch_path=public,pg_catalog"}
        )
        self._clock = psycopg.connect(self._url, autocommit=True)

    @staticmethod
    def template(server: Postgres) -> str:
        """A database with the schema, whose views ask the world's clock; its name."""
        url = server.create_database()
        name = urlsplit(url).path.removeprefix("/")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(CLOCK)
            connection.execute(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")
        Mirror(url).engine.dispose()
        return name

    def link(self) -> Link:
        return Link((self.url.host or "", self.url.port or 5432))

    def set_now(self, now: datetime) -> None:
        self._clock.execute("UPDATE public.world_clock SET now = %s", [_to_the_millisecond(now)])

    def back_up(self) -> str:
        self._clock.close()
        self._backups.append(self.server.create_database(self._name(self._url)))
        self._clock = psycopg.connect(self._url, autocommit=True)
        return self._backups[-1]

    def restore(self, backup: str) -> None:
        self._clock.close()
        name = self._name(self._url)
        self.server.drop_database(self._url)
        with psycopg.connect(self.server.admin_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {self._name(backup)}")
        self._clock = psycopg.connect(self._url, autocommit=True)

    @staticmethod
    def _name(url: str) -> str:
        return urlsplit(url).path.removeprefix("/")

    def contents(self) -> bytes:
        tables = self._clock.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        rows = [
            row[0]
            for (table,) in tables
            for row in self._clock.execute(f"SELECT row_to_json(t)::text FROM {table} AS t").fetchall()
        ]
        return "\n".join(rows).encode()

    def leave(self) -> None:
        self._clock.close()
        for url in [self._url, *self._backups]:
            self.server.drop_database(url)
