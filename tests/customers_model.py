"""Whose an instance is, and what that comes to, from CONTRACT 3 and 7 alone: day by day, without SQL and without syncer.

On a day that several assignments of one instance cover, the one that began last holds.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from figures_model import FOREVER, FiguresModel, Life, midnight, month_of, next_month

DAY = timedelta(days=1)


class Assigned(NamedTuple):
    """A row of `customers`."""

    id_instance: int
    customer: str
    valid_from: date
    valid_to: date | None
    daily_price: Decimal | None
    currency: str | None


class CustomersModel:
    """An estate with its customers; the estate is closed."""

    def __init__(self, estate: FiguresModel, rows: list[Assigned]) -> None:
        self.estate = estate
        self.today = estate.today
        self.rows: dict[int, list[Assigned]] = {}
        for row in sorted(rows, key=lambda one: (one.id_instance, one.valid_from)):
            self.rows.setdefault(row.id_instance, []).append(row)

    def on(self, key: int, day: date) -> Assigned | None:
        """Whose it is on a day."""
        covering = (row for row in self.rows.get(key, []) if row.valid_from <= day <= (row.valid_to or date.max))
        return max(covering, key=lambda row: row.valid_from, default=None)

    def before(self, key: int, day: date) -> Assigned | None:
        """Whose it was on the last day until then on which it was anybody's."""
        days = [min(row.valid_to or day, day) for row in self.rows.get(key, []) if row.valid_from <= day]
        return self.on(key, max(days)) if days else None

    def since(self, key: int, row: Assigned) -> date:
        """Since which day it has been that customer's without a break, until today."""
        day = self.today
        while day > row.valid_from and self.on(key, day - DAY) is row:
            day -= DAY
        return day

    def returns(self, key: int) -> int:
        """How often one that had begun before another holds again after it."""
        ends = {row.valid_to for row in self.rows[key] if row.valid_to is not None}
        held = [(self.on(key, day), self.on(key, day + DAY)) for day in ends]
        return sum(
            before is not None and after is not None and after.valid_from < before.valid_from for before, after in held
        )

    def last_in(self, key: int, month: str) -> str | None:
        """Its last customer in a month, until today."""
        first = date.fromisoformat(f"{month}-01")
        day = min(next_month(first) - DAY, self.today)
        while day >= first:
            if (row := self.on(key, day)) is not None:
                return row.customer
            day -= DAY
        return None

    def monthly(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        sums: dict[tuple[Any, ...], dict[str, Any]] = {}
        for key, life in self.estate.lives.items():
            for day, (account, _, tariff) in life.charged(self.today):
                rate, row = self.estate._price(tariff, day), self.on(key, day)
                currencies = (rate[1] if rate else None, row.currency if row else None)
                group = (month_of(day), account, row.customer if row else None, *currencies)
                figures = sums.setdefault(group, {"instance_days": 0, "cost": None, "price": None, "margin": None})
                figures["instance_days"] += 1
                if rate is not None:
                    figures["cost"] = (figures["cost"] or Decimal()) + rate[0]
                if row is not None and row.daily_price is not None:
                    figures["price"] = (figures["price"] or Decimal()) + row.daily_price
                if currencies[0] is not None and currencies[0] == currencies[1]:
                    figures["margin"] = figures["price"] - figures["cost"]
        return sums

    def leaks(self) -> dict[tuple[int, str], dict[str, Any]]:
        return {(key, leak): figures for key, leak, figures in self._leaks()}

    def _leaks(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        for key, life in self.estate.lives.items():
            now, last = self.on(key, self.today), self.before(key, self.today)
            born = life.versions[0][0]
            customer = now.customer if now else None
            if life.lives_at(FOREVER) is None:
                if now is not None and now.daily_price is not None:
                    ended = [step.at for step in life.steps() if step.sign < 0][-1]
                    yield key, "gone_but_sold", self._gone(max(midnight(self.since(key, now)), ended), customer)
                continue
            if life.versions[-1][1]["is_expired"]:
                since = _expired_since(life)
                yield key, "expired_not_deleted", self._charged(life, since, customer, day_of_birth=False)
            if self.rows and last is None:
                yield key, "nobody", self._charged(life, born, None)
            if now is None and last is not None and last.valid_to is not None:
                left = midnight(last.valid_to + DAY)
                counted = self._charged(life, left, last.customer)
                yield key, "customer_left", counted | {"since": max(left, born)}
        for key in self.rows.keys() - self.estate.lives.keys():
            now = self.on(key, self.today)
            if now is not None and now.daily_price is not None:
                yield key, "gone_but_sold", self._gone(midnight(self.since(key, now)), now.customer)

    def _gone(self, since: datetime, customer: str | None) -> dict[str, Any]:
        days, day = 0, since.date()
        while day <= self.today:
            days += midnight(day) >= since
            day += DAY
        return {"customer": customer, "since": since, "days": days, "cost": Decimal()}

    def _charged(
        self, life: Life, since: datetime, customer: str | None, *, day_of_birth: bool = True
    ) -> dict[str, Any]:
        """What was charged since then: at its creation, and at each 00:00."""
        days, amounts, currencies = 0, Decimal(), set()
        for day, group in life.charged(self.today):
            if midnight(day) >= since or (day_of_birth and day == life.born.date() and life.born >= since):
                days += 1
                if (rate := self.estate._price(group[2], day)) is not None:
                    amounts += rate[0]
                    currencies.add(rate[1])
        cost = amounts if not days or len(currencies) == 1 else None
        return {"customer": customer, "since": since, "days": days, "cost": cost}


def _expired_since(life: Life) -> datetime:
    since = life.versions[-1][0]
    for moment, state in reversed(life.versions):
        if not state["is_expired"]:
            break
        since = moment
    return since
