"""The story of one run: fetch → decode → one transaction [ read mirror → diff → guard → transitions → apply ].

Here, and only here, the fetcher and the store meet. An answer is read while it arrives, and only what differs from the
mirror is kept of it; where it cannot be judged piece by piece, it is read whole.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Engine

from syncer.answer import stream
from syncer.answer.decode import decode, refuse_too_many
from syncer.answer.matcher import Known
from syncer.answer.stream import Reading
from syncer.apply import Account, Arrived, Clock, RunReport, Verdict, apply, judge
from syncer.errors import DatabaseFailed, FetchStopped, SyncerError
from syncer.model import Answer, Fetch, Listing, RunStatus, Trigger
from syncer.storage import database, runs, store
from syncer.storage.runs import StartedRun

log = logging.getLogger(__name__)


def run_once(engine: Engine, account: Account, fetch: Fetch, clock: Clock, trigger: Trigger) -> RunReport:
    """Fetch one answer and apply it onto the state that it was fetched against.

    Every failure of the upstream, the answer or the database that ends the run is in the report and, where the
    database can still take it, in the run's row. Raises `DatabaseFailed` only when not even the start could be noted.
    """
    began = time.monotonic()
    with database.writing(engine, "starting a run") as connection:
        run = runs.start_run(connection, account.name, trigger, clock(), account.interval_seconds)
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
            applied = apply(engine, account, run, Arrived(reading, at, columns), clock)
        if applied is None:
            body = reading.whole
            del answer, reading
            if body is None:  # it was too large to be kept
                again = fetch(b"".join)
                body, at = again.body, clock()
                columns |= _columns(again.http_status, len(body), sha256(body).hexdigest())
            applied = apply(engine, account, run, Arrived(decode(body, account.decoder), at, columns), clock)
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
        return judge(None, account, listing, fetched_at), listing
    with database.reading(engine, "reading the mirror") as connection:
        return judge(connection, account, listing, fetched_at), listing


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
