"""The record of runs: their rows, the base that each was started on, what was held, and what was approved since.

Everything but the look-up of a COMMIT works over a `Connection`; the caller owns the transaction and the clock.

Over 300 lines: one run's row is begun, held, approved, accepted and looked up by the same few conditions.
"""

import json
import time
from collections.abc import Collection, Sequence
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

    `moves` counts what came and went otherwise than by its own runs, at `moved_at` last.
    """

    run_id: int | None
    accepted_at: datetime | None
    moves: int | None
    moved_at: datetime | None
    hash_seed: int | None
    body_digest: bytes | None

    def is_overtaken_by(self, other: "Base") -> bool:
        """Whether any answer was applied to the account's rows in between."""
        return (self.run_id, self.moves) != (other.run_id, other.moves)


NO_BASE = Base(None, None, None, None, None, None)
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

    A run that is closed here while it is alive after all still ends by its own word, see `finish_run`. The base is
    read before the run gets its id: a run of a later id cannot be the base of this one, however long it takes.
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
    base = read_base(connection, account)
    run_id = connection.execute(
        insert(sync_runs)
        .values(account=account, trigger=trigger, started_at=now, status=RunStatus.RUNNING)
        .returning(sync_runs.c.id)
    ).scalar_one()
    return StartedRun(run_id, base, now)


def follows_hold(connection: Connection, account: str, run_id: int) -> bool:
    """Whether the account's run before this one was held, as this one will probably be."""
    query = select(sync_runs.c.status).where(sync_runs.c.account == account, sync_runs.c.id < run_id)
    return connection.execute(query.order_by(sync_runs.c.id.desc()).limit(1)).scalar() == RunStatus.HELD


def read_base(connection: Connection, account: str, *, lock: bool = False) -> Base:
    """The account's base; with `lock`, no other transaction can move it until this one ends.

    The lock lets others refer to the account: a run that starts and one that ends would wait for one another.
    """
    query = select(
        accounts.c.last_accepted_run_id,
        accounts.c.last_accepted_at,
        accounts.c.moves,
        accounts.c.moved_at,
        accounts.c.hash_seed,
        accounts.c.body_digest,
    ).where(accounts.c.account == account)
    row = connection.execute(query.with_for_update(of=accounts, key_share=True) if lock else query).one_or_none()
    return Base(*row) if row else NO_BASE


def read_remembered(connection: Connection, base: Base) -> Remembered:
    """What the account's last accepted answer left to be compared with."""
    columns = (sync_runs.c.listed, sync_runs.c.body_sha256, sync_runs.c.answered_at)
    row = connection.execute(select(*columns).where(sync_runs.c.id == base.run_id)).one_or_none()
    if row is None:
        return NOTHING_REMEMBERED
    if row.listed is None or row.body_sha256 is None:
        return NOTHING_REMEMBERED._replace(answered_at=row.answered_at)
    return Remembered(base.hash_seed, base.body_digest, row.listed, row.body_sha256, row.answered_at)


class Standing(NamedTuple):
    """When an account's last answer was accepted, and something was moved to or from it; whether it is retired."""

    accepted_at: datetime | None
    moved_at: datetime | None
    is_retired: bool


def read_standings(connection: Connection, names: Collection[str]) -> dict[str, Standing]:
    """Of these accounts, as far as they are known."""
    columns = accounts.c
    query = select(columns.account, columns.last_accepted_at, columns.moved_at, columns.retired_at.is_not(None))
    found = connection.execute(query.where(columns.account.in_(sorted(names))))
    return {account: Standing(*rest) for account, *rest in found}


def finish_run(connection: Connection, run: StartedRun, status: RunStatus, now: datetime, **values: Any) -> None:
    """Close the run's row; the run's own word counts, also after a later run had taken it for abandoned.

    A row that is closed otherwise stays as it is: what was committed is not taken back. Raises `DatabaseFailed` where
    the run is not there any more, and where what it came to cannot be noted: after a restore to before its start
    another run may have its id.
    """
    closed = connection.execute(
        update(sync_runs)
        .where(_is_this(run), sync_runs.c.status.in_([RunStatus.RUNNING, RunStatus.ABANDONED]))
        .values(status=status, finished_at=max(now, run.started_at), **values)
    )
    if closed.rowcount == 1:
        return
    found = connection.execute(select(sync_runs.c.status).where(_is_this(run))).scalar()
    if found is None or status in _BINDING:
        why = f"it is {found} already" if found else "it is not in the database any more, which may have been restored"
        raise DatabaseFailed(f"closing run {run.id}: {why}; nothing was written, the next run tries again")


def _is_this(run: StartedRun) -> ColumnElement[bool]:
    """Its row: by the id alone it might be that of another run, after a restore to before its start."""
    return (sync_runs.c.id == run.id) & (sync_runs.c.started_at == run.started_at)


def is_blind(base: Base, observed_at: datetime) -> bool:
    """Whether the upstream may have forgotten deletions that no answer ever showed."""
    return base.accepted_at is not None and observed_at - base.accepted_at > BLIND_GAP


