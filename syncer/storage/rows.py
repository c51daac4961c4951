"""Rows by the thousand, past the types of SQLAlchemy: what it would store and read, in a fraction of the time.

A value has one form for both drivers: times as text in UTC, flags as 0 and 1, everything else as it is.

Over 300 lines: what is written and what is read share that form, and how each driver is given many values at once.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, NamedTuple, NoReturn
from zlib import crc32

from msgspec import to_builtins
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import BigInteger, Boolean, Date, LargeBinary

from syncer.answer.known import CONTESTED, Known
from syncer.model import TYPES, Instance, MirrorRow
from syncer.storage.claims import read_claims, read_contested
from syncer.storage.tables import JsonText, UtcDateTime

BATCH_ROWS = 2_000
SMALL_CHANGE = 200  # rows that PostgreSQL is sent one by one; a temporary table costs more than they do
FEW_NEW_ROWS = 10  # likewise where no temporary table is needed
ROWS_IN_A_VALUE = 25_000  # whose hashes PostgreSQL sends as one value

_KEPT = MirrorRow._fields[2:]
_READ_COLUMNS = ("account", *_KEPT, *Instance._fields)
_FIELD_TIMES = frozenset(name for name, kind in TYPES.items() if kind == datetime | None)
_FLAGS = frozenset(name for name, kind in TYPES.items() if kind in {bool, bool | None})
_JSON = frozenset({"extra", "changes"})
_FLAG_OF = {None: None, 0: False, 1: True}


def moment(value: datetime | None) -> str | None:
    """A time in UTC as `tables.UtcDateTime` stores it on SQLite; PostgreSQL reads it in a session at UTC."""
    return None if value is None else _as_stored(to_builtins(value))  # its isoformat takes three times as long


def _as_stored(text: str) -> str:
    return f"{text[:10]} {text[11:19]}.000000" if len(text) == 20 else f"{text[:10]} {text[11:26]}"


def formed(name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Values of `MirrorRow`s' column of this name in the form above; a column at once, which is twice as quick."""
    if name in _KEPT:  # nearly all are the time of one observation
        texts = {value: moment(value) for value in set(values)}
        return [texts[value] for value in values]
    if name in _FIELD_TIMES:
        return [text and _as_stored(text) for text in to_builtins(values)]
    return values


def insert(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows whose values have the form above."""
    names = ", ".join(columns)
    if connection.dialect.name != "postgresql":
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - names of tables.py
        connection.exec_driver_sql(statement, list(rows))
    elif len(rows) <= FEW_NEW_ROWS:
        values = ", ".join(f"%s::{_type(table, column)}" for column in columns)
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({values})"  # noqa: S608 - as above
        connection.exec_driver_sql(statement, [tuple(map(_text, row)) for row in rows])
    else:
        copy_in(connection, f"COPY {table.name} ({names}) FROM STDIN", rows)


class Updates:
    """Updates of rows by their key; PostgreSQL does many of them at once, for which `close` is waited for.

    Until then nobody may read what was given, and no key may be given twice for the same columns.
    """

    def __init__(self, connection: Connection, table: Table, key: str) -> None:
        self._connection = connection
        self._table = table
        self._key = key
        self._waiting: dict[tuple[str, ...], list[Sequence[Any]]] = {}
        self._copied: set[tuple[str, ...]] = set()

    def add(self, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> None:
        """Each row holds the values of `columns` in the form above, and then its key."""
        if self._connection.dialect.name != "postgresql":
            assignments = ", ".join(f"{column} = ?" for column in columns)
            statement = f"UPDATE {self._table.name} SET {assignments} WHERE {self._key} = ?"  # noqa: S608 - names of tables.py
            self._connection.exec_driver_sql(statement, list(rows))
            return
        waiting = self._waiting.setdefault(columns, [])
        waiting += rows
        if len(waiting) > SMALL_CHANGE:
            self._copy(columns)

    def close(self) -> None:
        """Do what waits."""
        for columns in self._waiting:
            if columns in self._copied:
                self._copy(columns)
                self._update_copied(columns)
            else:
                self._update_each(columns)
        self._waiting.clear()
        self._copied.clear()

    def _temporary(self, columns: tuple[str, ...]) -> tuple[str, str]:
        """A table's name, and those of its columns."""
        names = ", ".join((*columns, self._key))
        return f"changed_{crc32(names.encode())}", names

    def _copy(self, columns: tuple[str, ...]) -> None:
        changed, names = self._temporary(columns)
        if columns not in self._copied:
            self._connection.exec_driver_sql(
                f"CREATE TEMPORARY TABLE IF NOT EXISTS {changed} ON COMMIT DROP AS "  # noqa: S608 - names of tables.py
                f"SELECT {names} FROM {self._table.name} WITH NO DATA"
            )
            self._copied.add(columns)
        copy_in(self._connection, f"COPY {changed} ({names}) FROM STDIN", self._waiting[columns])
        self._waiting[columns] = []

    def _update_copied(self, columns: tuple[str, ...]) -> None:
        table, (changed, _names) = self._table.name, self._temporary(columns)
        assignments = ", ".join(f"{column} = changed.{column}" for column in columns)
        self._connection.exec_driver_sql(
            f"UPDATE {table} SET {assignments} FROM {changed} AS changed "  # noqa: S608 - names of tables.py
            f"WHERE {table}.{self._key} = changed.{self._key}"
        )
        self._connection.exec_driver_sql(f"TRUNCATE {changed}")  # the same transaction may go on with these columns

    def _update_each(self, columns: tuple[str, ...]) -> None:
        assignments = ", ".join(f"{column} = %s::{_type(self._table, column)}" for column in columns)
        statement = f"UPDATE {self._table.name} SET {assignments} WHERE {self._key} = %s::bigint"  # noqa: S608 - names of tables.py
        self._connection.exec_driver_sql(statement, [tuple(map(_text, row)) for row in self._waiting[columns]])


class Copied(NamedTuple):
    """What rows of another table fill: `columns` says which of its columns fills which."""

    source: Table
    columns: Mapping[str, str]


def insert_from(
    connection: Connection, table: Table, values: Mapping[str, str | int], copied: Copied, ids: Sequence[int]
) -> None:
    """Insert a row for each row of the source with one of these ids, in ascending order of id.

    `values` are the same in all of them; a column that is neither among them nor copied is left to the table.
    """
    names = ", ".join((*values, *copied.columns))
    copies = ", ".join(copied.columns.values())
    is_sqlite = connection.dialect.name == "sqlite"
    given = ", ".join("?" if is_sqlite else f"%s::{_type(table, column)}" for column in values)
    condition, listed = among(connection, ids)
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) SELECT {given}, {copies} FROM {copied.source.name} "  # noqa: S608 - names of tables.py
        f"WHERE id_instance {condition} ORDER BY id_instance",
        (*map(_text, values.values()), listed),
    )


