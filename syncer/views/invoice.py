"""The vendor's invoice beside the bill: what they bill and we don't see, and the other way round."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from syncer.errors import ConfigurationError
from syncer.views.bill import Charge
from syncer.views.rates import parse_amount, refuse_ambiguous

COLUMN_NAMES = {
    "id": ("id_instance", "idinstance", "instance_id", "instanceid", "instance", "id", "инстанс", "id инстанса"),
    "tariff": ("tariff", "tariff_name", "plan", "тариф"),
    "days": ("days", "instance_days", "quantity", "qty", "дни", "дней", "количество", "кол-во"),
    "amount": ("amount", "sum", "total", "cost", "сумма", "стоимость", "итого"),
    "currency": ("currency", "валюта"),
}
UNIT_PRICES = ("price", "unit_price", "unit price", "rate", "цена", "тариф за день")
SEPARATORS = (";", "\t", ",")
HEADING_LINES = 30  # within which the line of headings is looked for
CURRENCIES = {"₽": "RUB", "руб": "RUB", "р": "RUB", "$": "USD", "€": "EUR", "₸": "KZT", "тенге": "KZT"}
KINDS = {
    "currency": "their currency is another one",
    "only_invoiced": "they bill, and we do not see",
    "only_seen": "we see, and they do not bill",
    "days": "the days differ",
    "amount": "the days agree, the amounts differ",
    "not_compared": "nothing could be compared: no rate for a day of it",
}
_SUMS = re.compile(r"(итого|всего|total|subtotal|grand total|sum)\b", re.IGNORECASE)
_MONEY = re.compile(r"([^\d\s+-]*)\s*([+-]?[\d\s\u00a0\u202f',.]*\d)\s*([^\d]*)")


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
    try:
        return _parse_invoice(path, _decoded(path.read_bytes()), names)
    except OSError as error:
        problem = f"{error.strerror}; correct the path"
    except csv.Error:
        problem = "it is no CSV file; save it as CSV in UTF-8 first"
    raise ConfigurationError(f"--invoice: reading {path}: {problem}")


def _decoded(raw: bytes) -> str:
    if b"\0" in raw:
        raise csv.Error("a workbook, or UTF-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1251", "replace")  # what a Russian spreadsheet saves


def _parse_invoice(path: Path, content: str, names: Mapping[str, str | None]) -> Invoice:
    for separator in SEPARATORS:
        lines = _lines(content, separator)
        for _, cells in islice(lines, HEADING_LINES):
            columns = _columns(cells, names)
            if _are_headings(columns, names):
                return _parse_rows(path, columns, _heading_currency(cells, columns), lines)
    raise _no_headings(path, content, names)


def _lines(content: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Lines that hold anything, by their number, in cells."""
    for number, cells in enumerate(csv.reader(io.StringIO(content), delimiter=separator), 1):
        if any(cell.strip() for cell in cells):
            yield number, [cell.strip() for cell in cells]


def _columns(cells: Sequence[str], names: Mapping[str, str | None]) -> dict[str, int]:
    """Which column holds what, if this is the line of headings."""
    headings = {_plain_heading(cell): place for place, cell in reversed(list(enumerate(cells)))}
    columns = {}
    for part, usual in COLUMN_NAMES.items():
        wanted = names.get(part)
        known = usual if wanted is None else (_plain_heading(wanted),)
        place = next((headings[name] for name in known if name in headings), None)
        if place is not None:
            columns[part] = place
    if "id" in columns:
        columns.pop("tariff", None)
    return columns


def _are_headings(columns: Mapping[str, int], names: Mapping[str, str | None]) -> bool:
    named = {
        part for part, wanted in names.items() if wanted is not None and not (part == "tariff" and "id" in columns)
    }
    return named <= columns.keys() and bool(columns.keys() & {"id", "tariff"} and columns.keys() & {"days", "amount"})


