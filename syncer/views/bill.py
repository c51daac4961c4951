"""What a month costs by the upstream's rule, what tonight will, and what each instance was charged for.

An instance is charged when created, and at every 00:00 UTC+3 at which it exists and is not deleted (UPSTREAM, Life).
The sums are those of the view `bi_billing_monthly`; one instance's days are read off its history.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from sqlalchemy import Connection, Date, bindparam, select, text

from syncer.errors import ConfigurationError
from syncer.model import Transition
from syncer.storage.tables import instance_history, instances
from syncer.views.catalogue import BILLING_OFFSET, bi_billing_monthly, bi_daily, billing_day, read

LARGEST_RATE = Decimal(10) ** 12
MILLIONTH = Decimal("0.000001")
STEPS = ("created", "restored", "deleted", "vanished", "reappeared", "changed")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class Rate(NamedTuple):
    """What one day of one instance costs from a day on; `valid_to` is the day of the next rate, None for the last."""

    tariff: str
    currency: str
    daily_rate: Decimal
    valid_from: date
    valid_to: date | None


class Step(NamedTuple):
    """A row of history that can begin or end a stretch of life."""

    id_instance: int
    account: str
    tariff: str | None
    transition: Transition
    occurred_at: datetime
    deleted: bool


class Charge(NamedTuple):
    """What one key, an instance or a tariff, comes to; `amount` is None without a rate or in two currencies."""

    days: int
    amount: Decimal | None
    currency: str | None


def month_of(text_: str, today: date) -> date:
    """The first day of a month written YYYY-MM; raises `ConfigurationError` for anything else, or a month to come."""
    if not _MONTH.fullmatch(text_) or text_.startswith("0000"):
        raise ConfigurationError(f"MONTH: {text_!r} is no month such as {today:%Y-%m}")
    month = date(int(text_[:4]), int(text_[5:]), 1)
    if month > today:
        raise ConfigurationError(f"MONTH: {text_} has not begun; the last month that can be billed is {today:%Y-%m}")
    return month


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)


def read_rates(connection: Connection) -> list[Rate]:
    """Every rate, by tariff and day."""
    query = text(
        "SELECT tariff, currency, CAST(daily_rate AS TEXT) AS daily_rate, valid_from FROM tariff_rates "
        "ORDER BY tariff, valid_from"
    ).columns(valid_from=Date)
    rows = connection.execute(query).all()
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

    Raises `ConfigurationError` where a month would end up with two currencies, and so without an amount.
    """
    for rate in read_rates(connection):
        if rate.tariff != tariff or rate.currency == currency or rate.valid_from == valid_from:
            continue
        begins_inside = rate.valid_from < valid_from and valid_from.day != 1
        if (begins_inside and (rate.valid_to is None or rate.valid_to > valid_from)) or (
            valid_from < rate.valid_from < next_month(valid_from)
        ):
            raise ConfigurationError(
                f"rates set: {tariff} would cost {rate.currency} and {currency} in one month; "
                "change the currency from the first day of a month"
            )
    connection.execute(
        text(
            "INSERT INTO tariff_rates (tariff, currency, daily_rate, valid_from) "
            "VALUES (:tariff, :currency, CAST(:daily_rate AS NUMERIC), :valid_from) "
            "ON CONFLICT (tariff, valid_from) "
            "DO UPDATE SET currency = excluded.currency, daily_rate = excluded.daily_rate"
        ).bindparams(bindparam("valid_from", type_=Date)),
        {"tariff": tariff, "currency": currency, "daily_rate": str(daily_rate), "valid_from": valid_from},
    )


def parse_rate(text_: str) -> Decimal:
    """A price per day; raises `ConfigurationError`."""
    amount = parse_amount(text_)
    if amount is None or not 0 <= amount < LARGEST_RATE or amount != amount.quantize(MILLIONTH):
        raise ConfigurationError(f"RATE: {text_!r} is no price per day such as 12.50, with at most 6 decimals")
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


