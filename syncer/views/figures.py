"""The estate in figures, read from the views as plain data; `terminal/render` and `views/report` show it.

Over 300 lines: one reading, so that all figures of a report are of one moment.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, case, cast, func, literal_column, select

from syncer.rules.timeline import billing_day, midnight_of
from syncer.storage.tables import instances, sync_runs
from syncer.views import estate, past, spending
from syncer.views.catalogue import (
    bi_attention,
    bi_churn_monthly,
    bi_cohorts,
    bi_daily,
    bi_expiring,
    instance_versions,
    rate_periods,
    read,
)

LAST_DAYS = 30
EXPIRY_DAYS = 30
WEEKS = 104  # of the charts over time
MONTHS = 12  # of what came and went
STATUSES = ("active", "expired", "deleted", "vanished")
_MIDNIGHT = f"{midnight_of(date(2026, 1, 1)):%H}"  # at UTC+3, in UTC
_SUMS = ("created", "deleted", "began", "ended", "billable", "millionths")  # of each day


def read_figures(connection: Connection, now: datetime, account: str | None) -> dict[str, Any]:
    """Everything that a report shows, of one account or of all. Days are days at UTC+3."""
    today = billing_day(now)
    daily = _daily(connection, account)
    months = read(connection, _of(account, bi_churn_monthly, select(bi_churn_monthly)))
    dated = select(bi_attention, instances.c.expiration_date).join(
        instances, instances.c.id_instance == bi_attention.c.id_instance
    )
    attention = connection.execute(_of(account, bi_attention, dated)).all()
    leaks = spending.paid_for_nothing(connection, attention, spending.read_left(connection, account), now)
    cost_by_month = _cost_by_month(daily)
    every_group = estate.count_groups(connection)
    groups = [group for group in every_group if account in {None, group.account}]
    live = Counter[str | None]()
    for group in groups:
        live[group.tariff] += group.live
    return {
        "as_of": now,
        "account": account,
        "first_answer_at": past.first_answer_at(connection, account),
        "freshness": [
            status._asdict()
            for status in estate.read_accounts(connection, now, every_group)
            if account in {None, status.account}
        ],
        "blind_gaps": _blind_gaps(connection, account),
        "totals": _totals(groups),
        "kinds": _kinds(groups),
        "periods": _periods(daily, today),
        "churn": _churn(months),
        "attention": spending.worst_first(attention, leaks),
        "paid_for_nothing": [leak.as_figures() for leak in leaks],
        "expiries": _expiries(connection, account),
        "statuses_by_week": _statuses_by_week(connection, account, daily, today),
        "moves_by_week": _moves_by_week(daily, today),
        "survival": _survival(read(connection, _of(account, bi_cohorts, select(bi_cohorts)))),
        "cost_by_month": cost_by_month,
        "month_under_way": spending.month_under_way(connection, cost_by_month, today, live),
    }


def _daily(connection: Connection, account: str | None) -> list[dict[str, Any]]:
    """`bi_daily` by day and currency, with its cost: all charts over time are made of it, in one reading."""
    rates = rate_periods.c
    holds = (
        (rates.tariff == bi_daily.c.tariff) & (rates.valid_from <= bi_daily.c.day) & (rates.valid_to > bi_daily.c.day)
    )
    sums = [func.sum(bi_daily.c[name]).label(name) for name in _SUMS[:-1]]
    cost = func.sum(bi_daily.c.billable * rates.millionths).label("millionths")
    query = select(bi_daily.c.day, rates.currency, *sums, cost).outerjoin(rate_periods, holds)
    found = connection.execute(_of(account, bi_daily, query).group_by(bi_daily.c.day, rates.currency))
    return [
        {"day": day, "currency": currency, **dict(zip(_SUMS, (int(n or 0) for n in numbers), strict=True))}
        for day, currency, *numbers in found
    ]


def _of(account: str | None, thing: Any, query: Select[Any]) -> Select[Any]:
    return query if account is None else query.where(thing.c.account == account)


def _blind_gaps(connection: Connection, account: str | None) -> list[dict[str, Any]]:
    """Runs before which so long nothing was seen that the upstream may have forgotten deletions (UPSTREAM, Life)."""
    query = select(sync_runs.c.id, sync_runs.c.account, sync_runs.c.started_at).where(
        sync_runs.c.warning.contains("blind_gap")
    )
    return [dict(row._mapping) for row in connection.execute(_of(account, sync_runs, query))]


def _expiries(connection: Connection, account: str | None) -> list[dict[str, Any]]:
    """How many live instances that do not renew themselves expire on each of the next days."""
    expires = _day(bi_expiring.c.expiration_date)
    query = select(expires, func.count()).where(bi_expiring.c.days_left.between(0, EXPIRY_DAYS)).group_by(expires)
    by_day = Counter[date]()
    for day, n in connection.execute(_of(account, bi_expiring, query)):
        by_day[_day_of(day)] += n
    return [{"day": day, "instances": n} for day, n in sorted(by_day.items())]


def _totals(groups: Iterable[estate.Group]) -> dict[str, int]:
    counts = Counter[str]()
    for group in groups:
        counts.update(group.by_status)
    return {"live": counts["active"] + counts["expired"], **{word: counts[word] for word in estate.WORDS}}


def _kinds(groups: Iterable[estate.Group]) -> list[dict[str, Any]]:
    """Live instances by type and tariff, the largest group first."""
    live, expired = Counter[tuple[str | None, ...]](), Counter[tuple[str | None, ...]]()
    for group in groups:
        if group.live:
            live[group.type_instance, group.tariff] += group.live
            expired[group.type_instance, group.tariff] += group.by_status["expired"]
    rows = [
        {"type_instance": kind, "tariff": tariff, "live": n, "expired": expired[kind, tariff]}
        for (kind, tariff), n in live.items()
    ]
    named = ("type_instance", "tariff")
    return sorted(rows, key=lambda row: (-row["live"], *((row[name] is None, row[name] or "") for name in named)))


def _periods(daily: Iterable[Mapping[str, Any]], today: date) -> list[dict[str, Any]]:
    """New, deleted and net of today, of the last days and of the month under way."""
    starts = {
        "today": today,
        "last 7 days": today - timedelta(days=6),
        f"last {LAST_DAYS} days": today - timedelta(days=LAST_DAYS - 1),
        "this month": today.replace(day=1),
    }
    found = []
    earliest = min(starts.values())
    recent = [row for row in daily if row["day"] >= earliest]
    for name, start in starts.items():
        rows = [row for row in recent if row["day"] >= start]
        created = sum(row["created"] for row in rows)
        deleted = sum(row["deleted"] for row in rows)
        found.append({"period": name, "new": created, "deleted": deleted, "net": created - deleted})
    return found


def _churn(months: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`bi_churn_monthly` over all accounts, the last months only."""
    words = ("opening", "created", "returned", "moved", "deleted", "vanished", "closing", "lost")
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for row in months:
        sums[row["month"]].update({word: row[word] for word in words})
    return [
        {
            "month": month,
            **{word: sums[month][word] for word in words},
            "churn_rate": sums[month]["lost"] / sums[month]["opening"] if sums[month]["opening"] else None,
        }
        for month in sorted(sums)[-MONTHS:]
    ]


