"""Tables about customers for people on standard output."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from syncer.rules.customers import Assignment
from syncer.terminal.render import FittedTable, table
from syncer.views.statement import Statement

NOBODY = "nobody"


def assignments_table(known: Sequence[Assignment]) -> FittedTable:
    """Whose every instance was and is."""
    rows = [
        (
            one.id_instance,
            one.customer,
            str(one.valid_from),
            "" if one.valid_to is None else str(one.valid_to),
            "not sold" if one.daily_price is None else f"{one.daily_price.normalize():f}",
            one.currency or "",
        )
        for one in known
    ]
    return table("Customers", ("instance", "customer", "from", "to", "price of a day", "currency"), rows)


def bill_table(month: str, lines: Sequence[dict[str, Any]]) -> FittedTable:
    """What each customer costs and brings in a month; an amount of another currency is a line of its own."""
    rows = [
        (
            NOBODY if line["customer"] is None else line["customer"],
            line["days"],
            _money(line["amount"], line["currency"]),
            _money(line["price"], line["price_currency"]),
            _money(line["margin"], line["currency"]),
        )
        for line in lines
    ]
    return table(month, ("customer", "instance-days", "cost", "price", "margin"), rows)


def statement_table(statement: Statement) -> FittedTable:
    """What one customer is charged for a month."""
    rows = [
        (
            line.id_instance,
            line.name,
            str(line.first_day),
            str(line.last_day),
            line.days,
            "" if line.daily_price is None else f"{line.daily_price.normalize():f}",
            _money(line.amount, line.currency),
        )
        for line in statement.lines
    ]
    title = f"{statement.customer}, {statement.month:%Y-%m}"
    return table(title, ("instance", "name", "from", "to", "days", "price of a day", "amount"), rows)


def _money(amount: Decimal | None, currency: str | None) -> str:
    return "" if amount is None else f"{amount:,.2f} {currency}"