def bill(connection: Connection, month: date, now: datetime, account: str | None) -> dict[str, Any]:
    """The month by tariff and type, with totals by currency; for the month under way a forecast, and tonight's charge.

    The forecast adds, for every 00:00 (UTC+3) of the month that is still to come, what lives now at that day's rate.
    """
    today = billing_day(now)
    in_account = [bi_billing_monthly.c.account == account] if account is not None else []
    rows = read(
        connection,
        select(bi_billing_monthly).where(bi_billing_monthly.c.month == f"{month:%Y-%m}", *in_account),
    )
    lines: dict[tuple[str | None, str | None], Charge] = {}
    for row in rows:
        key = (row["tariff"], row["type_instance"])
        lines[key] = _plus(lines.get(key), Charge(row["instance_days"], row["amount"], row["currency"]))
    document: dict[str, Any] = {
        "month": f"{month:%Y-%m}",
        "account": account,
        "lines": [
            {"tariff": tariff, "type_instance": kind, **charge._asdict()}
            for (tariff, kind), charge in sorted(lines.items(), key=lambda line: [str(part) for part in line[0]])
        ],
        "totals": _totals(lines.values()),
    }
    if today.replace(day=1) == month:
        live = _live_now(connection, today, account)
        rates = read_rates(connection)
        tonight = today + timedelta(days=1)
        nights = [tonight + timedelta(days=n) for n in range((next_month(month) - tonight).days)]
        document["tonight"] = {
            "at": datetime.combine(tonight, datetime.min.time(), UTC) - BILLING_OFFSET,
            "totals": _totals(_charged_on(live, rates, [tonight])),
        }
        document["forecast"] = _totals([*lines.values(), *_charged_on(live, rates, nights)])
    return document


def _live_now(connection: Connection, today: date, account: str | None) -> dict[str | None, int]:
    query = select(bi_daily.c.tariff, bi_daily.c.live).where(bi_daily.c.day == today, bi_daily.c.live > 0)
    if account is not None:
        query = query.where(bi_daily.c.account == account)
    live: dict[str | None, int] = defaultdict(int)
    for row in connection.execute(query):
        live[row.tariff] += row.live
    return live


def _charged_on(live: Mapping[str | None, int], rates: Sequence[Rate], days: Iterable[date]) -> list[Charge]:
    return [_priced(tariff, n, day, rates) for day in days for tariff, n in live.items()]


def _priced(tariff: str | None, days: int, day: date, rates: Sequence[Rate]) -> Charge:
    for rate in rates:
        if rate.tariff == tariff and rate.valid_from <= day and (rate.valid_to is None or day < rate.valid_to):
            return Charge(days, rate.daily_rate * days, rate.currency)
    return Charge(days, None, None)


def _plus(one: Charge | None, other: Charge) -> Charge:
    if one is None:
        return other
    if one.amount is None or other.amount is None or one.currency != other.currency:
        return Charge(one.days + other.days, None, None)
    return Charge(one.days + other.days, one.amount + other.amount, one.currency)


def _totals(charges: Iterable[Charge]) -> list[dict[str, Any]]:
    """Sums by currency; what has no rate has a line of its own, without an amount."""
    by_currency: dict[str | None, Charge] = {}
    for charge in charges:
        by_currency[charge.currency] = _plus(by_currency.get(charge.currency), charge)
    return [charge._asdict() for _, charge in sorted(by_currency.items(), key=lambda pair: pair[0] or "~")]


def read_steps(connection: Connection) -> Iterator[Step]:
    """The steps of every instance in the order of their ids; a later one may tell of a deletion before an earlier."""
    columns = instance_history.c
    query = (
        select(
            columns.id_instance,
            columns.account,
            columns.tariff,
            columns.transition,
            columns.occurred_at,
            columns.deleted,
            columns.changes,
        )
        .where(columns.transition.in_(STEPS))
        .order_by(columns.id_instance, columns.id)
        .execution_options(yield_per=5_000)
    )
    for row in connection.execute(query):
        if row.transition != Transition.CHANGED or {"tariff", "account"} & json.loads(row.changes).keys():
            yield Step(
                row.id_instance, row.account, row.tariff, Transition(row.transition), row.occurred_at, row.deleted
            )


