"""Simulated honest estates through the real guard: what they do of themselves is not held, and no warning is false.

    python tests/proof/honest.py --count 1000000 --seed 1 --large 2000

Estates of 1 to 1,000 instances are polled every 5 minutes to 6 hours, and some polls are missed for up to a week. Each
lives as UPSTREAM says: births (reported as expired for minutes, some for an hour), deletions of up to 3 % a day, purges
after three months, the daily roll (which takes minutes, and reports what it has not reached yet as expired), terms that
end with the month, for some estates of everything, payments, renames, a vendor's change of every tariff, and clean-ups of
up to a quarter. `--large` polls of estates of 10,000 to 100,000 lie evenly among them. What is decided of each poll is decided by production's own rules.

A hold is expected where one answer brings more than the page says may come at once: of an estate that was not polled for
days, several days' deletions together with a clean-up. Any other, and any warning that is not true, ends the proof.
"""

import random
from array import array
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from budget import Budget  # first: it lets the others be found
from builders import body, item
from mirror import account, bounds
from reading import read_whole

from syncer.answer.known import DELETED, MISSING, RENEWING, Known
from syncer.answer.listing import Listing
from syncer.answer.spool import Spool
from syncer.model import Decision, Instance, Item, MirrorRow
from syncer.rules import guard, zone
from syncer.rules.transitions import Observation, decide_absent, decide_listed, is_auto_renewing

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
GRACE = timedelta(minutes=5)
OFFSET = timedelta(hours=3)
MOST_DELETED = 0.03  # of the live ones, a day
MOST_CLEANED_UP = 0.25
POLLS = 400  # of an estate
MONTHS_KEPT = timedelta(days=90)
REASONS = [
    (reason, word)
    for reason in guard.HoldReason
    for word in (("deleted", "expired", "restored") if reason is guard.HoldReason.FLIPPED else ("",))
]


(_LISTED,) = read_whole(body([item(1)]), account().decoder).instances.values()


def born(number: int, at: datetime, *, partner: bool) -> Instance:
    """An instance as the upstream lists it: one of a partner's renews itself, any other is paid by term."""
    return _LISTED._replace(
        id_instance=number,
        name=f"n{number}",
        time_created=at.replace(microsecond=0),
        tariff="PARTNER_23" if partner else "BUSINESS",
        is_partner=partner,
        expiration_date=next_midnight(at) if partner else month_end(at),
    )


def next_midnight(at: datetime) -> datetime:
    local = at + OFFSET
    return local.replace(hour=0, minute=0, second=0, microsecond=0) + DAY - OFFSET


def month_end(at: datetime) -> datetime:
    """The 00:00 at UTC+3 with which the next month begins."""
    local = (at + OFFSET).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (local + 32 * DAY).replace(day=1) - OFFSET


