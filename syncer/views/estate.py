"""What people ask of the mirror, read from the tables as plain data; `render` shows it."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, case, func, select, text

from syncer.model import RunStatus, Transition
from syncer.storage import lease
from syncer.storage.tables import accounts, approvals, claims, instance_history, instances, leases, sync_runs

FRESH_INTERVALS = 3  # runs that may be missed before data counts as stale
DEFAULT_INTERVAL_SECONDS = 300  # where no daemon has said how often it polls
AHEAD = timedelta(minutes=5)  # data that lies further in the future is of a wrong clock
LAST_RUNS = 10


class AccountStatus(NamedTuple):
    """How an account's mirror stands; the columns of the view `sync_status`, and whether it is fresh.

    Freshness goes by the age of the data alone, whatever the state; of a retired account none is expected.
    `claimed` counts instances of other accounts that its answers list too.
    """

    account: str
    state: str
    data_as_of: datetime | None
    age_seconds: int | None
    last_run_at: datetime | None
    last_status: str | None
    consecutive_failures: int
    last_error: str | None
    listed: int
    live: int
    deleted: int
    expired: int
    warning: str | None
    is_fresh: bool
    is_retired: bool = False
    claimed: int = 0


class HistoryFilter(NamedTuple):
    """Which transitions to read; times bound `observed_at`, from inclusive, until exclusive."""

    id_instance: int | None = None
    account: str | None = None
    transitions: Sequence[Transition] = ()
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


STATUS = case(
    (instances.c.missing_since.is_not(None) & instances.c.deleted, "purged"),
    (instances.c.missing_since.is_not(None), "vanished"),
    (instances.c.deleted, "deleted"),
    (instances.c.is_expired, "expired"),
    else_="active",
)
"""An instance's status in one word, as in the view `bi_instances`."""


WORDS = ("active", "expired", "deleted", "vanished", "purged")


class Group(NamedTuple):
    """How many instances of an account, type and tariff have each status."""

    account: str
    type_instance: str | None
    tariff: str | None
    by_status: Mapping[str, int]

    @property
    def live(self) -> int:
        return self.by_status["active"] + self.by_status["expired"]


def count_groups(connection: Connection) -> list[Group]:
    """All instances by account, type, tariff and status, in one reading."""
    columns = instances.c
    kind = (columns.tariff, columns.type_instance, columns.account)
    is_missing = columns.missing_since.is_not(None)
    conditions = {
        "purged": is_missing & columns.deleted,
        "vanished": is_missing & ~columns.deleted,
        "deleted": ~is_missing & columns.deleted,
        "expired": ~is_missing & ~columns.deleted & columns.is_expired,
    }
    counts = (func.count(case((condition, 1))) for condition in conditions.values())
    groups = []
    for tariff, kind_, account, n, *of_each in connection.execute(select(*kind, func.count(), *counts).group_by(*kind)):
        by_status = dict(zip(conditions, of_each, strict=True))
        groups.append(Group(account, kind_, tariff, by_status | {"active": n - sum(of_each)}))
    return groups


def count_by_status(connection: Connection) -> list[tuple[str, str | None, int]]:
    """Instances by status and type."""
    query = select(STATUS.label("status"), instances.c.type_instance, func.count().label("n")).group_by(
        STATUS, instances.c.type_instance
    )
    rows = [(row.status, row.type_instance, row.n) for row in connection.execute(query)]
    return sorted(rows, key=lambda row: (row[0], row[1] is None, row[1] or ""))


def read_accounts(connection: Connection, now: datetime, groups: Iterable[Group] | None = None) -> list[AccountStatus]:
    """Every account's freshness and counts; of `groups` where these were counted already."""
    rows = connection.execute(select(accounts).order_by(accounts.c.account)).all()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    if groups is None:
        by_status = select(instances.c.account, STATUS, func.count()).group_by(instances.c.account, STATUS)
        for account, word, n in connection.execute(by_status):
            counts[account][word] = n
    else:
        for group in groups:
            counts[group.account].update(group.by_status)
    return [_account_status(connection, row, now, counts[row.account]) for row in rows]


def with_expected(statuses: Iterable[AccountStatus], names: Iterable[str]) -> list[AccountStatus]:
    """These, and for each of the names that is not among them an account of which nothing is known; by name."""
    known = {status.account: status for status in statuses}
    return sorted(({name: _never(name) for name in names} | known).values(), key=lambda status: status.account)


def _never(account: str) -> AccountStatus:
    return AccountStatus(
        account=account,
        state="never",
        data_as_of=None,
        age_seconds=None,
        last_run_at=None,
        last_status=None,
        consecutive_failures=0,
        last_error=None,
        listed=0,
        live=0,
        deleted=0,
        expired=0,
        warning=None,
        is_fresh=False,
    )


