"""Rows by the thousand, past the types of SQLAlchemy: what it would store and read, in a fraction of the time.

A value has one form for both drivers: times as text in UTC, flags as 0 and 1, everything else as it is.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, NoReturn

from msgspec import to_builtins
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import BigInteger, Boolean

from syncer.model import Instance, MirrorRow
from syncer.storage.tables import JsonText, UtcDateTime

BATCH_ROWS = 2_000
SMALL_CHANGE = 200  # rows that PostgreSQL is sent one by one; a temporary table costs more than they do
FEW_NEW_ROWS = 10  # likewise where no temporary table is needed
ROWS_IN_A_VALUE = 50_000  # whose hashes PostgreSQL sends as one value

_TOLD = Instance._fields
_KEPT = MirrorRow._fields[2:]
_READ_COLUMNS = ("account", *_KEPT, *_TOLD)
_TOLD_TIMES = [_TOLD.index(name) for name in ("time_created", "time_deleted", "expiration_date")]


def moment(value: datetime | None) -> str | None:
    """A time in UTC as `tables.UtcDateTime` stores it on SQLite; PostgreSQL reads it in a session at UTC."""
    if value is None:
        return None
    text: str = to_builtins(value)  # its isoformat takes three times as long
    return f"{text[:10]} {text[11:19]}.000000" if len(text) == 20 else f"{text[:10]} {text[11:26]}"


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
        _copy(connection, f"COPY {table.name} ({names}) FROM STDIN", rows)


def update(
    connection: Connection, table: Table, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Update rows; each holds the values of `columns` and then its key."""
    if connection.dialect.name != "postgresql":
        assignments = ", ".join(f"{column} = ?" for column in columns)
        statement = f"UPDATE {table.name} SET {assignments} WHERE {key} = ?"  # noqa: S608 - names of tables.py
        connection.exec_driver_sql(statement, list(rows))
    elif len(rows) <= SMALL_CHANGE:
        assignments = ", ".join(f"{column} = %s::{_type(table, column)}" for column in columns)
        statement = f"UPDATE {table.name} SET {assignments} WHERE {key} = %s::bigint"  # noqa: S608 - names of tables.py
        connection.exec_driver_sql(statement, [tuple(map(_text, row)) for row in rows])
    else:
        names = ", ".join((*columns, key))
        changed = f"changed_{table.name}_{len(columns)}"  # one transaction may update these columns, then those
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {changed} ON COMMIT DROP AS "  # noqa: S608 - as above
            f"SELECT {names} FROM {table.name} WITH NO DATA"
        )
        _copy(connection, f"COPY {changed} ({names}) FROM STDIN", rows)
        assignments = ", ".join(f"{column} = changed.{column}" for column in columns)
        connection.exec_driver_sql(
            f"UPDATE {table.name} SET {assignments} FROM {changed} AS changed "  # noqa: S608 - as above
            f"WHERE {table.name}.{key} = changed.{key}"
        )
        connection.exec_driver_sql(f"TRUNCATE {changed}")


def insert_from(
    connection: Connection,
    table: Table,
    values: Mapping[str, str | int],
    source: Table,
    copied: Mapping[str, str],
    ids: Sequence[int],
) -> None:
    """Insert a row for each row of `source` with one of these ids, in ascending order of id.

    `values` are the same in all of them, `copied` says which column of the source fills which column; every other
    column is left to the table.
    """
    names = ", ".join((*values, *copied))
    copies = ", ".join(copied.values())
    if connection.dialect.name == "postgresql":
        given = ", ".join(f"%s::{_type(table, column)}" for column in values)
        among = "= ANY(%s)"
        listed: object = list(ids)
    else:
        given = ", ".join("?" * len(values))
        among = "IN (SELECT value FROM json_each(?))"
        listed = _json_list(ids)
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) SELECT {given}, {copies} FROM {source.name} "  # noqa: S608 - names of tables.py
        f"WHERE id_instance {among} ORDER BY id_instance",
        (*map(_text, values.values()), listed),
    )


def read_rows(connection: Connection, ids: Sequence[int]) -> dict[int, MirrorRow]:
    """The rows of these ids, whichever account they belong to."""
    names = ", ".join("CAST(extra AS TEXT)" if name == "extra" else name for name in _READ_COLUMNS)
    statement = f"SELECT {names} FROM instances WHERE id_instance "  # noqa: S608 - names of tables.py
    if connection.dialect.name == "postgresql":
        found = connection.exec_driver_sql(statement + "= ANY(%s)", (list(ids),))
        return {row.instance.id_instance: row for row in map(_row_of_postgresql, found)}
    statement += "IN (SELECT value FROM json_each(?))"
    found = connection.exec_driver_sql(statement, (_json_list(ids),))
    return {row.instance.id_instance: row for row in map(_row_of_sqlite, found)}


