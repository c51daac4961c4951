"""The user's list of customers: read from a file as spreadsheets save it, and what it changes in words."""

import csv
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from syncer.errors import ConfigurationError
from syncer.rules.customers import Assignment, Listed, first_overlap
from syncer.views.rates import MILLIONTH, checked_price
from syncer.views.spreadsheet import (
    IDS,
    Headed,
    currency_of,
    day,
    find_headings,
    first_lines,
    heading_currency,
    instance_id,
    is_sum,
    no_csv,
    number,
    places,
    read_text,
)
from syncer.views.strangers_text import one_line

WHERE = "customers load"
COLUMN_NAMES = {
    "id": IDS,
    "customer": ("customer", "client", "customer_name", "customer name", "клиент", "покупатель", "заказчик"),
    "from": (
        "from", "valid_from", "since", "start", "first day", "first_day",
        "с", "c", "от", "начало", "дата начала", "первый день",
    ),
    "to": ("to", "valid_to", "end", "last day", "last_day", "по", "конец", "дата окончания", "последний день"),
    "price": (
        "price", "daily_price", "daily price", "price per day", "price_per_day",
        "цена", "цена за день", "цена в день", "цена дня",
    ),
    "currency": ("currency", "валюта"),
}  # fmt: skip
NEEDED = {"id", "customer", "from"}


class CustomerList(NamedTuple):
    """A whole list, in the order of its lines, and the headings of columns that were not read."""

    assignments: Sequence[Assignment]
    unread: Sequence[str]


def read_list(path: Path) -> CustomerList:
    """A CSV file with headings in English or Russian, separated by comma, semicolon or tab.

    Raises `ConfigurationError` for what cannot be read, and where days of one instance overlap.
    """
    content = read_text(WHERE, path)
    try:
        table = find_headings(content, _columns_of)
        if table is None:
            headings = next(iter(first_lines(content)), [])
            raise ConfigurationError(
                f"{WHERE}: {path} needs columns id, customer and from (to, price and currency may follow); "
                f"it has {', '.join(filter(None, headings)) or 'none'}"
            )
        listed = list(_assignments(path, table))
    except csv.Error:
        raise no_csv(WHERE, path) from None
    overlap = first_overlap(listed)
    if overlap is not None:
        first, second = overlap
        raise ConfigurationError(
            f"{WHERE}: {path}: lines {first.line} and {second.line} both have instance {first.assignment.id_instance} "
            f"on a day: {_told(first.assignment)}; and {_told(second.assignment)}; end the one before the other begins"
        )
    read = set(table.columns.values())
    unread = [heading for place, heading in enumerate(table.headings) if heading and place not in read]
    return CustomerList([one.assignment for one in listed], unread)


def _columns_of(cells: Sequence[str]) -> dict[str, int] | None:
    columns = places(cells, COLUMN_NAMES)
    return columns if columns.keys() >= NEEDED else None


def _assignments(path: Path, table: Headed) -> Iterator[Listed]:
    of_heading = heading_currency(table, "price")
    for line, cells in table.lines:
        id_text, customer = table.cell(cells, "id"), " ".join(table.cell(cells, "customer").split())
        if is_sum(id_text) or (not id_text and is_sum(next(one for one in cells if one))):
            continue
        where = f"{WHERE}: {path}, line {line}"
        id_instance = instance_id(where, id_text)
        if not customer or "\0" in customer:
            raise ConfigurationError(
                f"{where}: instance {id_instance} has no customer; name one, or leave the line out"
            )
        first, last = table.cell(cells, "from"), table.cell(cells, "to")
        if not first:
            raise ConfigurationError(f"{where}: instance {id_instance} has no first day; fill it in")
        begins, ends = day(where, first), day(where, last) if last else None
        if ends is not None and ends < begins:
            raise ConfigurationError(f"{where}: the last day, {ends}, lies before the first, {begins}")
        price, currency = _price(where, table.cell(cells, "price"), table.cell(cells, "currency"), of_heading)
        yield Listed(line, Assignment(id_instance, customer, begins, ends, price, currency))


def _price(where: str, written: str, currency: str, of_heading: str | None) -> tuple[Decimal | None, str | None]:
    amount, beside = number(where, written)
    if amount is None:
        return None, None
    price = checked_price(where, written, amount).quantize(MILLIONTH)
    own = currency_of(currency)
    if currency and own is None:
        raise ConfigurationError(f"{where}: {currency!r} is no currency such as RUB, KZT or USD")
    if beside and own and beside != own:
        raise ConfigurationError(f"{where}: its price is in {beside} and in {own}")
    code = own or beside or of_heading
    if code is None:
        raise ConfigurationError(f"{where}: the price {written} has no currency; add a column currency")
    return price, code


def _told(one: Assignment) -> str:
    until = "on" if one.valid_to is None else f"to {one.valid_to}"
    price = "not sold" if one.daily_price is None else f"{_value(one.daily_price)} {one.currency} a day"
    return f"{one.id_instance} {one_line(one.customer)} from {one.valid_from} {until}, {price}"


def _value(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date):
        return str(value)
    return "none" if value is None else one_line(str(value))