def accept_run(
    connection: Connection, run: StartedRun, report: RunResult, warnings: Sequence[str], now: datetime, **answer: Any
) -> None:
    """Close the run of an accepted answer by its report."""
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
        warning=",".join(warnings) or None,
        error=None,
        error_kind=None,
        **answer,
    )


def read_status_after_failure(engine: Engine, run: StartedRun) -> RunStatus | None:
    """The run's status in the database after its transaction broke off; None when the database does not say.

    Nor does it where a restore to before its start took it away: its id may be another run's then.
    It waits until no transaction that writes the run's row is under way any more.
    """
    query = select(sync_runs.c.status).where(_is_this(run)).with_for_update()
    for attempt in range(COMMIT_LOOKUPS):
        if attempt:
            time.sleep(COMMIT_LOOKUP_PAUSE_SECONDS)
        try:
            with writing(engine, "looking up the run") as connection:
                status = connection.execute(query).scalar()
                return None if status is None else RunStatus(status)
        except DatabaseFailed:
            continue
    return None


def move_base(connection: Connection, account: str, base: Base) -> None:
    """Make this the base of the next answer; what was approved was for this answer at the latest.

    What came and went otherwise stays as it was noted. An account that is polled again is not retired any more.
    """
    connection.execute(
        update(accounts)
        .where(accounts.c.account == account)
        .values(
            last_accepted_run_id=base.run_id,
            last_accepted_at=base.accepted_at,
            hash_seed=base.hash_seed,
            body_digest=base.body_digest,
            retired_at=None,
            held_back_until=None,
        )
    )
    connection.execute(update(approvals).where(is_open(account)).values(closed_by_run_id=base.run_id))


def read_approved(connection: Connection, account: str) -> dict[tuple[str, str], list[frozenset[int]]]:
    """The sets of instances that were approved, by reason, and that no answer has been accepted since."""
    query = (
        select(held_answers.c.reason, held_answers.c.what, held_sets.c.ids)
        .join(held_sets, held_answers.c.ids_sha256 == held_sets.c.sha256)
        .join(approvals, approvals.c.run_id == held_answers.c.run_id)
        .where(is_open(account))
    )
    approved: dict[tuple[str, str], list[frozenset[int]]] = {}
    for reason, what, ids in connection.execute(query):
        approved.setdefault((reason, what), []).append(frozenset(json.loads(ids)))
    return approved


def hold(connection: Connection, run: StartedRun, held: Hold, error: str, now: datetime, **answer: Any) -> None:
    """Note that the answer is held, and for which instances; nothing else of it is written."""
    for ground in held.grounds:
        ids = canonical_json(list(ground.ids))
        digest = sha256(ids.encode()).hexdigest()
        insert_if_new(connection, held_sets, {"sha256": digest, "ids": ids})
        row = {"run_id": run.id, "reason": ground.reason, "what": ground.what, "ids_sha256": digest}
        connection.execute(insert(held_answers).values(row))
    finish_run(connection, run, RunStatus.HELD, now, error_kind="held", error=error, listed=held.listed, **answer)


def require_held(connection: Connection, run_id: int) -> None:
    """Raise `ConfigurationError` if the run is not held."""
    run = connection.execute(select(sync_runs.c.status).where(sync_runs.c.id == run_id)).one_or_none()
    if run is None:
        raise ConfigurationError(f"approving run {run_id}: there is no such run; held runs are shown by: syncer status")
    if run.status != RunStatus.HELD:
        raise ConfigurationError(
            f"approving run {run_id}: it is not held but {run.status}; held runs are shown by: syncer status"
        )


def approve(connection: Connection, run_id: int, now: datetime) -> bool:
    """Record an approval; False when it was there already. Raises `ConfigurationError` if the run is not held."""
    require_held(connection, run_id)
    approval = connection.execute(
        select(approvals.c.closed_by_run_id, approvals.c.lapsed_at).where(approvals.c.run_id == run_id)
    ).one_or_none()
    if approval is not None and approval.lapsed_at is not None:
        raise ConfigurationError(
            f"approving run {run_id}: its approval lapsed, by an upgrade or another name of the account; "
            "approve a later held run"
        )
    if approval is not None and approval.closed_by_run_id is not None:
        raise ConfigurationError(
            f"approving run {run_id}: run {approval.closed_by_run_id} used its approval up; approve a later held run"
        )
    if approval is not None:
        return False
    connection.execute(insert(approvals).values(run_id=run_id, approved_at=now))
    return True


def is_open(account: str) -> ColumnElement[bool]:
    """Whether an approval is the account's, and neither used nor lapsed.

    The few approvals' runs are looked up one by one, so that the many of the account are not read.
    """
    is_of_account = exists().where(sync_runs.c.id == approvals.c.run_id, sync_runs.c.account == account)
    return approvals.c.closed_by_run_id.is_(None) & approvals.c.lapsed_at.is_(None) & is_of_account


def _not_before(column: Column[datetime], moment: datetime) -> ColumnElement[datetime]:
    """The later of a column and a moment: a clock that was set back must not end a run before its start."""
    return case((column > moment, column), else_=moment)
