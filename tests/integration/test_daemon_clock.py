"""The daemon's loop on a clock that is moved under it: no stall, no burst."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from waiting import HANG_SECONDS, wait_for

from syncer.daemon import loop
from syncer.daemon.loop import Daemon, Job
from syncer.rules.schedule import Again, parse_schedule

NOON = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
TICKS = 4  # of the daemon's loop: by the second it has seen a clock that moved, and what it did about it has begun
Start = Callable[[str, Callable[[], Again | None]], "Started"]


class Started:
    """A daemon with one job, in a thread."""

    def __init__(self, schedule: str, run: Callable[[], Again | None]) -> None:
        self.ticks = 0
        self.planned: list[datetime] = []
        self.daemon = Daemon(
            [Job("job", parse_schedule(schedule, ZoneInfo("UTC")), run)],
            threading.Event(),
            on_planned=lambda _name: self.planned.append(self.follows),
            on_tick=self._tick,
        )
        self._thread = threading.Thread(target=self.daemon.run_until_stopped)
        self._thread.start()

    def _tick(self) -> None:
        self.ticks += 1

    @property
    def follows(self) -> datetime:
        return self.daemon.next_run_at("job") or datetime.max.replace(tzinfo=UTC)

    def let_it_tick(self) -> None:
        seen = self.ticks
        wait_for(lambda: self.ticks >= seen + TICKS)

    def stop(self) -> None:
        self.daemon.request_stop("the test is over")
        self._thread.join(HANG_SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture(autouse=True)
def _quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.05)


@pytest.fixture
def clock() -> Iterator[Any]:
    """The wall clock, which goes on by itself and can be set; the monotonic clock is not touched."""
    with time_machine.travel(NOON, tick=True) as traveller:
        yield traveller


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts daemons, and stops them at the end."""
    started: list[Started] = []

    def begin(schedule: str, run: Callable[[], Again | None]) -> Started:
        started.append(Started(schedule, run))
        return started[-1]

    yield begin
    for one in started:
        one.stop()


@pytest.mark.parametrize("schedule", ["5m", "*/5 * * * *"])
def test_a_clock_set_forward_an_hour_makes_one_run(clock: Any, start: Start, schedule: str) -> None:
    runs: list[int] = []
    started = start(schedule, lambda: runs.append(1))
    wait_for(lambda: len(runs) == 1)

    clock.shift(timedelta(hours=1))

    wait_for(lambda: len(runs) == 2)
    started.let_it_tick()
    assert len(runs) == 2
    assert started.follows > NOON + timedelta(hours=1)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("seconds", [None, 40.0])
def test_when_a_job_runs_next_is_told_as_it_stands_then(start: Start, seconds: float | None) -> None:
    """Whoever is told has not to ask again: the time to try again is settled before."""
    started = start("5m", lambda: None if seconds is None else Again(seconds))
    wait_for(lambda: started.planned)

    waits = [at - NOON for at in started.planned]
    assert all(timedelta(seconds=seconds or 300) <= wait < timedelta(seconds=(seconds or 300) + 60) for wait in waits)


def test_that_a_moved_clock_changes_when_a_job_runs_is_told(clock: Any, start: Start) -> None:
    started = start("5m", lambda: None)
    wait_for(lambda: started.planned)

    clock.shift(timedelta(hours=-1))

    wait_for(lambda: started.planned[-1] <= NOON - timedelta(minutes=54))


@pytest.mark.parametrize("schedule", ["5m", "*/5 * * * *"])
def test_a_clock_set_back_an_hour_stalls_nothing(clock: Any, start: Start, schedule: str) -> None:
    runs: list[int] = []
    started = start(schedule, lambda: runs.append(1))
    wait_for(lambda: len(runs) == 1)

    clock.shift(timedelta(hours=-1))

    wait_for(lambda: started.follows <= NOON - timedelta(minutes=54))
    started.let_it_tick()
    assert len(runs) == 1
    clock.shift(timedelta(minutes=5))
    wait_for(lambda: len(runs) == 2)


class SetBackWhileStarting(logging.Handler):
    """Sets the clock an hour back when the first run was, yet before the daemon's own loop has begun."""

    def __init__(self, clock: Any, started: list[Started], runs: list[int]) -> None:
        super().__init__()
        self.clock, self.started, self.runs = clock, started, runs

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "started":
            wait_for(lambda: self.started and len(self.runs) == 1)
            wait_for(lambda: self.started[0].follows > NOON + timedelta(minutes=4))  # planned beside the first run
            self.clock.shift(timedelta(hours=-1))


def test_a_clock_set_back_while_the_daemon_starts_stalls_nothing(
    clock: Any, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []
    started: list[Started] = []
    log = logging.getLogger("syncer.daemon.loop")
    set_back = SetBackWhileStarting(clock, started, runs)
    log.addHandler(set_back)
    try:
        with caplog.at_level(logging.INFO, logger="syncer.daemon.loop"):
            started.append(start("5m", lambda: runs.append(1)))

            wait_for(lambda: started[0].follows <= NOON - timedelta(minutes=54))
    finally:
        log.removeHandler(set_back)
    assert len(runs) == 1


def test_a_machine_that_slept_for_a_day_runs_once_and_goes_on(clock: Any, start: Start) -> None:
    runs: list[int] = []
    started = start("10m", lambda: runs.append(1))
    wait_for(lambda: len(runs) == 1)

    clock.shift(timedelta(days=1))

    wait_for(lambda: len(runs) == 2)
    started.let_it_tick()
    assert len(runs) == 2
    assert timedelta() < started.follows - datetime.now(UTC) <= timedelta(minutes=10)  # noqa: TID251


def test_a_job_that_says_when_to_try_again_is_heard(start: Start) -> None:
    runs: list[float] = []

    def run() -> Again | None:
        runs.append(time.monotonic())
        return Again(0.2) if len(runs) < 4 else None

    start("1h", run)
    wait_for(lambda: len(runs) == 4)

    assert all(later - earlier >= 0.19 for earlier, later in pairwise(runs))


@pytest.mark.parametrize("is_latest", [True, False])
def test_a_job_that_says_when_to_try_again_at_the_latest_keeps_its_schedule(start: Start, *, is_latest: bool) -> None:
    runs: list[int] = []

    def run() -> Again:
        runs.append(1)
        return Again(3600, is_latest=is_latest)

    started = start("1s", run)
    wait_for(lambda: len(runs) == (3 if is_latest else 1))
    started.let_it_tick()

    hour = datetime.now(UTC) + timedelta(minutes=59)  # noqa: TID251
    assert (started.follows < hour) == is_latest


def test_a_run_longer_than_its_interval_never_overlaps_itself(clock: Any, start: Start) -> None:
    begun: list[int] = []
    may_end = threading.Event()

    def run() -> None:
        begun.append(1)
        may_end.wait(HANG_SECONDS)

    started = start("5m", run)
    wait_for(lambda: len(begun) == 1)
    clock.shift(timedelta(hours=1))
    wait_for(lambda: started.follows > NOON + timedelta(hours=1))
    started.let_it_tick()
    assert len(begun) == 1

    may_end.set()
    clock.shift(timedelta(hours=1))

    wait_for(lambda: len(begun) == 2)


def test_a_job_that_raises_does_not_end_the_daemon(start: Start) -> None:
    runs: list[int] = []

    def run() -> None:
        runs.append(1)
        raise RuntimeError

    start("1s", run)

    wait_for(lambda: len(runs) >= 2)
