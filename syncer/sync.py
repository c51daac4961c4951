"""The story of one run: fetch → read → one transaction [ transitions → guard → apply ].

Here, and only here, the fetcher and the store meet. An answer is read while it arrives, and only what differs from the
mirror is kept of it; what that means is decided by `rules`, and written together or not at all.

It is a page longer than 300 lines so that a run, its plan and its transaction are told in one file.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from syncer.answer.item import Decoder
from syncer.answer.known import NOTHING_KNOWN, NOTHING_REMEMBERED, Known, Remembered
from syncer.answer.listing import Listing
from syncer.answer.reader import Reader
from syncer.errors import AnswerHeld, AnswerUnusable, DatabaseFailed, FetchStopped, RunOvertaken, SyncerError
from syncer.model import Answer, Decision, Fetch, MirrorRow, RunReport, RunStatus, Trigger
from syncer.rules import guard
from syncer.rules.transitions import Observation, decide_absent, decide_listed
from syncer.storage import database, mirror, rows, runs
from syncer.storage.runs import StartedRun
from syncer.storage.tokens import Safe

READINGS = 3  # let go as the recognised answer; ids listed twice; settled

Clock = Callable[[], datetime]
ReadRows = Callable[[Sequence[int]], Mapping[int, MirrorRow]]

log = logging.getLogger(__name__)


class Account(NamedTuple):
    """Whose instances are mirrored, and what is believed of an answer about them; `safe` keeps their tokens."""

    name: str
    decoder: Decoder
    expiry_grace: timedelta
    tolerated_vanished: Fraction
    interval_seconds: int | None = None
    safe: Safe | None = None

    def rules(self) -> tuple[object, ...]:
        """Settings, besides the decoder's, that an item's meaning depends on."""
        return self.expiry_grace, self.safe and self.safe.key_fingerprint


class Plan(NamedTuple):
    """What a run would do with an answer now: the decisions that change a row, or why it would be held."""

    listing: Listing
    hold: guard.Hold | None
    decisions: tuple[Decision, ...]


def run_once(engine: Engine, account: Account, fetch: Fetch, clock: Clock, trigger: Trigger) -> RunReport:
    """Fetch one answer and apply it onto the state that it was fetched against.

    Every failure of the upstream, the answer or the database that ends the run is in the report and, where the
    database can still take it, in the run's row. Raises `DatabaseFailed` only when not even the start could be noted.
    """
    began = time.monotonic()
    with database.writing(engine, "starting a run") as connection:
        run = runs.start_run(connection, account.name, trigger, clock(), account.interval_seconds)
        remembered = runs.read_remembered(connection, run.base)
    columns: dict[str, Any] = {}
    try:
        answer = _read_answer(engine, account, remembered, fetch)
        columns |= _columns(answer)
        if answer.body.problem is None:
            report = _apply(engine, _Answered(account, run, answer.body, clock(), columns), clock)
        else:
            report = _fail(engine, account, run, answer.body.problem, columns, clock)
    except SyncerError as error:
        report = _fail(engine, account, run, error, columns, clock)
    except (KeyboardInterrupt, SystemExit):
        _fail(engine, account, run, FetchStopped("the run was stopped by a signal"), columns, clock)
        raise
    except Exception as error:
        log.exception("defect", extra={"fields": {"action": "defect", "run": run.id}})
        defect = SyncerError(
            f"a defect in syncer ({type(error).__name__}); its traceback is in the log, please report it"
        )
        report = _fail(engine, account, run, defect, columns, clock)
    report = report._replace(body_bytes=columns.get("body_bytes"))
    _log_summary(report, time.monotonic() - began)
    return report


def plan(engine: Engine | None, account: Account, fetch: Fetch, clock: Clock) -> Plan:
    """What `run_once` would do now; nothing is written. Without an engine nothing is known yet.

    Raises what ends a run: `SyncerError`s of the upstream, the answer or the database.
    """
    remembered = NOTHING_REMEMBERED
    if engine is not None:
        with database.reading(engine, "reading the mirror") as connection:
            remembered = runs.read_remembered(connection, runs.read_base(connection, account.name))
    listing = _read_answer(engine, account, remembered, fetch).body
    if listing.problem is not None:
        raise listing.problem
    if engine is None:
        observation = Observation(account.name, clock(), {}, account.expiry_grace)
        return _plan(listing, None, decisions_of(listing, observation, lambda _ids: {}, shared=False))
    with database.reading(engine, "reading the mirror") as connection:
        hold = _examine(connection, account, listing)
        observation, shared = _observe(connection, account, listing, clock())
        return _plan(
            listing, hold, decisions_of(listing, observation, partial(rows.read_rows, connection), shared=shared)
        )


def decisions_of(
    listing: Listing, observation: Observation, read_rows: ReadRows, *, shared: bool
) -> Iterator[list[Decision]]:
    """What an answer means for each instance that differs in it or is absent, some at a time; pure but for the rows.

    Where the database is `shared`, any instance that is listed may have a row of another account.
    """
    known = listing.known
    for items in listing.differing.batches():
        items.sort(key=lambda item: item.id_instance)
        ids = [item.id_instance for item in items if shared or known.find(item.id_instance) >= 0]
        before = read_rows(ids) if ids else {}
        yield [decide_listed(before.get(item.id_instance), item, observation) for item in items]
    for ids in rows.batches(known.ids[row] for row in listing.absent):
        before = read_rows(ids)
        yield [decide_absent(before[id_instance], observation) for id_instance in ids]


class _Answered(NamedTuple):
    """A run with its answer: what that lists, when it was complete, and what the run's row says of it."""

    account: Account
    run: StartedRun
    listing: Listing
    at: datetime
    columns: Mapping[str, Any]


