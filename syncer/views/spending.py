"""Money that no view adds up: what the month under way comes to, and what was paid for nothing in the last 30 days.

Which instances are paid for nothing is said by `bi_attention` and `bi_leaks`; here is what their days cost.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from heapq import nsmallest
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from syncer.rules.timeline import billing_day, first_midnight
from syncer.storage.tables import ended_lives, instances
from syncer.views.bill import Charge, charged_on, plus, still_to_come, totals
from syncer.views.catalogue import bi_leaks
from syncer.views.rates import read_rates

LAST_DAYS = 30
LISTED = 3  # instances of a reason to look at some
NEVER = datetime.max.replace(tzinfo=UTC)
LEAKS = ("expired_not_deleted", "lived_under_a_day", "customer_left")
"""What costs money for nothing: reasons of `bi_attention`, and what `bi_leaks` has besides. No day counts twice."""

_Stretch = tuple[str | None, date, date]  # a tariff, its first day and the day after its last


class Leak(NamedTuple):
    """Instances that are paid for nothing for one reason, each with what it came to in the last 30 days."""

    reason: str
    charges: Mapping[int, Charge]

    def as_figures(self) -> dict[str, Any]:
        """Their number, and sums by currency; days without a price stand in a line of their own."""
        return {"leak": self.reason, "instances": len(self.charges), "totals": totals(self.charges.values())}


def month_under_way(
    connection: Connection, cost_by_month: Iterable[Mapping[str, Any]], today: date, live: Mapping[str | None, int]
) -> dict[str, Any]:
    """This month's amount by currency so far, and at its end if what lives now lives on, which is `live` by tariff.

    The currency of most instance-days comes first.
    """
    month = f"{today:%Y-%m}"
    so_far = {row["currency"]: row for row in cost_by_month if row["month"] == month}
    amounts = {currency: row["amount"] for currency, row in so_far.items() if currency is not None}
    to_come = {row["currency"]: row for row in totals(still_to_come(connection, today, live))}
    unpriced = so_far.get(None, {"instance_days": 0})["instance_days"]

    def days(currency: str) -> int:
        come = to_come[currency]["days"] if currency in to_come else 0
        return int(so_far[currency]["instance_days"] if currency in so_far else 0) + int(come)

    return {
        "month": month,
        "instance_days": sum(row["instance_days"] for row in so_far.values()),
        "unpriced_days": unpriced,
        "currencies": [
            {
                "currency": currency,
                "so_far": amounts.get(currency, Decimal()),
                "forecast": amounts.get(currency, Decimal())
                + (to_come[currency]["amount"] if currency in to_come else 0),
            }
            for currency in sorted({*amounts, *to_come} - {None}, key=lambda currency: (-days(currency), currency))
        ],
    }


def read_left(connection: Connection, account: str | None) -> dict[int, datetime]:
    """The live instances whose last customer has left, and since when."""
    query = select(bi_leaks.c.id_instance, bi_leaks.c.since).where(bi_leaks.c.leak == "customer_left")
    if account is not None:
        query = query.where(bi_leaks.c.account == account)
    return {row.id_instance: row.since for row in connection.execute(query)}


def paid_for_nothing(
    connection: Connection, attention: Sequence[Any], left: Mapping[int, datetime], now: datetime
) -> list[Leak]:
    """What the instances of `LEAKS` among these rows of `bi_attention`, and those left, came to in the last 30 days.

    Of an expired one, the days whose 00:00 it was expired at; of one that lived under a day, all of them; of one whose
    customer has left, the days since then on which it was not expired yet.
    """
    today = billing_day(now)
    first = today - timedelta(days=LAST_DAYS - 1)
    since = {row.id_instance: row.since for row in attention if row.reason == "expired_not_deleted"}
    short = {row.id_instance for row in attention if row.reason == "lived_under_a_day"}
    stretches: dict[str, dict[int, list[_Stretch]]] = {leak: defaultdict(list) for leak in LEAKS}
    for id_instance, tariff, begins, ends in _lives(connection, first, today, left.keys()):
        wasted = ends
        if id_instance in since:
            wasted = first_midnight(since[id_instance])
            stretches["expired_not_deleted"][id_instance].append((tariff, max(begins, first, wasted), ends))
        if id_instance in left:
            gone = max(begins, first, billing_day(left[id_instance]))
            if gone < min(ends, wasted):
                stretches["customer_left"][id_instance].append((tariff, gone, min(ends, wasted)))
        elif id_instance in short:
            stretches["lived_under_a_day"][id_instance].append((tariff, begins, ends))
    rates = read_rates(connection)

    @cache
    def charge(tariff: str | None, begins: date, ends: date) -> Charge:
        found: Charge | None = None
        for n in range((ends - begins).days):
            (one,) = charged_on({tariff: 1}, rates, [begins + timedelta(days=n)])
            found = plus(found, one)
        return found or Charge(0, None, None)

    return [
        Leak(leak, {id_instance: _sum(charge(*one) for one in found) for id_instance, found in by_instance.items()})
        for leak, by_instance in stretches.items()
    ]


def worst_first(attention: Sequence[Any], leaks: Sequence[Leak]) -> list[dict[str, Any]]:
    """The reasons to look at an instance, the worst first: by severity, what was paid for nothing, and their number.

    Of each a few instances, the dearest first, then those that wait longest.
    """
    charges = {leak.reason: leak.charges for leak in leaks}
    by_reason: dict[tuple[int, str], list[Any]] = defaultdict(list)
    for row in attention:
        by_reason[row.severity, row.reason].append(row)

    found = []
    for (severity, reason), rows in by_reason.items():
        charged = charges.get(reason, {})
        spread = Counter(charge.currency for charge in charged.values() if charge.amount is not None)

        def worst(row: Any, charged: Mapping[int, Charge] = charged, spread: Counter[Any] = spread) -> Any:
            """Amounts of two currencies cannot be compared: that of most instances goes first."""
            charge = charged.get(row.id_instance)
            amount = Decimal() if charge is None or charge.amount is None else charge.amount
            return (
                -(spread[charge.currency] if charge else 0), str(charge and charge.currency), -amount,
                row.since or NEVER, row.id_instance,
            )  # fmt: skip

        found.append(
            {
                "reason": reason,
                "severity": severity,
                "n": len(rows),
                "totals": totals(charged.values()),
                "instances": [
                    {
                        **row._mapping,
                        "amount": charge.amount if (charge := charged.get(row.id_instance)) else None,
                        "currency": charge.currency if charge else None,
                    }
                    for row in nsmallest(LISTED, rows, key=worst)
                ],
            }
        )
    return sorted(
        found,
        key=lambda one: (
            one["severity"],
            -max((row["amount"] or 0 for row in one["totals"]), default=0),
            -one["n"],
            one["reason"],
        ),
    )


def _sum(charges: Iterable[Charge]) -> Charge:
    found: Charge | None = None
    for charge in charges:
        found = plus(found, charge)
    return found or Charge(0, None, None)


def _lives(
    connection: Connection, first: date, today: date, left: Collection[int]
) -> Iterable[tuple[int, str | None, date, date]]:
    """Lives that reach into the last days, and those of live instances that are expired or left; their charged days."""
    over = ended_lives.c
    query: Select[Any] = select(over.id_instance, over.tariff, over.first_night, over.end_night).where(
        over.end_night >= first
    )
    for row in connection.execute(query):
        yield row.id_instance, row.tariff, row.first_night, row.end_night
    now = instances.c
    current: Select[Any] = select(now.id_instance, now.tariff, now.life_first_night, now.is_expired).where(
        now.life_first_night.is_not(None)
    )
    if not left:
        current = current.where(now.is_expired)
    for row in connection.execute(current):
        if row.is_expired or row.id_instance in left:
            yield row.id_instance, row.tariff, row.life_first_night, today + timedelta(days=1)