def _account_status(connection: Connection, account: Any, now: datetime, counts: Mapping[str, int]) -> AccountStatus:
    of_account = sync_runs.c.account == account.account
    last = connection.execute(
        select(sync_runs)
        .where(of_account, sync_runs.c.status != RunStatus.RUNNING)
        .order_by(sync_runs.c.id.desc())
        .limit(1)
    ).one_or_none()
    failures = connection.execute(
        select(func.count())
        .select_from(sync_runs)
        .where(
            of_account,
            sync_runs.c.status.in_([RunStatus.FAILED, RunStatus.HELD]),
            sync_runs.c.id > func.coalesce(account.last_accepted_run_id, 0),
        )
    ).scalar_one()
    age = None if account.last_accepted_at is None else now - account.last_accepted_at
    interval = timedelta(seconds=account.interval_seconds or DEFAULT_INTERVAL_SECONDS)
    warning = connection.execute(
        select(sync_runs.c.warning).where(sync_runs.c.id == account.last_accepted_run_id)
    ).scalar_one_or_none()
    claimed = connection.execute(
        select(func.count()).select_from(claims).where(claims.c.account == account.account)
    ).scalar_one()
    state = "ok"
    if age is None:
        state = "never"
    elif last is not None and last.status == RunStatus.HELD:
        state = "held"
    elif age < -AHEAD:
        state = "clock"
    elif age > FRESH_INTERVALS * interval:
        state = "stale"
    elif last is not None and last.status == RunStatus.FAILED:
        state = "failing"
    live = counts.get("active", 0) + counts.get("expired", 0)
    return AccountStatus(
        account=account.account,
        state=state,
        data_as_of=account.last_accepted_at,
        age_seconds=None if age is None else max(0, int(age.total_seconds())),
        last_run_at=last.started_at if last else None,
        last_status=last.status if last else None,
        consecutive_failures=failures,
        last_error=last.error if last else None,
        listed=live + counts.get("deleted", 0),
        live=live,
        deleted=counts.get("deleted", 0),
        expired=counts.get("expired", 0),
        warning=warning,
        is_fresh=age is not None and -AHEAD <= age <= FRESH_INTERVALS * interval,
        is_retired=account.retired_at is not None,
        claimed=claimed,
    )


def read_runs(connection: Connection, account: str | None = None, limit: int = LAST_RUNS) -> list[dict[str, Any]]:
    """The last runs of one account or of all, newest last."""
    query = select(sync_runs).order_by(sync_runs.c.id.desc()).limit(limit)
    if account is not None:
        query = query.where(sync_runs.c.account == account)
    return [dict(row._mapping) for row in reversed(connection.execute(query).all())]


def read_leases(connection: Connection) -> list[dict[str, Any]]:
    """Who runs each account now, and which daemon does next; what the living do not say any more is left out.

    `beat_age_seconds` and `next_run_in_seconds` are by the database's clock, as everything in the row is.
    """
    now = lease.database_now(connection)
    beats = {daemon: at for daemon, at in lease.read_living(connection, now).items() if not lease.is_gone(daemon)}
    query = select(leases).order_by(leases.c.account)
    return [_believed(dict(row._mapping), beats, now) for row in connection.execute(query)]


def _believed(row: dict[str, Any], beats: Mapping[str, datetime], now: datetime) -> dict[str, Any]:
    if not lease.is_living(row["holder"], row["expires_at"], now):
        row |= {"holder": None, "expires_at": None}
    beat_at = beats.get(row["daemon"])
    if beat_at is None:
        unsaid = ("daemon", "daemon_beat_at", "next_run_at", "beat_age_seconds", "next_run_in_seconds")
        return row | dict.fromkeys(unsaid)
    return row | {
        "daemon_beat_at": beat_at,
        "beat_age_seconds": max(0, int((now - beat_at).total_seconds())),
        "next_run_in_seconds": max(0, int((row["next_run_at"] - now).total_seconds())),
    }


def read_held(connection: Connection) -> list[dict[str, Any]]:
    """Each account's latest run if it is held and not approved yet."""
    latest = (
        select(func.max(sync_runs.c.id)).where(sync_runs.c.status != RunStatus.RUNNING).group_by(sync_runs.c.account)
    )
    query = (
        select(sync_runs.c.id, sync_runs.c.account, sync_runs.c.error)
        .outerjoin(approvals, approvals.c.run_id == sync_runs.c.id)
        .where(sync_runs.c.id.in_(latest), sync_runs.c.status == RunStatus.HELD, approvals.c.run_id.is_(None))
        .order_by(sync_runs.c.id)
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def read_standby(connection: Connection) -> dict[str, datetime | None] | None:
    """Of a standby the moment until which it has what its primary committed; None where the database is none."""
    if connection.dialect.name != "postgresql":
        return None
    row = connection.execute(text("SELECT pg_is_in_recovery() AS here, pg_last_xact_replay_timestamp() AS at")).one()
    return {"replayed_at": row.at} if row.here else None


def read_history(connection: Connection, wanted: HistoryFilter) -> list[dict[str, Any]]:
    """Transitions in the order of their ids, newest last; with a limit, the newest ones."""
    query = select(instance_history).order_by(instance_history.c.id.desc())
    rows = connection.execute(_filtered(query, wanted).limit(wanted.limit)).all()
    return [dict(row._mapping) | {"changes": json.loads(row.changes)} for row in reversed(rows)]


def _filtered(query: Select[Any], wanted: HistoryFilter) -> Select[Any]:
    columns = instance_history.c
    if wanted.id_instance is not None:
        query = query.where(columns.id_instance == wanted.id_instance)
    if wanted.account is not None:
        query = query.where(columns.account == wanted.account)
    if wanted.transitions:
        query = query.where(columns.transition.in_(wanted.transitions))
    if wanted.since is not None:
        query = query.where(columns.observed_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(columns.observed_at < wanted.until)
    return query
