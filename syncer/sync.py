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
from syncer.answer.known import CLAIMED, FREE, NOTHING_KNOWN, NOTHING_REMEMBERED, Known, Remembered
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
from syncer.model import Answer, Decision, Fetch, MirrorRow, RunReport, RunStatus, Trigger
from syncer.rules import guard, zone
from syncer.rules.transitions import Observation, decide_absent, decide_listed
from syncer.storage import claims, database, evidence, lease, mirror, rows, runs
from syncer.storage.runs import StartedRun
from syncer.storage.tokens import Safe

READINGS = 3  # let go as the recognised answer; ids listed twice; settled

Clock = Callable[[], datetime]

log = logging.getLogger(__name__)


class Account(NamedTuple):
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


class Rows(NamedTuple):
    """What the mirror says of instances by their ids: their rows, and who claims which.

    Where the database is `shared`, any instance that is listed may have a row of another account.
    """

    read: Callable[[Sequence[int]], Mapping[int, MirrorRow]]
    claimants: Callable[[Sequence[int]], Mapping[int, str]]
    shared: bool


NO_ROWS = Rows(lambda _ids: {}, lambda _ids: {}, shared=False)


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
        stated = read_stated(answer.headers)
        columns |= _columns(answer, stated)
        problem = _problem_of(answer, stated, account, remembered)
        if problem is None:
            report = _apply(engine, _Answered(account, run, answer.body, clock(), stated, remembered, columns), clock)
        else:
            report = _fail(engine, account, run, problem, columns, clock)
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
    answer = _read_answer(engine, account, remembered, fetch)
    listing = answer.body
    problem = _problem_of(answer, read_stated(answer.headers), account, remembered)
    if problem is not None:
        raise problem
    if engine is None:
        observation = Observation(account.name, clock(), {}, account.expiry_grace)
        return _plan(listing, account, decisions_of(listing, observation, NO_ROWS), {})
    with database.reading(engine, "reading the mirror") as connection:
        observation, known_rows = _observe(connection, account, listing, clock())
        approved = runs.read_approved(connection, account.name)
        return _plan(listing, account, decisions_of(listing, observation, known_rows), approved)


def decisions_of(listing: Listing, observation: Observation, known_rows: Rows) -> Iterator[list[Decision]]:
    """What an answer means for each instance that differs in it or is absent, some at a time; pure but for the rows.

    Of what the account had but claimed, absence means nothing to the instance: see `dropped_claims`.
    """
    known = listing.known
    for items in listing.differing.batches():
        items.sort(key=lambda item: item.id_instance)
        ids = [item.id_instance for item in items if known_rows.shared or known.find(item.id_instance) >= 0]
        before = known_rows.read(ids) if ids else {}
        yield [decide_listed(before.get(item.id_instance), item, observation) for item in items]
    for ids in rows.batches(known.ids[row] for row in listing.absent if not known.flags[row] & CLAIMED):
        before, claimants = known_rows.read(ids), known_rows.claimants(ids)
        yield [decide_absent(before[key], observation, claimants.get(key)) for key in ids]


def dropped_claims(listing: Listing) -> list[int]:
    """What the account claimed, and does not list any more."""
    return [listing.known.ids[row] for row in listing.absent if listing.known.flags[row] & CLAIMED]


class _Answered(NamedTuple):
    """A run with its answer: what it lists and says of itself, when it was complete, what the run's row says of it."""

    account: Account
    run: StartedRun
    listing: Listing
    at: datetime
    stated: Stated
    remembered: Remembered
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


def _apply(engine: Engine, answered: _Answered, clock: Clock) -> RunReport:
    """The one transaction of an answer; one that shows itself implausible while it is written is taken back whole."""

    def apply(connection: Connection) -> RunReport:
        if answered.listing.differs:
            database.become_sole_writer(connection)
        if _is_overtaken(connection, answered):
            return _supersede(connection, answered, clock())
        if (hold := _look_first(connection, answered)) is not None:
            return _hold(connection, answered, hold, clock())
        return _accept(connection, answered, clock)

    try:
        return _write(engine, answered.run, apply)
    except _WouldBeHeld as found:
        hold = found.hold

    def note(connection: Connection) -> RunReport:
        if _is_overtaken(connection, answered):
            return _supersede(connection, answered, clock())
        return _hold(connection, answered, hold, clock())

    return _write(engine, answered.run, note)


def _write(engine: Engine, run: StartedRun, what: Callable[[Connection], RunReport]) -> RunReport:
    """One transaction. A COMMIT that was not acknowledged is looked up, never repeated."""
    report: RunReport | None = None
    try:
        with database.writing(engine, "applying the answer") as connection:
            report = what(connection)
    except DatabaseFailed:
        if report is None or runs.read_status_after_failure(engine, run.id) is not report.status:
            raise
    return report


def _is_overtaken(connection: Connection, answered: _Answered) -> bool:
    now = runs.read_base(connection, answered.account.name, lock=True)
    return answered.run.base.is_overtaken_by(now)


def _look_first(connection: Connection, answered: _Answered) -> guard.Hold | None:
    """Judge an answer before anything is written, where it will probably be held: that leaves no dead rows behind."""
    account, run, listing, at, *_ = answered
    if not run.follows_hold and not guard.looks_odd(listing, account.bounds):
        return None
    observation, known_rows = _observe(connection, account, listing, at)
    tally = guard.Tally()
    for decisions in decisions_of(listing, observation, known_rows):
        tally.count(decisions)
    return guard.examine(listing, tally, account.bounds, runs.read_approved(connection, account.name))


