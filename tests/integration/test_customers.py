"""Whose an instance is: what the views say of the table `customers`, on both databases."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import item, paid
from mirror import Mirror, account
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from syncer.storage.tables import customers, tariff_rates
from syncer.views import bill, figures
from syncer.views.catalogue import bi_attention, bi_costs_monthly, bi_customers_monthly, bi_instances, bi_leaks, read

UPSTREAM = "%Y-%m-%dT%H:%M:%S"


def real_now() -> datetime:
    """The views' own clock is the database's."""
    return datetime.now(UTC)  # noqa: TID251


def today() -> date:
    return (real_now() + timedelta(hours=3)).date()


def local(moment: datetime) -> str:
    """A moment as the upstream writes it."""
    return (moment + timedelta(hours=3)).strftime(UPSTREAM)


def assign(mirror: Mirror, *rows: dict[str, Any]) -> None:
    nothing = {"valid_to": None, "daily_price": None, "currency": None}
    with mirror.engine.begin() as connection:
        connection.execute(insert(customers), [nothing | row for row in rows])


def found(mirror: Mirror, query: Any) -> list[dict[str, Any]]:
    with mirror.engine.connect() as connection:
        return read(connection, query)


@pytest.fixture
def estate(mirror: Mirror) -> Mirror:
    """Four instances that have lived for ten days at two roubles a day."""
    born = (real_now() - timedelta(days=10)).replace(microsecond=0)
    mirror.now = born
    later = local(real_now() + timedelta(days=200))
    mirror.observe([paid(key, timeCreated=local(born), expirationDate=later) for key in (1, 2, 3, 4)])
    with mirror.engine.begin() as connection:
        connection.execute(
            insert(tariff_rates).values(
                tariff="BUSINESS", currency="RUB", daily_rate=Decimal(2), valid_from=date(2020, 1, 1)
            )
        )
    return mirror


def test_whose_it_is_goes_by_the_day_and_the_later_assignment_holds(estate: Mirror) -> None:
    day = today()
    assign(
        estate,
        {"id_instance": 1, "customer": "Ёлка", "valid_from": day - timedelta(days=3)},
        {"id_instance": 2, "customer": "gone", "valid_from": day - timedelta(days=3), "valid_to": day - timedelta(1)},
        {"id_instance": 3, "customer": "early", "valid_from": day - timedelta(days=3)},
        {"id_instance": 3, "customer": "late", "valid_from": day},
        {"id_instance": 4, "customer": "tomorrow", "valid_from": day + timedelta(days=1)},
    )

    owners = {row["id_instance"]: row["customer"] for row in found(estate, select(bi_instances))}

    assert {1: "Ёлка", 2: None, 3: "late", 4: None} == owners


def test_what_lay_within_another_assignment_leaves_it_whole(estate: Mirror) -> None:
    """As SQL may fill them: for three days another's, then the first one's again, and so until today."""
    day = today()
    within = {"customer": "within", "valid_from": day - timedelta(days=6), "valid_to": day - timedelta(days=4)}
    sold = {"daily_price": Decimal(5), "currency": "RUB"}
    assign(
        estate,
        {"id_instance": 1, "customer": "Ёлка", "valid_from": date(2020, 1, 1)} | sold,
        {"id_instance": 1} | within | sold,
        {"id_instance": 2, "customer": "Ёлка", "valid_from": date(2020, 1, 1), "valid_to": day - timedelta(days=2)},
        {"id_instance": 2} | within,
        {"id_instance": 99, "customer": "Ёлка", "valid_from": date(2020, 1, 1)} | sold,
        {"id_instance": 99} | within | sold,
    )

    owners = {row["id_instance"]: row["customer"] for row in found(estate, select(bi_instances))}
    leaks = {
        (row["id_instance"], row["leak"]): (row["customer"], row["days"])
        for row in found(estate, select(bi_leaks))
        if row["leak"] != "nobody"
    }
    days: dict[Any, int] = {}
    for row in found(estate, select(bi_customers_monthly)):
        days[row["customer"]] = days.get(row["customer"], 0) + row["instance_days"]
    this_month = [row for row in found(estate, select(bi_costs_monthly)) if row["month"] == f"{day:%Y-%m}"]

    assert {1: "Ёлка", 2: None, 3: None, 4: None} == owners
    assert {(2, "customer_left"): ("Ёлка", 2), (99, "gone_but_sold"): ("Ёлка", 4)} == leaks
    assert {"Ёлка": 8 + 6, "within": 3 + 3, None: 2 + 11 + 11} == days
    assert "Ёлка" == next(row["customer"] for row in this_month if row["id_instance"] == 1)


def test_a_customers_days_have_a_cost_a_price_and_a_margin(estate: Mirror) -> None:
    sold = {"customer": "Ёлка", "valid_from": date(2020, 1, 1), "daily_price": Decimal("5.5")}
    assign(
        estate,
        {"id_instance": 1, "currency": "RUB"} | sold,
        {"id_instance": 2, "currency": "USD"} | sold,
        {"id_instance": 3, "customer": "Ёлка", "valid_from": date(2020, 1, 1)},
    )

    sums: dict[Any, list[Any]] = {}
    for row in found(estate, select(bi_customers_monthly)):
        figures = sums.setdefault((row["customer"], row["cost_currency"], row["price_currency"]), [0, 0, 0, 0])
        for place, name in enumerate(("instance_days", "cost", "price", "margin")):
            figures[place] += row[name] or 0

    assert {
        ("Ёлка", "RUB", "RUB"): [11, 22, Decimal("60.5"), Decimal("38.5")],
        ("Ёлка", "RUB", "USD"): [11, 22, Decimal("60.5"), 0],
        ("Ёлка", "RUB", None): [11, 22, 0, 0],
        (None, "RUB", None): [11, 22, 0, 0],
    } == sums


def test_nobody_leaks_until_a_customer_is_known(estate: Mirror) -> None:
    assert [] == found(estate, select(bi_leaks))
    assign(estate, {"id_instance": 1, "customer": "a", "valid_from": date(2020, 1, 1)})

    assert {(2, 11, 22), (3, 11, 22), (4, 11, 22)} == {
        (row["id_instance"], row["days"], row["cost"])
        for row in found(estate, select(bi_leaks))
        if (row["leak"], row["customer"], row["account"]) == ("nobody", None, "default")
    }


def test_each_leak_is_told_with_its_days_and_their_cost(estate: Mirror) -> None:
    day = today()
    sold = {"customer": "Ёлка", "daily_price": Decimal(1), "currency": "RUB"}
    assign(
        estate,
        {"id_instance": 1, "valid_from": date(2020, 1, 1)} | sold,
        {"id_instance": 2, "valid_from": date(2020, 1, 1), "valid_to": day - timedelta(days=4)} | sold,
        {"id_instance": 3, "valid_from": date(2020, 1, 1)} | sold,
        {"id_instance": 4, "customer": "Ёлка", "valid_from": date(2020, 1, 1)},  # not sold
        {"id_instance": 99, "valid_from": day - timedelta(days=2)} | sold,
    )
    deleted = (real_now() - timedelta(days=2)).replace(microsecond=0)
    due = (real_now() - timedelta(days=1)).replace(microsecond=0)
    later = local(real_now() + timedelta(days=200))
    born = {"timeCreated": local(estate.now - timedelta(minutes=5)), "expirationDate": later}
    gone = {"deleted": True, "timeDeleted": local(deleted)}
    estate.now = real_now()
    told = [
        paid(1, **born | {"isExpired": True, "expirationDate": local(due)}),
        paid(2, **born),
        paid(3, **born | gone),
        paid(4, **born | gone),
    ]
    estate.observe(told, of=account(changed="100%"))

    leaks = {
        (row["id_instance"], row["leak"]): (row["customer"], row["days"], row["cost"])
        for row in found(estate, select(bi_leaks))
    }

    assert {
        (1, "expired_not_deleted"): ("Ёлка", 1, 2),
        (2, "customer_left"): ("Ёлка", 4, 8),
        (3, "gone_but_sold"): ("Ёлка", 2, 0),
        (99, "gone_but_sold"): ("Ёлка", 3, 0),
    } == leaks


def test_the_bill_by_customer_is_the_bill(estate: Mirror) -> None:
    sold = {"valid_from": date(2020, 1, 1), "daily_price": Decimal(5), "currency": "RUB"}
    assign(
        estate,
        {"id_instance": 1, "customer": "Ёлка"} | sold,
        {"id_instance": 2, "customer": "Nord"} | sold | {"currency": "USD"},
    )
    now, month = real_now(), today().replace(day=1)

    with estate.engine.connect() as connection:
        by_customer = bill.bill(connection, month, now, None, "customer")
        by_tariff = bill.bill(connection, month, now, "default")

    days = by_tariff["lines"][0]["days"] // 4
    assert by_tariff["totals"] == by_customer["totals"]
    assert [
        ("Nord", days, 2 * days, 5 * days, None),
        ("Ёлка", days, 2 * days, 5 * days, 3 * days),
        (None, 2 * days, 4 * days, None, None),
    ] == [
        (line["customer"], line["days"], line["amount"], line["price"], line["margin"]) for line in by_customer["lines"]
    ]


def test_what_is_paid_after_a_customer_left_is_told_once_in_the_report(estate: Mirror) -> None:
    day = today()
    gone = {"customer": "Ёлка", "valid_from": date(2020, 1, 1), "valid_to": day - timedelta(days=4)}
    assign(estate, {"id_instance": 1} | gone, {"id_instance": 2} | gone)
    due = (real_now() - timedelta(days=1)).replace(microsecond=0)
    born = {"timeCreated": local(estate.now - timedelta(minutes=5))}
    later = born | {"expirationDate": local(real_now() + timedelta(days=200))}
    expired = born | {"isExpired": True, "expirationDate": local(due)}
    estate.now = real_now()
    estate.observe([paid(1, **later), paid(2, **expired), paid(3, **later), paid(4, **later)])

    with estate.engine.connect() as connection:
        told = figures.read_figures(connection, real_now(), None)["paid_for_nothing"]

    assert [
        ("expired_not_deleted", 1, [{"days": 1, "amount": 2, "currency": "RUB"}]),
        ("lived_under_a_day", 0, []),
        ("customer_left", 2, [{"days": 7, "amount": 14, "currency": "RUB"}]),
    ] == [(one["leak"], one["instances"], one["totals"]) for one in told]


def test_what_two_accounts_list_needs_attention_once(mirror: Mirror) -> None:
    for name in ("a", "b", "c"):
        mirror.observe([item(1), item(ord(name))], of=account(name))

    attention = [row for row in found(mirror, select(bi_attention)) if row["reason"] == "claimed_twice"]

    second = mirror.runs()[1]
    assert [(1, "a", second["finished_at"], 3)] == [
        (row["id_instance"], row["account"], row["since"], row["severity"]) for row in attention
    ]


@pytest.mark.parametrize("mirror", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "values",
    [
        "(1, 'a', '01.10.2026', NULL, NULL, NULL)",
        "(1, 'a', '2026-10-01 00:00:00', NULL, NULL, NULL)",
        "(1, 'a', '2026-10-01', '2026-10-32', NULL, NULL)",
        "(1, 'a', '2026-10-01', NULL, '12,50', 'RUB')",
        "('1a', 'a', '2026-10-01', NULL, NULL, NULL)",
    ],
)
def test_sqlite_refuses_what_postgresql_could_not_read(mirror: Mirror, values: str) -> None:
    with pytest.raises(IntegrityError), mirror.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO customers VALUES {values}"))


@pytest.mark.parametrize(
    "values",
    [
        "(1, 'a', '2026-10-02', '2026-10-01', NULL, NULL)",
        "(1, 'a', '2026-10-02', NULL, 1, NULL)",
        "(1, 'a', '2026-10-02', NULL, NULL, 'RUB')",
        "(1, 'a', '2026-10-02', NULL, -1, 'RUB')",
        "(1, 'a', '2026-10-02', NULL, 1, 'RU')",
        "(1, '', '2026-10-02', NULL, NULL, NULL)",
        "(0, 'a', '2026-10-02', NULL, NULL, NULL)",
        "(1, 'a', '2026-10-01', NULL, NULL, NULL), (1, 'b', '2026-10-01', NULL, NULL, NULL)",
    ],
)
def test_the_database_refuses_what_makes_no_sense(mirror: Mirror, values: str) -> None:
    with pytest.raises(IntegrityError), mirror.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO customers VALUES {values}"))
