"""A daemon of a world: production's runs, leases, senders and schedule, with the world's clock.

Over 300 lines: each kind of work that it does, and the process that has it, know one another.
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from sqlalchemy import Engine

import syncer
from syncer.daemon.leased_runs import Runs
from syncer.daemon.senders import Senders
from syncer.errors import DatabaseFailed
from syncer.model import RunResult
from syncer.rules.schedule import Again, planned_again, trigger
from syncer.send import Sender, Sending
from syncer.settings.config import AccountSettings
from syncer.settings.receivers import ReceiverSettings
from syncer.storage import database, lease
from world.doom import Doom, Killed, Lock
from world.link import Link
from world.upstream import Told
from world.wire import CALLING, Reply

SOURCE = str(Path(syncer.__file__).parent)
BEAT_SECONDS = 10.0
SLOW_SECONDS = 45.0
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Schema(Protocol):
    """What a process knows of changes of the schema."""

    changes: int  # so far

    def is_other(self) -> bool: ...


class Place(Protocol):
    """What a process knows of its world."""

    now: datetime
    restores: int  # of backups, so far
    versions: "Schema"

    def ask(self, task: "Task", request: bytes) -> Reply: ...

    def receive(self, telling: "Telling", request: bytes) -> Reply: ...

    def wait(self, work: "Work", seconds: float) -> None: ...

    def rest(self, telling: "Telling", seconds: float) -> None: ...


class Work(threading.Thread):
    """Something that a process does: a thread that goes on only while the world waits for it."""

    def __init__(self, process: "Process") -> None:
        super().__init__(name=f"process {process.number}", daemon=True)
        self.process = process
        self.wakes_at = process.place.now
        self.failure: BaseException | None = None
        self.restores = process.place.restores
        self.is_over = False
        self.struck_before = len(process.doom.struck)
        self.changes_before = process.place.versions.changes
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)

    @property
    def was_struck(self) -> bool:
        """Whether its process met a fault of the database since it began, or another schema."""
        versions = self.process.place.versions
        is_other = versions.changes > self.changes_before or versions.is_other()
        return is_other or len(self.process.doom.struck) > self.struck_before

    def proceed(self) -> None:
        """Let it go on until it waits for the world again, or ends."""
        if not self.is_alive() and not self.is_over:
            self.start()
        self._go.release()
        self._back.acquire()

    def run(self) -> None:
        self._go.acquire()
        CALLING.caller = self  # type: ignore[assignment]  # each kind of work is one
        try:
            self._be_traced()
            self.work()
        except Killed:
            self.process.doom.is_dead = True
        except BaseException as error:  # noqa: BLE001 - the world tells of it
            self.failure = error
        finally:
            sys.settrace(None)
            self.is_over = True
            self._back.release()

    def work(self) -> None:
        """What it is."""
        raise NotImplementedError

    def wait(self) -> None:
        """Give the world its turn."""
        self._back.release()
        self._go.acquire()
        if self.process.doom.is_dead:
            raise Killed
        self._be_traced()

    def _be_traced(self) -> None:
        sys.settrace(self._line if self.process.doom.counts_lines else None)

    def _line(self, frame: FrameType, what: str, _argument: object) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(SOURCE):
            return None
        if what == "line":
            if self.process.doom.beside is not None:
                sys.settrace(None)
                self.process.doom.meet("line")
                self._be_traced()
            if self.process.doom.is_due("line"):
                self.process.doom.die()
        return self._line


class Task(Work):
    """One run of a process."""

    def __init__(self, process: "Process", account: AccountSettings, *, is_manual: bool) -> None:
        super().__init__(process)
        self.account, self.is_manual = account, is_manual
        self.result: RunResult | None = None  # of a run that began
        self.again: Again | None = None  # when it is tried, where it did not
        self.run_row: tuple[int, Any] | None = None
        self.based_on: tuple[int, int, int] = (0, 0, 0)
        self.told: Told | None = None
        self.arrived_at: datetime | None = None
        self.read_at: datetime | None = None  # by its clock, the last of the answer
        self.is_stalled = self.was_stalled = False

    def work(self) -> None:
        if self.is_manual:
            self.result = self.process.runs.run_now(self.account)
        else:
            self.again = self.process.runs.run_if_due(self.account)

    def ask(self, request: bytes) -> Reply:
        return self.process.place.ask(self, request)

    def sleep(self, seconds: float) -> None:
        """Time passes for this run; its lease is renewed meanwhile, unless its process stands still."""
        place = self.process.place
        while seconds > 0 and not self.is_told_to_stop():
            passing = seconds if self.is_stalled else min(seconds, BEAT_SECONDS)
            place.wait(self, passing)
            seconds -= passing
            if not self.is_stalled and passing == BEAT_SECONDS:
                try:
                    with database.writing(self.process.engine, "renewing the leases") as connection:
                        lease.beat(connection, self.process.runs.holder)
                except DatabaseFailed:
                    continue

    def is_told_to_stop(self) -> bool:
        return self.process.runs.stop.is_set()


class Telling(Work):
    """What sends to one receiver, as long as its process lives: the loop of production's thread."""

    def __init__(self, process: "Process", settings: ReceiverSettings) -> None:
        super().__init__(process)
        self.receiver = settings.receiver
        self.news = News(self)
        self.is_idle = False  # whether it waits for nothing but news
        self.has_failed = False  # the last look, for a fault of the database
        self.is_resting = False
        runs, senders = process.runs, process.senders
        sending = Sending(
            runs.engine, self.receiver, settings.read_address, runs.holder, runs.clock, senders._stop, runs.scrub.learn
        )
        self._sender = Sender(sending)

    def work(self) -> None:
        self.process.senders._run(self, self.receiver.name, self.news)  # type: ignore[arg-type]

    def send_due(self) -> float:
        """As the sender does; what it may not raise is the world's to tell."""
        self.restores, self.struck_before = self.process.place.restores, len(self.process.doom.struck)
        self.changes_before = self.process.place.versions.changes
        self.has_failed = True
        try:
            seconds = self._sender.send_due()
        except DatabaseFailed as error:
            if not self.was_struck and self.restores == self.process.place.restores:
                self.failure = error
            raise
        except Exception as error:
            self.failure = error
            raise
        self.has_failed = False
        return seconds

    def rest(self, seconds: float) -> None:
        """Nothing is to be sent for so long, or until there are news."""
        self.process.place.rest(self, seconds)
        self.is_resting = True
        self.wait()
        self.is_resting = False

    def ask(self, request: bytes) -> Reply:
        return self.process.place.receive(self, request)

    def sleep(self, seconds: float) -> None:
        """Time passes for it; nothing renews the lease of a receiver meanwhile."""
        if not self.is_told_to_stop():
            self.process.place.wait(self, seconds)

    def is_told_to_stop(self) -> bool:
        return self.process.senders._stop.is_set()