def among(connection: Connection, ids: Sequence[int]) -> tuple[str, object]:
    """What follows a column in SQL to say that it is one of these ids, with a place for them, and what goes there."""
    if connection.dialect.name == "sqlite":
        return "IN (SELECT value FROM json_each(?))", f"[{','.join(map(str, ids))}]"
    return "= ANY(%s)", list(ids)


def of_ids(
    connection: Connection, table: str, columns: Sequence[str], ids: Sequence[int], order: str = "id_instance"
) -> Sequence[Any]:
    """These columns of the rows of these ids, as the driver gives them, JSON as its text."""
    names = ", ".join(f"CAST({name} AS TEXT)" if name in _JSON else name for name in columns)
    condition, listed = among(connection, ids)
    statement = f"SELECT {names} FROM {table} WHERE id_instance {condition} ORDER BY {order}"  # noqa: S608 - names of tables.py
    return connection.exec_driver_sql(statement, (listed,)).all()


def read_rows(connection: Connection, ids: Sequence[int]) -> dict[int, MirrorRow]:
    """The rows of these ids, whichever account they belong to."""
    found = of_ids(connection, "instances", _READ_COLUMNS, ids)
    if not found:
        return {}
    is_sqlite = connection.dialect.name == "sqlite"
    columns: dict[str, Iterable[Any]]
    columns = dict(zip(_READ_COLUMNS, zip(*found, strict=True), strict=True))  # one by one it takes twice as long
    for name in (*_KEPT, *_FIELD_TIMES):
        columns[name] = _times_of_sqlite(columns[name]) if is_sqlite else _times_of_postgresql(columns[name])
    if is_sqlite:
        for name in _FLAGS:
            columns[name] = map(_FLAG_OF.__getitem__, columns[name])
    keys = columns["id_instance"]
    instances = map(Instance._make, zip(*map(columns.__getitem__, Instance._fields), strict=True))
    return dict(zip(keys, map(MirrorRow, columns["account"], instances, *map(columns.__getitem__, _KEPT)), strict=True))


def read_expiration_dates(connection: Connection, ids: Sequence[int]) -> dict[int, datetime | None]:
    """The expiration dates of the rows of these ids."""
    found = of_ids(connection, "instances", ("id_instance", "expiration_date"), ids)
    if not found:
        return {}
    keys, dates = zip(*found, strict=True)
    times = _times_of_sqlite if connection.dialect.name == "sqlite" else _times_of_postgresql
    return dict(zip(keys, times(dates), strict=True))


