"""The one transaction of an answer: read mirror → diff → guard → transitions → apply; the deciding is pure.

An answer that was read in pieces is compared by what differs alone; one that was read whole, by everything. Both ways
leave the same tables.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from syncer.answer.decode import Decoder
from syncer.answer.matcher import DELETED
from syncer.answer.stream import Reading
from syncer.errors import AnswerHeld, DatabaseFailed, RunOvertaken, SyncerError
from syncer.model import Decision, Listing, MirrorRow, RunStatus
from syncer.rules import guard
from syncer.rules.diff import diff, settle
from syncer.rules.transitions import Observation, decide_absent, decide_listed, decide_new
from syncer.storage import bulk, database, runs, store
from syncer.storage.runs import StartedRun

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

    observed_at: datetime
    mirror: Mapping[int, MirrorRow]
    hold: guard.Hold | None
    decisions: tuple[Decision, ...]


def apply(engine: Engine, account: Account, run: StartedRun, arrived: Arrived, clock: Clock) -> RunReport | None:
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
    connection: Connection, account: Account, run: StartedRun, arrived: Arrived, clock: Clock
) -> RunReport | None:
    listing = arrived.listing
    if not isinstance(listing, Reading) or _differs(listing):
        database.become_sole_writer(connection)
    base = runs.read_base(connection, account.name, lock=True)
    if base.run_id != run.base.run_id:
        overtaken = RunOvertaken("applying the answer: another run applied a later one first; nothing was written")
        runs.finish_run(
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
    connection: Connection, account: Account, run: StartedRun, listing: Listing, arrived: Arrived, clock: Clock
) -> RunReport:
    """The plain path: everything that is listed is compared with everything that is known."""
    verdict = judge(connection, account, listing, arrived.at)
    if verdict.hold is not None:
        return _hold(connection, account, run, verdict.hold, arrived, clock)
    writer = store.Writer(connection, account.name, run, verdict.observed_at)
    writer.write(verdict.decisions, verdict.mirror, {})
    fingerprints = {key: listing.instances[key].token_fingerprint or "" for key in listing.sealed_tokens}
    return _accept(connection, account, run, writer, verdict.observed_at, arrived, clock, fingerprints)


def _apply_differences(
    connection: Connection, account: Account, run: StartedRun, reading: Reading, arrived: Arrived, clock: Clock
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
        approved=runs.read_approved(connection, account.name),
    )
    if hold is not None:
        return _hold(connection, account, run, hold, arrived, clock)
    accepted = runs.last_accepted_by_account(connection)
    shared = bool(reading.differing) and store.has_other_accounts(connection, account.name)
    owners = {account.name}
    if shared:
        for batch in reading.differing.batches():
            owners |= store.read_owners(connection, [instance.id_instance for instance, _ in batch])
    observed_at = _observed_at(arrived.at, owners, accepted)
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
    run: StartedRun,
    hold: guard.Hold,
    arrived: Arrived,
    clock: Clock,
) -> RunReport:
    held = AnswerHeld(guard.describe(hold, run.id))
    runs.hold(connection, run, hold, str(held), clock(), **arrived.columns)
    return RunReport(run.id, account.name, RunStatus.HELD, hold.listed, error=held)


def _accept(
    connection: Connection,
    account: Account,
    run: StartedRun,
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
    runs.move_base(connection, account.name, run, observed_at, hash_seed=hash_seed, quiet_answer=quiet_answer)
    counts = runs.Counts(listing.listed, writer.created, writer.updated, writer.transitions, len(listing.rejects))
    status = runs.accept_run(connection, run, counts, observed_at, clock(), **arrived.columns)
    return RunReport(run.id, account.name, status, **counts._asdict())


def judge(connection: Connection | None, account: Account, listing: Listing, fetched_at: datetime) -> Verdict:
    """Read what the answer is compared with, then decide; the deciding is pure."""
    accepted: dict[str, datetime | None] = {}
    mirror: dict[int, MirrorRow] = {}
    approved: list[frozenset[int]] = []
    if connection is not None:
        accepted = runs.last_accepted_by_account(connection)
        mirror = store.read_mirror(connection, account.name, [*listing.instances, *listing.rejected_ids])
        approved = runs.read_approved(connection, account.name)
    owners = {account.name, *(row.account for row in mirror.values())}
    observed_at = _observed_at(fetched_at, owners, accepted)
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
    return Verdict(observed_at, mirror, hold, decisions)


def _observed_at(at: datetime, owners: Iterable[str], accepted: Mapping[str, datetime | None]) -> datetime:
    """A clock that was set back must not make anything observed before what these accounts observed earlier."""
    return max([at, *(moment for owner in owners if (moment := accepted.get(owner)) is not None)])


def _read_status_after_failure(engine: Engine, run: StartedRun) -> RunStatus | None:
    """The run's status in the database after its transaction broke off; None when the database does not say."""
    for attempt in range(COMMIT_LOOKUPS):
        if attempt:
            time.sleep(COMMIT_LOOKUP_PAUSE_SECONDS)
        try:
            with database.writing(engine, "looking up the run") as connection:
                return runs.read_run_status(connection, run.id)
        except DatabaseFailed:
            continue
    return None
