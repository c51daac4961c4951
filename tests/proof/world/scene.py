"""The world itself: time, daemons, upstream and operator, and the steps that are played on them.

Over 300 lines: everything that acts on the one clock is told in one file, in the order in which it takes its turn.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import seed as seed_chance
from zoneinfo import ZoneInfo

from canary import PARTNER_TOKEN
from loading import load

from syncer import send
from syncer.answer.values import canonical_json
from syncer.daemon.leased_runs import Runs
from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.model import RunStatus
from syncer.post import client
from syncer.rules.schedule import Schedule, parse_schedule, planned_after_jump
from syncer.settings.config import AccountSettings
from syncer.storage import accounts, database, lease, receivers, runs
from world import steps, upsets
from world.databases import Home, opened
from world.operator import Operator
from world.process import Process, Task, Telling, Work, note_result
from world.reader import GROUPS, Reader
from world.receivers import IDLE, LOOK, Heard, Receivers, settings_of
from world.steps import Setting, Step
from world.upstream import Upstream, rekeyed
from world.versions import Versions
from world.wire import CALLING, Reply, connected
from world.witness import Witness

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
JUMP_SECONDS = 2.0  # a smaller one is no jump to the daemon's loop
API_URL = "http://127.0.0.1:1"
CALM_INTERVALS = 3
LAST_LOOKS = timedelta(minutes=10)
TOKEN_KEY = bytes(range(32))
REAL_SECONDS = 3600.0  # no exchange takes so long, whatever the machine
A_MOMENT = timedelta(seconds=1)  # what a person does takes one: no two runs begin at one moment by chance


# Of each process; clocks change on the 29th, the 8th and the 36th day, or never.
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC")


@cache
def _schedule(text: str, zone: str) -> Schedule:
    return parse_schedule(text, ZoneInfo(zone))


class World:
    """Plays steps; what does not hold is an `AssertionError`. `trace` tells all that happened, line by line."""

    def __init__(self, setting: Setting, home: Home, *, with_figures: bool = False) -> None:
        self.setting, self.home, self.with_figures = setting, home, with_figures
        self.now = START
        self.restores = 0
        self.trace: list[str] = []
        self.counted: dict[str, int] = {}
        self.names = [account.name for account in setting.accounts]
        self.polled = set(range(len(self.names)))
        self.upstream = Upstream(len(self.names))
        for place, account in enumerate(setting.accounts):
            for nth in range(account.instances):
                tariff = steps.TARIFFS[nth % len(steps.TARIFFS)]
                self.upstream.born(place, tariff, START - timedelta(days=nth + 1, hours=nth))
        self.tokens = [estate.token for estate in self.upstream.estates]
        self.hand = opened(home.url, self)
        self.receivers = Receivers(self, setting.receivers)
        self.versions = Versions(self)
        self.operator = Operator(self, home.folder)
        self.reader = Reader(home.url, self, self.count)
        self.witness = Witness(self)
        self.processes: list[Process | None] = [None] * setting.processes
        self.manual: list[Process] = []
        self._appointments: list[tuple[datetime, int, Callable[[], None]]] = []
        self._appointed = 0
        self._comes_back: dict[int, int] = {}  # minutes after which a process that is killed is started again
        self._backup: tuple[Path | str, Witness, dict[str, Heard]] | None = None
        self._is_calm = False
        self.broken: AssertionError | None = None  # what did not hold amid a run, which would take it for a defect
        settings = load({}, {"SYNCER_PARTNER_TOKEN": PARTNER_TOKEN}, None, Path("/nonexistent"))
        self._settings = replace(
            settings,
            token_key=TOKEN_KEY if setting.keeps_tokens else None,
            receivers=tuple(settings_of(kind) for kind in setting.receivers),
        )
        self._set_now(START)

    # Time

    def _set_now(self, moment: datetime) -> None:
        self.now = moment
        self.home.set_now(moment)

    def at(self, minutes: float, act: Callable[[], None]) -> None:
        """Do something some time later."""
        self._appointed += 1
        self._appointments.append((self.now + timedelta(minutes=minutes), self._appointed, act))

    def pass_time(self, until: datetime, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen that is due until then, in its order."""
        while (following := min(self._due(), key=lambda one: one[:3], default=None)) and following[0] <= until:
            self._set_now(max(self.now, following[0]))
            following[3]()
            if is_enough():
                return
        self._set_now(max(self.now, until))

    def _due(self) -> Iterator[tuple[datetime, int, int, Callable[[], None]]]:
        for moment, number, act in self._appointments:
            yield moment, 0, number, self._keep(moment, number, act)
        for process in self._alive():
            for task in process.tasks.values():
                yield max(task.wakes_at, process.asleep_until), 1, process.number, self._proceeding(task)
            for telling in process.tellings:
                yield max(telling.wakes_at, process.asleep_until), 3, process.number, self._telling(telling)
            if not process.is_manual and (due := process.due()) is not None:
                yield max(due[0], process.asleep_until), 2, process.number, self._firing(process, due[1])

    def _keep(self, moment: datetime, number: int, act: Callable[[], None]) -> Callable[[], None]:
        def keep() -> None:
            self._appointments.remove((moment, number, act))
            act()

        return keep

    def _proceeding(self, task: Task) -> Callable[[], None]:
        return lambda: self._proceed(task)

    def _telling(self, telling: Telling) -> Callable[[], None]:
        def proceed() -> None:
            telling.proceed()
            if self.broken is not None:
                raise self.broken
            assert telling.failure is None, f"{telling.failure!r} escaped from a sender"
            if telling.process.doom.is_dead:
                self._bury(telling.process)

        return proceed

    def _firing(self, process: Process, name: str) -> Callable[[], None]:
        def fire() -> None:
            if (task := process.fire(name)) is not None:
                self._proceed(task)

        return fire

    # Processes

    def _alive(self) -> list[Process]:
        return [process for process in [*self.processes, *self.manual] if process is not None]

    def _account_settings(self, place: int, number: int = 0) -> AccountSettings:
        """What the configuration of a process says of an account."""
        return AccountSettings(
            name=self.names[place],
            api_url=API_URL,
            schedule=_schedule(self.setting.accounts[place].schedule, ZONES[number % len(ZONES)]),
            token_setting="token_file",
            read_token=lambda: self.tokens[place],
        )

    def _start(self, number: int, *, places: Sequence[int] | None = None) -> Process:
        settings = replace(
            self._settings,
            database_url=self.home.url,
            accounts=tuple(self._account_settings(place, number) for place in (places or sorted(self.polled))),
        )
        link = self.home.link()
        engine = opened(self.home.url if link is None else self.home.url.set(host="127.0.0.1", port=link.port), self)
        process = Process(number, self, engine, None, timedelta(), places is not None, link)  # type: ignore[arg-type]
        process.runs = Runs(settings, engine, settings.scrubber(), process.clock, note_result)
        process.begin()
        return process

    def bring_back(self, number: int) -> None:
        """Start a process, unless it runs."""
        if self.processes[number] is None and self.polled:
            self._tell_who_lives()
            self.processes[number] = self._start(number)

    def _tell_who_lives(self) -> None:
        """What a thread of each daemon has told by now, which whoever starts finds."""
        for process in self.processes:
            if process is None or process.asleep_until > self.now:
                continue
            with suppress(DatabaseFailed), database.writing(self.hand, "telling that the daemon lives") as connection:
                _its, free = lease.say_living(connection, process.runs.holder)
                next_runs = {name: at - process.clock() for name, at in process.next_runs.items() if name in free}
                told = {name: left.total_seconds() for name, left in next_runs.items()}
                lease.tell(connection, process.runs.holder, told)

    def _proceed(self, task: Task) -> None:
        task.proceed()
        if self.broken is not None:
            raise self.broken
        if task.is_over:
            self._ended(task)

    def _ended(self, task: Task) -> None:
        process = task.process
        process.settle(task)
        self.witness.judge(task)
        if task.result is not None and task.result.transitions:
            self._rouse()
        if process.doom.is_dead:
            self._bury(process)
        elif process.is_manual:
            self._forget(process)
        if self._is_calm and task.result is not None and task.result.status is RunStatus.HELD:
            self._approve(task.result.id)

    def _bury(self, process: Process) -> None:
        """It is dead, with everything that it was at."""
        for task in list(process.tasks.values()):
            task.proceed()
            process.settle(task)
            self.witness.judge(task)
        self._forget(process)
        self._rouse()
        self.count("killed")
        if not process.is_manual:
            self.at(self._comes_back.get(process.number, 1), lambda: self.bring_back(process.number))

    def _forget(self, process: Process) -> None:
        process.let_go()
        if process.is_manual:
            self.manual.remove(process)
        else:
            self.processes[process.number] = None

    def _stop(self, process: Process) -> None:
        """SIGTERM: what is fetching is given up."""
        process.runs.stop.set()
        process.next_runs = {}
        for task in list(process.tasks.values()):
            while not task.is_over:
                task.proceed()
            process.settle(task)
            self.witness.judge(task)
        process.senders._stop.set()
        process.senders.wake()
        for telling in process.tellings:
            while not telling.is_over:
                self._telling(telling)()
                if process.doom.is_dead:
                    return
        with suppress(DatabaseFailed), database.writing(self.hand, "telling that the daemon ends") as connection:
            lease.take_back(connection, process.runs.holder)
        self._forget(process)
        self._rouse()

    def stop_all(self) -> list[int]:
        """SIGTERM for every daemon; which of them ran."""
        stopped = [process for process in self.processes if process is not None]
        for process in stopped:
            self._stop(process)
        return [process.number for process in stopped]

    # What a task asks of its world

    def wait(self, work: Work, seconds: float) -> None:
        work.wakes_at = self.now + timedelta(seconds=seconds)
        work.wait()

    def rest(self, telling: Telling, seconds: float) -> None:
        """A sender that waits for news looks every few seconds; what can only find nothing is left out."""
        looks_again = self.now + timedelta(seconds=seconds)
        telling.is_idle = not telling.has_failed and seconds >= LOOK.total_seconds()
        if not telling.process.runs.prepared.is_set() or (telling.has_failed and self.versions.is_other()):
            looks_again, telling.is_idle = self.now + IDLE, True
        elif telling.is_idle:
            looks_again = self.receivers.rests(telling)
        telling.wakes_at = looks_again

    def _rouse(self) -> None:
        """Something happened that every sender sees at its next look."""
        for process in self._alive():
            for telling in process.tellings:
                if telling.is_idle:
                    telling.wakes_at = min(telling.wakes_at, self.now + LOOK)

    def receive(self, telling: Telling, request: bytes) -> Reply:
        try:
            return self.receivers.reply(telling, request)
        except AssertionError as error:
            self.broken = error
            raise

    def ask(self, task: Task, request: bytes) -> Reply:
        others = [one for process in self._alive() for one in process.tasks.values() if one is not task]
        try:
            sent, late = self.upstream.answer(request, self.now)
            self.witness.asked(task, sent.told, [one for one in others if one.account.name == task.account.name])
        except AssertionError as error:
            self.broken = error
            raise

        def reply() -> Reply:
            parts = iter(sent.reply)
            if late is not None and late.stalls:
                task.process.stand_still(late.seconds)
                task.is_stalled = True
                task.sleep(late.seconds)
                task.is_stalled = False
            task.arrived_at = task.process.clock()
            for number, part in enumerate(parts):
                if number == 1 and late is not None and not late.stalls:
                    yield float(late.seconds)
                task.read_at = task.process.clock()
                yield part

        return reply()

    # Steps

    def play(self, all_steps: Sequence[Step]) -> None:
        """Every step, then a calm in which everything must become well."""
        seed_chance(1)  # the jitter of retries
        gc.freeze()  # production collects after each failure, which takes long where much was made before
        for number in range(len(self.processes)):
            self.processes[number] = self._start(number)
        for step in all_steps:
            self.tell(repr(step))
            self.count(type(step).__name__)
            self.step(step)
        self.calm()

    def step(self, step: Step) -> None:
        """Let it happen; what cannot, does not."""
        estates = self.upstream.estates
        match step:
            case steps.Pass(minutes):
                self.pass_time(self.now + timedelta(minutes=minutes))
            case steps.Meet(place, minutes):
                self.pass_time(self.now + timedelta(minutes=minutes), lambda: self._is_run(place))
            case steps.Born(place, many, tariff):
                for _ in range(many):
                    self.upstream.born(place, tariff, self.now)
            case steps.Lost(place, nth):
                if (one := estates[place].nth(nth)) is not None:
                    del estates[place].items[one["idInstance"]]
            case steps.Moved(place, nth, to, stays):
                if (one := estates[place].nth(nth)) is not None:
                    estates[to].items[one["idInstance"]] = one
                    if to != place and not stays:
                        del estates[place].items[one["idInstance"]]
            case steps.Purged(place):
                estates[place].items = {key: one for key, one in estates[place].items.items() if not one["deleted"]}
            case steps.Upset(place, what):
                upsets.upset(estates[place].items, what, self.now)
            case steps.Dies(place, nth) | steps.Renamed(place, nth, _) | steps.Billed(place, nth, _):
                self._change(place, nth, step)
            case steps.Restored(place, nth) | steps.Rekeyed(place, nth) | steps.Extended(place, nth, _):
                self._change(place, nth, step)
            case steps.Answers(place, kind, times):
                estates[place].kinds.extend([kind] * times)
            case steps.Late(place, _, _):
                estates[place].late.append(step)
            case steps.Sync(place, behind):
                self.pass_time(self.now + A_MOMENT)
                if place in self.polled:
                    process = self._start(100 + len(self.manual), places=[place])
                    process.offset = timedelta(seconds=-behind)
                    self.manual.append(process)
                    self._proceed(process.run_manually())
            case steps.Read(number, at, nth, group, minutes):
                reading = self.processes[number]
                if nth and reading is not None:
                    reading.doom.beside = at, nth, lambda: self._read(group, minutes)
                else:
                    self._read(group, minutes)
            case steps.Priced():
                self.operator.set_price(step, self.witness.figures)
            case steps.Sold(place, nth):
                if (one := estates[place].nth(nth)) is not None:
                    self.operator.sell(one["idInstance"], step, self.witness.figures)
            case steps.Cut():
                self.operator.cut(step, self.witness.figures)
            case steps.Takes(place, way, times):
                self.receivers.ways[self.setting.receivers[place]].extend([way] * times)
            case steps.Resume(place):
                self._resume(self.setting.receivers[place])
            case steps.Kill(number, at, nth, minutes):
                if (process := self.processes[number]) is not None:
                    process.doom.armed = at, nth
                    self._comes_back[number] = minutes
            case steps.Break(number, what, nth):
                if (process := self.processes[number]) is not None:
                    process.doom.armed = what, nth
            case steps.Unlink(number, way, at, nth):
                if (process := self.processes[number]) is not None and process.link is not None:
                    process.link.armed = way, at, nth
            case steps.Stop(number, minutes):
                if (process := self.processes[number]) is not None:
                    self._stop(process)
                    self.at(minutes, lambda: self.bring_back(number))
            case steps.Clock(number, seconds):
                if (process := self.processes[number]) is not None:
                    self._set_clock(process, process.offset + timedelta(seconds=seconds))
            case steps.Drift(number, ppm):
                if (process := self.processes[number]) is not None:
                    process.drift(ppm)
            case steps.Suspend(number, minutes, is_machine):
                if (process := self.processes[number]) is not None:
                    process.stand_still(minutes * 60)
                    if is_machine:
                        self.at(minutes, lambda: self._wake(process, timedelta(minutes=minutes)))
            case steps.Older(revision, minutes, stops):
                self.versions.older(revision, minutes, stops=stops)
                self._rouse()
            case steps.Newer(minutes):
                self.versions.newer(minutes)
                self._rouse()
            case steps.Backup():
                self._dispose_all()
                self._backup = self.home.back_up(), self.witness.copy(), self.receivers.copy()
            case steps.Restore():
                self.pass_time(self.now + A_MOMENT)
                if self._backup is not None:
                    self._restore(*self._backup)
            case steps.Approve(place, back):
                self._approve(self.witness.held(self.names[place], back))
            case steps.Rotate(place, minutes):
                estates[place].generation += 1
                token = estates[place].token
                self.at(minutes, lambda: self._learn(place, token))
            case steps.Rename(place, name):
                self._rename(place, name)
            case steps.Retire(place, hands_on):
                self._retire(place, hands_on=hands_on)

    def _is_run(self, place: int) -> bool:
        name = self.names[place]
        return any(name in process.tasks and process.tasks[name].run_row for process in self._alive())

    def _change(self, place: int, nth: int, step: Step) -> None:
        """One instance is another one now."""
        estate = self.upstream.estates[place]
        one = estate.nth(nth, deleted=isinstance(step, steps.Restored))
        if one is not None:
            one |= upsets.changes(one, step, self.now) if not isinstance(step, steps.Rekeyed) else rekeyed(one)

    def _learn(self, place: int, token: str) -> None:
        if token == self.upstream.estates[place].token:
            self.tokens[place] = token

    def _set_clock(self, process: Process, offset: timedelta) -> None:
        before = process.clock()
        process.drift(0)
        process.offset = offset
        jump = process.clock() - before
        if abs(jump.total_seconds()) > JUMP_SECONDS:
            self._follow(process, jump)

    def _wake(self, process: Process, slept: timedelta) -> None:
        """A machine that slept: its clock went on, and what counts its seconds did not."""
        if process in self._alive():
            self._follow(process, slept)

    @staticmethod
    def _follow(process: Process, jump: timedelta) -> None:
        """As the daemon's loop does when the clock moved."""
        for account in process.runs.settings.accounts:
            if account.name in process.next_runs:
                process.next_runs[account.name] = planned_after_jump(
                    account.schedule, process.next_runs[account.name], jump, process.clock()
                )

    def _read(self, group: str, minutes: int) -> None:
        """Begin to read, and do it to its end some time later; it may be amid what a process writes."""
        try:
            self.reader.begin(group)
            if not minutes or not self.reader.may_linger:
                self.reader.finish()
        except AssertionError as error:
            self.broken = error
            raise
        if minutes:
            self.at(minutes, self.reader.finish)

    def _dispose_all(self) -> None:
        self.reader.finish()
        self.reader.leave()
        for engine in [self.hand, *(process.engine for process in self._alive())]:
            engine.dispose()

    def _restore(self, backup: Path | str, witness: Witness, heard: dict[str, Heard]) -> None:
        self._dispose_all()
        self.home.restore(backup)
        self.restores += 1
        self.home.set_now(self.now)
        self.receivers.restored(heard)
        self.witness = witness.copy()
        self.witness.is_after_restore()
        self._rouse()

    def _resume(self, kind: str) -> None:
        with suppress(ConfigurationError), database.writing(self.hand, "resuming the receiver") as connection:
            if receivers.resume(connection, kind):
                self.count("resumed")
        self.receivers.resumed(kind)
        self._rouse()

    def _approve(self, run: int | None) -> None:
        if run is None:
            return
        try:
            with database.writing(self.hand, "approving the run") as connection:
                is_new = runs.approve(connection, run, self.now)
        except ConfigurationError:
            return
        self.tell(f"approved run {run}: {is_new}")
        if is_new:
            self.count("approved")
            self.witness.model.approve(run)

    def _rename(self, place: int, name: str) -> None:
        old = self.names[place]
        if name in [self.names[other] for other in self.polled] or place not in self.polled:
            return
        stopped = self.stop_all()
        try:
            with database.writing(self.hand, "renaming the account") as connection:
                accounts.rename(connection, old, name, self.now)
        except ConfigurationError as refused:
            self.tell(f"not renamed: {canonical_json(str(refused)[:60])}")
        else:
            self.count("renamed")
            self.names = ["" if other == name else other for other in self.names]  # of a retired one, taken over
            self.names[place] = name
            self.witness.renamed(old, name)
        for number in stopped:
            self.bring_back(number)
        self.witness.compare()

    def _retire(self, place: int, *, hands_on: bool) -> None:
        heirs = sorted(self.polled - {place})
        name = self.names[place]
        if place not in self.polled or not heirs or not self.witness.knows(name):
            return
        stopped = self.stop_all()
        with database.writing(self.hand, "retiring the account") as connection:
            accounts.retire(connection, name, self.now)
        self.witness.retired(name)
        self.polled.discard(place)
        if hands_on:
            estates = self.upstream.estates
            estates[heirs[0]].items |= estates[place].items
        for number in stopped:
            self.bring_back(number)
        self.count("retired")
        self.witness.compare()

    def calm(self) -> None:
        """No more faults: what is broken is mended, held answers are approved, and all is fresh within three intervals."""
        self.tell("calm")
        self._is_calm = True
        for estate in self.upstream.estates:
            estate.kinds.clear()
            estate.late.clear()
        for process in self._alive():
            process.doom.armed = None
            if process.link is not None:
                process.link.armed = None
            process.asleep_until = self.now
            self._set_clock(process, timedelta())
        for place, estate in enumerate(self.upstream.estates):
            self.tokens[place] = estate.token
        for kind in self.setting.receivers:
            self.receivers.ways[kind].clear()
            self._resume(kind)
        if self.versions.is_other():
            self.versions.upgrade()
            self._rouse()
        for number in range(len(self.processes)):
            self.bring_back(number)
        for place in sorted(self.polled):
            self._approve(self.witness.held(self.names[place], 0))
        began = self.now
        longest = timedelta()
        for place in sorted(self.polled):
            interval = timedelta(seconds=self._account_settings(place).schedule.interval_seconds)
            longest = max(longest, interval)
        self.pass_time(began + CALM_INTERVALS * longest)
        for place in sorted(self.polled):
            interval = timedelta(seconds=self._account_settings(place).schedule.interval_seconds)
            self.witness.is_fresh(self.names[place], interval)
        self._rouse()
        self.pass_time(self.now + LAST_LOOKS)
        self.stop_all()
        while self.manual:
            self._stop(self.manual[0])
        self.reader.finish()
        for group in GROUPS:
            self._read(group, 0)
        self.witness.at_the_end(self._settings.token_key)

    def tell(self, line: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{(self.now - START).total_seconds() / 60:.2f} {line}")

    def count(self, what: str) -> None:
        self.counted[what] = self.counted.get(what, 0) + 1

    def close(self) -> None:
        """Leave nothing open."""
        for process in self._alive():
            process.doom.is_dead = True
            for task in list(process.tasks.values()):
                while not task.is_over:
                    task.proceed()
            process.let_go()
        self.reader.leave()
        self.hand.dispose()


class Time:
    """What `time` is to a sender."""

    @staticmethod
    def monotonic() -> float:
        """The world's time, which no clock of a process changes."""
        assert isinstance(CALLING.caller, Work)
        return CALLING.caller.process.place.now.timestamp()


@contextmanager
def laws() -> Iterator[None]:
    """While worlds are played: the network is theirs, and production waits for no real second."""
    beat, pause, clock, watch = lease.BEAT, runs.COMMIT_LOOKUP_PAUSE_SECONDS, send.time, client.Watch
    lease.BEAT, runs.COMMIT_LOOKUP_PAUSE_SECONDS = timedelta(days=1), 0.0
    send.time = Time  # type: ignore[assignment]
    client.Watch = lambda _seconds, *rest: watch(REAL_SECONDS, *rest)  # type: ignore[assignment,misc]
    try:
        with connected():
            yield
    finally:
        gc.unfreeze()
        lease.BEAT, runs.COMMIT_LOOKUP_PAUSE_SECONDS, send.time = beat, pause, clock
        client.Watch = watch  # type: ignore[misc]
