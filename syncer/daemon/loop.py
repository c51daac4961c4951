"""Runs callables on their schedules until a signal says stop; knows nothing of what they do."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import NamedTuple

from syncer.rules.schedule import Again, Schedule, planned_after_jump, planned_again, trigger

log = logging.getLogger(__name__)

GRACE_SECONDS = 30.0  # how long a run that is writing may take to end after a stop signal
TICK_SECONDS = 0.5
CLOCK_JUMP_SECONDS = 2.0
REREAD = "SIGHUP, to read anew"
MOST_AT_ONCE = 128  # runs; most of a run is waiting for the upstream


class Job(NamedTuple):
    """Something to run on a schedule; `run` says when to try again, None for the schedule's own time."""

    name: str
    schedule: Schedule
    run: Callable[[], Again | None]


class Daemon:
    """One run of each job at once, then on its schedule, until `run_until_stopped` is told to stop.

    What was missed coalesces into one run, a job never overlaps itself, and a wall clock that jumps neither stalls a
    job nor makes it burst. `stop` is set on the first signal: jobs that watch it give up, others are waited for.
    `on_planned` is told a job's name when it has run, or is moved, and `next_run_at` knows its next time.
    """

    def __init__(  # noqa: PLR0913 - what it is told to call
        self,
        jobs: Sequence[Job],
        stop: threading.Event,
        *,
        on_planned: Callable[[str], None] = lambda _name: None,
        on_tick: Callable[[], None] = lambda: None,
        on_reread: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),  # noqa: TID251 - the daemon reads the clock
    ) -> None:
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        self._jobs = {job.name: job for job in jobs}
        self._stop = stop
        self._on_planned = on_planned
        self._on_tick = on_tick
        self._on_reread = on_reread
        self._clock = clock
        # Signal handlers only put a word into the queue: shutting down inside a handler can deadlock.
        self._signals: SimpleQueue[str] = SimpleQueue()
        self._busy = 0
        self._changed = threading.Condition()
        self.ticked_at = time.monotonic()
        self._scheduler: BackgroundScheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(max_workers=min(MOST_AT_ONCE, len(jobs) + 1))},
            # The default grace of one second drops late runs in silence, the first one included.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def request_stop(self, why: str) -> None:
        """Make `run_until_stopped` return; may be called from a signal handler or another thread."""
        self._signals.put(why)

    def listen_to_signals(self) -> None:
        """Stop on SIGTERM and SIGINT, and on SIGHUP where that means that the terminal has gone.

        Elsewhere SIGHUP asks a daemon to read its files anew: secrets are read at each use, so it goes on.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: self.request_stop(signal.Signals(received).name))
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as nohup has it
            return
        if any(map(os.isatty, (0, 1, 2))):
            signal.signal(signal.SIGHUP, lambda received, _frame: self.request_stop(signal.Signals(received).name))
        else:
            signal.signal(signal.SIGHUP, lambda _received, _frame: self._signals.put(REREAD))

    def run_until_stopped(self) -> bool:
        """Run the jobs; True if everything had ended by itself within `GRACE_SECONDS` after the stop."""
        wall, monotonic = self._clock(), time.monotonic()  # before the jobs are told a time: no jump of it goes unseen
        self._scheduler.start(paused=True)  # one that stands searches all jobs for each
        for job in self._jobs.values():
            self._scheduler.add_job(
                self._around(job),
                trigger=trigger(job.schedule),
                id=job.name,
                name=job.name,
                next_run_time=wall,
            )
        self._scheduler.resume()
        log.info("started", extra={"fields": {"action": "daemon_started", "jobs": len(self._jobs)}})
        why = self._tick_until_signalled(wall, monotonic)
        log.info("stopping", extra={"fields": {"action": "daemon_stopping", "signal": why}})
        self._stop.set()
        self._scheduler.shutdown(wait=False)
        with self._changed:
            ended = self._changed.wait_for(lambda: self._busy == 0, timeout=GRACE_SECONDS)
        log.info("stopped", extra={"fields": {"action": "daemon_stopped", "runs_ended": ended}})
        return ended

    def next_run_at(self, name: str) -> datetime | None:
        """When the job is tried next; None while that is not known."""
        job = self._scheduler.get_job(name)
        return None if job is None else job.next_run_time

    def _tick_until_signalled(self, wall: datetime, monotonic: float) -> str:
        while True:
            self.ticked_at = time.monotonic()
            self._on_tick()
            with suppress(Empty):
                why = self._signals.get(timeout=TICK_SECONDS)
                if why != REREAD:
                    return why
                log.info("secrets are read anew", extra={"fields": {"action": "secrets_reread"}})
                self._on_reread()
            jump = (self._clock() - wall) - timedelta(seconds=time.monotonic() - monotonic)
            wall, monotonic = self._clock(), time.monotonic()
            if abs(jump.total_seconds()) > CLOCK_JUMP_SECONDS:
                self._follow_clock(jump)

    def _follow_clock(self, jump: timedelta) -> None:
        """After the wall clock moved: nothing waits longer than its interval, and what is overdue runs now."""
        log.warning(
            "clock moved", extra={"fields": {"action": "clock_moved", "seconds": round(jump.total_seconds(), 1)}}
        )
        now = self._clock()
        for job in self._scheduler.get_jobs():
            planned = planned_after_jump(self._jobs[job.id].schedule, job.next_run_time, jump, now)
            if planned != job.next_run_time:
                self._scheduler.modify_job(job.id, next_run_time=planned)
                self._on_planned(job.id)
        self._scheduler.wakeup()

    def _around(self, job: Job) -> Callable[[], None]:
        def run() -> None:
            with self._changed:
                self._busy += 1
            try:
                if not self._stop.is_set():
                    self._try_again(job.name, job.run())
            except Exception:
                # Nothing escapes: the library would log the exception in its own words.
                log.exception("defect", extra={"fields": {"action": "defect", "job": job.name}})
            finally:
                self._on_planned(job.name)
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

        return run

    def _try_again(self, name: str, again: Again | None) -> None:
        planned = self.next_run_at(name)
        if again is not None and planned is not None and not self._stop.is_set():
            self._scheduler.modify_job(name, next_run_time=planned_again(again, planned, self._clock()))