def charged_days(steps: Sequence[Step], first: date, end: date) -> Iterator[tuple[Step, date]]:
    """The days from `first` until before `end` for which one instance is charged, each with the step it lives since.

    `steps` are those of the instance in the order of their ids. Pure: the rule of CONTRACT 7, instance by instance.
    """
    if steps and steps[0].transition is Transition.CREATED and first <= billing_day(steps[0].occurred_at) < end:
        yield steps[0], billing_day(steps[0].occurred_at)
    for step, following in _stretches(steps):
        day = max(first, billing_day(step.occurred_at) + timedelta(days=1))
        while day < end and (following is None or _is_there(_midnight(day), following)):
            yield step, day
            day += timedelta(days=1)


def _stretches(steps: Sequence[Step]) -> list[tuple[Step, Step | None]]:
    """Each step that begins a stretch of life, with the step that ends it: the view `irregular_lives` in Python.

    A deletion, however late it was told, ends every stretch since the deletion before it.
    """
    stretches: list[tuple[Step, Step | None]] = []
    following: Step | None = None
    deletion: Step | None = None
    for step in reversed(steps):
        if step.deleted and step.transition in {Transition.REAPPEARED, Transition.CHANGED}:
            continue
        if step.transition is Transition.DELETED:
            deletion = step
        elif step.transition is not Transition.VANISHED:
            stretches.append((step, _earlier(deletion, following)))
        following = step
    return stretches[::-1]


def _earlier(deletion: Step | None, following: Step | None) -> Step | None:
    """Which of the two ends a stretch: what was seen next, or the deletion told after it."""
    if deletion is None or following is None or following.occurred_at < deletion.occurred_at:
        return following
    return deletion


def _is_there(midnight: datetime, following: Step) -> bool:
    """Whether a stretch of life that `following` ends is still there at a midnight."""
    if following.transition in {Transition.DELETED, Transition.VANISHED}:
        return midnight < following.occurred_at
    return midnight <= following.occurred_at


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC) - BILLING_OFFSET


def charges_by_instance(connection: Connection, month: date, now: datetime, account: str | None) -> dict[int, Charge]:
    """What every instance comes to in a month, until today."""
    end = min(next_month(month), billing_day(now) + timedelta(days=1))
    rates = read_rates(connection)
    charges: dict[int, Charge] = {}
    for id_instance, steps in groupby(read_steps(connection), key=lambda step: step.id_instance):
        for step, day in charged_days(list(steps), month, end):
            if account in {None, step.account}:
                charges[id_instance] = _plus(charges.get(id_instance), _priced(step.tariff, 1, day, rates))
    return charges


def parse_amount(written: str) -> Decimal | None:
    """A number as people write it: 1234.5, 1 234,50 or 1,234.50; None if it is none."""
    cleaned = re.sub(r"[\s\u00a0\u202f']", "", written)
    if re.fullmatch(r"[+-]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+", cleaned):
        cleaned = cleaned.replace(",", "")
    cleaned = cleaned.replace(",", ".")
    try:
        return Decimal(cleaned) if re.fullmatch(r"[+-]?[0-9]{1,30}(\.[0-9]{1,20})?", cleaned) else None
    except InvalidOperation:
        return None


def charges_by_tariff(document: Mapping[str, Any]) -> dict[str, Charge]:
    """A bill's lines by tariff alone."""
    charges: dict[str, Charge] = {}
    for line in document["lines"]:
        key = line["tariff"] or ""
        charges[key] = _plus(charges.get(key), Charge(line["days"], line["amount"], line["currency"]))
    return charges
