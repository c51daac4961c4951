"""A database that is put back as often as one likes: an SQLite file, or a database of a PostgreSQL server."""

import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg
from mirror import Mirror
from postgres import start
from psycopg import sql

Tables = dict[str, list[dict[str, Any]]]
SEQUENCES = "sequences"


class Place(Protocol):
    """Where a mirror lies, and what was kept of it by name. Nobody may be connected while it is kept or put back."""

    name: str
    url: str

    def keep(self, name: str) -> None:
        """Keep what is there now."""

    def put(self, name: str) -> None:
        """Put back what was kept."""

    def read(self) -> Tables:
        """Every row of every table, and where the sequences are; no rule of syncer's has a say in it."""

    def wait_until_alone(self) -> None:
        """Wait until nothing that was sent to it is still being done."""

    def close(self) -> None:
        """There is nothing more to be done with it."""


class File:
    """An SQLite file, in a folder of its own."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "victim.db"
        self.url = f"sqlite:///{self.path}"
        Mirror(self.url).engine.dispose()

    def keep(self, name: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self.path, self.path.with_name(name))

    def put(self, name: str) -> None:
        for end in ("-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        shutil.copy(self.path.with_name(name), self.path)

    def read(self) -> Tables:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            connection.execute("BEGIN")
            names = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            tables = {name: _rows(connection.execute(f"SELECT * FROM {name}")) for (name,) in names.fetchall()}
            return tables | {SEQUENCES: _rows(connection.execute("SELECT * FROM sqlite_sequence"))}

    def wait_until_alone(self) -> None:
        """A process that is dead does nothing."""

    def close(self) -> None:
        """The folder goes with whoever made it."""

    @staticmethod
    def path_of(url: str) -> Path:
        """Where its file lies."""
        return Path(url.removeprefix("sqlite:///"))


class Database:
    """A database of a server, whose data lies in the folder, in memory.

    What differs is put back table by table: a database is copied and dropped with checkpoints of the whole server, which
    take long where the disk is busy. It is copied where its tables are other ones, after an upgrade.
    """

    name = "PostgreSQL"

    def __init__(self, folder: Path) -> None:
        self._server = start(folder)
        self.url = self._server.create_database()
        self._name = urlsplit(self.url).path.removeprefix("/")
        self._admin = psycopg.connect(self._server.admin_url, autocommit=True)
        self._made = {self._name}
        self._kept: dict[str, dict[str, list[bytes]]] = {}
        Mirror(self.url).engine.dispose()

    def keep(self, name: str) -> None:
        self._copy(self._name, f"{self._name}_{name}")
        with psycopg.connect(self.url) as connection:
            self._kept[name] = _dump(connection)

    def put(self, name: str) -> None:
        kept = self._kept[name]
        with psycopg.connect(self.url) as connection:
            found = _dump(connection)
            if found.keys() == kept.keys():
                _mend(connection, found, kept)
                return
        self._copy(f"{self._name}_{name}", self._name)

    def _copy(self, source: str, target: str) -> None:
        self._made.add(target)
        drop, create = "DROP DATABASE IF EXISTS {} WITH (FORCE)", "CREATE DATABASE {} TEMPLATE {}"
        self._admin.execute(sql.SQL(drop).format(sql.Identifier(target)))
        self._admin.execute(sql.SQL(create).format(sql.Identifier(target), sql.Identifier(source)))

    def read(self) -> Tables:
        with psycopg.connect(self.url, options="-c timezone=UTC") as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            names = connection.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
            tables = {name: _rows(connection.execute(f'SELECT * FROM "{name}"')) for (name,) in names.fetchall()}
            query = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
            return tables | {SEQUENCES: _rows(connection.execute(query))}

    def wait_until_alone(self) -> None:
        others = "SELECT state, query FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
        for _ in range(20_000):
            left = self._admin.execute(others, (self._name,)).fetchall()
            if not left:
                return
            time.sleep(0.001)
        raise AssertionError(f"the backend of a killed run is still there: {left}")

    def close(self) -> None:
        for name in self._made:
            self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._admin.close()
        if self._server.server:
            self._server.server.remove()


def _dump(connection: psycopg.Connection[Any]) -> dict[str, list[bytes]]:
    """The rows of each table as COPY has them, by the table's name with its columns; and the sequences."""
    query = """
        SELECT format('%I (%s)', relname, string_agg(quote_ident(attname), ', ' ORDER BY attnum))
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace GROUP BY pg_class.oid, relname
    """
    told: dict[str, list[bytes]] = {}
    for (table,) in connection.execute(query).fetchall():
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} TO STDOUT") as copied:
            told[table] = sorted(map(bytes, copied))
    query = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
    return told | {SEQUENCES: [f"{name} {last or ''}".encode() for name, last in connection.execute(query)]}


def _mend(connection: psycopg.Connection[Any], found: dict[str, list[bytes]], wanted: dict[str, list[bytes]]) -> None:
    """Put the rows back where they differ; no trigger and no foreign key has a say in it."""
    connection.execute("SET LOCAL session_replication_role = replica")
    for table, rows in wanted.items():
        if found[table] == rows:
            continue
        if table == SEQUENCES:
            for name, last in (row.decode().split(" ") for row in rows):
                connection.execute("SELECT setval(%s, %s, %s)", (name, int(last or 1), bool(last)))
            continue
        connection.execute(f"DELETE FROM {table.partition(' ')[0]}")
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copied:
            for row in rows:
                copied.write(row)


def _rows(result: Any) -> list[dict[str, Any]]:
    names = [column[0] for column in result.description]
    found: Iterable[Any] = result.fetchall()
    return sorted((dict(zip(names, row, strict=True)) for row in found), key=repr)
