"""A customer's statement of a month, on both databases: its own days at its own price, and nothing of anybody else."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from builders import paid
from mirror import Mirror, account
from sqlalchemy import insert

from syncer.storage.tables import customers, tariff_rates
from syncer.views.bill import bill
from syncer.views.report.page import statement_page
from syncer.views.statement import Statement, known_customers, read_statement
from syncer.words.language import Language

NOW = datetime(2026, 11, 15, 9, tzinfo=UTC)
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
BORN = "2026-09-20T12:00:00"


@pytest.fixture
def sold(mirror: Mirror) -> Mirror:
    """Ёлка has one instance in October, and another until the tenth, which is then Nord's and is renamed so."""
    rows: list[tuple[Any, ...]] = [
        (1, "Ёлка <b>", date(2026, 9, 1), None, Decimal("12.5"), "RUB"),
        (2, "Ёлка <b>", date(2026, 9, 1), date(2026, 10, 10), Decimal("1.333333"), "USD"),
        (2, "Nord", date(2026, 10, 11), None, Decimal(99), "RUB"),
        (3, "Nord", date(2026, 9, 1), None, None, None),
    ]
    with mirror.engine.begin() as connection:
        connection.execute(insert(customers), [dict(zip(customers.columns.keys(), row, strict=True)) for row in rows])
        rate = {"tariff": "BUSINESS", "currency": "RUB", "daily_rate": Decimal("7.77"), "valid_from": date(2020, 1, 1)}
        connection.execute(insert(tariff_rates), [rate])
    mirror.now = datetime(2026, 9, 20, 10, tzinfo=UTC)
    later = {"timeCreated": BORN, "expirationDate": "2027-05-01T00:00:00"}
    mirror.observe([paid(1, name="shop", **later), paid(2, name="stand", **later), paid(3, name="stall", **later)])
    mirror.now = datetime(2026, 10, 12, 10, tzinfo=UTC)
    gone = {"deleted": True, "timeDeleted": "2026-10-12T12:00:00"}
    mirror.observe(
        [paid(1, name="shop", **later | gone), paid(2, name="for Nord", **later), paid(3, name="stall", **later)],
        of=account(changed="100%"),
    )
    return mirror


def statement(mirror: Mirror, customer: str, month: date) -> Statement:
    with mirror.engine.connect() as connection:
        return read_statement(connection, customer, month, NOW)


def test_a_customer_is_charged_for_the_days_that_were_its_own(sold: Mirror) -> None:
    found = statement(sold, "Ёлка <b>", OCTOBER)

    assert [
        (1, "shop", OCTOBER, date(2026, 10, 12), 12, Decimal("12.5"), "RUB", Decimal(150)),
        (2, "stand", OCTOBER, date(2026, 10, 10), 10, Decimal("1.333333"), "USD", Decimal("13.33333")),
    ] == [tuple(line) for line in found.lines]
    assert {"RUB": Decimal(150), "USD": Decimal("13.33333")} == found.totals
    assert not found.is_under_way


def test_the_day_of_creation_counts_and_the_month_under_way_ends_today(sold: Mirror) -> None:
    september, november = statement(sold, "Nord", date(2026, 9, 1)), statement(sold, "Nord", NOVEMBER)

    assert [(3, 11, None)] == [(line.id_instance, line.days, line.amount) for line in september.lines]
    assert [(2, 15, Decimal(1485)), (3, 15, None)] == [
        (line.id_instance, line.days, line.amount) for line in november.lines
    ]
    assert (True, date(2026, 11, 15)) == (november.is_under_way, november.until)


def test_a_month_without_days_is_an_empty_statement(sold: Mirror) -> None:
    assert [] == statement(sold, "Ёлка <b>", NOVEMBER).lines
    assert "There were no instances in this month." in statement_page(
        statement(sold, "Ёлка <b>", NOVEMBER), Language.EN
    )


def test_the_statements_of_all_customers_are_their_lines_of_the_bill(sold: Mirror) -> None:
    with sold.engine.connect() as connection:
        lines = bill(connection, OCTOBER, NOW, None, "customer")["lines"]
        names = known_customers(connection)
    billed: dict[Any, Decimal] = {}
    for line in lines:
        if line["price"] is not None:
            billed[line["customer"], line["price_currency"]] = line["price"]

    assert ["Nord", "Ёлка <b>"] == names
    assert billed == {
        (name, currency): amount for name in names for currency, amount in statement(sold, name, OCTOBER).totals.items()
    }


@pytest.mark.parametrize("language", Language)
def test_the_page_is_self_contained_and_tells_nothing_of_cost_or_of_others(sold: Mirror, language: Language) -> None:
    head, _, page = statement_page(statement(sold, "Ёлка <b>", OCTOBER), language).partition("</style>")
    others = ("Nord", "7.77", "7,77", "93.24", "93,24", "margin", "stall")

    assert "Ёлка &lt;b&gt;" in page
    assert {"shop", "stand", "150"} <= set(re.findall(r"\w+", page))
    assert [] == [word for word in others if word in page]
    assert [] == [word for word in ("src=", "http", "<script", "url(", "@import") if word in head + page]


def test_the_page_speaks_the_language_that_is_asked_for(sold: Mirror) -> None:
    page = statement_page(statement(sold, "Ёлка <b>", OCTOBER), Language.RU)

    assert "Отчёт за октябрь\u00a02026" in page
    assert "22 инстансо-дня" in page
    assert "1,333333\u00a0USD" in page
