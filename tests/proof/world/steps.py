"""What may happen in a world, as plain data: any list of it without some of its steps is a valid list too.

Over 300 lines: one small declaration after another, and how they are drawn.
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

MINUTES_OF_A_DAY = 24 * 60


class Account(NamedTuple):
    """An account as a world begins: how often it is polled, and how many instances it lists."""

    name: str
    schedule: str
    instances: int


class Setting(NamedTuple):
    """What a world begins with."""

    accounts: tuple[Account, ...]
    processes: int
    keeps_tokens: bool = False
    receivers: tuple[str, ...] = ()  # of `receivers.RECEIVERS`


class Pass(NamedTuple):
    """Time passes, and the daemons do what is due."""

    minutes: int


class Meet(NamedTuple):
    """Time passes until a run of the account waits for the upstream, at most so long: what follows happens meanwhile."""

    account: int
    minutes: int


class Born(NamedTuple):
    account: int
    many: int
    tariff: str


class Dies(NamedTuple):
    account: int
    nth: int


class Restored(NamedTuple):
    account: int
    nth: int


class Renamed(NamedTuple):
    account: int
    nth: int
    name: str


class Billed(NamedTuple):
    """An instance goes over to another tariff."""

    account: int
    nth: int
    tariff: str


class Extended(NamedTuple):
    account: int
    nth: int
    days: int


class Rekeyed(NamedTuple):
    """An instance gets another token."""

    account: int
    nth: int


class Purged(NamedTuple):
    """The upstream forgets what is deleted."""

    account: int


class Lost(NamedTuple):
    """An instance is listed no more, nobody says why."""

    account: int
    nth: int


class Moved(NamedTuple):
    """An instance goes to another account's list; with `stays` both list it from now on."""

    account: int
    nth: int
    to: int
    stays: bool


class Upset(NamedTuple):
    """Much of an estate changes at once: what a guard is there for."""

    account: int
    what: str


class Answers(NamedTuple):
    """The next so many answers of an account are of this kind, see `upstream.KINDS`."""

    account: int
    kind: str
    times: int


class Late(NamedTuple):
    """The next answer of an account takes so long; with `stalls` its process stands still meanwhile, as when it is
    suspended, else an answer that takes longer than the client waits never comes.
    """

    account: int
    seconds: int
    stalls: bool


class Sync(NamedTuple):
    """Somebody runs `syncer sync`, by a clock that is so many seconds behind."""

    account: int
    behind: int = 0


class Takes(NamedTuple):
    """The next so many messages are taken in this way, see `receivers.WAYS`."""

    receiver: int
    way: str
    times: int


class Resume(NamedTuple):
    """Somebody lets a receiver be tried again at once."""

    receiver: int


class Kill(NamedTuple):
    """A process dies in its next work, at the nth `line`, `statement`, or `commit` or right after one, or when a receiver
    has said yes for the nth time (`told`) and before it is heard; it is started again.
    """

    process: int
    at: str
    nth: int
    minutes: int


class Break(NamedTuple):
    """The nth statement of a process is an `error`, or its nth COMMIT is `lost` on its way, or its acknowledgement `unheard`,
    or, on PostgreSQL, its nth transaction is `slow` to begin.
    """

    process: int
    what: str
    nth: int


class Unlink(NamedTuple):
    """The connection of a process to PostgreSQL breaks at the nth `message` or `COMMIT`, in one of `link.WAYS`."""

    process: int
    way: str
    at: str
    nth: int


class Stop(NamedTuple):
    """SIGTERM, and a start some time later."""

    process: int
    minutes: int


class Clock(NamedTuple):
    """The clock of a process jumps."""

    process: int
    seconds: int


class Priced(NamedTuple):
    """A tariff costs so much from a day of the world on; without a price, the one that begins on that day is removed."""

    tariff: str
    price: str
    currency: str
    day: int


class Sold(NamedTuple):
    """An instance is a customer's for so many days, or of None for ever, and the list of customers is loaded."""

    account: int
    nth: int
    customer: str
    day: int
    lasts: int | None
    price: str
    currency: str


class Cut(NamedTuple):
    """The list of customers is loaded, but with every nth line alone."""

    every: int
    is_meant: bool


