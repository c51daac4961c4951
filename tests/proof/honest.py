"""Simulated honest estates through the real guard: what they do of themselves is not held, and no warning is false.

    python tests/proof/honest.py --count 1000000 --seed 1 --large 2000

Estates of 1 to 1,000 instances are polled every 5 minutes to 6 hours, and some polls are missed for up to a week. Each
lives as UPSTREAM says: births (reported as expired for minutes, some for an hour), deletions of up to 3 % a day, purges
after three months, the daily roll (which takes minutes, and reports what it has not reached yet as expired), terms that
end with the month, payments, renames, a vendor's change of every tariff, and clean-ups of up to a quarter. `--large` polls
of estates of up to 100,000 come after them. What is decided of each poll is decided by production's own rules.

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

from syncer.answer.known import DELETED, MISSING, NOTHING_KNOWN, RENEWING
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


(_LISTED,) = read_whole(body([item(1)]), account().decoder).instances.values()


def born(number: int, at: datetime, chance: random.Random) -> Instance:
    """An instance as the upstream lists it: three of four renew themselves."""
    partner = chance.random() < 0.75
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
        self.churn = chance.uniform(0, MOST_DELETED)
        self.truth: dict[int, Instance] = {}
        self.reported: dict[int, datetime] = {}  # new ones that are said to be expired until then
        self.gone: list[int] = []
        self.deleted_at: dict[int, datetime] = {}
        self.mirror: dict[int, MirrorRow] = {}
        self.known = NOTHING_KNOWN
        self.number = 0
        self.last: tuple[datetime | None, datetime | None] = (None, None)
        self.births: list[zone.Birth] = []
        self.cleaned_up = 0
        self.touched: set[int] = set()
        for _ in range(size):
            self.create(self.now - timedelta(days=chance.uniform(1, 400)))

    def create(self, at: datetime) -> int:
        self.number += 1
        self.truth[self.number] = born(self.number, at, self.chance)
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
            for key in self.live():
                if is_auto_renewing(self.truth[key].is_partner, self.truth[key].tariff):
                    self.change(key, tariff=f"PARTNER_{chance.randrange(10, 99)}")
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
        late = self.chance.random() < 0.5  # the roll has not come to an end yet
        absent = array("q", (key - 1 for key in self.gone if key in self.mirror))
        self.decisions: list[Decision] = []
        for key in sorted(self.touched):
            told = self.truth.get(key)
            if told is None:
                continue
            since_midnight = self.now - (next_midnight(self.now) - DAY)
            if key in self.reported or (late and told.is_partner and not told.deleted and since_midnight < GRACE):
                told = told._replace(is_expired=True)
                if key not in self.reported:
                    told = told._replace(expiration_date=next_midnight(self.now) - DAY)
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
        self.touched = set(self.reported)
        self.gone = []
        self.last = (self.now, self.now)


def _times(expected: float, chance: random.Random) -> int:
    whole = int(expected)
    return whole + (chance.random() < expected - whole)


def pause_of(chance: random.Random, interval: timedelta) -> timedelta:
    if chance.random() < 0.005:
        return timedelta(days=chance.uniform(0.5, 7))
    return interval * chance.uniform(0.98, 1.02)


def is_expected(estate: Estate, pause: timedelta, hold: guard.Hold) -> bool:
    """More than may come at once: days that were missed, with a clean-up among them."""
    grounds = {(one.reason, one.what) for one in hold.grounds}
    return grounds == {(guard.HoldReason.FLIPPED, "deleted")} and bool(estate.cleaned_up) and pause > DAY


def is_true(tally: guard.Tally, live: int) -> bool:
    """Whether more than a fifth of the live ones really changed in one column."""
    return any(n > max(10, live / 5) for n in tally.changed_columns.values())


def play(estate: Estate, polls: int, found: Counter[str]) -> None:
    interval = timedelta(minutes=estate.chance.choice([5, 5, 10, 60, 360]))
    pause = timedelta()
    for _ in range(polls):
        for listing, tally in estate.poll():
            live = listing.known.flags.count(0) + listing.known.flags.count(RENEWING)
            hold = guard.examine(listing, tally, bounds(), {})
            if hold is not None:
                for one in hold.grounds:
                    found[f"held {one.reason} {one.what}".rstrip()] += 1
                assert is_expected(estate, pause, hold), (guard.describe(hold, None)[:500], estate.now, pause)
            if guard.is_mass_change(listing, tally):
                found["mass_change"] += 1
                assert is_true(tally, live), tally.changed_columns
            found["polls"] += 1
        estate.accept()
        suggested = zone.suggested_offset(OFFSET, estate.births)
        assert suggested is None, (suggested, estate.births)
        pause = pause_of(estate.chance, interval)
        estate.pass_time(pause)


def main() -> None:
    budget = Budget("honest estates", 1_000_000, {"large": 2_000})
    found: Counter[str] = Counter()
    left = 0
    estate = None
    for _ in budget:
        if not left:
            size = round(10 ** budget.chance.uniform(0, 3))
            estate, left = Estate(size, random.Random(budget.chance.random())), POLLS
        assert estate is not None
        done = min(left, 50)
        play(estate, done, found)
        left -= done
        budget.done += done - 1
    polls, found["polls"] = found["polls"], 0
    for _ in range(budget.chosen.large // 200):
        size = round(10 ** budget.chance.uniform(4, 5))
        play(Estate(size, random.Random(budget.chance.random())), 200, found)
    large = found.pop("polls")
    budget.report(
        polls=f"{polls:,}", large_polls=f"{large:,}", **{word.replace(" ", "_"): n for word, n in sorted(found.items())}
    )


if __name__ == "__main__":
    main()
