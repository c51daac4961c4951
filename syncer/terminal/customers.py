"""Tables about customers for people on standard output."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from syncer.rules.customers import Assignment, Changes
from syncer.terminal.fitted import FittedTable
from syncer.terminal.money import money
from syncer.terminal.render import worded
from syncer.views.statement import Statement
from syncer.views.strangers_text import one_line
from syncer.words.catalogue import Words

_COLUMNS = {
    "id_instance": "col_instance",
    "customer": "col_customer",
    "valid_from": "col_from",
    "valid_to": "col_to",
    "daily_price": "col_price_of_a_day",
    "currency": "col_currency",
}


def assignments_table(words: Words, known: Sequence[Assignment]) -> FittedTable:
    """Whose every instance was and is."""
    rows = [
        (
            one.id_instance,
            one.customer,
            str(one.valid_from),
            "" if one.valid_to is None else str(one.valid_to),
            words("not_sold") if one.daily_price is None else f"{one.daily_price.normalize():f}",
            one.currency or "",
        )
        for one in known
    ]
    columns = ("instance", "customer", "from", "to", "price_of_a_day", "currency")
    return worded(words, words("customers"), columns, rows)


def bill_table(words: Words, month: str, lines: Sequence[dict[str, Any]]) -> FittedTable:
    """What each customer costs and brings in a month; an amount of another currency is a line of its own."""
    rows = [
        (
            words("nobody") if line["customer"] is None else line["customer"],
            line["days"],
            _money(words, line["amount"], line["currency"]),
            _money(words, line["price"], line["price_currency"]),
            _money(words, line["margin"], line["currency"]),
        )
        for line in lines
    ]
    return worded(words, month, ("customer", "instance_days", "cost", "price", "margin"), rows)


def statement_table(words: Words, statement: Statement) -> FittedTable:
    """What one customer is charged for a month."""
    rows = [
        (
            line.id_instance,
            line.name,
            str(line.first_day),
            str(line.last_day),
            line.days,
            "" if line.daily_price is None else f"{line.daily_price.normalize():f}",
            _money(words, line.amount, line.currency),
        )
        for line in statement.lines
    ]
    title = f"{statement.customer}, {statement.month:%Y-%m}"
    return worded(words, title, ("instance", "name", "from", "to", "days", "price_of_a_day", "amount"), rows)


def tell_changes(words: Words, found: Changes) -> Iterator[str]:
    """What a list changes, one row a line: what goes, what becomes another, what comes."""
    for one in found.removed:
        yield f"- {_told(words, one)}"
    for before, after in found.changed:
        parts = [
            f"{words(_COLUMNS[name])} {_value(words, old)} -> {_value(words, new)}"
            for name, old, new in zip(Assignment._fields, before, after, strict=True)
            if old != new
        ]
        customer = one_line(after.customer)
        told = words(
            "reassigned",
            instance=after.id_instance,
            customer=customer,
            first=after.valid_from,
            changes=", ".join(parts),
        )
        yield f"~ {told}"
    for one in found.added:
        yield f"+ {_told(words, one)}"


def sum_up(words: Words, found: Changes) -> str:
    """How many rows come, change, go and stay."""
    return words(
        "list_sum", added=len(found.added), changed=len(found.changed), removed=len(found.removed), kept=found.kept
    )


def _told(words: Words, one: Assignment) -> str:
    price = words("not_sold")
    if one.daily_price is not None:
        price = words("a_day", price=_value(words, one.daily_price), currency=one.currency)
    of_whom = {"instance": one.id_instance, "customer": one_line(one.customer), "first": one.valid_from, "price": price}
    if one.valid_to is None:
        return words("assigned_on", **of_whom)
    return words("assigned_to", last=one.valid_to, **of_whom)


def _value(words: Words, value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date):
        return str(value)
    return words("none") if value is None else one_line(str(value))


def _money(words: Words, amount: Decimal | None, currency: str | None) -> str:
    return "" if amount is None else money(words, amount, currency)
