"""A run of an account with everything around it: its token, its lease, the pings and the metrics."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Engine

from syncer.answer.item import Decoder
from syncer.daemon.notify import Ping
from syncer.errors import ConfigurationError, RunOvertaken, SyncerError
from syncer.model import Answer, Fetch, Read, RunResult, RunStatus, Trigger
from syncer.rules.guard import Bounds
from syncer.rules.schedule import Again
from syncer.scrub import Scrubber
from syncer.settings.config import AccountSettings, Settings
from syncer.storage import schema
from syncer.storage.lease import Keeper, NotDue, UnderWay
from syncer.storage.tokens import safe, spellings_of
from syncer.sync import Terms, run_once
from syncer.upstream.client import Upstream, fetch_into

log = logging.getLogger(__name__)


class Runs:
    """Runs accounts by their settings; set `stop` to give up what is fetching.

    `prepared`: the schema is there. `on_prepared` is called before, and again at the next run if it raises.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        scrub: Scrubber,
        clock: Callable[[], datetime],
        on_end: Callable[[RunResult, float], None] = lambda _result, _seconds: None,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.clock = clock
        self.stop = threading.Event()
        self.scrub = scrub
        # An answer is scrubbed of its own account's token; searching it for a thousand others would take long.
        self._scrub_answer = {configured.name: Scrubber() for configured in settings.accounts}
        self._on_end = on_end
        self.on_prepared: Callable[[], None] = lambda: None
        self.prepared = threading.Event()
        self._has_begun = False
        self._preparing = threading.Lock()
        self._keeper = Keeper(engine)
        self._ping = Ping(settings.ping_url)
        self._token_key = settings.token_key

    @property
    def holder(self) -> str:
        """What this process is called in leases."""
        return self._keeper.holder

    def run_now(self, configured: AccountSettings) -> RunResult:
        """A manual run; a result in every case, also where not even its start could be noted."""
        try:
            outcome = self._run(configured, Trigger.MANUAL)
        except SyncerError as error:
            return self._not_started(configured, error)
        if isinstance(outcome, UnderWay):
            problem = (
                f"starting a run: another one of this account is under way in {outcome.holder}; "
                f"if that process is dead, its lease ends in {outcome.seconds:.0f} s"
            )
            return self._not_started(configured, RunOvertaken(problem, kind="under_way"))
        assert not isinstance(outcome, NotDue)  # noqa: S101 - a manual run has no schedule to be measured by
        return outcome

    def run_if_due(self, configured: AccountSettings) -> Again | None:
        """A scheduled run; where another process is at it, or was lately, when to try again.

        A lease may end before its time, so its end puts off no attempt of the schedule.
        """
        try:
            outcome = self._run(configured, Trigger.SCHEDULE)
        except SyncerError as error:
            self._not_started(configured, error)
            return None
        if isinstance(outcome, RunResult):
            return None
        log.debug("not run", extra={"fields": {"action": "run_skipped", "account": configured.name}})
        return Again(outcome.seconds, is_latest=isinstance(outcome, UnderWay))

    def _not_started(self, configured: AccountSettings, error: SyncerError) -> RunResult:
        error.args = (self.scrub(str(error)),)
        fields = {
            "action": "run_not_started",
            "account": configured.name,
            "error_kind": error.kind,
            "error": str(error),
        }
        log.error("run not started", extra={"fields": fields})
        return RunResult(None, configured.name, RunStatus.FAILED, error=error)

    def _run(self, configured: AccountSettings, trigger: Trigger) -> RunResult | UnderWay | NotDue:
        self._prepare()
        outcome = self._keeper.acquire(configured.name, configured.schedule if trigger is Trigger.SCHEDULE else None)
        if isinstance(outcome, UnderWay | NotDue):
            return outcome
        began = time.monotonic()
        try:
            self._ping.start()
            result = run_once(self.engine, self.terms(configured), self.fetcher(configured), self.clock, trigger)
        finally:
            self._keeper.release(configured.name)
        if result.error is None:
            self._ping.success()  # only now: the answer is committed
        else:
            result.error.args = (self.scrub(str(result.error)),)
            self._ping.failure(result.error.kind)
            # A failed exchange leaves frames that refer to one another: few objects, so that the collector, which
            # counts objects, would let them be for hours, but each may hold an answer.
            gc.collect()
        self._on_end(result, time.monotonic() - began)
        return result

    def reread(self) -> None:
        """Use every secret as it is now: of tokens that is so at each run, of the database at each new connection.

        Under another key the next answer is read whole, and the tokens are kept anew. What cannot be read stays.
        """
        self.engine.dispose()
        if self.settings.reread_token_key is not None:
            try:
                self._token_key = self.settings.reread_token_key()
                self.scrub.learn(*spellings_of(self._token_key))
            except ConfigurationError as error:
                fields = {"action": "secret_unreadable", "error": str(error)}
                log.error("the key of the tokens cannot be read", extra={"fields": fields})
        for configured in self.settings.accounts:
            try:
                self.scrub.learn(configured.read_token())
            except ConfigurationError as error:
                fields = {"action": "secret_unreadable", "account": configured.name, "error": str(error)}
                log.error("a token cannot be read", extra={"fields": fields})

    def _prepare(self) -> None:
        """Make or upgrade the schema, at this process's start alone.

        A database that goes missing later, or becomes empty, would be filled anew with an invented beginning.
        """
        with self._preparing:
            if self.prepared.is_set():
                schema.require_current(self.engine)
            else:
                may_create, self._has_begun = not self._has_begun, True
                schema.ensure_current(self.engine, may_migrate=self.settings.auto_migrate, may_create=may_create)
                self.on_prepared()
                self.prepared.set()

    def terms(self, configured: AccountSettings) -> Terms:
        """What a run of the account goes by."""
        key = self._token_key
        return Terms(
            name=configured.name,
            decoder=Decoder(self.settings.upstream_offset, self._scrub_answer[configured.name], keeps_tokens=bool(key)),
            expiry_grace=self.settings.expiry_grace,
            bounds=Bounds(self.settings.guard_vanished, self.settings.guard_changed),
            clock_tolerance=self.settings.clock_tolerance,
            interval_seconds=configured.schedule.interval_seconds,
            safe=safe(key) if key else None,
        )

    def fetcher(
        self, configured: AccountSettings, on_headers: Callable[[Mapping[str, str]], None] = lambda _headers: None
    ) -> Fetch:
        """What fetches one answer; the token is read anew each time, a rotated one needs no restart."""

        def fetch_answer(read: Callable[[Iterable[bytes]], Read]) -> Answer[Read]:
            token = configured.read_token()
            self.scrub.learn(token)
            self._scrub_answer[configured.name].learn(token)
            upstream = Upstream(
                api_url=configured.api_url,
                token=token,
                timeout_seconds=self.settings.timeout.total_seconds(),
                largest_body=self.settings.max_body,
                scrub=self.scrub,
            )
            return fetch_into(upstream, read, stop=self.stop, clock=self.clock, on_try=log_try, on_headers=on_headers)

        return fetch_answer


def log_try(why: str) -> None:
    """Tell that a call failed and is tried again."""
    log.warning(why, extra={"fields": {"action": "fetch_retried"}})
