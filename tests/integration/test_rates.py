"""The price table on both databases."""

from datetime import date
from decimal import Decimal

import pytest
from mirror import Mirror

from syncer.errors import ConfigurationError
from syncer.storage import database
from syncer.views import rates

ROUBLES = (Decimal("12.5"), "RUB")
DOLLARS = (Decimal(10), "USD")


def set_rate(mirror: Mirror, price: tuple[Decimal, str], day: date) -> None:
    with database.writing(mirror.engine, "setting the rate") as connection:
        rates.set_rate(connection, "X", *price, day)


@pytest.mark.parametrize(
    "entered",
    [
        [(DOLLARS, date(2025, 2, 4)), (ROUBLES, date(2025, 1, 22))],
        [(ROUBLES, date(2025, 1, 22)), (DOLLARS, date(2025, 2, 4))],
    ],
    ids=["the later first", "the earlier first"],
)
def test_two_currencies_of_a_tariff_in_one_month_are_refused_in_either_order(
    mirror: Mirror, entered: list[tuple[tuple[Decimal, str], date]]
) -> None:
    """Dollars from the fourth on: the month would begin in roubles."""
    (first, second) = entered
    set_rate(mirror, *first)

    with pytest.raises(ConfigurationError, match="X would cost RUB and USD in 2025-02"):
        set_rate(mirror, *second)
    with mirror.engine.connect() as connection:
        assert [first[0][1]] == [rate.currency for rate in rates.read_rates(connection)]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_currency_may_change_with_the_month(mirror: Mirror, is_reversed: bool) -> None:
    entered = [(ROUBLES, date(2025, 1, 22)), (DOLLARS, date(2025, 2, 1))]
    for price, day in reversed(entered) if is_reversed else entered:
        set_rate(mirror, price, day)

    with mirror.engine.connect() as connection:
        assert ["RUB", "USD"] == [rate.currency for rate in rates.read_rates(connection)]


def test_a_removed_price_leaves_the_one_before_it(mirror: Mirror) -> None:
    set_rate(mirror, ROUBLES, date(2025, 1, 22))
    set_rate(mirror, (Decimal(13), "RUB"), date(2025, 2, 4))

    with database.writing(mirror.engine, "removing the rate") as connection:
        rates.remove_rate(connection, "X", date(2025, 2, 4))

    with mirror.engine.connect() as connection:
        held = rates.price_on(rates.read_rates(connection), "X", date(2025, 3, 1))
    assert held is not None
    assert Decimal("12.5") == held.daily_rate


def test_a_removal_after_which_a_month_has_two_currencies_is_refused(mirror: Mirror) -> None:
    """Without the dollars of the first, March would begin in roubles and go on in dollars."""
    set_rate(mirror, ROUBLES, date(2025, 1, 22))
    set_rate(mirror, DOLLARS, date(2025, 3, 1))
    set_rate(mirror, (Decimal(11), "USD"), date(2025, 3, 15))

    with (
        pytest.raises(ConfigurationError, match="rates remove: X would cost RUB and USD in 2025-03"),
        database.writing(mirror.engine, "removing the rate") as connection,
    ):
        rates.remove_rate(connection, "X", date(2025, 3, 1))

    with mirror.engine.connect() as connection:
        assert 3 == len(rates.read_rates(connection))


@pytest.mark.parametrize(
    ("tariff", "words"),
    [("X", "no price of X begins on 2025-01-23; they begin on: 2025-01-22"), ("Y", "Y has no price; known are: X")],
)
def test_a_price_that_is_not_there_is_told_with_those_that_are(mirror: Mirror, tariff: str, words: str) -> None:
    set_rate(mirror, ROUBLES, date(2025, 1, 22))

    with (
        pytest.raises(ConfigurationError, match=words),
        database.writing(mirror.engine, "removing the rate") as connection,
    ):
        rates.remove_rate(connection, tariff, date(2025, 1, 23))