class News(threading.Event):
    """What a sender waits on, in the world's time."""

    def __init__(self, telling: Telling) -> None:
        super().__init__()
        self._telling = telling

    def set(self) -> None:
        super().set()
        if self._telling.is_resting:
            self._telling.wakes_at = self._telling.process.place.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        if not self.is_set():
            self._telling.rest(timeout)
        return self.is_set()


class StopSign(threading.Event):
    """`Runs.stop`, whose waiting is the world's time."""

    def wait(self, timeout: float | None = None) -> bool:
        caller = CALLING.caller
        if caller is not None and timeout is not None and not self.is_set():
            caller.sleep(timeout)
        return self.is_set()


@dataclass
class Process:
    """A process that lives, with what it will run next, by its own clock."""

    number: int
    place: Place
    engine: Engine
    runs: Runs
    offset: timedelta
    is_manual: bool = False
    link: Link | None = None
    doom: Doom = field(default_factory=Doom)
    senders: Senders = field(init=False)
    next_runs: dict[str, datetime] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    told_of: list[str] = field(default_factory=list)
    asleep_until: datetime = LONG_AGO
    suspends: int = 0  # how often it stood still
    ppm: int = 0  # by which its clock is too fast
    drifts_since: datetime = LONG_AGO
    tellings: list[Telling] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.place.now + self.offset + self._drift(self.place.now)

    def _drift(self, moment: datetime) -> timedelta:
        return (moment - self.drifts_since) * self.ppm / 1_000_000 if self.ppm else timedelta()

    def drift(self, ppm: int) -> None:
        """Go on from what it shows, at another speed."""
        self.offset += self._drift(self.place.now)
        self.ppm, self.drifts_since = ppm, self.place.now

    def stand_still(self, seconds: float) -> None:
        """Nothing of it happens for so long: what it waits for comes late."""
        self.asleep_until = max(self.asleep_until, self.place.now + timedelta(seconds=seconds))
        self.suspends += 1
        for task in self.tasks.values():
            task.was_stalled = True

    def begin(self) -> None:
        """As the daemon's loop does: one run of each account at once, and whoever is to be told is told beside."""
        self.doom.watch(self.engine)
        self.doom.late = be_late
        if self.engine.dialect.name == "sqlite":
            self.engine.update_execution_options(syncer_turn=Lock(self.doom))
        self.runs._keeper._changed = threading.Condition(Lock(self.doom))  # type: ignore[arg-type]
        if self.link is not None:
            self.link.struck = self.doom.struck.append
        self.runs.stop = StopSign()
        self.senders = Senders(self.runs)
        self.senders._stop = StopSign()
        if not self.is_manual:
            self.runs.on_prepared = self.senders.begin
            self.tellings = [Telling(self, settings) for settings in self.runs.settings.receivers]
            self.senders._news = [telling.news for telling in self.tellings]
        self.next_runs = {account.name: self.clock() for account in self.runs.settings.accounts}

    def due(self) -> tuple[datetime, str] | None:
        """The account that is run next, and when by the world's clock."""
        if not self.next_runs:
            return None
        name = min(self.next_runs, key=lambda one: (self.next_runs[one], one))
        due = self.next_runs[name] - self.offset
        if self.ppm:  # a tick later than exactly then, so that its clock is there
            due = self.drifts_since + (due - self.drifts_since) / (1 + self.ppm / 1_000_000) + timedelta(microseconds=2)
        return due, name

    def fire(self, name: str) -> Task | None:
        """Run what is due, unless it still runs; its next time is its schedule's."""
        account = next(one for one in self.runs.settings.accounts if one.name == name)
        fired = self.next_runs[name]
        self.next_runs[name] = trigger(account.schedule).get_next_fire_time(fired, self.clock()).astimezone(UTC)
        if name in self.tasks:
            return None
        self.tasks[name] = Task(self, account, is_manual=False)
        return self.tasks[name]

    def run_manually(self) -> Task:
        """One run of its account, as a command makes it."""
        account = self.runs.settings.accounts[0]
        self.tasks[account.name] = Task(self, account, is_manual=True)
        return self.tasks[account.name]

    def let_go(self) -> None:
        """Leave nothing of it behind: connections, and the threads that a process would have taken along."""
        was_killed, self.doom.is_dead = self.doom.is_dead, True
        for telling in self.tellings:
            while not telling.is_over:
                telling.proceed()
        keeper = self.runs._keeper
        with keeper._changed:  # it ends the thread that beats
            keeper._kept.clear()
            keeper._changed.notify()
        self.engine.dispose()
        if self.link is not None:
            self.link.close()
        if was_killed:
            for thread in threading.enumerate():
                if thread.name == "fetch-watch":
                    thread._target.__self__._over.set()  # type: ignore[attr-defined]

    def settle(self, task: Task) -> None:
        """A run has ended."""
        if self.tasks.get(task.account.name) is task:
            del self.tasks[task.account.name]
        name = task.account.name
        if task.again is not None and name in self.next_runs:
            self.next_runs[name] = planned_again(task.again, self.next_runs[name], self.clock())


def be_late(writes: bool) -> None:
    """The network takes its time, longer than a lease lasts."""
    work = CALLING.caller
    if not isinstance(work, Work):
        return
    work.process.suspends += 1
    for task in work.process.tasks.values():
        task.was_stalled = True
    work.process.place.wait(work, SLOW_SECONDS)
    if isinstance(work, Task) and not writes:
        work.read_at = work.process.clock()  # an answer is compared before it is observed


def note_result(result: RunResult, _seconds: float) -> None:
    """What `Runs` tells at the end of a run."""
    if isinstance(CALLING.caller, Task):
        CALLING.caller.result = result
        CALLING.caller.process.senders.wake()
