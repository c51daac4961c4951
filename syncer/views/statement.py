"""A customer's statement of a month: its instances, their days and their price; no cost, and nothing of others.

An instance bears the name that it had at the last charge of these days: a later name may be another customer's.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from syncer.rules.timeline import billing_day, midnight_of
from syncer.storage.tables import customers
from syncer.views.catalogue import customer_periods, instance_lives, instance_versions
from syncer.views.rates import next_month

MILLION = Decimal(1_000_000)


class Line(NamedTuple):
    """The days of one instance at one price; price, currency and amount are None where it is not sold."""

    id_instance: int
    name: str
    first_day: date
    last_day: date
    days: int
    daily_price: Decimal | None
    currency: str | None
    amount: Decimal | None


class Statement(NamedTuple):
    """What a customer is charged for a month, of the one under way until today."""

    customer: str
    month: date
    until: date
    is_under_way: bool
    lines: Sequence[Line]

    @property
    def totals(self) -> dict[str, Decimal]:
        """Sums by currency."""
        sums: dict[str, Decimal] = {}
        for line in self.lines:
            if line.currency is not None and line.amount is not None:
                sums[line.currency] = sums.get(line.currency, Decimal()) + line.amount
        return dict(sorted(sums.items()))

    def document(self) -> dict[str, Any]:
        """`syncer report --customer NAME --json`."""
        return {
            "customer": self.customer,
            "month": f"{self.month:%Y-%m}",
            "until": self.until,
            "lines": [line._asdict() for line in self.lines],
            "totals": [{"currency": currency, "amount": amount} for currency, amount in self.totals.items()],
        }


def known_customers(connection: Connection) -> list[str]:
    """Every customer that ever had an instance, in the order of their names."""
    return sorted(connection.scalars(select(customers.c.customer).distinct()))


def read_statement(connection: Connection, customer: str, month: date, now: datetime) -> Statement:
    """The days of a month that its instances are charged for, by instance and price."""
    today = billing_day(now)
    end = min(next_month(month), today + timedelta(days=1))
    lives, periods = instance_lives.c, customer_periods.c
    query = (
        select(
            lives.id_instance, lives.first_night, lives.end_night,
            periods.valid_from, periods.valid_to, periods.millionths, periods.currency,
        )
        .join(customer_periods, periods.id_instance == lives.id_instance)
        .where(periods.customer == customer, periods.valid_from < end, periods.valid_to > month)
        .where(lives.first_night < end, (lives.end_night > month) | lives.end_night.is_(None))
    )  # fmt: skip
    found: dict[tuple[Any, ...], list[tuple[date, date]]] = {}
    for row in connection.execute(query):
        begins = max(row.first_night, row.valid_from, month)
        ends = min(row.end_night or end, row.valid_to, end)
        if begins < ends:
            found.setdefault((row.id_instance, row.millionths, row.currency), []).append((begins, ends))
    for days in found.values():
        days.sort()
    last_days: dict[int, date] = {}
    for (id_instance, *_), days in found.items():
        last_days[id_instance] = max(days[-1][1] - timedelta(days=1), last_days.get(id_instance, month))
    names = _names(connection, customer, last_days)
    in_order = sorted(found.items(), key=lambda one: (one[0][0], one[1]))
    lines = [_line(key, names[key[0]], days) for key, days in in_order]
    return Statement(customer, month, end - timedelta(days=1), today.replace(day=1) == month, lines)


def _line(key: tuple[int, int | None, str | None], name: str, stretches: Sequence[tuple[date, date]]) -> Line:
    id_instance, millionths, currency = key
    days = sum((ends - begins).days for begins, ends in stretches)
    price = None if millionths is None else millionths / MILLION
    return Line(
        id_instance, name, stretches[0][0], stretches[-1][1] - timedelta(days=1),
        days, price, currency, None if price is None else price * days,
    )  # fmt: skip


def _names(connection: Connection, customer: str, last_days: Mapping[int, date]) -> dict[int, str]:
    """What each instance was called at the 00:00 of a day, or at its creation where that came later."""
    if not last_days:
        return {}
    versions = instance_versions.c
    own = select(customers.c.id_instance).where(customers.c.customer == customer)
    query = select(versions.id_instance, versions.name, versions.valid_from).where(
        versions.id_instance.in_(own), versions.valid_from < midnight_of(max(last_days.values()) + timedelta(days=1))
    )
    names: dict[int, str] = {}
    for row in sorted(connection.execute(query), key=lambda row: (row.id_instance, row.valid_from)):
        last_day = last_days.get(row.id_instance)
        if last_day is not None and (row.id_instance not in names or row.valid_from <= midnight_of(last_day)):
            names[row.id_instance] = row.name or ""
    return names