class Read(NamedTuple):
    """Somebody reads a group of views, see `reader.GROUPS`, at the nth `line` or `statement` of a process from now, or
    at once of 0; the first view then, the others in the same transaction so many minutes later.
    """

    process: int
    at: str
    nth: int
    group: str
    minutes: int


class Drift(NamedTuple):
    """The clock of a process runs too fast from now on, by so many millionths."""

    process: int
    ppm: int


class Suspend(NamedTuple):
    """A process stands still; if its machine does, the clock that counts seconds does, too."""

    process: int
    minutes: int
    is_machine: bool


class Older(NamedTuple):
    """Somebody brings the schema back to a revision, with all daemons stopped and started anew, or under them; so many
    minutes later it is upgraded if no daemon did that.
    """

    revision: str
    minutes: int
    stops: bool


class Newer(NamedTuple):
    """For so many minutes the schema is that of a newer syncer."""

    minutes: int


class Backup(NamedTuple):
    pass


class Restore(NamedTuple):
    """The last backup is put back, under daemons that run."""


class Approve(NamedTuple):
    """Somebody approves a held run of the account: its last one, or the one so many before."""

    account: int
    back: int = 0


class Rotate(NamedTuple):
    """The partner's token changes, and is known here only some time later."""

    account: int
    minutes: int


class Rename(NamedTuple):
    account: int
    name: str


class Retire(NamedTuple):
    """No process polls the account any more; with `hands_on` another account's token lists its instances now."""

    account: int
    hands_on: bool


Step = (
    Pass | Meet | Born | Dies | Restored | Renamed | Billed | Extended | Rekeyed | Purged | Lost | Moved | Upset | Answers | Late
    | Sync | Unlink | Older | Newer | Drift | Suspend | Priced | Sold | Cut | Read | Takes | Resume | Kill | Break | Stop | Clock | Backup | Restore | Approve | Rotate | Rename | Retire
)  # fmt: skip

SCHEDULES = ("8h", "17h", "1d", "1d", "2d", "2d", "0 */12 * * *", "30 5 * * *")  # a poll costs more than what it meets
TARIFFS = ("PARTNER_23", "PARTNER_23", "BUSINESS", "BUSINESS_USD")
OLDER_IN = 0.4  # of worlds the schema goes back once; an upgrade costs as much as some days
COMMITS = (1, 2, 3, 3, 3, 4, 5)  # an answer's is mostly the third of a run: after those of its lease and its start
UNLINKED = ("cut", "unheard", "half sent", "half heard")
READ = ("status", "churn", "money", "attention")
UPSETS = ("deletes", "restores", "expires", "strips", "shifts", "loses", "renames", "bills", "rekeys", "turns back")


RECEIVERS: tuple[tuple[str, ...], ...] = (
    (), (), ("events",), ("all",), ("attention",), ("digest",), ("all", "chat"), ("events", "attention"),
)  # fmt: skip


def drawn(chance: random.Random, kinds: Sequence[str], ways: Sequence[str], days: int) -> tuple[Setting, list[Step]]:
    """A setting, and what happens in so many days; `kinds` are those of answers, `ways` of receivers."""
    accounts = tuple(
        Account(name, chance.choice(SCHEDULES), chance.choice([0, 2, 5, 9, 14, 24]))
        for name in "abc"[: chance.choice([1, 1, 2, 2, 3])]
    )
    processes = chance.choice([1, 1, 1, 2, 2, 2, 2, 3, 3, 5])
    setting = Setting(accounts, processes, chance.random() < 0.3, chance.choice(RECEIVERS))
    draw = _Drawing(chance, kinds, ways, setting)
    steps: list[Step] = []
    minutes = days * MINUTES_OF_A_DAY
    while minutes > 0:
        steps += [chance.choice(draw.happenings)() for _ in range(chance.choice([0, 1, 1, 1, 2, 2, 3]))]
        if chance.random() < 0.15:
            steps += draw.met()
        if chance.random() < 0.1:
            steps += draw.hurried()
        if chance.random() < 0.03:
            steps += draw.leap()
        passing = min(minutes, chance.choice([1, 7, 45, 200, 480, 700, 1440, 2000]))
        steps.append(Pass(passing))
        minutes -= passing
    if chance.random() < OLDER_IN:
        steps.insert(chance.randrange(len(steps)), draw.older())
    return setting, steps


