"""The record of runs: their rows, the base that each was started on, what was held, and what was approved since.

Everything but the look-up of a COMMIT works over a `Connection`; the caller owns the transaction and the clock.
"""

import json
import time
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Engine, case, exists, insert, literal, select, update

from syncer.answer.known import NOTHING_REMEMBERED, Remembered
from syncer.answer.values import canonical_json
from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.model import RunResult, RunStatus, Trigger
from syncer.rules.guard import Hold
from syncer.storage.database import insert_if_new, writing
from syncer.storage.tables import accounts, approvals, held_answers, held_sets, sync_runs

COMMIT_LOOKUPS = 5
COMMIT_LOOKUP_PAUSE_SECONDS = 1.0
BLIND_GAP = timedelta(days=80)  # the upstream forgets deleted instances after about 3 months (UPSTREAM, Life)
_BINDING = (RunStatus.OK, RunStatus.UNCHANGED, RunStatus.HELD)  # what others rely on, so it must be noted
# In the statement's text: with a parameter SQLite would not take the index of the runs that are not finished.
_RUNNING = literal(str(RunStatus.RUNNING), literal_execute=True)


class Base(NamedTuple):
    """The state of an account that an answer is compared with: its last accepted run, and what that left behind.

    `taken_by_run_id` is the last run of another account that instances were moved to.
    """

    run_id: int | None
    accepted_at: datetime | None
    taken_by_run_id: int | None
    hash_seed: int | None
    body_digest: bytes | None

    def is_overtaken_by(self, other: "Base") -> bool:
        """Whether any answer was applied to the account's rows in between."""
        return (self.run_id, self.taken_by_run_id) != (other.run_id, other.taken_by_run_id)


NO_BASE = Base(None, None, None, None, None)
"""Of an account that no answer was accepted of."""


class StartedRun(NamedTuple):
    """A run's id, and the base it was started on."""

    id: int
    base: Base
    started_at: datetime


def start_run(
    connection: Connection, account: str, trigger: Trigger, now: datetime, interval_seconds: int | None
) -> StartedRun:
    """Note that a run begins, and close those that were never finished.

    A run that is closed here while it is alive after all still ends by its own word, see `finish_run`.
    """
    insert_if_new(connection, accounts, {"account": account})
    if interval_seconds is not None:
        connection.execute(
            update(accounts)
            .where(accounts.c.account == account, accounts.c.interval_seconds.is_distinct_from(interval_seconds))
            .values(interval_seconds=interval_seconds)
        )
    connection.execute(
        update(sync_runs)
        .where(sync_runs.c.account == account, sync_runs.c.status == _RUNNING)
        .values(
            status=RunStatus.ABANDONED,
            finished_at=_not_before(sync_runs.c.started_at, now),
            error_kind="abandoned",
            error="the run was found unfinished by a later one; its process was stopped or killed",
        )
    )
    run_id = connection.execute(
        insert(sync_runs)
        .values(account=account, trigger=trigger, started_at=now, status=RunStatus.RUNNING)
        .returning(sync_runs.c.id)
    ).scalar_one()
    return StartedRun(run_id, read_base(connection, account), now)


def read_base(connection: Connection, account: str, *, lock: bool = False) -> Base:
    """The account's base; with `lock`, no other transaction can move it until this one ends.

    The lock lets others refer to the account: a run that starts and one that ends would wait for one another.
    """
    query = select(
        accounts.c.last_accepted_run_id,
        accounts.c.last_accepted_at,
        accounts.c.taken_by_run_id,
        accounts.c.hash_seed,
        accounts.c.body_digest,
    ).where(accounts.c.account == account)
    row = connection.execute(query.with_for_update(of=accounts, key_share=True) if lock else query).one_or_none()
    return Base(*row) if row else NO_BASE


