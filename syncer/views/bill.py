"""What a month costs by the upstream's rule, what tonight will, and what of it is not certain.

An instance is charged when created, and at every 00:00 UTC+3 at which it exists and is not deleted (UPSTREAM, Life).
The sums are those of the views `bi_billing_monthly` and `bi_costs_monthly`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from syncer.errors import ConfigurationError
from syncer.rules.timeline import END_OF_BELIEVED, FIRST_BELIEVED, billing_day, first_midnight, midnight_of
from syncer.storage.tables import ended_lives, instance_history, instances, sync_runs
from syncer.views.catalogue import bi_billing_monthly, bi_costs_monthly, bi_customers_monthly, exact, read
from syncer.views.rates import Rate, next_month, price_on, read_rates

UNCERTAIN_AFTER = timedelta(days=1)  # between the last answer that listed an instance and the first without it
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class Charge(NamedTuple):
    """What one key comes to: `amount` is that of the days with a rate, None where none has; `unpriced_days` the others.

    `currency` is None too where two currencies meet, and then there is no amount.
    """

    days: int
    amount: Decimal | None
    currency: str | None
    unpriced_days: int = 0


_LINE = ("id_instance", "name", "account", "tariff", *Charge._fields)


def month_of(text_: str | None, today: date) -> date:
    """The first day of a month written YYYY-MM, of this month by default; raises `ConfigurationError` for another."""
    if text_ is None:
        return today.replace(day=1)
    if not _MONTH.fullmatch(text_) or text_.startswith("0000"):
        raise ConfigurationError(f"MONTH: {text_!r} is no month such as {today:%Y-%m}")
    month = date(int(text_[:4]), int(text_[5:]), 1)
    if not FIRST_BELIEVED.date() <= month < END_OF_BELIEVED.date():
        raise ConfigurationError(f"MONTH: {text_} lies before 2010 or after 2199; give one such as {today:%Y-%m}")
    if month > today:
        raise ConfigurationError(f"MONTH: {text_} has not begun; the last month that can be billed is {today:%Y-%m}")
    return month


def bill(connection: Connection, month: date, now: datetime, account: str | None, by: str = "tariff") -> dict[str, Any]:
    """The month by tariff and type, instance or customer, with totals by currency; forecast and tonight's of this one.

    The forecast adds, for every 00:00 (UTC+3) of the month that is still to come, what lives now at that day's rate.
    """
    today = billing_day(now)
    lines: list[dict[str, Any]]
    charges: list[Charge]
    if by == "instance":
        costs = _costs(connection, month, account)
        costs.sort(key=lambda cost: (cost[0], cost[1], cost[2] is None, cost[2] or ""))
        charges = [charge for *_, charge in costs]
        lines = [
            dict(zip(_LINE, (key, name, owner, tariff, *charge), strict=True))
            for key, owner, tariff, name, charge in costs
        ]
    elif by == "customer":
        lines = _of_customers(connection, month, account)
        charges = [Charge(*(line[name] for name in Charge._fields)) for line in lines]
    else:
        of_tariffs = _charges(connection, month, account)
        charges = list(of_tariffs.values())
        lines = [
            {"tariff": tariff, "type_instance": kind, **charge._asdict()}
            for (tariff, kind), charge in sorted(of_tariffs.items(), key=lambda line: _nulls_last(line[0]))
        ]
    document: dict[str, Any] = {
        "month": f"{month:%Y-%m}",
        "account": account,
        "by": by,
        "lines": lines,
        "totals": totals(charges),
        "uncertain": _uncertain(connection, month, account),
        "blind_gaps": _blind_gaps(connection, month, account),
    }
    if today.replace(day=1) == month:
        tonight, live = today + timedelta(days=1), _live_now(connection, account)
        document["tonight"] = {
            "at": midnight_of(tonight),
            "totals": totals(charged_on(live, read_rates(connection), [tonight])),
        }
        document["forecast"] = totals([*charges, *still_to_come(connection, today, live)])
    return document


def still_to_come(connection: Connection, today: date, live: Mapping[str | None, int]) -> list[Charge]:
    """What the nights of this month that are still to come will cost, if what lives now, by tariff, lives on."""
    tonight = today + timedelta(days=1)
    nights = [tonight + timedelta(days=n) for n in range((next_month(today) - tonight).days)]
    return charged_on(live, read_rates(connection), nights)


def _charges(connection: Connection, month: date, account: str | None) -> dict[tuple[str | None, str | None], Charge]:
    query = select(bi_billing_monthly).where(bi_billing_monthly.c.month == f"{month:%Y-%m}")
    if account is not None:
        query = query.where(bi_billing_monthly.c.account == account)
    charges: dict[tuple[str | None, str | None], Charge] = {}
    for row in read(connection, query):
        key = (row["tariff"], row["type_instance"])
        charges[key] = plus(charges.get(key), _charge(row))
    return charges


def _charge(row: Mapping[str, Any]) -> Charge:
    return Charge(row["instance_days"], row["amount"], row["currency"], row["unpriced_days"])


def _costs(
    connection: Connection, month: date, account: str | None
) -> list[tuple[int, str, str | None, str | None, Charge]]:
    """What each instance comes to under each account and tariff: id, account, tariff, name, charge."""
    costs = bi_costs_monthly.c
    named = (costs.id_instance, costs.account, costs.tariff, costs.name)
    query = select(*named, costs.instance_days, costs.amount, costs.currency, costs.unpriced_days)
    query = query.where(costs.month == f"{month:%Y-%m}")
    if account is not None:
        query = query.where(costs.account == account)
    return [
        (key, owner, tariff, name, Charge(days, None if amount is None else exact(amount), currency, unpriced))
        for key, owner, tariff, name, days, amount, currency, unpriced in connection.execute(query).all()
    ]


def _of_customers(connection: Connection, month: date, account: str | None) -> list[dict[str, Any]]:
    """What each customer's days come to, cost beside price, for each pair of currencies; nobody's come last."""
    query = select(bi_customers_monthly).where(bi_customers_monthly.c.month == f"{month:%Y-%m}")
    if account is not None:
        query = query.where(bi_customers_monthly.c.account == account)
    lines: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in read(connection, query):
        key = (row["customer"], row["cost_currency"], row["price_currency"])
        line = lines.get(key)
        if line is None:
            line = dict.fromkeys(("days", "unpriced_days"), 0) | dict.fromkeys(("amount", "price", "margin"))
        line["days"] += row["instance_days"]
        line["unpriced_days"] += row["instance_days"] if row["cost_currency"] is None else 0
        for name, of_view in (("amount", "cost"), ("price", "price"), ("margin", "margin")):
            if row[of_view] is not None:
                line[name] = row[of_view] + (line[name] or 0)
        lines[key] = line
    return [
        {"customer": key[0], **lines[key], "currency": key[1], "price_currency": key[2]}
        for key in sorted(lines, key=_nulls_last)
    ]


def charges_by_instance(connection: Connection, month: date, account: str | None) -> dict[str, Charge]:
    """What every instance comes to in a month, by its id as text."""
    charges: dict[str, Charge] = {}
    for id_instance, *_, charge in _costs(connection, month, account):
        key = str(id_instance)
        charges[key] = plus(charges[key], charge) if key in charges else charge
    return charges


def charges_by_tariff(connection: Connection, month: date, account: str | None) -> dict[str, Charge]:
    """What every tariff comes to; that of none is the empty text."""
    charges: dict[str, Charge] = {}
    for (tariff, _), charge in _charges(connection, month, account).items():
        charges[tariff or ""] = plus(charges.get(tariff or ""), charge)
    return charges


def _live_now(connection: Connection, account: str | None) -> dict[str | None, int]:
    query = select(instances.c.tariff, func.count().label("n")).where(instances.c.life_began_at.is_not(None))
    if account is not None:
        query = query.where(instances.c.account == account)
    return {row.tariff: row.n for row in connection.execute(query.group_by(instances.c.tariff))}


def charged_on(live: Mapping[str | None, int], rates: Sequence[Rate], days: Iterable[date]) -> list[Charge]:
    """What so many instances of each tariff cost on these days."""
    charges = []
    for day in days:
        for tariff, n in live.items():
            rate = price_on(rates, tariff, day)
            charges.append(Charge(n, None, None, n) if rate is None else Charge(n, rate.daily_rate * n, rate.currency))
    return charges


def plus(one: Charge | None, other: Charge) -> Charge:
    """Both together; no amount where their currencies differ."""
    if one is None:
        return other
    days, unpriced = one.days + other.days, one.unpriced_days + other.unpriced_days
    if one.currency is not None and other.currency is not None and one.currency != other.currency:
        return Charge(days, None, None, unpriced)
    amounts = [charge.amount for charge in (one, other) if charge.amount is not None]
    return Charge(days, sum(amounts, Decimal()) if amounts else None, one.currency or other.currency, unpriced)


def totals(charges: Iterable[Charge]) -> list[dict[str, Any]]:
    """Sums by currency of the days with a rate; the days without one stand in a line of their own."""
    by_currency: dict[str | None, list[Any]] = defaultdict(lambda: [0, None])
    for charge in charges:
        if charge.unpriced_days:
            by_currency[None][0] += charge.unpriced_days
        if charge.currency is not None and charge.amount is not None:
            by_currency[charge.currency][0] += charge.days - charge.unpriced_days
            by_currency[charge.currency][1] = charge.amount + (by_currency[charge.currency][1] or 0)
    return [
        {"days": days, "amount": amount, "currency": currency}
        for currency, (days, amount) in sorted(by_currency.items(), key=lambda pair: pair[0] or "~")
    ]


def _uncertain(connection: Connection, month: date, account: str | None) -> dict[str, Any]:
    """The charged days of the month on which nobody looked, of instances that were missed at the next answer.

    They were there at the last answer that listed them; when they went since then, nobody knows.
    """
    lives = ended_lives.c
    query = (
        select(
            lives.id_instance,
            lives.ended_at,
            lives.first_night,
            lives.end_night,
            instance_history.c.previous_observed_at,
        )
        .join(instances, instances.c.id_instance == lives.id_instance)
        .join(instance_history, instance_history.c.id_instance == lives.id_instance)
        .where(
            lives.ended_with == "vanished",
            instances.c.missing_since.is_not(None),
            ~instances.c.deleted,
            lives.ended_at == instances.c.missing_since,
            instance_history.c.transition == "vanished",
            instance_history.c.observed_at == instances.c.missing_since,
            lives.end_night > month,
            lives.first_night < next_month(month),
        )
        .order_by(lives.id_instance)
    )
    if account is not None:
        query = query.where(lives.account == account)
    days, ids = 0, []
    for row in connection.execute(query):
        seen = row.previous_observed_at
        if row.ended_at - seen <= UNCERTAIN_AFTER:
            continue
        since = first_midnight(seen + timedelta(microseconds=1))
        uncertain = (min(row.end_night, next_month(month)) - max(row.first_night, since, month)).days
        if uncertain > 0:
            days += uncertain
            ids.append(row.id_instance)
    return {"days": days, "instances": ids}


def _blind_gaps(connection: Connection, month: date, account: str | None) -> list[dict[str, Any]]:
    """The stretches of more than 80 days without an accepted answer that reach into the month."""
    runs = sync_runs.c
    before = sync_runs.alias("before")
    last = (
        select(func.max(before.c.started_at))
        .where(before.c.account == runs.account, before.c.id < runs.id, before.c.status.in_(["ok", "unchanged"]))
        .scalar_subquery()
    )
    query = (
        select(runs.id, runs.account, runs.started_at.label("until"), last.label("since"))
        .where(runs.warning.contains("blind_gap"), runs.started_at >= midnight_of(month))
        .order_by(runs.id)
    )
    if account is not None:
        query = query.where(runs.account == account)
    rows = [dict(row._mapping) for row in connection.execute(query)]
    return [row for row in rows if row["since"] is not None and row["since"] < midnight_of(next_month(month))]


def _nulls_last(values: Iterable[str | None]) -> list[tuple[bool, str]]:
    return [(value is None, value or "") for value in values]