def _accept(connection: Connection, answered: _Answered, clock: Clock) -> RunReport:
    """Write what differs, with its history and rejects, and make this answer the base of the next one.

    Raises `_WouldBeHeld` where the sum of it is implausible.
    """
    account, run, listing, at, *_ = answered
    observation, known_rows = _observe(connection, account, listing, at)
    observed_at = observation.observed_at
    writer = mirror.Writer(connection, account.name, run.id, observed_at)
    tally = guard.Tally()
    births = _Births(answered, observed_at)
    for decisions in decisions_of(listing, observation, known_rows):
        tally.count(decisions)
        births.note(decisions)
        writer.write(decisions)
        if account.safe is not None:
            account.safe.keep(connection, [one.item for one in decisions if one.item is not None and not one.is_claim])
    hold = guard.examine(listing, tally, account.bounds, runs.read_approved(connection, account.name))
    if hold is not None:
        raise _WouldBeHeld(hold)
    writer.close()
    claims.drop_claims(connection, account.name, dropped_claims(listing))
    mirror.keep_rejects(connection, run.id, listing.rejects)
    is_lasting = writer.is_lasting and not listing.rejects and not listing.repeated
    runs.move_base(connection, account.name, run, observed_at, listing.seed, listing.digest if is_lasting else None)
    status = RunStatus.OK if writer.created or writer.updated else RunStatus.UNCHANGED
    counts = (listing.listed, writer.created, writer.updated, writer.transitions, len(listing.rejects))
    report = RunReport(run.id, account.name, status, *counts)
    warnings = {
        "blind_gap": runs.is_blind(run.base, observed_at),
        "overlap": claims.is_contested(connection, account.name),
        "mass_change": guard.is_mass_change(listing, tally),
        "zone": births.speak_against_offset(connection),
    }
    said = [warning for warning, is_so in warnings.items() if is_so]
    runs.accept_run(connection, run, report, said, clock(), **answered.columns)
    return report


class _Births:
    """Those that an answer shows so soon after the one before it that they tell of the upstream's offset."""

    def __init__(self, answered: _Answered, observed_at: datetime) -> None:
        last = answered.remembered.answered_at, answered.run.base.accepted_at
        self._window = zone.window_between(last, (answered.stated.at, observed_at))
        self._account = answered.account
        self._ids: list[int] = []

    def note(self, decisions: Sequence[Decision]) -> None:
        if self._window is None:
            return
        for decision in decisions:
            created = decision.row.instance.time_created
            if decision.before is None and created is not None and zone.is_birth(created, self._window):
                self._ids.append(decision.id_instance)

    def speak_against_offset(self, connection: Connection) -> bool:
        """Keep them, and say whether the last of all speak for another offset than the configured one."""
        if self._window is not None:
            evidence.keep_births(connection, self._account.name, self._window, self._ids)
        return evidence.weigh_births(connection, self._account.name, self._account.decoder.upstream_offset) is not None


def _observe(connection: Connection, account: Account, listing: Listing, at: datetime) -> tuple[Observation, Rows]:
    """When the answer was observed, and the rows that it is compared with.

    A clock that was set back must not make anything observed before what these accounts observed earlier.
    """
    standings = runs.read_standings(connection)
    shared = bool(listing.foreign_ids) and mirror.has_other_accounts(connection, account.name)
    strangers = [*listing.foreign_ids] if shared else []
    if listing.known.flags.count(CLAIMED | FREE):
        strangers += [key for key, flag in zip(listing.known.ids, listing.known.flags, strict=True) if flag & FREE]
    owners = {account.name}
    for ids in rows.batches(strangers):
        owners |= mirror.read_owners(connection, ids)
    moments = [at]
    for owner in owners & standings.keys():
        moments += [moment for moment in standings[owner][:2] if moment is not None]
    observation = Observation(
        account.name,
        max(moments),
        {name: standing.accepted_at for name, standing in standings.items()},
        account.expiry_grace,
        retired=[name for name, standing in standings.items() if standing.is_retired],
        may_move=listing.every_id_read,
    )

    def read(ids: Sequence[int]) -> Mapping[int, MirrorRow]:
        return rows.read_rows(connection, ids)

    def read_claimants(ids: Sequence[int]) -> Mapping[int, str]:
        return claims.read_claimants(connection, ids)

    return observation, Rows(read, read_claimants, shared)


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


def _plan(listing: Listing, account: Account, batches: Iterable[Sequence[Decision]], approved: guard.Approved) -> Plan:
    tally = guard.Tally()
    changing: list[Decision] = []
    for decisions in batches:
        tally.count(decisions)
        changing += [decision for decision in decisions if decision.row is not decision.before]
    return Plan(listing, guard.examine(listing, tally, account.bounds, approved), tuple(changing))


def _problem_of(
    answer: Answer[Listing], stated: Stated, account: Account, remembered: Remembered
) -> SyncerError | None:
    """Why the answer is not to be used, by its headers, or by what it lists."""
    listing = answer.body
    problem = None
    if answer.arrived_at is not None:
        problem = time_problem(stated, answer.arrived_at, remembered.answered_at, account.clock_tolerance)
    return problem or listing.problem or part_problem(stated, listing.listed + listing.repeated)


def _columns(answer: Answer[Listing], stated: Stated) -> dict[str, Any]:
    return {
        "answered_at": stated.at,
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
            if isinstance(error, UpstreamUnreachable) and error.retry_after_seconds:
                lease.hold_back(connection, account.name, error.retry_after_seconds)
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