def _read_answer(engine: Engine | None, account: Account, remembered: Remembered, fetch: Fetch) -> Answer[Listing]:
    """Fetch an answer and read it by what is known; one that was too large to be kept may be fetched once more."""

    def load() -> Known:
        if engine is None:
            return NOTHING_KNOWN
        with database.reading(engine, "reading the mirror") as connection:
            return rows.read_known(connection, account.name)

    reader = Reader(account.decoder, account.rules(), load, remembered)
    for _reading in range(READINGS):
        answer = fetch(reader)
        if answer.body is not None:
            return Answer(answer.body, answer.http_status)
    raise AnswerUnusable(
        "reading the answer: it lists instances more than once, and other ones each time it is asked for; "
        "nothing is inferred from it, try again later"
    )


def _apply(engine: Engine, answered: _Answered, clock: Clock) -> RunReport:
    """The one transaction of an answer. A COMMIT that was not acknowledged is looked up, never repeated."""
    account, run, listing, *_ = answered
    report = None
    try:
        with database.writing(engine, "applying the answer") as connection:
            if listing.differs:
                database.become_sole_writer(connection)
            if run.base.is_overtaken_by(runs.read_base(connection, account.name, lock=True)):
                report = _supersede(connection, answered, clock())
            elif (hold := _examine(connection, account, listing)) is not None:
                report = _hold(connection, answered, hold, clock())
            else:
                report = _accept(connection, answered, clock)
    except DatabaseFailed:
        if report is None or runs.read_status_after_failure(engine, run.id) is not report.status:
            raise
    return report


def _accept(connection: Connection, answered: _Answered, clock: Clock) -> RunReport:
    """Write what differs, with its history and rejects, and make this answer the base of the next one."""
    account, run, listing, at, columns = answered
    observation, shared = _observe(connection, account, listing, at)
    writer = mirror.Writer(connection, account.name, run.id, observation.observed_at)
    for decisions in decisions_of(listing, observation, partial(rows.read_rows, connection), shared=shared):
        writer.write(decisions)
        if account.safe is not None:
            account.safe.keep(connection, [decision.item for decision in decisions if decision.item is not None])
    writer.close()
    mirror.keep_rejects(connection, run.id, listing.rejects)
    digest = listing.digest if writer.is_lasting and not listing.rejects else None
    runs.move_base(connection, account.name, run, observation.observed_at, listing.seed, digest)
    status = RunStatus.OK if writer.created or writer.updated else RunStatus.UNCHANGED
    counts = (listing.listed, writer.created, writer.updated, writer.transitions, len(listing.rejects))
    report = RunReport(run.id, account.name, status, *counts)
    runs.accept_run(connection, run, report, observation.observed_at, clock(), **columns)
    return report


