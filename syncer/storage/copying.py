"""A mirror is copied whole into another database: SQLite to PostgreSQL or back; it may be killed and goes on.

Rows go in the order of their keys, a batch a transaction, so what is there already tells where to go on. An account's
base is written last: a copy that is not whole is one of which no answer was accepted.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import xxhash
from sqlalchemy import Connection, Engine, Integer, Table, func, insert, select, text, tuple_, update
from sqlalchemy import column as sa_column
from sqlalchemy import table as sa_table

from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.storage import database, lease, schema
from syncer.storage.rows import copy_in
from syncer.storage.tables import accounts, instance_history, leases, metadata, sync_runs, syncer_epoch

BATCH_ROWS = 5_000
BASE = ("last_accepted_run_id", "last_accepted_at")
NUMBERED = (sync_runs, instance_history)  # whose ids the database gives, none of them twice

Told = Callable[[str, int], None]
Digest = tuple[int, int]  # rows, and the sum of their hashes, which their order does not matter to


def copied_tables() -> list[Table]:
    """Parents before children; leases end by themselves, and what lies elsewhere begins an epoch of its own."""
    return [table for table in metadata.sorted_tables if table not in (leases, syncer_epoch)]


def copy(source: Engine, target: Engine, told: Told = lambda _table, _rows: None) -> dict[str, int]:
    """Copy what is not there yet, compare both ends, and give the rows of each table.

    Raises `DatabaseFailed` where a syncer is at work on either, or where the target holds anything else.
    """
    schema.require_current(source)
    schema.upgrade(target)
    with database.reading(source, "reading the source") as reading:
        for engine, which in ((source, "source"), (target, "target")):
            _refuse_at_work(engine, which)
        for table in copied_tables():
            _copy_table(reading, target, table, told)
        with database.writing(target, "finishing the copy") as writing:
            _write_bases(reading, writing)
            _go_on_numbering(reading, writing)
        return {table.name: _compare(reading, target, table) for table in copied_tables()}


def _refuse_at_work(engine: Engine, which: str) -> None:
    with database.reading(engine, f"looking who is at work on the {which}") as connection:
        holders = lease.read_holders(connection)
    for account, holder in holders.items():
        raise DatabaseFailed(
            f"copying: {holder} is at work on account {account} in the {which}; stop every syncer, then go on"
        )


def _copy_table(reading: Connection, target: Engine, table: Table, told: Told) -> None:
    with database.reading(target, f"reading {table.name} of the target") as connection:
        done = _digest(connection, table)
        last = _last_key(connection, table)
    if done[0] and done != _digest(reading, table, last):
        raise DatabaseFailed(
            f"copying: {table.name} of the target holds other rows than the source; "
            "name an empty database, or the one that an earlier copy of this source was begun in"
        )
    copied = done[0]
    with closing(_batches(reading, table, last)) as batches:
        for batch in batches:
            with database.writing(target, f"copying {table.name}") as connection:
                _insert(connection, table, batch)
            copied += len(batch)
            told(table.name, copied)


def _keys(table: Table) -> Any:
    return tuple_(*table.primary_key.columns)


def _is_ordered(table: Table) -> bool:
    """Whether its keys have one order on both databases; words have not."""
    return all(isinstance(column.type, Integer) for column in table.primary_key.columns)


def _last_key(connection: Connection, table: Table) -> tuple[Any, ...] | set[tuple[Any, ...]]:
    """The key that comes last, or, where keys are words, every key."""
    query = select(*table.primary_key.columns)
    if not _is_ordered(table):
        return {tuple(row) for row in connection.execute(query)}
    row = connection.execute(query.order_by(*(key.desc() for key in table.primary_key.columns)).limit(1)).first()
    return tuple(row) if row else ()


def _batches(connection: Connection, table: Table, last: Any) -> Generator[list[dict[str, Any]], None, None]:
    """The rows behind what is there, so many at a time."""
    query = select(table).order_by(*table.primary_key.columns)
    if last and _is_ordered(table):
        query = query.where(_keys(table) > tuple_(*last))
    keys = [key.name for key in table.primary_key.columns]
    with connection.execute(query.execution_options(yield_per=BATCH_ROWS)) as result:
        for partition in result.partitions():
            rows = [dict(row._mapping) for row in partition]
            if isinstance(last, set):
                rows = [row for row in rows if tuple(row[key] for key in keys) not in last]
            if table is accounts:
                rows = [row | dict.fromkeys(BASE) for row in rows]
            if rows:
                yield rows


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if connection.dialect.name != "postgresql":
        connection.execute(insert(table), list(rows))
        return
    # COPY takes ids as they are, which INSERT would have given by the database alone.
    names = [column.name for column in table.columns]
    copy_in(
        connection,
        f"COPY {table.name} ({', '.join(names)}) FROM STDIN",
        ([row[name] for name in names] for row in rows),
    )


def _write_bases(reading: Connection, writing: Connection) -> None:
    for row in reading.execute(select(accounts)):
        base = {name: getattr(row, name) for name in BASE}
        writing.execute(update(accounts).where(accounts.c.account == row.account).values(base))


def _go_on_numbering(reading: Connection, writing: Connection) -> None:
    """An id that the source gave is given to nothing else, not even where its row has gone."""
    for table in NUMBERED:
        last = _last_number(reading, table)
        if not last:
            continue
        if writing.dialect.name == "postgresql":
            writing.execute(
                text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), {"name": table.name, "last": last}
            )
        else:
            sequences = sa_table("sqlite_sequence", sa_column("name"), sa_column("seq"))
            writing.execute(update(sequences).where(sequences.c.name == table.name).values(seq=last))


def _last_number(connection: Connection, table: Table) -> int:
    query = (
        text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        if connection.dialect.name == "sqlite"
        else text(
            "SELECT last_value FROM pg_sequences"
            " WHERE schemaname = current_schema() AND sequencename = :name || '_id_seq'"
        )
    )
    given = connection.execute(query, {"name": table.name}).scalar() or 0
    return max(int(given), connection.execute(select(func.max(table.c.id))).scalar() or 0)


def _compare(reading: Connection, target: Engine, table: Table) -> int:
    with database.reading(target, f"comparing {table.name}") as connection:
        there = _digest(connection, table, whole=True)
    here = _digest(reading, table, whole=True)
    if here != there:
        raise DatabaseFailed(
            f"comparing: {table.name} has {here[0]} rows in the source and {there[0]} in the target, and they differ; "
            "copy once more into an empty database"
        )
    return here[0]


def _digest(connection: Connection, table: Table, last: Any = None, *, whole: bool = False) -> Digest:
    """Of all rows, or of those up to `last`; without the bases unless it is `whole`."""
    query = select(table)
    if last and _is_ordered(table):
        query = query.where(_keys(table) <= tuple_(*last))
    keys = [key.name for key in table.primary_key.columns]
    left_out = () if whole or table is not accounts else BASE
    names = [column.name for column in table.columns if column.name not in left_out]
    rows = total = 0
    for partition in connection.execute(query.execution_options(yield_per=BATCH_ROWS)).partitions():
        for row in partition:
            values = row._mapping
            if isinstance(last, set) and tuple(values[key] for key in keys) not in last:
                continue
            rows += 1
            total += xxhash.xxh3_128_intdigest(
                "\0".join(_as_text(values[name]) for name in names).encode("utf-8", "surrogatepass")
            )
    return rows, total % 2**128


def _as_text(value: Any) -> str:
    """The same for what is the same on both databases."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Decimal):
        return f"{value:.6f}"
    if isinstance(value, bool | int | date):
        return f"{value!s}"
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return "\1" if value is None else f"={value}"


def refuse_same(source: Engine, target: Engine) -> None:
    """Raise `ConfigurationError` where both are one."""
    if source.url.set(password=None) == target.url.set(password=None):
        raise ConfigurationError("--to: it is the database that is copied; name another one")
