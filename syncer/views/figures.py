"""The estate in figures, read from the views as plain data; `render` and `report_page` show it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, case, func, select

from syncer.storage.tables import instances, sync_runs
from syncer.views import estate, past
from syncer.views.catalogue import (
    bi_attention,
    bi_billing_monthly,
    bi_churn_monthly,
    bi_cohorts,
    bi_daily,
    bi_expiring,
    billing_day,
    instance_versions,
    read,
)

LAST_DAYS = 30
EXPIRY_DAYS = 30
WEEKS = 104  # of the charts over time
COHORTS = 12
LISTED = 50  # instances of a list that needs attention
STATUSES = ("active", "expired", "deleted", "vanished")


def read_figures(connection: Connection, now: datetime, account: str | None) -> dict[str, Any]:
    """Everything that a report shows, of one account or of all. Days are days at UTC+3."""
    today = billing_day(now)
    daily = read(connection, _of(account, bi_daily, select(bi_daily)))
    attention = read(connection, _of(account, bi_attention, select(bi_attention)))
    expiring = read(
        connection,
        _of(account, bi_expiring, select(bi_expiring)).where(bi_expiring.c.days_left.between(0, EXPIRY_DAYS)),
    )
    expiring.sort(key=lambda row: (row["expiration_date"], row["id_instance"]))
    months = read(connection, _of(account, bi_churn_monthly, select(bi_churn_monthly)))
    return {
        "as_of": now,
        "account": account,
        "first_answer_at": past.first_answer_at(connection),
        "freshness": [
            status._asdict() for status in estate.read_accounts(connection, now) if account in {None, status.account}
        ],
        "blind_gaps": _blind_gaps(connection, account),
        "totals": _totals(connection, account),
        "kinds": _kinds(connection, account),
        "periods": _periods(daily, today),
        "churn": _churn(months),
        "attention": {
            "counts": dict(sorted(Counter(row["reason"] for row in attention).items())),
            "instances": sorted(attention, key=lambda row: (row["reason"], row["id_instance"]))[:LISTED],
        },
        "expiring": expiring,
        "statuses_by_week": _statuses_by_week(connection, account, today),
        "moves_by_week": _moves_by_week(daily, today),
        "survival": _survival(read(connection, _of(account, bi_cohorts, select(bi_cohorts)))),
        "cost_by_month": _cost_by_month(read(connection, _of(account, bi_billing_monthly, select(bi_billing_monthly)))),
    }


def _of(account: str | None, thing: Any, query: Select[Any]) -> Select[Any]:
    return query if account is None else query.where(thing.c.account == account)


def _blind_gaps(connection: Connection, account: str | None) -> list[dict[str, Any]]:
    """Runs before which so long nothing was seen that the upstream may have forgotten deletions (UPSTREAM, Life)."""
    query = select(sync_runs.c.id, sync_runs.c.account, sync_runs.c.started_at).where(
        sync_runs.c.warning == "blind_gap"
    )
    return [dict(row._mapping) for row in connection.execute(_of(account, sync_runs, query))]


def _totals(connection: Connection, account: str | None) -> dict[str, int]:
    query = _of(account, instances, select(estate.STATUS, func.count()).group_by(estate.STATUS))
    counts: dict[str, int] = {word: n for word, n in connection.execute(query)}  # noqa: C416 - mypy wants pairs
    live = counts.get("active", 0) + counts.get("expired", 0)
    return {
        "live": live,
        **{word: counts.get(word, 0) for word in ("active", "expired", "deleted", "vanished", "purged")},
    }


def _kinds(connection: Connection, account: str | None) -> list[dict[str, Any]]:
    columns = instances.c
    expired = func.sum(case((columns.is_expired, 1), else_=0))
    query = (
        select(columns.type_instance, columns.tariff, func.count().label("live"), expired.label("expired"))
        .where(~columns.deleted, columns.missing_since.is_(None))
        .group_by(columns.type_instance, columns.tariff)
        .order_by(func.count().desc(), columns.type_instance, columns.tariff)
    )
    return [{**row._mapping, "expired": int(row.expired)} for row in connection.execute(_of(account, instances, query))]


def _periods(daily: Iterable[Mapping[str, Any]], today: date) -> list[dict[str, Any]]:
    """New, deleted and net of today, of the last days and of the month under way."""
    starts = {
        "today": today,
        "last 7 days": today - timedelta(days=6),
        f"last {LAST_DAYS} days": today - timedelta(days=LAST_DAYS - 1),
        "this month": today.replace(day=1),
    }
    found = []
    rows = list(daily)
    for name, start in starts.items():
        created = sum(row["created"] for row in rows if row["day"] >= start)
        deleted = sum(row["deleted"] for row in rows if row["day"] >= start)
        found.append({"period": name, "new": created, "deleted": deleted, "net": created - deleted})
    return found


def _churn(months: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`bi_churn_monthly` over all accounts, the last months only."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for row in months:
        for word in ("opening", "created", "deleted", "restored", "vanished", "closing"):
            sums[row["month"]][word] += row[word]
    return [
        {
            "month": month,
            **{
                word: sums[month][word] for word in ("opening", "created", "deleted", "restored", "vanished", "closing")
            },
            "churn_rate": (sums[month]["deleted"] + sums[month]["vanished"]) / sums[month]["opening"]
            if sums[month]["opening"]
            else None,
        }
        for month in sorted(sums)[-COHORTS:]
    ]


def _week(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def _weeks(first: date, today: date) -> list[date]:
    start = max(_week(first), _week(today) - timedelta(weeks=WEEKS - 1))
    return [start + timedelta(weeks=n) for n in range((_week(today) - start).days // 7 + 1)]


def _statuses_by_week(connection: Connection, account: str | None, today: date) -> list[dict[str, Any]]:
    """How many instances had each status at each week's end, this week's so far."""
    version = instance_versions.c
    query = select(past.STATUS.label("status"), version.valid_from, version.valid_to)
    steps: dict[date, Counter[str]] = defaultdict(Counter)
    for row in connection.execute(_of(account, instance_versions, query).execution_options(yield_per=5_000)):
        steps[_week(billing_day(row.valid_from))][row.status] += 1
        if row.valid_to is not None:
            steps[_week(billing_day(row.valid_to))][row.status] -= 1
    if not steps:
        return []
    weeks = _weeks(min(steps), today)
    balance = Counter[str]()
    for week in sorted(week for week in steps if week < weeks[0]):
        balance.update(steps[week])
    found = []
    for week in weeks:
        balance.update(steps.get(week, {}))
        found.append({"week": week, **{word: balance[word] for word in STATUSES}})
    return found


def _moves_by_week(daily: Iterable[Mapping[str, Any]], today: date) -> list[dict[str, Any]]:
    sums: dict[date, Counter[str]] = defaultdict(Counter)
    for row in daily:
        sums[_week(row["day"])].update(created=row["created"], deleted=row["deleted"])
    if not sums:
        return []
    return [
        {"week": week, "created": sums[week]["created"], "deleted": sums[week]["deleted"]}
        for week in _weeks(min(sums), today)
    ]


def _survival(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per month of creation the size and the share alive at each age, over all accounts, the last cohorts only."""
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
        for month in sorted(sums)[-COHORTS:]
    ]


def _cost_by_month(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Instance-days and amounts by month and currency; what has no price stands under the currency None."""
    sums: dict[tuple[str, str | None], list[Any]] = {}
    for row in rows:
        sum_ = sums.setdefault((row["month"], row["currency"]), [0, None])
        sum_[0] += row["instance_days"]
        if row["amount"] is not None:
            sum_[1] = row["amount"] + (sum_[1] or 0)
    return [
        {"month": month, "currency": currency, "instance_days": days, "amount": amount}
        for (month, currency), (days, amount) in sorted(sums.items(), key=lambda pair: (pair[0][0], pair[0][1] or "~"))
    ]