def _examine(connection: Connection, account: Account, listing: Listing) -> guard.Hold | None:
    approved = runs.read_approved(connection, account.name)
    return guard.examine(listing, tolerated_share=account.tolerated_vanished, approved=approved)


def _observe(connection: Connection, account: Account, listing: Listing, at: datetime) -> tuple[Observation, bool]:
    """When the answer was observed, and whether other accounts have instances.

    A clock that was set back must not make anything observed before what these accounts observed earlier.
    """
    accepted = runs.last_accepted_by_account(connection)
    shared = bool(listing.foreign_ids) and mirror.has_other_accounts(connection, account.name)
    owners = {account.name}
    if shared:
        for ids in rows.batches(listing.foreign_ids):
            owners |= mirror.read_owners(connection, ids)
    observed_at = max([at, *(moment for owner in owners if (moment := accepted.get(owner)) is not None)])
    return Observation(account.name, observed_at, accepted, account.expiry_grace), shared


def _hold(connection: Connection, answered: _Answered, hold: guard.Hold, now: datetime) -> RunReport:
    run = answered.run
    held = AnswerHeld(guard.describe(hold, run.id))
    runs.hold(connection, run, hold, str(held), now, **answered.columns)
    return RunReport(run.id, answered.account.name, RunStatus.HELD, hold.listed, error=held)


def _supersede(connection: Connection, answered: _Answered, now: datetime) -> RunReport:
    run, listed = answered.run, answered.listing.listed
    overtaken = RunOvertaken("applying the answer: another run applied a later one first; nothing was written")
    told = {"error_kind": overtaken.kind, "error": str(overtaken), "listed": listed, **answered.columns}
    runs.finish_run(connection, run, RunStatus.SUPERSEDED, now, **told)
    return RunReport(run.id, answered.account.name, RunStatus.SUPERSEDED, listed, error=overtaken)


def _plan(listing: Listing, hold: guard.Hold | None, batches: Iterable[Sequence[Decision]]) -> Plan:
    changing = (decision for batch in batches for decision in batch if decision.row is not decision.before)
    return Plan(listing, hold, tuple(changing))


def _columns(answer: Answer[Listing]) -> dict[str, Any]:
    return {
        "http_status": answer.http_status,
        "body_bytes": answer.body.body_bytes,
        "body_sha256": answer.body.body_sha256,
    }


def _fail(
    engine: Engine,
    account: Account,
    run: StartedRun,
    error: SyncerError,
    columns: Mapping[str, Any],
    clock: Clock,
) -> RunReport:
    """Note why the run was not accepted; a database that cannot take even that leaves the row to a later run."""
    status = RunStatus.ABANDONED if isinstance(error, FetchStopped) else RunStatus.FAILED
    columns = columns or ({"http_status": error.http_status} if error.http_status else {})
    try:
        with database.writing(engine, "noting the failure") as connection:
            runs.finish_run(
                connection,
                run,
                status,
                clock(),
                error_kind=error.kind,
                error=account.decoder.scrub(str(error)),
                **columns,
            )
    except DatabaseFailed as failure:
        log.warning(
            "run not closed", extra={"fields": {"action": "run_not_closed", "run": run.id, "error": str(failure)}}
        )
    # The frames that it came through hold the answer, and would live as long as the report.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return RunReport(run.id, account.name, status, error=error)


def _log_summary(report: RunReport, seconds: float) -> None:
    fields = {
        "action": "run_finished",
        "run": report.id,
        "account": report.account,
        "status": str(report.status),
        "listed": report.listed,
        "created": report.created,
        "updated": report.updated,
        "transitions": dict(report.transitions),
        "rejected": report.rejected,
        "body_bytes": report.body_bytes,
        "seconds": round(seconds, 3),
    }
    if report.error is None:
        log.info("run finished", extra={"fields": fields})
    else:
        fields |= {"error_kind": report.error.kind, "error": str(report.error)}
        log.error("run not accepted", extra={"fields": fields})
