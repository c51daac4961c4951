"""The parts that a page is made of, in words already; templates show them as they stand."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from syncer.rules.timeline import BILLING_OFFSET, billing_day
from syncer.views.report.shapes import Picture
from syncer.words import language
from syncer.words.catalogue import Words


class Tile(NamedTuple):
    """One figure of the headline row; `values` has a line for each currency, `notes` are what stands below."""

    name: str
    values: list[str]
    notes: list[str]
    is_bad: bool = False


class Table(NamedTuple):
    """Rows of text; columns are numbers but for the first few."""

    columns: Sequence[str]
    rows: list[Sequence[str]]
    words: int = 1


Key = tuple[str, str]  # a kind of mark whose colour needs a name, and its word


class Drawing(NamedTuple):
    """A picture, and what its colours mean."""

    picture: Picture
    keys: Sequence[Key] = ()


class Figure(NamedTuple):
    """Drawings under one heading, with what must be said of them and the table of their figures."""

    title: str
    drawings: list[Drawing]
    table: Table
    remark: str = ""
    notes: tuple[str, ...] = ()
    is_wide: bool = False


class Row(NamedTuple):
    """An instance that needs attention; `when` is since when, until when, or what it cost for nothing."""

    id_instance: str
    account: str
    name: str
    when: str


class Reason(NamedTuple):
    """A reason to look at some instances: the worst of them, and how many more there are."""

    title: str
    severity: int
    severity_text: str
    instances: str
    sums: str
    rows: list[Row]
    more: str


class Seen(NamedTuple):
    """Since when syncer has watched; everything before is greyed."""

    first: datetime | None

    def covers(self, day: date) -> bool:
        """Whether it watched by the end of this day."""
        return self.first is not None and billing_day(self.first) <= day

    def covers_month(self, month: str) -> bool:
        """Whether it watched by the end of this month."""
        return self.first is not None and f"{billing_day(self.first):%Y-%m}" <= month

    def began_in(self, month: str) -> bool:
        """Whether it began to watch within this month."""
        return self.first is not None and f"{billing_day(self.first):%Y-%m}" == month

    def key(self, words: Words) -> Key:
        """What the grey means."""
        day = language.day(words.language, billing_day(self.first)) if self.first else ""
        return "unseen", words("unseen", day=day)


def told(words: Words, moment: datetime) -> str:
    """A moment at UTC+3."""
    return language.moment(words.language, (moment + BILLING_OFFSET).replace(tzinfo=None))


def past_day(words: Words, day: date, today: date) -> str:
    """A past day; with its year where it is not of the last months."""
    write = language.short_day if today - day < timedelta(days=300) else language.day
    return write(words.language, day)


def age(words: Words, seconds: int) -> str:
    """A span in its largest unit of which there are two at least."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return words.counted(unit, seconds // size)
    return words.counted("seconds", seconds)


def price(words: Words, amount: Decimal | None, currency: str | None, places: int = 2) -> str:
    """An amount, or nothing where there is none."""
    return "" if amount is None else language.money(words.language, amount, currency, places)


def share(words: Words, part: float | None) -> str:
    """A share in per cent, or nothing where there is none."""
    return "" if part is None else language.percent(words.language, part)
