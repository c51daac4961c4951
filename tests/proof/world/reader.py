"""Somebody who reads the views at any moment, also amid what others write: what is seen agrees with itself."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from canary import find_secrets
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL

from syncer.views.catalogue import VIEWS, read
from world.databases import Timed, opened

Rows = dict[str, list[dict[str, Any]]]
ZONE = timedelta(hours=3)
LIVE = {"active", "expired"}
_AHEAD = text(
    "SELECT max(latest) FROM (SELECT max(observed_at) AS latest FROM instance_history"
    " UNION ALL SELECT max(last_accepted_at) FROM accounts) AS moments"
)


class Reader:
    """Reads one group of views in one transaction: the first of them, and later the others."""

    def __init__(self, url: URL, place: Timed, count: Callable[[str], None]) -> None:
        self.now = place.now  # SQLite's views ask it; a transaction has one time, as on PostgreSQL
        self._place, self._count = place, count
        self._engine: Engine = opened(url, self)
        self._connection: Connection | None = None
        self._group, self._rows = "", Rows()

    def begin(self, group: str) -> None:
        """Read the first view."""
        self.finish()
        self.now, self._group, self._rows = self._place.now, group, Rows()
        level = "REPEATABLE READ" if self._engine.dialect.name == "postgresql" else "SERIALIZABLE"
        self._connection = self._engine.connect().execution_options(isolation_level=level)
        self._read(GROUPS[group][0][:1])

    @property
    def may_linger(self) -> bool:
        """Whether a transaction that reads stays in nobody's way: not without a write-ahead log."""
        assert self._connection is not None
        if self._engine.dialect.name == "postgresql":
            return True
        return self._connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"

    def finish(self) -> None:
        """Read the rest of what was begun, and judge; nothing where nothing was."""
        if self._connection is None:
            return
        views, judge = GROUPS[self._group]
        try:
            self._read(views[1:])
            latest = self._connection.execute(_AHEAD).scalar()
        finally:
            self._connection.close()
            self._connection = None
        is_ahead = latest is not None and _moment(latest) > self.now
        problems = list(judge(self._rows, None if is_ahead else (self.now + ZONE).date()))
        assert not problems, f"who reads {self._group} sees {len(problems)} contradictions, the first: {problems[0]}"
        assert find_secrets(repr(self._rows).encode()) == [], f"who reads {self._group} sees a secret"
        self._count(f"read {self._group}")

    def _read(self, views: Iterable[str]) -> None:
        assert self._connection is not None
        for view in views:
            self._rows[view] = read(self._connection, VIEWS[view].select())

    def leave(self) -> None:
        """Be connected no more."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()


def _moment(stored: datetime | str) -> datetime:
    return datetime.fromisoformat(stored).replace(tzinfo=UTC) if isinstance(stored, str) else stored.astimezone(UTC)


Today = date | None
"""The day at UTC+3; None where something was observed by a clock that was ahead, of which no view knows a day yet."""


def _status(rows: Rows, today: Today) -> Iterator[str]:
    found = {row["account"]: row for row in rows["sync_status"]}
    own = Counter((row["account"], row["status"]) for row in rows["bi_instances"])
    for account, row in found.items():
        active, expired, deleted = (own[account, status] for status in ("active", "expired", "deleted"))
        seen = {"live": active + expired, "expired": expired, "deleted": deleted, "listed": active + expired + deleted}
        for name, n in seen.items():
            if row[name] != n:
                yield f"{account}: {name} is {row[name]} in sync_status, {n} in bi_instances"
    if stray := {account for account, _ in own} - found.keys():
        yield f"bi_instances has accounts that sync_status has not: {sorted(stray)}"
    yield from _daily(rows, today)
    yield from _versions(rows)


def _group(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["account"], row["type_instance"], row["tariff"]


def _daily(rows: Rows, today: Today) -> Iterator[str]:
    by_group: dict[tuple[Any, ...], dict[date, dict[str, Any]]] = defaultdict(dict)
    for row in rows["bi_daily"]:
        by_group[_group(row)][row["day"]] = row
        for name in ("created", "deleted", "began", "ended", "live", "billable"):
            if row[name] < 0:
                yield f"bi_daily {row['day']} {_group(row)}: {name} is {row[name]}"
    for group, days in by_group.items():
        for day, row in days.items():
            before = days[day - timedelta(days=1)]["live"] if day - timedelta(days=1) in days else 0
            if row["live"] != before + row["began"] - row["ended"]:
                yield f"bi_daily {day} {group}: {before} + {row['began']} - {row['ended']} is not {row['live']}"
    if today is not None:
        live = Counter(_group(row) for row in rows["bi_instances"] if row["status"] in LIVE)
        ends = Counter({group: days[today]["live"] for group, days in by_group.items() if today in days})
        if +ends != live:
            yield f"live is {+ends} in bi_daily, {live} in bi_instances"


def _versions(rows: Rows) -> Iterator[str]:
    by_instance = defaultdict(list)
    for row in rows["instance_versions"]:
        by_instance[row["id_instance"]].append(row)
    own = {row["id_instance"]: row for row in rows["bi_instances"]}
    if by_instance.keys() != own.keys():
        yield "instance_versions has other instances than bi_instances"
    for key in by_instance.keys() & own.keys():
        versions = by_instance[key]
        versions.sort(key=lambda one: one["valid_from"])
        for one, following in pairwise(versions):
            if one["valid_to"] != following["valid_from"]:
                yield f"instance_versions {key}: {one['valid_to']} is followed by {following['valid_from']}"
        born = min(own[key]["first_seen_at"], own[key]["time_created"] or own[key]["first_seen_at"])
        if versions[0]["valid_from"] != born:
            yield f"instance_versions {key} begins at {versions[0]['valid_from']}, bi_instances at {born}"
        if own[key]["billable_days"] < 1:
            yield f"bi_instances {key} is billed {own[key]['billable_days']} days"
        if versions[-1]["valid_to"] is not None:
            yield f"instance_versions {key}: none is current"


def _churn(rows: Rows, today: Today) -> Iterator[str]:
    months: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows["bi_churn_monthly"]:
        where = f"bi_churn_monthly {row['month']} {row['account']}"
        came = row["created"] + row["returned"] + row["moved"]
        if row["closing"] != row["opening"] + came - row["deleted"] - row["vanished"]:
            yield f"{where} does not add up: {row}"
        if not 0 <= row["lost"] <= row["opening"] or min(row[name] for name in row if name in _COUNTS) < 0:
            yield f"{where}: {row}"
        months[row["account"]].append(row)
    for account, told in months.items():
        for one, following in pairwise(sorted(told, key=lambda row: row["month"])):
            if one["closing"] != following["opening"]:
                yield f"bi_churn_monthly {account}: {one['month']} ends otherwise than {following['month']} begins"
        live = sum(row["status"] in LIVE for row in rows["bi_instances"] if row["account"] == account)
        closing = max(told, key=lambda row: row["month"])["closing"]
        if today is not None and live != closing:
            yield f"bi_churn_monthly {account} ends with {closing}, and {live} are live"
    for row in rows["bi_cohorts"]:
        if not 0 <= row["alive"] <= row["size"]:
            yield f"bi_cohorts: {row}"
    if min((row["n"] for row in rows["bi_transitions_daily"]), default=1) < 1:
        yield "bi_transitions_daily counts none"


_COUNTS = {"opening", "created", "returned", "deleted", "vanished", "closing"}


def _money(rows: Rows, _today: Today) -> Iterator[str]:
    days: dict[str, Counter[tuple[str, str]]] = {}
    amounts: dict[str, Counter[tuple[Any, ...]]] = {}
    for view, amount, currency in (
        ("bi_billing_monthly", "amount", "currency"),
        ("bi_costs_monthly", "amount", "currency"),
        ("bi_customers_monthly", "cost", "cost_currency"),
    ):
        days[view], amounts[view] = Counter(), Counter()
        for row in rows[view]:
            days[view][row["month"], row["account"]] += row["instance_days"]
            if row[amount] is not None:
                amounts[view][row["month"], row["account"], row[currency]] += row[amount]
            if row["instance_days"] < 1 or (row[amount] is not None and row[amount] < 0):
                yield f"{view}: {row}"
    days["bi_daily"] = Counter()
    for row in rows["bi_daily"]:
        if row["billable"]:
            days["bi_daily"][f"{row['day']:%Y-%m}", row["account"]] += row["billable"]
    for sums in (days, amounts):
        for view, found in sums.items():
            if found != sums["bi_billing_monthly"]:  # type: ignore[comparison-overlap]
                yield f"{view} sums up to {found}, bi_billing_monthly to {sums['bi_billing_monthly']}"


def _attention(rows: Rows, _today: Today) -> Iterator[str]:
    known = {row["id_instance"]: row for row in rows["bi_instances"]}
    for view, column in (("bi_attention", "reason"), ("bi_leaks", "leak")):
        keys = Counter((row["id_instance"], row[column]) for row in rows[view])
        if twice := [key for key, n in keys.items() if n > 1]:
            yield f"{view} has {twice[0]} twice"
    for row in rows["bi_attention"]:
        one = known.get(row["id_instance"])
        if one is None or row["severity"] not in {1, 2, 3}:
            yield f"bi_attention: {row}"
        elif (row["account"], row["name"]) != (one["account"], one["name"]):
            yield f"bi_attention calls {row['id_instance']} otherwise than bi_instances"
    for row in rows["bi_leaks"]:
        if row["days"] < 0 or (row["cost"] is not None and row["cost"] < 0):
            yield f"bi_leaks: {row}"
    for row in rows["bi_expiring"]:
        if known[row["id_instance"]]["status"] not in LIVE:
            yield f"bi_expiring has {row['id_instance']}, which is {known[row['id_instance']]['status']}"


GROUPS: dict[str, tuple[tuple[str, ...], Callable[[Rows, Today], Iterator[str]]]] = {
    "status": (("sync_status", "bi_instances", "bi_daily", "instance_versions"), _status),
    "churn": (("bi_churn_monthly", "bi_instances", "bi_cohorts", "bi_transitions_daily"), _churn),
    "money": (("bi_billing_monthly", "bi_costs_monthly", "bi_customers_monthly", "bi_daily"), _money),
    "attention": (("bi_attention", "bi_instances", "bi_leaks", "bi_expiring"), _attention),
}
"""Views that are read together, and what they must agree in."""
