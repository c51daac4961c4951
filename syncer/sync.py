"""The story of one run: fetch → decode → one transaction [ read mirror → diff → guard → transitions → apply ].

Here, and only here, the fetcher and the store meet.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from syncer import database, guard, store
from syncer.decode import Decoder, decode
from syncer.diff import diff
from syncer.errors import AnswerHeld, DatabaseFailed, FetchStopped, RunOvertaken, SyncerError
from syncer.model import Answer, Decision, Listing, MirrorRow, RunStatus, Trigger
from syncer.transitions import Observation, decide_absent, decide_listed, decide_new

log = logging.getLogger(__name__)

COMMIT_LOOKUPS = 5
COMMIT_LOOKUP_PAUSE_SECONDS = 1.0

Clock = Callable[[], datetime]


class Account(NamedTuple):
    """Whose instances are mirrored, and what is believed of an answer about them."""

    name: str
    decoder: Decoder
    expiry_grace: timedelta
    tolerated_vanished: Fraction
    interval_seconds: int | None = None
    key_fingerprint: str | None = None


class RunReport(NamedTuple):
    """What a run came to; `error` is set exactly when the run was not accepted."""

    id: int | None
    account: str
    status: RunStatus
    listed: int | None = None
    created: int = 0
    updated: int = 0
    transitions: Mapping[str, int] = {}
    rejected: int = 0
    error: SyncerError | None = None
    body_bytes: int | None = None

    @property
    def exit_code(self) -> int:
        return self.error.exit_code if self.error else 0


class Arrived(NamedTuple):
    """An answer that was read: what it lists, when it was complete, and what its run's row says of it."""

    listing: Listing
    at: datetime
    columns: Mapping[str, Any]


class Verdict(NamedTuple):
    """What an answer means for the mirror that it was compared with."""

    base: store.Base
    observed_at: datetime
    mirror: Mapping[int, MirrorRow]
    hold: guard.Hold | None
    decisions: tuple[Decision, ...]

    def counts(self, listing: Listing) -> store.Counts:
        """The numbers of an accepted run."""
        created = sum(1 for decision in self.decisions if decision.id_instance not in self.mirror)
        return store.Counts(
            listed=listing.listed,
            created=created,
            updated=len(self.decisions) - created,
            transitions=Counter(str(event.transition) for decision in self.decisions for event in decision.events),
            rejected=len(listing.rejects),
        )


def run_once(
    engine: Engine, account: Account, fetch: Callable[[], Answer], clock: Clock, trigger: Trigger
) -> RunReport:
    """Fetch one answer and apply it onto the state that it was fetched against.

    Every failure of the upstream, the answer or the database that ends the run is in the report and, where the
    database can still take it, in the run's row. Raises `DatabaseFailed` only when not even the start could be noted.
    """
    began = time.monotonic()
    with database.writing(engine, "starting a run") as connection:
        run = store.start_run(connection, account.name, trigger, clock(), account.interval_seconds)
    columns: Mapping[str, Any] = {}
    try:
        answer = fetch()
        fetched_at = clock()
        columns = _columns(answer)
        arrived = Arrived(decode(answer.body, account.decoder), fetched_at, columns)
        report = _apply(engine, account, run, arrived, clock)
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


def plan(engine: Engine | None, account: Account, answer: Answer, fetched_at: datetime) -> tuple[Verdict, Listing]:
    """What `run_once` would do with this answer now; nothing is written. Without an engine the mirror is empty."""
    listing = decode(answer.body, account.decoder)
    if engine is None:
        return _judge(None, account, listing, fetched_at), listing
    with database.reading(engine, "reading the mirror") as connection:
        return _judge(connection, account, listing, fetched_at), listing


def _columns(answer: Answer) -> dict[str, Any]:
    return {
        "http_status": answer.http_status,
        "body_bytes": len(answer.body),
        "body_sha256": sha256(answer.body).hexdigest(),
    }


def _apply(engine: Engine, account: Account, run: store.StartedRun, arrived: Arrived, clock: Clock) -> RunReport:
    """The one transaction of an answer. A COMMIT that was not acknowledged is looked up, never repeated."""
    report = None
    try:
        with database.writing(engine, "applying the answer") as connection:
            report = _apply_in_transaction(connection, account, run, arrived, clock)
    except DatabaseFailed:
        if report is None or _read_status_after_failure(engine, run) is not report.status:
            raise
    return report


