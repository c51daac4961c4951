"""The table `customers`: read whole, and changed by what a list says."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Text, bindparam, cast, select, text

from syncer.rules.customers import Assignment, Changes
from syncer.storage.tables import customers, instances

MILLIONTH = Decimal("0.000001")

# Prices travel as text: SQLite's driver would make floats of them on the way.
_INSERT = """
INSERT INTO customers (id_instance, customer, valid_from, valid_to, daily_price, currency)
VALUES (:id_instance, :customer, :valid_from, :valid_to, CAST(:daily_price AS NUMERIC), :currency)
"""
_UPDATE = """
UPDATE customers
SET customer = :customer, valid_to = :valid_to, daily_price = CAST(:daily_price AS NUMERIC), currency = :currency
WHERE id_instance = :id_instance AND valid_from = :valid_from
"""
_DELETE = "DELETE FROM customers WHERE id_instance = :id_instance AND valid_from = :valid_from"


def read_assignments(connection: Connection) -> list[Assignment]:
    """Every row, by instance and day."""
    columns = customers.c
    query = select(
        columns.id_instance, columns.customer, columns.valid_from, columns.valid_to,
        cast(columns.daily_price, Text).label("price"), columns.currency,
    ).order_by(columns.id_instance, columns.valid_from)  # fmt: skip
    return [
        Assignment(key, customer, first, last, None if price is None else _exact(price), currency)
        for key, customer, first, last, price, currency in connection.execute(query).all()
    ]


def keep_others_out(connection: Connection) -> None:
    """Let nobody else change the table until this transaction ends; on SQLite nobody can."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE customers IN SHARE ROW EXCLUSIVE MODE")


def apply(connection: Connection, found: Changes) -> None:
    """Write what a list changes."""
    _write(connection, _DELETE, found.removed)
    _write(connection, _UPDATE, (after for _, after in found.changed))
    _write(connection, _INSERT, found.added)


def _write(connection: Connection, statement: str, rows: Iterable[Assignment]) -> None:
    values = [_values(row) for row in rows]
    if not values:
        return
    days = [name for name in ("valid_from", "valid_to") if f":{name}" in statement]
    typed = text(statement).bindparams(*(bindparam(name, type_=customers.c[name].type) for name in days))
    connection.execute(typed, values)


def _values(row: Assignment) -> dict[str, Any]:
    return row._asdict() | {"daily_price": None if row.daily_price is None else f"{row.daily_price:f}"}


def _exact(price: str) -> Decimal:
    return Decimal(price).quantize(MILLIONTH)


def without_instance(connection: Connection, rows: Iterable[Assignment]) -> list[int]:
    """The ids among these rows that the mirror does not know."""
    known = set(connection.scalars(select(instances.c.id_instance)))
    return sorted({row.id_instance for row in rows} - known)
