"""The story of one run: fetch → read → one transaction [ transitions → guard → timeline → apply ].

Here, and only here, the fetcher and the store meet. An answer is read while it arrives, and only what differs from the
mirror is kept of it; what that means is decided by `rules`, and written together or not at all.

It is longer than 300 lines so that a run, its plan and its transaction are told in one file.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from syncer.answer.item import Decoder
from syncer.answer.known import NOTHING_KNOWN, NOTHING_REMEMBERED, Known, Remembered
from syncer.answer.listing import Listing
from syncer.answer.reader import Reader
from syncer.answer.stated import Stated, part_problem, read_stated, time_problem
from syncer.errors import (
    AnswerHeld,
    AnswerUnusable,
    DatabaseFailed,
    FetchStopped,
    RunOvertaken,
    SyncerError,
    UpstreamUnreachable,
)
from syncer.model import Answer, Decision, Fetch, RunResult, RunStatus, Trigger
from syncer.rules import guard
from syncer.rules.decisions import NO_ROWS, Rows, decisions_of, dropped_claims, told_one_by_one, unread_strangers
from syncer.rules.transitions import Observation
from syncer.rules.zone import window_between
from syncer.storage import claims, database, lease, mirror, rows, runs, schema
from syncer.storage.evidence import Births
from syncer.storage.observing import observe
from syncer.storage.runs import StartedRun
from syncer.storage.tokens import Safe

MOST_FETCHES = 3  # let go as the recognised answer; ids listed twice; settled

Clock = Callable[[], datetime]

log = logging.getLogger(__name__)


class Terms(NamedTuple):
    """Whose instances are mirrored, and what is believed of an answer about them; `safe` keeps their tokens."""

    name: str
    decoder: Decoder
    expiry_grace: timedelta
    bounds: guard.Bounds
    clock_tolerance: timedelta | None = None
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


def run_once(engine: Engine, terms: Terms, fetch: Fetch, clock: Clock, trigger: Trigger) -> RunResult:
    """Fetch one answer and apply it onto the state that it was fetched against.

    Every failure of the upstream, the answer or the database that ends the run is in the report and, where the
    database can still take it, in the run's row. Raises `DatabaseFailed` only when not even the start could be noted.
    """
    began = time.monotonic()
    with database.writing(engine, "starting a run") as connection:
        run = runs.start_run(connection, terms.name, trigger, clock(), terms.interval_seconds)
        remembered = runs.read_remembered(connection, run.base)
    columns: dict[str, Any] = {}
    try:
        answer = _read_answer(engine, terms, remembered, fetch)
        stated = read_stated(answer.headers)
        columns |= _columns(answer, stated)
        problem = _problem_of(answer, stated, terms, remembered)
        if problem is None:
            result = _apply(engine, _Answered(terms, run, answer.body, clock(), stated, remembered, columns), clock)
        else:
            result = _fail(engine, terms, run, problem, columns, clock)
    except SyncerError as error:
        result = _fail(engine, terms, run, error, columns, clock)
    except (KeyboardInterrupt, SystemExit):
        _fail(engine, terms, run, FetchStopped("the run was stopped by a signal"), columns, clock)
        raise
    except Exception as error:
        log.exception("defect", extra={"fields": {"action": "defect", "run": run.id}})
        defect = SyncerError(
            f"a defect in syncer ({type(error).__name__}); its traceback is in the log, please report it"
        )
        result = _fail(engine, terms, run, defect, columns, clock)
    result = result._replace(body_bytes=columns.get("body_bytes"))
    _log_summary(result, time.monotonic() - began)
    return result


def plan(engine: Engine | None, terms: Terms, fetch: Fetch, clock: Clock) -> Plan:
    """What `run_once` would do now; nothing is written. Without an engine nothing is known yet.

    Raises what ends a run: `SyncerError`s of the upstream, the answer or the database.
    """
    remembered = NOTHING_REMEMBERED
    if engine is not None:
        with database.reading(engine, "reading the mirror") as connection:
            remembered = runs.read_remembered(connection, runs.read_base(connection, terms.name))
    answer = _read_answer(engine, terms, remembered, fetch)
    listing = answer.body
    problem = _problem_of(answer, read_stated(answer.headers), terms, remembered)
    if problem is not None:
        raise problem
    if engine is None:
        observation = Observation(terms.name, clock(), {}, terms.expiry_grace)
        return _plan(listing, terms, _one_by_one(listing, observation, NO_ROWS), {})
    with database.reading(engine, "reading the mirror") as connection:
        observation, known_rows = observe(connection, terms.name, terms.expiry_grace, listing, clock())
        approved = runs.read_approved(connection, terms.name)
        return _plan(listing, terms, _one_by_one(listing, observation, known_rows), approved)


class _Answered(NamedTuple):
    """A run with its answer: what it lists and says of itself, when it was complete, what the run's row says of it."""

    terms: Terms
    run: StartedRun
    listing: Listing
    at: datetime
    stated: Stated
    remembered: Remembered
    columns: Mapping[str, Any]


