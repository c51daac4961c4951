"""The person who keeps the price table and the list of customers, and what must come of what she does."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from customers_model import Assigned
from sqlalchemy import Engine

from syncer.errors import ConfigurationError
from syncer.rules.customers import changes
from syncer.storage import customers, database
from syncer.views import customers as lists
from syncer.views import rates
from world import steps
from world.figures import Figures

FIRST_DAY = date(2026, 3, 1)
Sheet = dict[tuple[int, date], Assigned]


class Seen(Protocol):
    """The world, as its operator sees it."""

    now: datetime
    hand: Engine

    def tell(self, line: str) -> None: ...

    def count(self, what: str) -> None: ...


def day(days: int) -> date:
    """So many days after the first one."""
    return FIRST_DAY + timedelta(days=days)


class Operator:
    """Sets prices and loads customers by production's code; `figures` are those of the database as it is."""

    def __init__(self, world: Seen, folder: Path) -> None:
        self._world = world
        self._file = folder / "customers.csv"
        self._sheet: Sheet = {}  # her own list, which no restore brings back

    def set_price(self, step: steps.Priced, figures: Figures) -> None:
        """A price from a day on, or of no price its end; refused where a month would have two currencies."""
        known = figures.model.rates.setdefault(step.tariff, [])
        first = day(step.day)
        wanted = [rate for rate in known if rate[0] != first]
        if step.price:
            wanted.append((first, Decimal(step.price), step.currency))
        is_known = bool(step.price) or len(wanted) < len(known)
        is_right = is_known and _has_one_currency_a_month({rate[0]: rate[2] for rate in wanted})
        try:
            with database.writing(self._world.hand, "changing the prices") as connection:
                if step.price:
                    rates.set_rate(connection, step.tariff, Decimal(step.price), step.currency, first)
                else:
                    rates.remove_rate(connection, step.tariff, first)
        except ConfigurationError:
            assert not is_right, f"{step} is refused"
            self._world.count("price refused")
        else:
            assert is_right, f"{step} is taken"
            figures.model.rates[step.tariff] = wanted

    def sell(self, id_instance: int, step: steps.Sold, figures: Figures) -> None:
        """A line more in the list, or another one in the place of that of the same day, and the list is loaded."""
        last = None if step.lasts is None else day(step.day + step.lasts)
        price = Decimal(step.price) if step.price else None
        row = Assigned(
            id_instance, step.customer, day(step.day), last, price, step.currency if price is not None else None
        )
        before = dict(self._sheet)
        self._sheet[id_instance, row.valid_from] = row
        if not self._load(figures, is_meant=True):
            self._sheet = before

    def cut(self, step: steps.Cut, figures: Figures) -> None:
        """What is left of the list is every nth line; where that drops most of what is known, it is held."""
        kept = dict(sorted(self._sheet.items())[:: step.every])
        before, self._sheet = self._sheet, kept
        if not self._load(figures, is_meant=step.is_meant):
            self._sheet = before

    def _load(self, figures: Figures, *, is_meant: bool) -> bool:
        """As the command does; whether it was taken."""
        self._file.write_text(
            "\n".join(["id,customer,from,to,price,currency", *map(_line, self._sheet.values())]) + "\n"
        )
        is_right = not _overlaps(self._sheet)
        try:
            listed = lists.read_list(self._file)
        except ConfigurationError:
            assert not is_right, "a list of customers is refused"
            self._world.count("customers refused")
            return False
        assert is_right, "a list is taken in which an instance is sold twice on a day"
        removed = figures.sold.keys() - self._sheet.keys()
        is_held = 2 * len(removed) > len(figures.sold) and not is_meant
        with database.writing(self._world.hand, "loading the customers") as connection:
            customers.keep_others_out(connection)
            found = changes(customers.read_assignments(connection), listed.assignments)
            assert (found.drops_most and not is_meant) == is_held, "a list is held, or is not"
            if not is_held:
                customers.apply(connection, found)
        if is_held:
            self._world.count("customers held")
            return False
        figures.sold = dict(self._sheet)
        return True


def _line(row: Assigned) -> str:
    price = "" if row.daily_price is None else f"{row.daily_price:f}"
    return f"{row.id_instance},{row.customer},{row.valid_from},{row.valid_to or ''},{price},{row.currency or ''}"


def _has_one_currency_a_month(currencies: Mapping[date, str]) -> bool:
    days = sorted(currencies)
    return all(currencies[one] == currencies[later] or later.day == 1 for one, later in pairwise(days))


def _overlaps(sheet: Sheet) -> bool:
    rows = sorted(sheet.values(), key=lambda row: (row.id_instance, row.valid_from))
    return any(
        one.id_instance == later.id_instance and (one.valid_to is None or later.valid_from <= one.valid_to)
        for one, later in pairwise(rows)
    )
