"""Tells every receiver what happened, beside the runs: a thread each, so that none holds up a run or another one."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from syncer.daemon.leased_runs import Runs
from syncer.errors import SyncerError
from syncer.send import Sender, Sending, begin
from syncer.settings.receivers import ReceiverSettings

READY_SECONDS = 0.5  # how often it is looked whether the first run has prepared the database
AFTER_FAILURE_SECONDS = 5.0  # of the database, which is no fault of the receiver's
AFTER_DEFECT_SECONDS = 60.0
LONGEST_FAREWELL_SECONDS = 5.0  # what is sent and cannot be noted is sent again

log = logging.getLogger(__name__)


class Senders:
    """Sends until the block of `running` ends; `wake` says that there may be news."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._scrub = runs.scrub
        self._stop = threading.Event()
        self._news: list[threading.Event] = []

    def begin(self) -> None:
        """Let new receivers start at the present; before the first run, so that they are told of what it sees."""
        begin(self._runs.engine, [one.receiver for one in self._runs.settings.receivers])

    def wake(self) -> None:
        """Look at once, not at the next time."""
        for news in self._news:
            news.set()

    @contextmanager
    def running(self, receivers: tuple[ReceiverSettings, ...]) -> Iterator[None]:
        """Send to these while the block runs; a message that is under way at its end is given up."""
        runs, threads = self._runs, []
        for one in receivers:
            sending = Sending(
                runs.engine, one.receiver, one.read_address, runs.holder, runs.clock, self._stop, self._scrub.learn
            )
            self._news.append(threading.Event())
            arguments = (Sender(sending), one.name, self._news[-1])
            threads.append(threading.Thread(target=self._run, args=arguments, name=f"send-{one.name}", daemon=True))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self.wake()
            for thread in threads:
                thread.join(LONGEST_FAREWELL_SECONDS)

    def _run(self, sender: Sender, name: str, news: threading.Event) -> None:
        told = ""
        while not self._stop.is_set() and not self._runs.prepared.is_set():
            news.wait(READY_SECONDS)
        while not self._stop.is_set():
            news.clear()
            try:
                seconds, told = sender.send_due(), ""
            except SyncerError as error:
                seconds, problem = AFTER_FAILURE_SECONDS, self._scrub(str(error))
                if problem != told:
                    fields = {"action": "sending_failed", "receiver": name, "error": problem}
                    log.error("nothing can be sent", extra={"fields": fields})
                told = problem
            except Exception:
                seconds = AFTER_DEFECT_SECONDS
                log.exception("defect", extra={"fields": {"action": "defect", "receiver": name}})
            if seconds:
                news.wait(seconds)