def _plain_heading(cell: str) -> str:
    """In lower case, without a currency that stands behind a comma or in parentheses."""
    return re.sub(r"\s*(,|\(|\[).*", "", cell.strip().lower())


def _heading_currency(cells: Sequence[str], columns: Mapping[str, int]) -> str | None:
    if "amount" not in columns:
        return None
    _, _, behind = re.sub(r"[(\[]", ",", cells[columns["amount"]]).partition(",")
    return _currency(behind.strip(" )]"))


def _no_headings(path: Path, content: str, names: Mapping[str, str | None]) -> ConfigurationError:
    separator = max(SEPARATORS, key=content.partition("\n")[0].count)
    lines = [cells for _, cells in _lines(content, separator)]
    headings = [cell.lower() for cell in lines[0]] if lines else []
    for part, wanted in names.items():
        if wanted is not None and not any(part in _columns(cells, names) for cells in lines[:HEADING_LINES]):
            return ConfigurationError(
                f"--{part}-column: {path} has no column {wanted!r}; it has {', '.join(headings) or 'none'}"
            )
    unit = next((name for name in headings if _plain_heading(name) in UNIT_PRICES), None)
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


def _parse_rows(
    path: Path, columns: Mapping[str, int], currency: str | None, lines: Iterator[tuple[int, list[str]]]
) -> Invoice:
    key = "id" if "id" in columns else "tariff"
    rows: dict[str, Billed] = {}
    for number, cells in lines:

        def cell(part: str, cells: list[str] = cells) -> str:
            return cells[columns[part]] if part in columns and columns[part] < len(cells) else ""

        name = cell(key)
        if not name or _SUMS.match(name) or (key == "id" and _SUMS.match(next(one for one in cells if one))):
            continue
        where = f"--invoice: {path}, line {number}"
        name = _instance_id(where, name) if key == "id" else name
        days, _ = _number(where, cell("days"))
        if days is not None and days != int(days):
            raise ConfigurationError(f"{where}: {days} is no whole number of days")
        amount, own = _number(where, cell("amount"))
        own = own or _currency(cell("currency")) or currency
        before = rows.get(name, Billed(None, None))
        if before.currency and own and before.currency != own:
            raise ConfigurationError(f"{where}: {name} is billed in {before.currency} and {own}")
        rows[name] = Billed(
            before.days if days is None else int(days) + (before.days or 0),
            before.amount if amount is None else amount + (before.amount or 0),
            own or before.currency,
        )
    return Invoice(key, rows)


def _instance_id(where: str, written: str) -> str:
    """The id as the mirror writes it; a spreadsheet may have made a number with decimals of it."""
    plain = re.sub(r"[\s\u00a0\u202f']|[.,]0+$", "", written)
    if re.fullmatch(r"[0-9.,]+[eE]\+?[0-9]+", plain):
        raise ConfigurationError(f"{where}: {written!r} has lost digits of the id; make the column text, and save anew")
    if not re.fullmatch(r"[0-9]{1,19}", plain):
        raise ConfigurationError(f"{where}: {written!r} is no instance id")
    return str(int(plain))


def _number(where: str, written: str) -> tuple[Decimal | None, str | None]:
    """A number, and the currency that stands beside it."""
    if not written:
        return None, None
    found = _MONEY.fullmatch(written)
    beside = (found[1] or found[3]).strip(" .") if found else ""
    currency = _currency(beside)
    if not found or (beside and currency is None):
        raise ConfigurationError(f"{where}: {written!r} is no number")
    refuse_ambiguous(where, found[2])
    number = parse_amount(found[2])
    if number is None:
        raise ConfigurationError(f"{where}: {written!r} is no number")
    return number, currency


def _currency(written: str) -> str | None:
    word = written.strip(" .").lower()
    if word in CURRENCIES:
        return CURRENCIES[word]
    return word.upper() if re.fullmatch(r"[a-z]{3}", word) else None


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
        return "amount" if round(billed.amount, 2) != round(seen.amount, 2) else None
    return "not_compared" if billed.days is None else None