class _Drawing:
    """Single steps; what is listed more often happens more often."""

    def __init__(self, chance: random.Random, kinds: Sequence[str], ways: Sequence[str], setting: Setting) -> None:
        self.chance, self.kinds, self.ways = chance, kinds, ways
        self.accounts, self.processes, self.receivers = len(setting.accounts), setting.processes, len(setting.receivers)
        self.lives: list[Callable[[], Step]] = [
            self.born, self.born, self.dies, self.dies, self.renamed, self.billed, self.extended, self.rekeyed,
            self.lost, self.moved, self.restored, self.purged,
        ]  # fmt: skip
        faults: list[Callable[[], Step]] = [
            self.answers, self.answers, self.answers, self.answers, self.late, self.late, self.kill, self.kill,
            self.broken, self.broken, self.unlinked, self.stop, self.clock, self.drift, self.suspend, self.upset,
        ]  # fmt: skip
        deeds: list[Callable[[], Step]] = [
            self.approve, self.approve, self.approve, self.sync, self.sync, Backup, Restore, self.rotate, self.rename,
            self.retire, self.read, self.read, self.read,
            self.priced, self.priced, self.sold, self.sold, self.cut, self.newer,
        ]  # fmt: skip
        told: list[Callable[[], Step]] = [self.takes, self.takes, self.takes, self.resume, self.dies_telling]
        self.happenings = [*self.lives, *faults, *deeds, *(told if self.receivers else [])]

    def account(self) -> int:
        return self.chance.randrange(self.accounts)

    def process(self) -> int:
        return self.chance.randrange(self.processes)

    def receiver(self) -> int:
        return self.chance.randrange(self.receivers)

    def nth(self) -> int:
        return self.chance.randrange(30)

    def born(self) -> Step:
        return Born(self.account(), self.chance.choice([1, 1, 1, 2, 5]), self.chance.choice(TARIFFS))

    def dies(self) -> Step:
        return Dies(self.account(), self.nth())

    def restored(self) -> Step:
        return Restored(self.account(), self.nth())

    def renamed(self) -> Step:
        return Renamed(self.account(), self.nth(), self.chance.choice(["Ёлка", "Region_12_Agent_7", "", "a'b\"c"]))

    def billed(self) -> Step:
        return Billed(self.account(), self.nth(), self.chance.choice(TARIFFS))

    def extended(self) -> Step:
        return Extended(self.account(), self.nth(), self.chance.choice([30, 30, 365, -3]))

    def rekeyed(self) -> Step:
        return Rekeyed(self.account(), self.nth())

    def purged(self) -> Step:
        return Purged(self.account())

    def lost(self) -> Step:
        return Lost(self.account(), self.nth())

    def moved(self) -> Step:
        return Moved(self.account(), self.nth(), self.account(), self.chance.choice([True, False]))

    def upset(self) -> Step:
        return Upset(self.account(), self.chance.choice(UPSETS))

    def answers(self) -> Step:
        return Answers(self.account(), self.chance.choice(self.kinds), self.chance.choice([1, 1, 2, 4, 9]))

    def late(self) -> Step:
        return Late(self.account(), self.chance.choice([4, 20, 45, 170]), self.chance.choice([True, False]))

    def met(self) -> list[Step]:
        """What happens amid a run."""
        account = self.account()
        late = Late(account, self.chance.choice([45, 170, 4000]), self.chance.choice([True, False]))
        amid = [self.chance.choice(self.happenings)() for _ in range(self.chance.choice([1, 1, 2]))]
        return [late, Meet(account, 1440), *amid, Pass(self.chance.choice([1, 1, 2, 5]))]

    def hurried(self) -> list[Step]:
        """Two people at one account: what the first has seen is later by his clock than what the second sees by his."""
        account, behind = self.account(), self.chance.choice([2, 100, 240, 400])
        amid = [self.chance.choice(self.lives)() for _ in range(self.chance.choice([0, 1, 1, 3]))]
        return [Sync(account), *amid, Sync(account, behind)]

    def leap(self) -> list[Step]:
        """A clock runs days ahead, long enough for a run by it, and is set right."""
        process = self.process()
        return [Clock(process, 400_000), Pass(self.chance.choice([200, 1440])), Clock(process, -400_000)]

    def kill(self) -> Step:
        at = self.chance.choice(["line", "line", "statement", "commit", "after commit"])
        nth = self.chance.randrange(1, {"line": 3000, "statement": 50}.get(at, 6))
        return Kill(self.process(), at, nth, self.chance.choice([1, 10, 600]))

    def takes(self) -> Step:
        return Takes(self.receiver(), self.chance.choice(self.ways), self.chance.choice([1, 1, 2, 5, 12]))

    def resume(self) -> Step:
        return Resume(self.receiver())

    def dies_telling(self) -> Step:
        return Kill(self.process(), "told", self.chance.choice([1, 1, 2, 5]), self.chance.choice([1, 10, 600]))

    def broken(self) -> Step:
        what = self.chance.choice(["error", "lost", "unheard", "unheard", "slow"])
        nth = self.chance.randrange(1, 50) if what == "error" else self.chance.choice(COMMITS)
        return Break(self.process(), what, nth)

    def unlinked(self) -> Step:
        at = self.chance.choice(["message", "COMMIT"])
        nth = self.chance.randrange(1, 60 if at == "message" else 6)
        return Unlink(self.process(), self.chance.choice(UNLINKED), at, nth)

    def stop(self) -> Step:
        return Stop(self.process(), self.chance.choice([1, 10, 600]))

    def clock(self) -> Step:
        return Clock(self.process(), self.chance.choice([2, -2, 100, -100, 240, -240, 4000, -4000, 90000]))

    def drift(self) -> Step:
        return Drift(self.process(), self.chance.choice([-300, -40, 0, 40, 300]))

    def suspend(self) -> Step:
        return Suspend(self.process(), self.chance.choice([1, 10, 300, 3000]), self.chance.choice([True, False]))

    def approve(self) -> Step:
        return Approve(self.account(), self.chance.choice([0, 0, 0, 0, 1, 2]))

    def sync(self) -> Step:
        return Sync(self.account())

    def older(self) -> Step:
        revision, minutes = (
            self.chance.choice(["0010", "0011", "0012", "0013", "0013"]),
            self.chance.choice([1, 700, 2000]),
        )
        return Older(revision, minutes, self.chance.choice([True, True, False]))

    def newer(self) -> Step:
        return Newer(self.chance.choice([5, 700, 2000]))

    def priced(self) -> Step:
        price = self.chance.choice(["12.5", "0.333333", "1000000", "0", ""])
        day = self.chance.choice([-40, 0, 0, 31, self.chance.randrange(60)])
        return Priced(self.chance.choice(TARIFFS), price, self.chance.choice(["RUB", "RUB", "USD"]), day)

    def sold(self) -> Step:
        customer, price = self.chance.choice(["Ёлка", "Nord", "ost"]), self.chance.choice(["", "19.99", "33.333333"])
        lasts = self.chance.choice([None, None, 0, 1, self.chance.randrange(40)])
        days = self.chance.randrange(-5, 40)
        return Sold(self.account(), self.nth(), customer, days, lasts, price, self.chance.choice(["RUB", "USD"]))

    def cut(self) -> Step:
        return Cut(self.chance.choice([1, 2, 3]), self.chance.choice([True, False]))

    def read(self) -> Step:
        at = self.chance.choice(["line", "statement"])
        nth = self.chance.choice([0, self.chance.randrange(1, 60 if at == "statement" else 3500)])
        return Read(self.process(), at, nth, self.chance.choice(READ), self.chance.choice([0, 0, 7, 700]))

    def rotate(self) -> Step:
        return Rotate(self.account(), self.chance.choice([0, 30, 900]))

    def rename(self) -> Step:
        return Rename(self.account(), self.chance.choice("abcdef"))

    def retire(self) -> Step:
        return Retire(self.account(), self.chance.choice([True, False]))
