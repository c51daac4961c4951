"""Runs callables on their schedules until a signal says stop; knows nothing of what they do."""

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import NamedTuple

from syncer.schedule import Schedule, trigger

log = logging.getLogger(__name__)

GRACE_SECONDS = 30.0  # how long a run that is writing may take to end after a stop signal


class Job(NamedTuple):
    """Something to run on a schedule; `run` must not raise."""

    name: str
    schedule: Schedule
    run: Callable[[], object]


def run_until_stopped(jobs: Sequence[Job], stop: threading.Event) -> None:
    """One run of each job at once, then on its schedule, until SIGTERM or SIGINT.

    `stop` is set on the first signal; jobs that watch it give up, others are waited for, at most `GRACE_SECONDS`.
    """
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.schedulers.background import BackgroundScheduler

    # Signal handlers only put a word into the queue: shutting down inside a handler can deadlock.
    signals: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: signals.put(number))
    busy = _Busy()
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(max_workers=min(32, len(jobs) + 1))},
        # The default grace of one second drops late runs in silence, the first one included.
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    for job in jobs:
        scheduler.add_job(
            busy.around(job),
            trigger=trigger(job.schedule),
            id=job.name,
            name=job.name,
            next_run_time=datetime.now(UTC),  # noqa: TID251 - the daemon reads the clock
        )
    scheduler.start()
    log.info("started", extra={"fields": {"action": "daemon_started", "jobs": len(jobs)}})
    received = signals.get()
    log.info("stopping", extra={"fields": {"action": "daemon_stopping", "signal": signal.Signals(received).name}})
    stop.set()
    scheduler.shutdown(wait=False)
    if not busy.wait_until_idle(GRACE_SECONDS):
        log.warning("stopped while a run was under way", extra={"fields": {"action": "daemon_stopped_busy"}})
    else:
        log.info("stopped", extra={"fields": {"action": "daemon_stopped"}})


class _Busy:
    """Counts the jobs under way, so that a stop can wait for them; nothing escapes from a job."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def around(self, job: Job) -> Callable[[], None]:
        def run() -> None:
            with self._changed:
                self._count += 1
            try:
                job.run()
            except Exception:
                log.exception("defect", extra={"fields": {"action": "defect", "job": job.name}})
            finally:
                with self._changed:
                    self._count -= 1
                    self._changed.notify_all()

        return run

    def wait_until_idle(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, timeout=seconds)
