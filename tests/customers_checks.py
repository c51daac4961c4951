"""What the views say of customers over random estates: against the model, and against the bill without any model."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from figures_checks import expectations, real_now, rows, unmet
from figures_model import FiguresModel
from sqlalchemy import Connection

OF_CUSTOMERS = {"bi_customers_monthly", "bi_leaks", "bi_costs_monthly", "bi_instances", "bi_billing_monthly"}


def customer_differences(connection: Connection, model: FiguresModel) -> list[str]:
    """Every figure of customers that is not the model's, or whose sum is not the bill's, one a line."""
    met = (one for one in expectations(model, real_now()) if one.name in OF_CUSTOMERS)
    return [*(line for one in met for line in unmet(connection, one)), *_sums(connection)]


def _sums(connection: Connection) -> Iterator[str]:
    """Over customers, nobody included: days and cost of each month, account and currency are the bill's."""
    billed, owned = _sum(connection, "bi_billing_monthly"), _sum(connection, "bi_customers_monthly")
    for key in sorted(billed.keys() | owned.keys(), key=str):
        if billed.get(key) != owned.get(key):
            yield f"sum of {key}: billed {billed.get(key)}, of customers {owned.get(key)}"


def _sum(connection: Connection, view: str) -> dict[tuple[Any, ...], Decimal]:
    sums: dict[tuple[Any, ...], Decimal] = {}
    for row in rows(connection, view):
        currency, amount = (row.get("currency"), row.get("amount")) if "amount" in row else (None, None)
        if "cost" in row:
            currency, amount = row["cost_currency"], row["cost"]
        days = (row["month"], row["account"])
        sums[days] = sums.get(days, Decimal()) + row["instance_days"]
        if amount is not None:
            sums[*days, currency] = sums.get((*days, currency), Decimal()) + amount
    return sums
