"""The vendor's invoice beside the bill: what they bill and we don't see, and the other way round."""

import csv
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from syncer.errors import ConfigurationError
from syncer.views.bill import Charge
from syncer.views.spreadsheet import (
    IDS,
    Headed,
    currency_of,
    find_headings,
    first_lines,
    heading_currency,
    instance_id,
    is_sum,
    no_csv,
    number,
    places,
    plain_heading,
    read_text,
)
from syncer.words.language import rounded

COLUMN_NAMES = {
    "id": IDS,
    "tariff": ("tariff", "tariff_name", "plan", "тариф"),
    "days": ("days", "instance_days", "quantity", "qty", "дни", "дней", "количество", "кол-во"),
    "amount": ("amount", "sum", "total", "cost", "сумма", "стоимость", "итого"),
    "currency": ("currency", "валюта"),
}
UNIT_PRICES = ("price", "unit_price", "unit price", "rate", "цена", "тариф за день")
_LONG_ID = re.compile(r"\D*(?:[0-9]\D?){7,}(?:[.,]0+)?")  # no number of lines has so many digits
KINDS = ("currency", "only_invoiced", "only_seen", "days", "amount", "not_compared")


class Difference(NamedTuple):
    """A key of which invoice and mirror say different things; what one side does not have is None."""

    kind: str
    key: str
    invoiced_days: int | None
    invoiced_amount: Decimal | None
    our_days: int | None
    our_amount: Decimal | None


class Billed(NamedTuple):
    """What the vendor bills for one key."""

    days: int | None
    amount: Decimal | None
    currency: str | None = None


class Invoice(NamedTuple):
    """What the vendor bills, by instance id or by tariff (`key`)."""

    key: str
    rows: Mapping[str, Billed]


class Comparison(NamedTuple):
    """How many keys could be compared in days or amount, and where they differ."""

    compared: int
    differences: Sequence[Difference]

    @property
    def agrees(self) -> bool:
        return bool(self.compared) and not self.differences


def read_invoice(path: Path, names: Mapping[str, str | None]) -> Invoice:
    """A CSV file of the vendor's, separated by comma, semicolon or tab; several rows of one key are added up.

    `names` maps id, tariff, days and amount to headings; None looks for usual ones. Raises `ConfigurationError`.
    """
    content = read_text("--invoice", path)
    try:
        table = find_headings(content, lambda cells: _columns_of(cells, names))
        if table is None:
            raise _no_headings(path, content, names)
        return _parse_rows(path, table)
    except csv.Error:
        raise no_csv("--invoice", path) from None


def _columns_of(cells: Sequence[str], names: Mapping[str, str | None]) -> dict[str, int] | None:
    """Which column holds what, if this is the line of headings."""
    columns = _columns(cells, names)
    named = {
        part for part, wanted in names.items() if wanted is not None and not (part == "tariff" and "id" in columns)
    }
    is_whole = columns.keys() & {"id", "tariff"} and columns.keys() & {"days", "amount"}
    return columns if named <= columns.keys() and is_whole else None


def _columns(cells: Sequence[str], names: Mapping[str, str | None]) -> dict[str, int]:
    wanted = {part: names.get(part) for part in COLUMN_NAMES}
    known = {
        part: COLUMN_NAMES[part] if heading is None else (plain_heading(heading),) for part, heading in wanted.items()
    }
    columns = places(cells, known)
    if "id" in columns:
        columns.pop("tariff", None)
    return columns


def _no_headings(path: Path, content: str, names: Mapping[str, str | None]) -> ConfigurationError:
    lines = first_lines(content)
    headings = [cell.lower() for cell in lines[0]] if lines else []
    for part, wanted in names.items():
        if wanted is not None and not any(part in _columns(cells, names) for cells in lines):
            return ConfigurationError(
                f"--{part}-column: {path} has no column {wanted!r}; it has {', '.join(headings) or 'none'}"
            )
    unit = next((name for name in headings if plain_heading(name) in UNIT_PRICES), None)
    if unit is not None:
        return ConfigurationError(
            f"--invoice: {path} has a column {unit!r}, which may be the price of a day; "
            "name the column of the amounts with --amount-column"
        )
    return ConfigurationError(
        f"--invoice: {path} needs a column of instance ids or tariffs, and one of days or amounts; it has "
        f"{', '.join(headings) or 'none'}; "
        "name them with --id-column, --tariff-column, --days-column, --amount-column"
    )


def _parse_rows(path: Path, table: Headed) -> Invoice:
    key = "id" if "id" in table.columns else "tariff"
    of_heading = heading_currency(table, "amount")
    rows: dict[str, Billed] = {}
    for line, cells in table.lines:
        name = table.cell(cells, key)
        if not name or is_sum(name) or (key == "id" and _adds_up(cells, name)):
            continue
        where = f"--invoice: {path}, line {line}"
        name = str(instance_id(where, name)) if key == "id" else name
        days, _ = number(where, table.cell(cells, "days"))
        if days is not None and days != int(days):
            raise ConfigurationError(f"{where}: {days} is no whole number of days")
        amount, own = number(where, table.cell(cells, "amount"))
        own = own or currency_of(table.cell(cells, "currency")) or of_heading
        before = rows.get(name, Billed(None, None))
        if before.currency and own and before.currency != own:
            raise ConfigurationError(f"{where}: {name} is billed in {before.currency} and {own}")
        rows[name] = Billed(
            before.days if days is None else int(days) + (before.days or 0),
            before.amount if amount is None else amount + (before.amount or 0),
            own or before.currency,
        )
    return Invoice(key, rows)


def _adds_up(cells: Sequence[str], name: str) -> bool:
    """Whether a line adds up the others: it begins so, and what stands for its id is at most how many they are."""
    return is_sum(next(one for one in cells if one)) and _LONG_ID.fullmatch(name) is None


def compare_invoice(invoice: Invoice, ours: Mapping[str, Charge]) -> Comparison:
    """Where invoice and mirror differ, by kind and key. Pure.

    Amounts are compared to the hundredth, and only where every day has a rate.
    """
    found: list[Difference] = []
    compared = 0
    for key in sorted(invoice.rows.keys() | ours.keys(), key=lambda one: (len(one), one)):
        billed, seen = invoice.rows.get(key), ours.get(key)
        if billed is None and seen is not None:
            found.append(Difference("only_seen", key, None, None, seen.days, seen.amount))
        elif billed is not None and seen is None:
            found.append(Difference("only_invoiced", key, billed.days, billed.amount, None, None))
        elif billed is not None and seen is not None:
            kind = _compare(billed, seen)
            compared += kind not in {"not_compared", "currency"}
            if kind is not None:
                found.append(Difference(kind, key, billed.days, billed.amount, seen.days, seen.amount))
    order = list(KINDS)
    return Comparison(compared, sorted(found, key=lambda difference: order.index(difference.kind)))


def _compare(billed: Billed, seen: Charge) -> str | None:
    """The kind of difference, None if both say the same."""
    if billed.days is not None and billed.days != seen.days:
        return "days"
    if billed.currency is not None and seen.currency is not None and billed.currency != seen.currency:
        return "currency"
    if billed.amount is not None and seen.amount is not None and not seen.unpriced_days:
        return "amount" if rounded(billed.amount, 2) != rounded(seen.amount, 2) else None
    return "not_compared" if billed.days is None else None