def read_known(connection: Connection, account: str) -> Known:
    """What an account's next answer is compared with; a hash that is NULL is 0."""
    in_parts = _hashes_of_postgresql if connection.dialect.name == "postgresql" else _hashes_of_sqlite
    known = Known(array("q"), array("Q"), array("Q"), bytearray())
    for numbers in in_parts(connection, account):
        known.ids.extend(numbers[0::4])
        known.hashes.frombytes(numbers[1::4].tobytes())
        known.rests.frombytes(numbers[2::4].tobytes())
        known.flags.extend(numbers[3::4].tolist())
    for contested in read_contested(connection, account):
        known.flags[known.find(contested)] |= CONTESTED
    return with_claims(known, read_claims(connection, account))


def with_claims(known: Known, claims: Sequence[tuple[int, int, int]]) -> Known:
    """The same with claims, each of id, hash and flags, in their places; most accounts have none."""
    if not claims:
        return known
    own = zip(known.ids, known.hashes, known.rests, known.flags, strict=True)
    claimed = ((key, item_hash, 0, flags) for key, item_hash, flags in claims)
    ids, hashes, rests, flags = zip(*sorted([*own, *claimed]), strict=True)
    return Known(array("q", ids), array("Q", hashes), array("Q", rests), bytearray(flags))


def signed(number: int) -> int | None:
    """A hash as a BIGINT; 0 is no hash."""
    return (number - 2**64 if number >= 2**63 else number) or None


def batches(things: Iterable[Any], size: int = BATCH_ROWS) -> Iterator[list[Any]]:
    iterator = iter(things)
    while batch := list(islice(iterator, size)):
        yield batch


def _hashes_of_postgresql(connection: Connection, account: str) -> Iterator["array[int]"]:
    """One value carries many rows: an object for each would take longer. All in one would take much room."""
    last_id = 0
    while True:
        (blob,) = connection.exec_driver_sql(
            "SELECT string_agg(int8send(id_instance) || int8send(coalesce(item_hash, 0))"
            " || int8send(coalesce(rest_hash, 0)) || int8send((deleted::int + 2 * (missing_since IS NOT NULL)::int"
            " + 4 * coalesce(is_partner, substr(tariff, 1, 7) = 'PARTNER', false)::int)::bigint), ''::bytea"
            " ORDER BY id_instance) FROM"
            " (SELECT id_instance, item_hash, rest_hash, deleted, missing_since, is_partner, tariff FROM instances"
            " WHERE account = %s AND id_instance > %s ORDER BY id_instance LIMIT %s) AS next_instances",
            (account, last_id, ROWS_IN_A_VALUE),
        ).one()
        numbers = array("q", bytes(blob or b""))
        numbers.byteswap()
        yield numbers
        if len(numbers) < 4 * ROWS_IN_A_VALUE:
            return
        last_id = numbers[-4]


def _hashes_of_sqlite(connection: Connection, account: str) -> Iterator["array[int]"]:
    statement = (
        "SELECT id_instance, coalesce(item_hash, 0), coalesce(rest_hash, 0), deleted + 2 * (missing_since IS NOT NULL)"
        " + 4 * coalesce(is_partner, substr(tariff, 1, 7) = 'PARTNER', 0) "
        "FROM instances WHERE +account = ? ORDER BY id_instance"
    )
    found = connection.exec_driver_sql(statement, (account,)).cursor
    assert found is not None  # noqa: S101 - a SELECT has one
    try:
        while rows := found.fetchmany(BATCH_ROWS):
            yield array("q", chain.from_iterable(rows))
    except connection.dialect.loaded_dbapi.Error as error:  # the driver's own: SQLAlchemy does not know of it
        _raise_wrapped(statement, error)


def _times_of_sqlite(texts: Iterable[str | None]) -> Sequence[datetime | None]:
    read = {text: None if text is None else datetime.fromisoformat(f"{text}+00:00") for text in set(texts)}
    return [read[text] for text in texts]


def _times_of_postgresql(times: Iterable[datetime | None]) -> Sequence[datetime | None]:
    return [time and time.astimezone(UTC) for time in times]


def _type(table: Table, column: str) -> str:
    kind = table.c[column].type
    if isinstance(kind, UtcDateTime):
        return "timestamptz"
    if isinstance(kind, BigInteger):
        return "bigint"
    if isinstance(kind, Date | LargeBinary):
        return "date" if isinstance(kind, Date) else "bytea"
    return "boolean" if isinstance(kind, Boolean) else "json" if isinstance(kind, JsonText) else "text"


def _text(value: object) -> str | bytes | None:
    return value if value is None or isinstance(value, bytes) else str(value)


def copy_in(connection: Connection, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    """Give rows to a COPY statement of PostgreSQL."""
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection in use has one
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except connection.dialect.loaded_dbapi.Error as error:
        _raise_wrapped(statement, error)


def _raise_wrapped(statement: str, error: Exception) -> NoReturn:
    raise DBAPIError(statement, None, error, hide_parameters=True) from error
