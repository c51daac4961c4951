"""The price table: what a day of an instance costs by its tariff. Filled by the user, as the API has no prices."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import Connection, Date, bindparam, select, text

from syncer.errors import ConfigurationError, did_you_mean
from syncer.storage.tables import instances

LARGEST_RATE = Decimal(1_000_000)  # of a day; a month's sum of millionths still fits into 64 bits
MILLIONTH = Decimal("0.000001")


class Rate(NamedTuple):
    """What one day of one instance costs from a day on; `valid_to` is the day of the next rate, None for the last."""

    tariff: str
    currency: str
    daily_rate: Decimal
    valid_from: date
    valid_to: date | None


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)


def read_rates(connection: Connection) -> list[Rate]:
    """Every rate, by tariff and day."""
    query = text("SELECT tariff, currency, CAST(daily_rate AS TEXT) AS daily_rate, valid_from FROM tariff_rates")
    rows = sorted(connection.execute(query.columns(valid_from=Date)), key=lambda row: (row.tariff, row.valid_from))
    following = {
        (row.tariff, row.valid_from): later.valid_from for row, later in pairwise(rows) if row.tariff == later.tariff
    }
    return [
        Rate(
            row.tariff,
            row.currency,
            Decimal(row.daily_rate).quantize(MILLIONTH),
            row.valid_from,
            following.get((row.tariff, row.valid_from)),
        )
        for row in rows
    ]


def tariffs_in_use(connection: Connection) -> list[str]:
    """The tariffs of live instances, in their order as text."""
    found = select(instances.c.tariff).where(
        ~instances.c.deleted, instances.c.missing_since.is_(None), instances.c.tariff.is_not(None)
    )
    return sorted(connection.scalars(found.distinct()))


def set_rate(connection: Connection, tariff: str, daily_rate: Decimal, currency: str, valid_from: date) -> None:
    """Record what a tariff costs from a day on; the same day again replaces it.

    Raises `ConfigurationError` where a month would end up with two currencies.
    """
    currencies = {rate.valid_from: rate.currency for rate in read_rates(connection) if rate.tariff == tariff}
    _refuse_two_in_a_month("rates set", tariff, currencies | {valid_from: currency})
    connection.execute(
        text(
            "INSERT INTO tariff_rates (tariff, currency, daily_rate, valid_from) "
            "VALUES (:tariff, :currency, CAST(:daily_rate AS NUMERIC), :valid_from) "
            "ON CONFLICT (tariff, valid_from) "
            "DO UPDATE SET currency = excluded.currency, daily_rate = excluded.daily_rate"
        ).bindparams(bindparam("valid_from", type_=Date)),
        {"tariff": tariff, "currency": currency, "daily_rate": str(daily_rate), "valid_from": valid_from},
    )


def remove_rate(connection: Connection, tariff: str, valid_from: date) -> None:
    """Take away the price that begins on a day; the one before it holds on, if there is one.

    Raises `ConfigurationError` where there is none, or a month would end up with two currencies.
    """
    currencies = {rate.valid_from: rate.currency for rate in read_rates(connection) if rate.tariff == tariff}
    if not currencies:
        tariffs = sorted({rate.tariff for rate in read_rates(connection)})
        raise ConfigurationError(f"rates remove: {tariff} has no price; {did_you_mean(tariff, tariffs)}")
    if valid_from not in currencies:
        days = ", ".join(map(str, sorted(currencies)))
        raise ConfigurationError(f"rates remove: no price of {tariff} begins on {valid_from}; they begin on: {days}")
    del currencies[valid_from]
    _refuse_two_in_a_month("rates remove", tariff, currencies)
    connection.execute(
        text("DELETE FROM tariff_rates WHERE tariff = :tariff AND valid_from = :valid_from").bindparams(
            bindparam("valid_from", type_=Date)
        ),
        {"tariff": tariff, "valid_from": valid_from},
    )


def _refuse_two_in_a_month(doing: str, tariff: str, currencies: Mapping[date, str]) -> None:
    """Raise `ConfigurationError` where a tariff's prices, each from its day on, give a month two currencies."""
    for (_, before), (day, after) in pairwise(sorted(currencies.items())):
        if before != after and day.day != 1:
            raise ConfigurationError(
                f"{doing}: {tariff} would cost {before} and {after} in {day:%Y-%m}; "
                "change the currency from the first day of a month"
            )


def price_on(rates: Sequence[Rate], tariff: str | None, day: date) -> Rate | None:
    """The rate of a tariff that holds on a day."""
    for rate in rates:
        if rate.tariff == tariff and rate.valid_from <= day and (rate.valid_to is None or day < rate.valid_to):
            return rate
    return None


def parse_rate(text_: str) -> Decimal:
    """A price per day; raises `ConfigurationError`."""
    refuse_ambiguous("RATE", text_)
    return checked_price("RATE", text_, parse_amount(text_))


def checked_price(where: str, written: str, amount: Decimal | None) -> Decimal:
    """The amount that was written, if it can be the price of a day; raises `ConfigurationError`."""
    if amount is not None and amount > LARGEST_RATE:
        raise ConfigurationError(
            f"{where}: {written!r} is more than the largest price per day that works, {LARGEST_RATE}"
        )
    if amount is None or amount < 0 or amount != amount.quantize(MILLIONTH):
        raise ConfigurationError(f"{where}: {written!r} is no price per day such as 12.50, with at most 6 decimals")
    return amount


def parse_currency(text_: str) -> str:
    """A currency's ISO code in upper case; raises `ConfigurationError`."""
    if not re.fullmatch(r"[A-Za-z]{3}", text_):
        raise ConfigurationError(f"CURRENCY: {text_!r} is no code of three letters such as RUB, KZT or USD")
    return text_.upper()


def parse_day(flag: str, text_: str) -> date:
    """A day as YYYY-MM-DD; raises `ConfigurationError`."""
    try:
        return date.fromisoformat(text_ if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text_) else "")
    except ValueError:
        pass
    raise ConfigurationError(f"{flag}: {text_!r} is no day such as 2026-11-01")


def parse_amount(written: str) -> Decimal | None:
    """A number as people write it: 1234.5, 1 234,50, 1,234.50 or 1,234,567; None if it is none."""
    cleaned = re.sub(r"[\s\u00a0\u202f']", "", written)
    if re.fullmatch(r"[+-]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+|[+-]?[0-9]{1,3}(,[0-9]{3}){2,}", cleaned):
        cleaned = cleaned.replace(",", "")
    cleaned = cleaned.replace(",", ".")
    return Decimal(cleaned) if re.fullmatch(r"[+-]?[0-9]{1,30}(\.[0-9]{1,20})?", cleaned) else None


def refuse_ambiguous(where: str, written: str) -> None:
    """Raise `ConfigurationError` for one comma before exactly three digits: it may divide thousands or decimals."""
    cleaned = re.sub(r"[\s\u00a0\u202f']", "", written)
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]{3}", cleaned):
        whole, decimal = cleaned.replace(",", ""), cleaned.replace(",", ".")
        raise ConfigurationError(
            f"{where}: {written!r} can be read in two ways; write {whole}, or {decimal} with a point"
        )