def _read_answer(engine: Engine | None, terms: Terms, remembered: Remembered, fetch: Fetch) -> Answer[Listing]:
    """Fetch an answer and read it by what is known; one that was too large to be kept may be fetched once more."""

    def load() -> Known:
        if engine is None:
            return NOTHING_KNOWN
        with database.reading(engine, "reading the mirror") as connection:
            return rows.read_known(connection, terms.name)

    reader = Reader(terms.decoder, terms.rules(), load, remembered)
    for _fetch in range(MOST_FETCHES):
        answer = fetch(reader)
        if answer.body is not None:
            return Answer(answer.body, *answer[1:])
    raise AnswerUnusable(
        "reading the answer: it lists instances more than once, and other ones each time it is asked for; "
        "nothing is inferred from it, try again later"
    )


class _WouldBeHeld(Exception):
    """What was written of an answer showed that it must not be."""

    def __init__(self, hold: guard.Hold) -> None:
        super().__init__()
        self.hold = hold


def _apply(engine: Engine, answered: _Answered, clock: Clock) -> RunResult:
    """The one transaction of an answer; one that shows itself implausible while it is written is taken back whole."""

    def apply(connection: Connection) -> RunResult:
        if answered.listing.differs:
            database.become_sole_writer(connection)
        schema.require_own(connection)  # it may have been upgraded while the answer was fetched
        if _is_overtaken(connection, answered):
            return _supersede(connection, answered, clock())
        if (hold := _look_first(connection, answered)) is not None:
            return _hold(connection, answered, hold, clock())
        return _accept(connection, answered, clock)

    try:
        return _write(engine, answered.run, apply)
    except _WouldBeHeld as found:
        hold = found.hold

    def note(connection: Connection) -> RunResult:
        schema.require_own(connection)
        if _is_overtaken(connection, answered):
            return _supersede(connection, answered, clock())
        return _hold(connection, answered, hold, clock())

    return _write(engine, answered.run, note)


def _write(engine: Engine, run: StartedRun, what: Callable[[Connection], RunResult]) -> RunResult:
    """One transaction. A COMMIT that was not acknowledged is looked up, never repeated."""
    result: RunResult | None = None
    try:
        with database.writing(engine, "applying the answer") as connection:
            result = what(connection)
    except DatabaseFailed:
        if result is None or runs.read_status_after_failure(engine, run) is not result.status:
            raise
    return result


def _is_overtaken(connection: Connection, answered: _Answered) -> bool:
    now = runs.read_base(connection, answered.terms.name, lock=True)
    return answered.run.base.is_overtaken_by(now)


def _look_first(connection: Connection, answered: _Answered) -> guard.Hold | None:
    """Judge an answer before anything is written, where it will probably be held: that leaves no dead rows behind."""
    terms, run, listing, at, *_ = answered
    if not listing.differs:
        return None
    if not guard.looks_odd(listing, terms.bounds) and not runs.follows_hold(connection, terms.name, run.id):
        return None
    observation, known_rows = observe(connection, terms.name, terms.expiry_grace, listing, at)
    tally = guard.Tally()
    for decided in decisions_of(listing, observation, known_rows):
        tally.count(decided.decisions)
    return _judge(connection, terms, listing, tally)


def _judge(connection: Connection, terms: Terms, listing: Listing, tally: guard.Tally) -> guard.Hold | None:
    """What the guard says; what was approved is asked for only where that counts."""
    hold = guard.examine(listing, tally, terms.bounds, {})
    return hold and guard.examine(listing, tally, terms.bounds, runs.read_approved(connection, terms.name))


def _accept(connection: Connection, answered: _Answered, clock: Clock) -> RunResult:
    """Write what differs, with its history and rejects, and make this answer the base of the next one.

    Raises `_WouldBeHeld` where the sum of it is implausible.
    """
    terms, run, listing, at, *_ = answered
    observation, known_rows = observe(connection, terms.name, terms.expiry_grace, listing, at)
    observed_at = observation.observed_at
    writer = mirror.Writer(connection, terms.name, run.id, observed_at)
    tally = guard.Tally()
    last = answered.remembered.answered_at, run.base.accepted_at
    births = Births(terms.name, window_between(last, (answered.stated.at, observed_at)))
    for decided in decisions_of(listing, observation, known_rows):
        tally.count(decided.decisions)
        births.note(decided.first_sights())
        writer.create(decided.created)
        writer.write(decided.decisions)
        writer.roll(decided.rolled)
        if terms.safe is not None:
            terms.safe.keep(connection, decided.owned_items())
    if (hold := _judge(connection, terms, listing, tally)) is not None:
        raise _WouldBeHeld(hold)
    writer.close(seed_is_new=listing.seed != run.base.hash_seed)
    claims.drop_claims(connection, terms.name, dropped_claims(listing))
    claims.claim_unread(connection, terms.name, run.id, unread_strangers(listing))
    mirror.keep_rejects(connection, run.id, listing.rejects)
    is_lasting = writer.is_lasting and not listing.rejects and not listing.repeated
    base = run.base._replace(run_id=run.id, accepted_at=observed_at, hash_seed=listing.seed)
    runs.move_base(connection, terms.name, base._replace(body_digest=listing.digest if is_lasting else None))
    status = RunStatus.OK if writer.created or writer.updated else RunStatus.UNCHANGED
    counts = (listing.listed, writer.created, writer.updated, writer.transitions, len(listing.rejects))
    result = RunResult(run.id, terms.name, status, *counts)
    warnings = {
        "blind_gap": runs.is_blind(run.base, observed_at),
        "overlap": claims.is_contested(connection, terms.name),
        "mass_change": guard.is_mass_change(listing, tally),
        "zone": births.speak_against(connection, terms.decoder.upstream_offset),
    }
    said = [warning for warning, is_so in warnings.items() if is_so]
    runs.accept_run(connection, run, result, said, clock(), **answered.columns)
    return result