def read_hashes(connection: Connection, account: str) -> tuple["array[int]", "array[int]", "array[int]", bytearray]:
    """Ids, hashes and flags of an account's rows in ascending order of id; a hash that is NULL is 0.

    Flags are 1 for deleted and 2 for missing.
    """
    in_parts = _hashes_of_postgresql if connection.dialect.name == "postgresql" else _hashes_of_sqlite
    ids, item_hashes, content_hashes, flags = array("q"), array("Q"), array("Q"), bytearray()
    for numbers in in_parts(connection, account):
        unsigned = array("Q", numbers.tobytes())
        ids.extend(numbers[0::4])
        item_hashes.extend(unsigned[1::4])
        content_hashes.extend(unsigned[2::4])
        flags.extend(numbers[3::4].tolist())
    return ids, item_hashes, content_hashes, flags


def signed(number: int) -> int | None:
    """A hash as a BIGINT; 0 is no hash."""
    return (number - 2**64 if number >= 2**63 else number) or None


def batches(things: Iterable[Any], size: int = BATCH_ROWS) -> Iterator[list[Any]]:
    iterator = iter(things)
    while batch := list(islice(iterator, size)):
        yield batch


def _json_list(ids: Iterable[int]) -> str:
    return f"[{','.join(map(str, ids))}]"


def _hashes_of_postgresql(connection: Connection, account: str) -> Iterator["array[int]"]:
    """One value carries many rows: an object for each would take longer. All in one would take much room."""
    last_id = 0
    while True:
        (blob,) = connection.exec_driver_sql(
            "SELECT string_agg(int8send(id_instance) || int8send(coalesce(item_hash, 0))"
            " || int8send(coalesce(content_hash, 0))"
            " || int8send((deleted::int + 2 * (missing_since IS NOT NULL)::int)::bigint), ''::bytea"
            " ORDER BY id_instance) FROM"
            " (SELECT id_instance, item_hash, content_hash, deleted, missing_since FROM instances"
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
    found = connection.exec_driver_sql(
        "SELECT id_instance, coalesce(item_hash, 0), coalesce(content_hash, 0), "
        "deleted + 2 * (missing_since IS NOT NULL) FROM instances WHERE +account = ? ORDER BY id_instance",
        (account,),
    ).cursor
    assert found is not None  # noqa: S101 - a SELECT has one
    while rows := found.fetchmany(BATCH_ROWS):
        yield array("q", chain.from_iterable(rows))


def _row_of_sqlite(row: Sequence[Any]) -> MirrorRow:
    account, first_seen, changed, renewed, missing, key, name, kind, owner, messenger, customer = row[:11]
    created, gone, deleted, tariff, is_free, is_partner, expires, is_expired, token, extra = row[11:]
    return MirrorRow(
        account,
        Instance(
            key, name, kind, owner, messenger, customer, _from_text(created), _from_text(gone), bool(deleted), tariff,
            None if is_free is None else bool(is_free), None if is_partner is None else bool(is_partner),
            _from_text(expires), bool(is_expired), token, extra,
        ),
        datetime.fromisoformat(f"{first_seen}+00:00"),
        datetime.fromisoformat(f"{changed}+00:00"),
        _from_text(renewed),
        _from_text(missing),
    )  # fmt: skip


def _row_of_postgresql(row: Sequence[Any]) -> MirrorRow:
    account, first_seen, changed, renewed, missing = row[:5]
    told = list(row[5:])
    for field in _TOLD_TIMES:
        if told[field] is not None:
            told[field] = told[field].astimezone(UTC)
    return MirrorRow(
        account,
        Instance._make(told),
        first_seen.astimezone(UTC),
        changed.astimezone(UTC),
        renewed and renewed.astimezone(UTC),
        missing and missing.astimezone(UTC),
    )


def _from_text(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(f"{text}+00:00")


def _type(table: Table, column: str) -> str:
    kind = table.c[column].type
    if isinstance(kind, UtcDateTime):
        return "timestamptz"
    if isinstance(kind, BigInteger):
        return "bigint"
    return "boolean" if isinstance(kind, Boolean) else "json" if isinstance(kind, JsonText) else "text"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _copy(connection: Connection, statement: str, rows: Iterable[Sequence[Any]]) -> None:
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