class Estate:
    """What is true upstream, and what the mirror holds; an instance's row is its number less one."""

    def __init__(self, size: int, chance: random.Random) -> None:
        self.chance = chance
        self.now = START + timedelta(minutes=chance.uniform(0, 60 * 24 * 40))
        self.rolled = self.now
        self.interval = timedelta(minutes=chance.choice([5, 5, 10, 60, 360]))
        self.pause = timedelta()  # before the poll of now
        self.churn = chance.uniform(0, MOST_DELETED)
        self.partners = chance.choice([0, 0.5, 0.75, 1])  # share of those that renew themselves
        self.roll_ends = self.now  # until then tonight's roll has not reached anything
        self.waiting: set[int] = set()  # those that were told so, in the last answer
        self.truth: dict[int, Instance] = {}
        self.reported: dict[int, datetime] = {}  # new ones that are said to be expired until then
        self.gone: list[int] = []
        self.deleted_at: dict[int, datetime] = {}
        self.mirror: dict[int, MirrorRow] = {}
        self.known = Known(array("q"), array("Q"), array("Q"), bytearray())
        self.number = 0
        self.last: tuple[datetime | None, datetime | None] = (None, None)
        self.births: list[zone.Birth] = []
        self.cleaned_up = 0
        self.touched: set[int] = set()
        for _ in range(size):
            self.create(self.now - timedelta(days=chance.uniform(1, 400)))

    def create(self, at: datetime) -> int:
        self.number += 1
        self.truth[self.number] = born(self.number, at, partner=self.chance.random() < self.partners)
        self.touched.add(self.number)
        return self.number

    def change(self, key: int, **values: object) -> None:
        self.truth[key] = self.truth[key]._replace(**values)  # type: ignore[arg-type]  # names of its fields
        self.touched.add(key)

    def delete(self, key: int, at: datetime) -> None:
        self.change(key, deleted=True, time_deleted=at.replace(microsecond=0))
        self.deleted_at[key] = at

    def live(self) -> list[int]:
        return [key for key, one in self.truth.items() if not one.deleted]

    def pass_time(self, pause: timedelta) -> None:
        """What happens until the next poll."""
        then, chance = self.now + pause, self.chance
        self.pause = pause
        live = self.live()
        days = pause / DAY
        self.cleaned_up = 0
        for _ in range(_times(len(live) * self.churn * days, chance)):
            key = self.create(self.now + chance.random() * pause)
            if chance.random() < 0.5:
                self.reported[key] = self.truth[key].time_created + timedelta(  # type: ignore[operator]  # it has one
                    minutes=2 if chance.random() < 0.9 else chance.uniform(2, 60)
                )
        for key in chance.sample(live, min(len(live), _times(len(live) * self.churn * days, chance))):
            self.delete(key, self.now + chance.random() * pause)
        if chance.random() < 0.02 * days:
            live = self.live()
            self.cleaned_up = int(len(live) * chance.uniform(0.05, MOST_CLEANED_UP))
            for key in chance.sample(live, self.cleaned_up):
                self.delete(key, then - chance.random() * min(pause, timedelta(hours=1)))
        for key in chance.sample(live, min(len(live), _times(len(live) * 0.01 * days, chance))):
            if key in self.truth:
                self.change(key, name=f"n{key} {chance.randrange(100)}")
        if chance.random() < 0.005 * days:
            version = chance.randrange(10, 99)
            for key in self.live():
                self.change(key, tariff=f"{'PARTNER' if self.truth[key].is_partner else 'BUSINESS'}_{version}")
        self.now = then
        self.roll()
        self.end_terms(days)
        for key, at in list(self.deleted_at.items()):
            if then - at > MONTHS_KEPT:
                del self.deleted_at[key], self.truth[key]
                self.gone.append(key)
        for key, until in list(self.reported.items()):
            self.touched.add(key)
            if then > until:
                del self.reported[key]

    def roll(self) -> None:
        """Every midnight moves the date of what renews itself; for some minutes the last ones wait for it."""
        midnight = next_midnight(self.now) - DAY
        if midnight < self.rolled:
            return
        self.rolled = self.now
        self.roll_ends = midnight + self.chance.random() * GRACE
        ends = midnight + DAY
        for key, one in self.truth.items():
            if not one.deleted and one.is_partner and one.expiration_date is not None and one.expiration_date < ends:
                self.change(key, expiration_date=ends)

    def end_terms(self, days: float) -> None:
        for key, one in self.truth.items():
            if one.is_partner or one.expiration_date is None:
                continue
            if not one.is_expired and one.expiration_date <= self.now:
                self.change(key, is_expired=True)
            elif one.is_expired and self.chance.random() < 0.2 * days:
                self.change(key, is_expired=False, expiration_date=month_end(self.now))

    def poll(self) -> Iterator[tuple[Listing, guard.Tally]]:
        """The answer of now, decided; who takes it calls `accept`."""
        observation = Observation("default", self.now, {"default": self.last[1]}, GRACE)
        midnight = next_midnight(self.now) - DAY
        self.waiting = set()
        absent = array("q", (key - 1 for key in self.gone if key in self.mirror))
        self.decisions: list[Decision] = []
        for key in sorted(self.touched):
            told = self.truth.get(key)
            if told is None:
                continue
            is_old = told.time_created is not None and told.time_created < midnight
            if self.now < self.roll_ends and told.is_partner and not told.deleted and is_old:
                self.waiting.add(key)
                told = told._replace(is_expired=True, expiration_date=midnight)
            elif key in self.reported:
                told = told._replace(is_expired=True)
            self.decisions.append(decide_listed(self.mirror.get(key), Item(told, 0), observation))
        self.decisions += [decide_absent(self.mirror[key], observation) for key in self.gone if key in self.mirror]
        tally = guard.Tally()
        tally.count(self.decisions)
        listing = Listing(
            listed=len(self.truth),
            body_bytes=0,
            body_sha256="",
            seed=0,
            digest=b"",
            differing=Spool(),
            known=self.known,
            absent=absent,
            shares_any=not self.mirror or len(self.truth) > 0,
        )
        yield listing, tally

    def accept(self) -> None:
        """The mirror is as the answer says."""
        window = zone.window_between(self.last, (self.now, self.now))
        for decision in self.decisions:
            row, instance = decision.row, decision.row.instance
            if decision.before is None:
                self.known.ids.append(decision.id_instance)
                self.known.hashes.append(0)
                self.known.rests.append(0)
                self.known.flags.append(0)
                created = instance.time_created
                if window is not None and created is not None and zone.is_birth(created, window):
                    self.births.insert(0, zone.Birth(created, window))
            self.mirror[decision.id_instance] = row
            self.known.flags[decision.id_instance - 1] = (
                DELETED * instance.deleted
                | MISSING * (row.missing_since is not None)
                | RENEWING * is_auto_renewing(instance.is_partner, instance.tariff)
            )
        del self.births[zone.DECISIVE_BIRTHS :]
        self.touched = self.waiting.union(self.reported)
        self.gone = []
        self.last = (self.now, self.now)


