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

from syncer.daemon.loop import Daemon, Job
from syncer.rules.schedule import Schedule, parse_schedule

NOON = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
Start = Callable[[str], "tuple[Daemon, list[datetime]]"]


@pytest.fixture
def clock() -> Iterator[Any]:
    """The wall clock, which goes on by itself and can be set; the monotonic clock is not touched."""
    with time_machine.travel(NOON, tick=True) as traveller:
        yield traveller


@pytest.fixture
def start(clock: Any) -> Iterator[Start]:  # noqa: ARG001 - the daemon starts on the moved clock
    """Starts a daemon with one job; gives it and the moments of its runs."""
    started: list[tuple[Daemon, threading.Thread]] = []

    def begin(schedule: str) -> tuple[Daemon, list[datetime]]:
        runs: list[datetime] = []
        parsed: Schedule = parse_schedule(schedule, ZoneInfo("UTC"))
        daemon = Daemon([Job("job", parsed, lambda: runs.append(datetime.now(UTC)))], threading.Event())  # noqa: TID251
        thread = threading.Thread(target=daemon.run_until_stopped)
        thread.start()
        started.append((daemon, thread))
        wait_for(lambda: len(runs) == 1)
        return daemon, runs

    yield begin
    for daemon, thread in started:
        daemon.request_stop("the test is over")
        thread.join(10)
        assert not thread.is_alive()


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def quiet(runs: list[datetime], count: int) -> None:
    """A few ticks pass and no run comes."""
    time.sleep(2.5)

    assert count == len(runs)


@pytest.mark.parametrize("schedule", ["5m", "*/5 * * * *"])
def test_a_clock_set_forward_an_hour_makes_one_run(start: Start, clock: Any, schedule: str) -> None:
    _daemon, runs = start(schedule)

    clock.shift(timedelta(hours=1))

    wait_for(lambda: len(runs) == 2)
    quiet(runs, 2)


@pytest.mark.parametrize("schedule", ["5m", "*/5 * * * *"])
def test_a_clock_set_back_an_hour_stalls_nothing(start: Start, clock: Any, schedule: str) -> None:
    daemon, runs = start(schedule)

    clock.shift(timedelta(hours=-1))

    wait_for(lambda: follows(daemon) <= NOON - timedelta(minutes=54))
    quiet(runs, 1)
    clock.shift(timedelta(minutes=5))
    wait_for(lambda: len(runs) == 2)


class SetBackWhileStarting(logging.Handler):
    """Sets the clock an hour back when the first run was, yet before the daemon's own loop has begun."""

    def __init__(self, clock: Any, runs: list[datetime]) -> None:
        super().__init__()
        self.clock, self.runs = clock, runs

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "started":
            wait_for(lambda: len(self.runs) == 1)
            time.sleep(0.2)  # the scheduler plans the next run beside the first
            self.clock.shift(timedelta(hours=-1))


def test_a_clock_set_back_while_the_daemon_starts_stalls_nothing(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    runs: list[datetime] = []
    job = Job("job", parse_schedule("5m", ZoneInfo("UTC")), lambda: runs.append(datetime.now(UTC)))  # noqa: TID251
    daemon = Daemon([job], threading.Event())
    log = logging.getLogger("syncer.daemon.loop")
    set_back = SetBackWhileStarting(clock, runs)
    log.addHandler(set_back)
    thread = threading.Thread(target=daemon.run_until_stopped)
    try:
        with caplog.at_level(logging.INFO, logger="syncer.daemon.loop"):
            thread.start()

            wait_for(lambda: follows(daemon) <= NOON - timedelta(minutes=54))
    finally:
        daemon.request_stop("the test is over")
        thread.join(10)
        log.removeHandler(set_back)
    assert len(runs) == 1


def follows(daemon: Daemon) -> datetime:
    return daemon.next_run_at("job") or datetime.max.replace(tzinfo=UTC)


def test_a_machine_that_slept_for_a_day_runs_once_and_goes_on(start: Start, clock: Any) -> None:
    daemon, runs = start("10m")

    clock.shift(timedelta(days=1))

    wait_for(lambda: len(runs) == 2)
    following = daemon.next_run_at("job")
    assert following is not None
    assert timedelta() < following - datetime.now(UTC) <= timedelta(minutes=10)  # noqa: TID251
    quiet(runs, 2)


def test_a_job_that_says_when_to_try_again_is_heard() -> None:
    runs: list[float] = []
    stop = threading.Event()

    def run() -> float | None:
        runs.append(time.monotonic())
        return 0.2 if len(runs) < 4 else None

    daemon = Daemon([Job("job", parse_schedule("1h", ZoneInfo("UTC")), run)], stop)
    thread = threading.Thread(target=daemon.run_until_stopped)
    thread.start()
    wait_for(lambda: len(runs) == 4)
    daemon.request_stop("the test is over")
    thread.join(10)

    assert stop.is_set()
    assert all(later - earlier >= 0.19 for earlier, later in pairwise(runs))


def test_a_run_longer_than_its_interval_never_overlaps_itself() -> None:
    at_once, most = 0, 0
    lock = threading.Lock()
    runs: list[int] = []

    def run() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(1.5)
        with lock:
            at_once -= 1
        runs.append(1)

    daemon = Daemon([Job("job", parse_schedule("1s", ZoneInfo("UTC")), run)], threading.Event())
    thread = threading.Thread(target=daemon.run_until_stopped)
    thread.start()
    wait_for(lambda: len(runs) >= 3)
    daemon.request_stop("the test is over")
    thread.join(10)

    assert most == 1


def test_a_job_that_raises_does_not_end_the_daemon() -> None:
    runs: list[int] = []

    def run() -> None:
        runs.append(1)
        raise RuntimeError

    daemon = Daemon([Job("job", parse_schedule("1s", ZoneInfo("UTC")), run)], threading.Event())
    thread = threading.Thread(target=daemon.run_until_stopped)
    thread.start()
    wait_for(lambda: len(runs) >= 2)
    daemon.request_stop("the test is over")
    thread.join(10)

    assert not thread.is_alive()