def read_remembered(connection: Connection, base: Base) -> Remembered:
    """What the account's last accepted answer left to be compared with."""
    query = select(sync_runs.c.listed, sync_runs.c.body_sha256).where(
        sync_runs.c.id == base.run_id, sync_runs.c.listed.is_not(None), sync_runs.c.body_sha256.is_not(None)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return NOTHING_REMEMBERED
    return Remembered(base.hash_seed, base.body_digest, row.listed, row.body_sha256)


def last_accepted_by_account(connection: Connection) -> dict[str, datetime | None]:
    """When each account's last answer was accepted."""
    rows = connection.execute(select(accounts.c.account, accounts.c.last_accepted_at))
    return {row.account: row.last_accepted_at for row in rows}


def finish_run(connection: Connection, run: StartedRun, status: RunStatus, now: datetime, **values: Any) -> None:
    """Close the run's row; the run's own word counts, also after a later run had taken it for abandoned.

    A row that is closed otherwise stays as it is: what was committed is not taken back. Raises `DatabaseFailed` where
    the run is not there any more, and where what it came to cannot be noted: after a restore to before its start
    another run may have its id.
    """
    is_this_run = (sync_runs.c.id == run.id) & (sync_runs.c.started_at == run.started_at)
    closed = connection.execute(
        update(sync_runs)
        .where(is_this_run, sync_runs.c.status.in_([RunStatus.RUNNING, RunStatus.ABANDONED]))
        .values(status=status, finished_at=max(now, run.started_at), **values)
    )
    if closed.rowcount == 1:
        return
    found = connection.execute(select(sync_runs.c.status).where(is_this_run)).scalar()
    if found is None or status in _BINDING:
        why = f"it is {found} already" if found else "it is not in the database any more, which may have been restored"
        raise DatabaseFailed(f"closing run {run.id}: {why}; nothing was written, the next run tries again")


def accept_run(
    connection: Connection, run: StartedRun, report: RunResult, observed_at: datetime, now: datetime, **answer: Any
) -> None:
    """Close the run of an accepted answer by its report."""
    blind = run.base.accepted_at is not None and observed_at - run.base.accepted_at > BLIND_GAP
    finish_run(
        connection,
        run,
        report.status,
        now,
        listed=report.listed,
        created=report.created,
        updated=report.updated,
        transitions=sum(report.transitions.values()),
        rejected=report.rejected,
        warning="blind_gap" if blind else None,
        error=None,
        error_kind=None,
        **answer,
    )


def read_status_after_failure(engine: Engine, run_id: int) -> RunStatus | None:
    """The run's status in the database after its transaction broke off; None when the database does not say.

    It waits until no transaction that writes the run's row is under way any more.
    """
    query = select(sync_runs.c.status).where(sync_runs.c.id == run_id).with_for_update()
    for attempt in range(COMMIT_LOOKUPS):
        if attempt:
            time.sleep(COMMIT_LOOKUP_PAUSE_SECONDS)
        try:
            with writing(engine, "looking up the run") as connection:
                return RunStatus(connection.execute(query).scalar_one())
        except DatabaseFailed:
            continue
    return None


def move_base(  # noqa: PLR0913
    connection: Connection, account: str, run: StartedRun, observed_at: datetime, seed: int, body_digest: bytes | None
) -> None:
    """Make this run the one that the next answer is compared with; approvals were for this answer at the latest."""
    connection.execute(
        update(accounts)
        .where(accounts.c.account == account)
        .values(last_accepted_run_id=run.id, last_accepted_at=observed_at, hash_seed=seed, body_digest=body_digest)
    )
    connection.execute(update(approvals).where(_is_open(account)).values(closed_by_run_id=run.id))


def read_approved(connection: Connection, account: str) -> list[frozenset[int]]:
    """The sets of instances whose loss was approved and that no answer has been accepted since."""
    query = (
        select(held_sets.c.missing)
        .join(held_answers, held_answers.c.missing_sha256 == held_sets.c.sha256)
        .join(approvals, approvals.c.run_id == held_answers.c.run_id)
        .where(_is_open(account))
    )
    return [frozenset(json.loads(missing)) for missing in connection.scalars(query)]


def hold(connection: Connection, run: StartedRun, held: Hold, error: str, now: datetime, **answer: Any) -> None:
    """Note that the answer is held, and what it lacked; nothing else of it is written."""
    missing = canonical_json(list(held.missing))
    digest = sha256(missing.encode()).hexdigest()
    insert_if_new(connection, held_sets, {"sha256": digest, "missing": missing})
    connection.execute(insert(held_answers).values(run_id=run.id, reason=held.reason, missing_sha256=digest))
    finish_run(connection, run, RunStatus.HELD, now, error_kind="held", error=error, listed=held.listed, **answer)


def approve(connection: Connection, run_id: int, now: datetime) -> bool:
    """Record an approval; False when it was there already. Raises `ConfigurationError` if the run is not held."""
    run = connection.execute(select(sync_runs.c.status).where(sync_runs.c.id == run_id)).one_or_none()
    if run is None:
        raise ConfigurationError(f"approving run {run_id}: there is no such run; held runs are shown by: syncer status")
    if run.status != RunStatus.HELD:
        raise ConfigurationError(
            f"approving run {run_id}: it is not held but {run.status}; held runs are shown by: syncer status"
        )
    approval = connection.execute(
        select(approvals.c.closed_by_run_id).where(approvals.c.run_id == run_id)
    ).one_or_none()
    if approval is not None and approval.closed_by_run_id is not None:
        raise ConfigurationError(
            f"approving run {run_id}: run {approval.closed_by_run_id} used its approval up; approve a later held run"
        )
    if approval is not None:
        return False
    connection.execute(insert(approvals).values(run_id=run_id, approved_at=now))
    return True


def _is_open(account: str) -> ColumnElement[bool]:
    """Of the few approvals; their runs are looked up one by one, so that the many of the account are not read."""
    is_of_account = exists().where(sync_runs.c.id == approvals.c.run_id, sync_runs.c.account == account)
    return approvals.c.closed_by_run_id.is_(None) & is_of_account


def _not_before(column: Column[datetime], moment: datetime) -> ColumnElement[datetime]:
    """The later of a column and a moment: a clock that was set back must not end a run before its start."""
    return case((column > moment, column), else_=moment)