def _times(expected: float, chance: random.Random) -> int:
    whole = int(expected)
    return whole + (chance.random() < expected - whole)


def pause_of(chance: random.Random, interval: timedelta) -> timedelta:
    if chance.random() < 0.005:
        return timedelta(days=chance.uniform(0.5, 7))
    return interval * chance.uniform(0.98, 1.02)


def _held_for(reason: tuple[str, str]) -> str:
    return " ".join(("held", *filter(None, reason)))


def is_expected(estate: Estate, hold: guard.Hold) -> bool:
    """More than may come at once: days that were missed, with a clean-up among them."""
    grounds = {(one.reason, one.what) for one in hold.grounds}
    return grounds == {(guard.HoldReason.FLIPPED, "deleted")} and bool(estate.cleaned_up) and estate.pause > DAY


def is_true(tally: guard.Tally, live: int) -> bool:
    """Whether more than a fifth of the live ones really changed in one column."""
    return any(n > max(10, live / 5) for n in tally.changed_columns.values())


def play(estate: Estate, polls: int, found: Counter[str]) -> None:
    for _ in range(polls):
        for listing, tally in estate.poll():
            live = listing.known.flags.count(0) + listing.known.flags.count(RENEWING)
            hold = guard.examine(listing, tally, bounds(), {})
            if hold is not None:
                for one in hold.grounds:
                    found[_held_for((one.reason, one.what if one.reason is guard.HoldReason.FLIPPED else ""))] += 1
                assert is_expected(estate, hold), (guard.describe(hold, None)[:500], estate.now, estate.pause)
            if guard.is_mass_change(listing, tally):
                found["mass_change"] += 1
                assert is_true(tally, live), tally.changed_columns
            found["polls"] += 1
        estate.accept()
        suggested = zone.suggested_offset(OFFSET, estate.births)
        assert suggested is None, (suggested, estate.births)
        estate.pass_time(pause_of(estate.chance, estate.interval))
    live = estate.known.flags.count(0) + estate.known.flags.count(RENEWING)
    here = sum(row.missing_since is None and not row.instance.deleted for row in estate.mirror.values())
    assert live == here, "the guard is not told of this estate alone"


class Players:
    """Estates of one range of sizes, one after the other, and what was found of them."""

    def __init__(self, least: float, most: float, polls: int, chance: random.Random) -> None:
        self.found: Counter[str] = Counter()
        self._sizes = least, most
        self._polls = polls  # of an estate
        self._left = 0
        self._chance = chance

    def play(self, polls: int) -> int:
        """So many polls or less, as long as the estate lasts; gives how many."""
        if not self._left:
            size = round(10 ** self._chance.uniform(*self._sizes))
            self._estate, self._left = Estate(size, random.Random(self._chance.random())), self._polls
        done = min(self._left, polls)
        play(self._estate, done, self.found)
        self._left -= done
        return done


def main() -> None:
    budget = Budget("honest estates", 1_000_000, {"large": 2_000})
    usual, large = Players(0, 3, POLLS, budget.chance), Players(4, 5, POLLS // 2, budget.chance)
    for done in budget:
        budget.done += usual.play(50) - 1
        while large.found["polls"] * budget.chosen.count < done * budget.chosen.large:
            large.play(5)
    found = usual.found + large.found
    polls, large_polls = usual.found["polls"], large.found["polls"]
    del found["polls"]
    for word in [*map(_held_for, REASONS), "mass_change", "zone"]:
        print(f"{word}: {found[word]}, which is {1e6 * found[word] / (polls + large_polls):.1f} of a million polls")
    told = {word.replace(" ", "_"): n for word, n in sorted(found.items())}
    budget.report(polls=f"{polls:,}", large_polls=f"{large_polls:,}", **told)


if __name__ == "__main__":
    main()