def _apply_in_transaction(
    connection: Connection, account: Account, run: store.StartedRun, arrived: Arrived, clock: Clock
) -> RunReport:
    listing = arrived.listing
    database.become_sole_writer(connection)
    if store.read_base(connection, account.name, lock=True).run_id != run.base.run_id:
        overtaken = RunOvertaken("applying the answer: another run applied a later one first; nothing was written")
        store.finish_run(
            connection,
            run,
            RunStatus.SUPERSEDED,
            clock(),
            error_kind=overtaken.kind,
            error=str(overtaken),
            listed=listing.listed,
            **arrived.columns,
        )
        return RunReport(run.id, account.name, RunStatus.SUPERSEDED, listing.listed, error=overtaken)
    verdict = _judge(connection, account, listing, arrived.at)
    if verdict.hold is not None:
        held = AnswerHeld(guard.describe(verdict.hold, run.id))
        store.hold(connection, run, verdict.hold, str(held), clock(), **arrived.columns)
        return RunReport(run.id, account.name, RunStatus.HELD, listing.listed, error=held)
    counts = verdict.counts(listing)
    store.apply(connection, account.name, run, verdict.decisions, verdict.mirror, verdict.observed_at)
    store.keep_rejects(connection, run.id, listing.rejects)
    if account.key_fingerprint:
        fingerprints = {
            id_instance: listing.instances[id_instance].token_fingerprint or "" for id_instance in listing.sealed_tokens
        }
        store.keep_tokens(connection, listing.sealed_tokens, fingerprints, account.key_fingerprint)
    status = store.accept_run(connection, run, counts, verdict.observed_at, clock(), **arrived.columns)
    return RunReport(run.id, account.name, status, **counts._asdict())


def _judge(connection: Connection | None, account: Account, listing: Listing, fetched_at: datetime) -> Verdict:
    """Read what the answer is compared with, then decide; the deciding is pure."""
    base, accepted, mirror, approved = store.Base(None, None), {}, {}, []
    if connection is not None:
        base = store.read_base(connection, account.name)
        accepted = store.last_accepted_by_account(connection)
        mirror = store.read_mirror(connection, account.name, [*listing.instances, *listing.rejected_ids])
        approved = store.read_approved(connection, account.name)
    # A clock that was set back must not make anything observed before what was observed earlier.
    owners = {account.name, *(row.account for row in mirror.values())}
    observed_at = max([fetched_at, *(moment for owner in owners if (moment := accepted.get(owner)) is not None)])
    differences = diff(
        mirror, listing, account=account.name, observed_at=observed_at, expiry_grace=account.expiry_grace
    )
    hold = guard.examine(
        mirror,
        listing,
        differences,
        account=account.name,
        tolerated_share=account.tolerated_vanished,
        approved=approved,
    )
    observation = Observation(account.name, observed_at, accepted)
    decisions = (
        *(decide_new(instance, observation) for instance in differences.new),
        *(decide_listed(row, instance, observation) for row, instance in differences.changed),
        *(decide_absent(row, observation) for row in differences.absent),
    )
    return Verdict(base, observed_at, mirror, hold, decisions)


def _read_status_after_failure(engine: Engine, run: store.StartedRun) -> RunStatus | None:
    """The run's status in the database after its transaction broke off; None when the database does not say."""
    for attempt in range(COMMIT_LOOKUPS):
        if attempt:
            time.sleep(COMMIT_LOOKUP_PAUSE_SECONDS)
        try:
            with database.writing(engine, "looking up the run") as connection:
                return store.read_run_status(connection, run.id)
        except DatabaseFailed:
            continue
    return None


def _fail(
    engine: Engine,
    account: Account,
    run: store.StartedRun,
    error: SyncerError,
    columns: Mapping[str, Any],
    clock: Clock,
) -> RunReport:
    """Note why the run was not accepted; a database that cannot take even that leaves the row to a later run."""
    status = RunStatus.ABANDONED if isinstance(error, FetchStopped) else RunStatus.FAILED
    columns = columns or ({"http_status": error.http_status} if error.http_status else {})
    try:
        with database.writing(engine, "noting the failure") as connection:
            store.finish_run(
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