@lru_cache(maxsize=1 << 12)
def _week(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def _weeks(first: date, today: date) -> list[date]:
    start = max(_week(first), _week(today) - timedelta(weeks=WEEKS - 1))
    return [start + timedelta(weeks=n) for n in range((_week(today) - start).days // 7 + 1)]


def _statuses_by_week(
    connection: Connection, account: str | None, daily: Sequence[Mapping[str, Any]], today: date
) -> list[dict[str, Any]]:
    """How many instances had each status at each week's end, this week's so far.

    What was created and does not live is deleted, unless it is missing now: nothing else was ever missing.
    """
    if not daily:
        return []
    steps: dict[date, Counter[str]] = defaultdict(Counter)
    for row in daily:
        of_week = steps[_week(row["day"])]
        of_week["created"] += row["created"]
        of_week["live"] += row["began"] - row["ended"]
    for word, day, step in (
        *_expired_steps(connection, account),
        *_missing_steps(connection, account),
        *_moved_steps(connection, account),
    ):
        steps[_week(day)][word] += step
    weeks = _weeks(min(steps), today)
    balance = Counter[str]()
    for week in sorted(week for week in steps if week < weeks[0]):
        balance.update(steps[week])
    found = []
    for week in weeks:
        balance.update(steps.get(week, {}))
        gone = balance["created"] - balance["live"] - balance["vanished"] - balance["purged"]
        counts = {"active": balance["live"] - balance["expired"], "deleted": gone}
        found.append({"week": week, **{word: counts.get(word, balance[word]) for word in STATUSES}})
    return found


def _expired_steps(connection: Connection, account: str | None) -> Iterator[tuple[str, date, int]]:
    """When live instances began and ceased to be expired."""
    version = instance_versions.c
    began, ceased = _day(version.valid_from), _day(version.valid_to)
    query = select(began, ceased, func.count()).where(version.is_expired, ~version.deleted, ~version.missing)
    for first, last, n in connection.execute(_of(account, instance_versions, query).group_by(began, ceased)).all():
        yield "expired", _day_of(first), n
        if last is not None:
            yield "expired", _day_of(last), -n


def _missing_steps(connection: Connection, account: str | None) -> Iterator[tuple[str, date, int]]:
    columns = instances.c
    since = _day(columns.missing_since)
    query = select(since, columns.deleted, func.count()).where(columns.missing_since.is_not(None))
    for day, deleted, n in connection.execute(_of(account, instances, query).group_by(since, columns.deleted)).all():
        yield "purged" if deleted else "vanished", _day_of(day), n


def _day(moment: ColumnElement[datetime]) -> ColumnElement[Any]:
    """A moment's day (UTC) and the hour with which its day at UTC+3 began, or 00, so that the database counts by day.

    As both databases write it; NULL for none.
    """
    written = cast(moment, Text)
    hour = func.substr(written, literal_column("12"), literal_column("2"))
    began = case(
        (hour >= literal_column(f"'{_MIDNIGHT}'"), literal_column(f"'{_MIDNIGHT}'")), else_=literal_column("'00'")
    )
    return func.substr(written, literal_column("1"), literal_column("11")).concat(began)


@lru_cache(maxsize=1 << 14)
def _day_of(written: str) -> date:
    """The day at UTC+3 of what `_day` gives."""
    return billing_day(datetime.fromisoformat(f"{written}:00:00+00:00"))


def _moved_steps(connection: Connection, account: str | None) -> Iterator[tuple[str, date, int]]:
    """What came to an account counts as if it had been created there, and what went as if it had not, alive or not."""
    if account is None:
        return
    before, after = instance_versions.alias("before"), instance_versions.alias("after")
    query = (
        select(after.c.valid_from, after.c.account)
        .join(before, (before.c.id_instance == after.c.id_instance) & (before.c.valid_to == after.c.valid_from))
        .where(before.c.account != after.c.account, (before.c.account == account) | (after.c.account == account))
    )
    for row in connection.execute(query):
        yield "created", billing_day(row.valid_from), 1 if row.account == account else -1


def _moves_by_week(daily: Iterable[Mapping[str, Any]], today: date) -> list[dict[str, Any]]:
    sums: dict[date, Counter[str]] = defaultdict(Counter)
    for row in daily:
        of_week = sums[_week(row["day"])]
        of_week["created"] += row["created"]
        of_week["deleted"] += row["deleted"]
    if not sums:
        return []
    return [
        {"week": week, "created": sums[week]["created"], "deleted": sums[week]["deleted"]}
        for week in _weeks(min(sums), today)
    ]


def _survival(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per month of creation the size and the share alive at each age, over all accounts."""
    sums: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for row in rows:
        sums[row["cohort_month"]][row["age_months"]][0] += row["size"]
        sums[row["cohort_month"]][row["age_months"]][1] += row["alive"]
    return [
        {
            "cohort_month": month,
            "size": max(size for size, _ in sums[month].values()),
            "survival": [alive / size for _, (size, alive) in sorted(sums[month].items())],
        }
        for month in sorted(sums)
    ]


def _cost_by_month(daily: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Instance-days and amounts by month and currency; what has no price stands under the currency None."""
    days: Counter[tuple[str, str | None]] = Counter()
    millionths: Counter[tuple[str, str | None]] = Counter()
    for row in daily:
        key = (row["day"].isoformat()[:7], row["currency"])
        days[key] += row["billable"]
        millionths[key] += row["millionths"]
    return [
        {
            "month": month,
            "currency": currency,
            "instance_days": days[month, currency],
            "amount": None if currency is None else Decimal(millionths[month, currency]) / 1_000_000,
        }
        for month, currency in sorted(days, key=lambda key: (key[0], key[1] or "~"))
        if days[month, currency]
    ]
