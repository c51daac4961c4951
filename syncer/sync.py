"""The story of one run: fetch → decode → one transaction [ read mirror → diff → guard → transitions → apply ].

Here, and only here, the fetcher and the store meet.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from syncer import bulk, database, guard, store, stream
from syncer.decode import Decoder, decode, refuse_too_many
from syncer.diff import diff, settle
from syncer.errors import AnswerHeld, DatabaseFailed, FetchStopped, RunOvertaken, SyncerError
from syncer.matcher import DELETED, Known
from syncer.model import Answer, Decision, Fetch, Listing, MirrorRow, RunStatus, Trigger
from syncer.stream import Reading
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

    listing: Listing | Reading
    at: datetime
    columns: Mapping[str, Any]


class Verdict(NamedTuple):
    """What an answer means for the mirror that it was compared with."""

    base: store.Base
    observed_at: datetime
    mirror: Mapping[int, MirrorRow]
    hold: guard.Hold | None
    decisions: tuple[Decision, ...]


def run_once(engine: Engine, account: Account, fetch: Fetch, clock: Clock, trigger: Trigger) -> RunReport:
    """Fetch one answer and apply it onto the state that it was fetched against.

    Every failure of the upstream, the answer or the database that ends the run is in the report and, where the
    database can still take it, in the run's row. Raises `DatabaseFailed` only when not even the start could be noted.
    """
    began = time.monotonic()
    with database.writing(engine, "starting a run") as connection:
        run = store.start_run(connection, account.name, trigger, clock(), account.interval_seconds)
    columns: dict[str, Any] = {}
    try:
        answer = fetch(lambda chunks: _read(engine, account, chunks, run.base.quiet_answer))
        if answer.body.again:
            answer = fetch(lambda chunks: _read(engine, account, chunks, None))
        reading, at = answer.body, clock()
        columns |= _columns(answer.http_status, reading.body_bytes, reading.body_sha256)
        applied = None
        if not reading.odd:
            refuse_too_many(reading.rejects, reading.listed)
            applied = _apply(engine, account, run, Arrived(reading, at, columns), clock)
        if applied is None:
            body = reading.whole
            del answer, reading
            if body is None:  # it was too large to be kept
                again = fetch(b"".join)
                body, at = again.body, clock()
                columns |= _columns(again.http_status, len(body), sha256(body).hexdigest())
            applied = _apply(engine, account, run, Arrived(decode(body, account.decoder), at, columns), clock)
        assert applied is not None  # noqa: S101 - what was read whole is applied or refused
        report = applied
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


def plan(
    engine: Engine | None, account: Account, answer: Answer[bytes], fetched_at: datetime
) -> tuple[Verdict, Listing]:
    """What `run_once` would do with this answer now; nothing is written. Without an engine the mirror is empty."""
    listing = decode(answer.body, account.decoder)
    if engine is None:
        return _judge(None, account, listing, fetched_at), listing
    with database.reading(engine, "reading the mirror") as connection:
        return _judge(connection, account, listing, fetched_at), listing


def _read(engine: Engine, account: Account, chunks: Iterable[bytes], quiet: bytes | None) -> Reading:
    def load() -> Known:
        with database.reading(engine, "reading the mirror") as connection:
            return store.read_known(connection, account.name)

    return stream.read(chunks, account.decoder, load, _rules(account), quiet)


def _rules(account: Account) -> tuple[object, ...]:
    """Settings, besides the decoder's, that an item's meaning depends on."""
    return account.expiry_grace, account.key_fingerprint


def _columns(http_status: int, body_bytes: int, body_sha256: str) -> dict[str, Any]:
    return {"http_status": http_status, "body_bytes": body_bytes, "body_sha256": body_sha256}


def _apply(engine: Engine, account: Account, run: store.StartedRun, arrived: Arrived, clock: Clock) -> RunReport | None:
    """The one transaction of an answer; None if it must be read whole to be applied.

    A COMMIT that was not acknowledged is looked up, never repeated.
    """
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
) -> RunReport | None:
    listing = arrived.listing
    if not isinstance(listing, Reading) or _differs(listing):
        database.become_sole_writer(connection)
    base = store.read_base(connection, account.name, lock=True)
    if base.run_id != run.base.run_id:
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
    if isinstance(listing, Listing):
        return _apply_whole(connection, account, run, listing, arrived, clock)
    if base.taken_by_run_id != run.base.taken_by_run_id:
        return None  # another account took instances away since: what was compared is not what is there
    return _apply_differences(connection, account, run, listing, arrived, clock)


def _apply_whole(
    connection: Connection, account: Account, run: store.StartedRun, listing: Listing, arrived: Arrived, clock: Clock
) -> RunReport:
    """The plain path: everything that is listed is compared with everything that is known."""
    verdict = _judge(connection, account, listing, arrived.at)
    if verdict.hold is not None:
        return _hold(connection, account, run, verdict.hold, arrived, clock)
    writer = store.Writer(connection, account.name, run, verdict.observed_at)
    writer.write(verdict.decisions, verdict.mirror, {})
    fingerprints = {key: listing.instances[key].token_fingerprint or "" for key in listing.sealed_tokens}
    return _accept(connection, account, run, writer, verdict.observed_at, arrived, clock, fingerprints)


def _apply_differences(
    connection: Connection, account: Account, run: store.StartedRun, reading: Reading, arrived: Arrived, clock: Clock
) -> RunReport:
    """The same for what differs alone: the rest of the answer was seen to be as it was when it was applied."""
    known = reading.known
    absent = [known.ids[index] for index in reading.unseen] if reading.proves_absence else []
    live = known.flags.count(0)
    present = live + known.flags.count(DELETED)
    hold = guard.judge(
        guard.Standing(
            present=present,
            live=live,
            seen=present - len(reading.unseen) + reading.returned,
            listed=reading.listed,
            missing=tuple(known.ids[index] for index in reading.unseen if not known.flags[index]) if absent else (),
        ),
        tolerated_share=account.tolerated_vanished,
        approved=store.read_approved(connection, account.name),
    )
    if hold is not None:
        return _hold(connection, account, run, hold, arrived, clock)
    accepted = store.last_accepted_by_account(connection)
    shared = bool(reading.differing) and store.has_other_accounts(connection, account.name)
    owners = {account.name}
    if shared:
        for batch in reading.differing.batches():
            owners |= store.read_owners(connection, [instance.id_instance for instance, _ in batch])
    # A clock that was set back must not make anything observed before what was observed earlier.
    observed_at = max([arrived.at, *(moment for owner in owners if (moment := accepted.get(owner)) is not None)])
    observation = Observation(account.name, observed_at, accepted)
    writer = store.Writer(connection, account.name, run, observed_at)
    fingerprints: dict[int, str] = {}
    lasting = not reading.rejects
    renewed = run.base.hash_seed != reading.seed  # the stored hashes were made under other settings or rules
    for batch in reading.differing.batches():
        instances = {instance.id_instance: instance for instance, _ in batch}
        ids = [id_instance for id_instance in instances if shared or known.find(id_instance) >= 0]
        mirror = bulk.read_rows(connection, ids) if ids else {}
        differences = diff(
            mirror,
            Listing(instances, (), frozenset(), len(batch), proves_absence=False, sealed_tokens={}),
            account=account.name,
            observed_at=observed_at,
            expiry_grace=account.expiry_grace,
        )
        decisions = [decide_new(instance, observation) for instance in differences.new]
        decisions += [decide_listed(row, instance, observation) for row, instance in differences.changed]
        hashes = {
            instance.id_instance: (bulk.signed(one.item), bulk.signed(one.content))
            for instance, one in batch
            if settle(instance, observed_at, account.expiry_grace) is instance
        }
        lasting = lasting and len(hashes) == len(batch)
        writer.write(decisions, mirror, hashes)
        decided = {decision.id_instance for decision in decisions}
        writer.mark(
            {
                id_instance: pair
                for id_instance, pair in hashes.items()
                if id_instance not in decided and (renewed or not known.item_hashes[known.find(id_instance)])
            }
        )
        fingerprints |= {
            key: instances[key].token_fingerprint or "" for key in instances if key in reading.sealed_tokens
        }
    for ids in bulk.batches(absent):
        mirror = bulk.read_rows(connection, ids)
        writer.write([decide_absent(mirror[id_instance], observation) for id_instance in ids], mirror, {})
    quiet = reading.mark.write() if lasting and reading.mark else None
    return _accept(connection, account, run, writer, observed_at, arrived, clock, fingerprints, reading.seed, quiet)


def _differs(reading: Reading) -> bool:
    return bool(reading.differing or reading.rejects or reading.unseen)


def _hold(
    connection: Connection,
    account: Account,
    run: store.StartedRun,
    hold: guard.Hold,
    arrived: Arrived,
    clock: Clock,
) -> RunReport:
    held = AnswerHeld(guard.describe(hold, run.id))
    store.hold(connection, run, hold, str(held), clock(), **arrived.columns)
    return RunReport(run.id, account.name, RunStatus.HELD, hold.listed, error=held)


def _accept(
    connection: Connection,
    account: Account,
    run: store.StartedRun,
    writer: store.Writer,
    observed_at: datetime,
    arrived: Arrived,
    clock: Clock,
    fingerprints: Mapping[int, str],
    hash_seed: int | None = None,
    quiet_answer: bytes | None = None,
) -> RunReport:
    writer.close()
    listing = arrived.listing
    store.keep_rejects(connection, run.id, listing.rejects)
    if account.key_fingerprint:
        store.keep_tokens(connection, listing.sealed_tokens, fingerprints, account.key_fingerprint)
    store.move_base(connection, account.name, run, observed_at, hash_seed=hash_seed, quiet_answer=quiet_answer)
    counts = store.Counts(listing.listed, writer.created, writer.updated, writer.transitions, len(listing.rejects))
    status = store.accept_run(connection, run, counts, observed_at, clock(), **arrived.columns)
    return RunReport(run.id, account.name, status, **counts._asdict())


def _judge(connection: Connection | None, account: Account, listing: Listing, fetched_at: datetime) -> Verdict:
    """Read what the answer is compared with, then decide; the deciding is pure."""
    base = store.Base(None, None)
    accepted: dict[str, datetime | None] = {}
    mirror: dict[int, MirrorRow] = {}
    approved: list[frozenset[int]] = []
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
