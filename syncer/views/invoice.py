"""The vendor's invoice beside the bill: what they bill and we don't see, and the other way round."""

import csv
import io
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from syncer.errors import ConfigurationError
from syncer.views.bill import Charge, parse_amount


class Difference(NamedTuple):
    """A key of which invoice and mirror say different things; what one side does not have is None."""

    kind: str
    key: str
    invoiced_days: int | None
    invoiced_amount: Decimal | None
    our_days: int | None
    our_amount: Decimal | None


KINDS = {
    "only_invoiced": "they bill, and we do not see",
    "only_seen": "we see, and they do not bill",
    "days": "the days differ",
    "amount": "the days agree, the amounts differ",
}


class Invoice(NamedTuple):
    """What the vendor bills: days and amount by instance id or by tariff."""

    key: str
    rows: Mapping[str, tuple[int | None, Decimal | None]]


COLUMN_NAMES = {
    "id": ("id_instance", "idinstance", "instance_id", "instanceid", "instance", "id", "инстанс"),
    "tariff": ("tariff", "tariff_name", "plan", "тариф"),
    "days": ("days", "instance_days", "quantity", "qty", "дни", "дней", "количество"),
    "amount": ("amount", "sum", "total", "cost", "price", "сумма", "стоимость"),
}


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
    heading = content.partition("\n")[0]
    separator = max(",;\t", key=heading.count)
    reader = csv.DictReader(io.StringIO(content), delimiter=separator)
    headings = {(name or "").strip().lower(): name for name in reader.fieldnames or []}
    columns = {part: _find_column(path, part, names.get(part), headings) for part in COLUMN_NAMES}
    key = "id" if columns["id"] is not None else "tariff"
    if columns[key] is None or (columns["days"] is None and columns["amount"] is None):
        raise ConfigurationError(
            f"--invoice: {path} needs a column of instance ids or tariffs, and one of days or amounts; it has "
            f"{', '.join(headings) or 'none'}; "
            "name them with --id-column, --tariff-column, --days-column, --amount-column"
        )
    rows: dict[str, tuple[int | None, Decimal | None]] = {}
    for line, row in enumerate(reader, 2):
        name = (row[columns[key] or ""] or "").strip()
        if not name:
            continue
        days = _cell(path, line, row, columns["days"])
        if days is not None and days != int(days):
            raise ConfigurationError(f"--invoice: {path}, line {line}: {days} is no whole number of days")
        amount = _cell(path, line, row, columns["amount"])
        earlier = rows.get(name, (None, None))
        rows[name] = (
            earlier[0] if days is None else int(days) + (earlier[0] or 0),
            earlier[1] if amount is None else amount + (earlier[1] or 0),
        )
    return Invoice(key, rows)


def _find_column(path: Path, part: str, wanted: str | None, headings: Mapping[str, str]) -> str | None:
    if wanted is None:
        return next((headings[name] for name in COLUMN_NAMES[part] if name in headings), None)
    found = headings.get(wanted.strip().lower())
    if found is None:
        raise ConfigurationError(
            f"--{part}-column: {path} has no column {wanted!r}; it has {', '.join(headings) or 'none'}"
        )
    return found


def _cell(path: Path, line: int, row: Mapping[str, str | None], column: str | None) -> Decimal | None:
    written = (row.get(column) or "").strip() if column is not None else ""
    if not written:
        return None
    number = parse_amount(written)
    if number is None:
        raise ConfigurationError(f"--invoice: {path}, line {line}: {written!r} is no number")
    return number


def compare_invoice(invoice: Invoice, ours: Mapping[str, Charge]) -> list[Difference]:
    """Where invoice and mirror differ, by kind and key. Pure.

    Amounts are compared to the hundredth, and only where both sides have one.
    """
    found: list[Difference] = []
    for key in sorted(invoice.rows.keys() | ours.keys(), key=lambda one: (len(one), one)):
        billed, seen = invoice.rows.get(key), ours.get(key)
        if seen is None and billed is not None:
            found.append(Difference("only_invoiced", key, *billed, None, None))
        elif billed is None and seen is not None:
            found.append(Difference("only_seen", key, None, None, seen.days, seen.amount))
        elif billed is not None and seen is not None:
            days, amount = billed
            if days is not None and days != seen.days:
                found.append(Difference("days", key, days, amount, seen.days, seen.amount))
            elif amount is not None and seen.amount is not None and round(amount, 2) != round(seen.amount, 2):
                found.append(Difference("amount", key, days, amount, seen.days, seen.amount))
    order = list(KINDS)
    return sorted(found, key=lambda difference: order.index(difference.kind))