def _hold(connection: Connection, answered: _Answered, hold: guard.Hold, now: datetime) -> RunResult:
    run = answered.run
    held = AnswerHeld(guard.describe(hold, run.id))
    runs.hold(connection, run, hold, str(held), now, **answered.columns)
    return RunResult(run.id, answered.terms.name, RunStatus.HELD, hold.listed, error=held)


def _supersede(connection: Connection, answered: _Answered, now: datetime) -> RunResult:
    run, listed = answered.run, answered.listing.listed
    overtaken = RunOvertaken("applying the answer: another run applied a later one first; nothing was written")
    told = {"error_kind": overtaken.kind, "error": str(overtaken), "listed": listed, **answered.columns}
    runs.finish_run(connection, run, RunStatus.SUPERSEDED, now, **told)
    return RunResult(run.id, answered.terms.name, RunStatus.SUPERSEDED, listed, error=overtaken)


def _one_by_one(listing: Listing, observation: Observation, known_rows: Rows) -> Iterator[list[Decision]]:
    """The decisions of an answer with those that come by the hundred thousand."""
    for decided in decisions_of(listing, observation, known_rows):
        yield told_one_by_one(decided, observation, known_rows)


def _plan(listing: Listing, terms: Terms, batches: Iterable[Sequence[Decision]], approved: guard.Approved) -> Plan:
    tally = guard.Tally()
    changing: list[Decision] = []
    for decisions in batches:
        tally.count(decisions)
        changing += [decision for decision in decisions if decision.differs]
    return Plan(listing, guard.examine(listing, tally, terms.bounds, approved), tuple(changing))


def _problem_of(answer: Answer[Listing], stated: Stated, terms: Terms, remembered: Remembered) -> SyncerError | None:
    """Why the answer is not to be used, by its headers, or by what it lists."""
    listing = answer.body
    problem = None
    if answer.arrived_at is not None:
        problem = time_problem(stated, answer.arrived_at, remembered.answered_at, terms.clock_tolerance)
    return problem or listing.problem or part_problem(stated, listing.listed + listing.repeated)


def _columns(answer: Answer[Listing], stated: Stated) -> dict[str, Any]:
    return {
        "answered_at": stated.at,
        "http_status": answer.http_status,
        "body_bytes": answer.body.body_bytes,
        "body_sha256": answer.body.body_sha256,
    }


def _fail(  # noqa: PLR0913 - a run without an answer: nothing of it is at hand yet
    engine: Engine,
    terms: Terms,
    run: StartedRun,
    error: SyncerError,
    columns: Mapping[str, Any],
    clock: Clock,
) -> RunResult:
    """Note why the run was not accepted, and until when the upstream wants to wait.

    A database that cannot take even that leaves the row to a later run.
    """
    status = RunStatus.ABANDONED if isinstance(error, FetchStopped) else RunStatus.FAILED
    columns = columns or {"http_status": error.http_status, "answered_at": error.answered_at}
    try:
        with database.writing(engine, "noting the failure") as connection:
            runs.finish_run(
                connection,
                run,
                status,
                clock(),
                error_kind=error.kind,
                error=terms.decoder.scrub(str(error)),
                **columns,
            )
            if isinstance(error, UpstreamUnreachable) and error.retry_after_seconds:
                lease.hold_back(connection, terms.name, error.retry_after_seconds)
    except DatabaseFailed as failure:
        log.warning(
            "run not closed", extra={"fields": {"action": "run_not_closed", "run": run.id, "error": str(failure)}}
        )
    # The frames that it came through hold the answer, and would live as long as the report.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return RunResult(run.id, terms.name, status, error=error)


def _log_summary(result: RunResult, seconds: float) -> None:
    fields = {
        "action": "run_finished",
        "run": result.id,
        "account": result.account,
        "status": str(result.status),
        "listed": result.listed,
        "created": result.created,
        "updated": result.updated,
        "transitions": dict(result.transitions),
        "rejected": result.rejected,
        "body_bytes": result.body_bytes,
        "seconds": round(seconds, 3),
    }
    if result.error is None:
        log.info("run finished", extra={"fields": fields})
    else:
        fields |= {"error_kind": result.error.kind, "error": str(result.error)}
        log.error("run not accepted", extra={"fields": fields})
