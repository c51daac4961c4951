"""Random lives as BI meets them, told by two accounts: deletions and expiries told late, in one answer with other
changes, restores, gaps, purges, moves between accounts, corrected dates, missed polls, steps at exact midnights.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from builders import item, paid

UPSTREAM = "%Y-%m-%dT%H:%M:%S"
NONE = "0001-01-01T00:00:00"
ACCOUNTS = ("a", "b")
RARE_TARIFF = "RARE"  # of another currency in one month than before and after
ANCHORS = {"a": 901, "b": 902}  # listed in every answer, so that none is empty or another account's
Answer = tuple[datetime, str, list[dict[str, Any]]]


def local(moment: datetime) -> str:
    """A moment as the upstream writes it."""
    return (moment + timedelta(hours=3)).strftime(UPSTREAM)


class Teller:
    """An estate of a few instances; each answer changes some of them, often in more than one way."""

    def __init__(self, chance: random.Random, start: datetime, until: datetime, instances: int) -> None:
        self.chance = chance
        self.now = start
        self.until = until
        self.owner: dict[int, str] = {}
        self.items: dict[int, dict[str, Any]] = {}
        self.keys = range(1, instances + 1)
        span = (until - start) / timedelta(days=1)
        moments = [start + timedelta(days=chance.uniform(-20, span)) for _ in range(8)]
        moments += [self._midnight(start + timedelta(days=chance.uniform(-20, span))) for _ in range(4)]
        self.dates = [local(moment) for moment in moments]
        self.anchors = {
            account: paid(key, timeCreated=local(start - timedelta(days=80)), expirationDate="2031-01-01T00:00:00")
            for account, key in ANCHORS.items()
        }

    def _midnight(self, moment: datetime) -> datetime:
        at_upstream = (moment + timedelta(hours=3)).replace(hour=0, minute=0, second=0, microsecond=0)
        return at_upstream - timedelta(hours=3)

    def _date(self) -> str:
        """Mostly lately, sometimes anywhere, not at all, or in the future."""
        ago = timedelta(days=self.chance.choice([0, 0.01, 0.3, 1, 4, 9]))
        return self.chance.choice([local(self.now - ago), local(self._midnight(self.now - ago)), *self.dates[:3], NONE])

    def _born(self) -> dict[str, Any]:
        make = self.chance.choice([item, paid])
        made = make(0, timeCreated=self._date(), expirationDate=self.chance.choice([*self.dates, NONE]))
        made["typeInstance"] = self.chance.choice(["whatsapp", "whatsapp", "v3"])
        if self.chance.random() < 0.2:
            made |= {"deleted": True, "timeDeleted": self._date()}
        if self.chance.random() < 0.15:
            made["isExpired"] = True
        return made

    def _happens(self) -> dict[str, Any]:
        chance = self.chance
        what = chance.choice(
            [
                "name",
                "tariff",
                "type",
                "delete",
                "delete",
                "restore",
                "expire",
                "renew",
                "extend",
                "born",
                "date",
                "free",
            ]
        )
        match what:
            case "name":
                return {"name": chance.choice("abc")}
            case "tariff":
                return {"tariff": chance.choice(["PARTNER_23", "BUSINESS", "DEVELOPER", None])}
            case "type":
                return {"typeInstance": chance.choice(["whatsapp", "v3", "telegram"])}
            case "delete":
                return {"deleted": True, "timeDeleted": self._date()}
            case "restore":
                return {"deleted": False, "timeDeleted": NONE}
            case "expire":
                return {"isExpired": True, "expirationDate": self._date()}
            case "renew":
                return {"isExpired": False, "expirationDate": chance.choice(self.dates)}
            case "extend":
                return {"expirationDate": chance.choice(self.dates)}
            case "born":
                return {"timeCreated": self._date()}
            case "date":
                return {"timeDeleted": self._date()}  # also of what is not deleted: it says nothing then
        return {"isFree": chance.choice([True, False])}

    def answer(self) -> Answer:
        chance = self.chance
        self.now += timedelta(hours=chance.choice([0.05, 1, 7, 30, 30, 200, 500]))
        if chance.random() < 0.2:
            self.now = max(self.now, self._midnight(self.now + timedelta(days=1)))
        self.now = min(self.now, self.until)
        account = chance.choice("aaab")
        for key in self.keys:
            fate = chance.random()
            if key not in self.owner:  # of nobody, or listed nowhere since its account's answer was without it
                if fate < 0.35:
                    self.owner[key] = account
                    known = self.items.get(key)
                    self.items[key] = known | self._happens() if known else self._born() | {"idInstance": key}
            elif self.owner[key] == account:
                if fate < 0.15:
                    del self.owner[key]
                for _ in range(chance.choice([0, 0, 0, 1, 1, 2, 3])):
                    self.items[key] |= self._happens()
        own = [dict(self.items[key]) for key in self.keys if self.owner.get(key) == account]
        return self.now, account, [self.anchors[account], *own]


def told_lives(
    chance: random.Random, start: datetime, until: datetime, *, answers: int = 12, instances: int = 5
) -> Iterator[Answer]:
    """When, by which account, and what: so many answers, none after `until`."""
    teller = Teller(chance, start, until, instances)
    for _ in range(answers):
        yield teller.answer()


def rare_day(now: datetime) -> datetime:
    """09:00 at the upstream on the last day of a month, half a year before `now`."""
    day = (now - timedelta(days=200)).replace(hour=6, minute=0, second=0, microsecond=0)
    while (day + timedelta(days=1)).day != 1:
        day += timedelta(days=1)
    return day


def rare_lives(now: datetime) -> Iterator[Answer]:
    """What chance hardly ever tells; each instance is a case of its own. Names say what is rare."""
    last = rare_day(now)
    told = {"timeCreated": local(last - timedelta(days=9)), "expirationDate": "2031-01-01T00:00:00"}
    anchor = paid(901, **told)
    names = (
        "restored and deleted twice on one day",
        "restored on the last day of a month",
        "missed, listed and missed at one moment",
        "restored before midnight, then deleted",
        "restored at midnight, then deleted",
        "restored before midnight",
        "restored at midnight",
        "renamed at the month's end and again",
        "renamed at the month's end",
        "deleted on the last day of a month",
    )
    items = {key: item(key, name=name, **told) for key, name in enumerate(names, 1)}
    items[14] = item(14, name="deleted at midnight, when a month begins", **told)
    items[15] = item(15, name="restored on the last day of a month, deleted and restored in the next", **told)
    for key in (1, 4, 6):  # they lived when the month began
        items[key] |= {"timeCreated": local(last - timedelta(days=70))}
    for key in (8, 9):
        items[key] |= {"tariff": RARE_TARIFF}

    def answer(hours: float, **changed: Any) -> Answer:
        """So many hours after 09:00, of these instances: deleted, restored, renamed or without some."""
        for key in changed.get("deleted", ()):
            items[key] |= {"deleted": True, "timeDeleted": NONE}
        for key in changed.get("restored", ()):
            items[key] |= {"deleted": False, "timeDeleted": NONE}
        for key in changed.get("renamed", ()):
            items[key] |= {"name": f"{items[key]['name']}, renamed"}
        listed = [dict(one) for key, one in items.items() if key not in changed.get("without", ())]
        return last + timedelta(hours=hours), "a", [anchor, *listed]

    yield answer(-48)
    back = {
        "name": "deleted and restored twice on the last day of a month",
        "timeCreated": local(last - timedelta(days=70)),
    }
    after = back | {"name": "deleted and restored on the day after"}
    other = [paid(902, **told), item(12, **told), item(13, **told | back), item(16, **told | after)]
    gone = {"deleted": True, "timeDeleted": NONE}
    yield last - timedelta(hours=47), "b", other
    yield answer(-24, deleted=(1, 2, 4, 5, 6, 7, 15))
    yield answer(0, restored=[1])
    yield answer(1, deleted=(1, 10))
    yield answer(2, restored=[1])
    yield last + timedelta(hours=2), "b", [*other[:2], other[2] | gone, other[3]]
    yield answer(3, deleted=[1])
    yield last + timedelta(hours=3), "b", other
    yield answer(4, restored=[2])
    yield last + timedelta(hours=4), "b", [*other[:2], other[2] | gone, other[3]]
    yield last + timedelta(hours=5), "b", other
    yield answer(13, restored=(4, 6, 15))  # 22:00 at the upstream
    yield answer(15, restored=(5, 7), renamed=(8, 9), deleted=[14])  # 00:00
    yield answer(37, deleted=(4, 15), renamed=[8])
    yield last + timedelta(hours=37), "b", [*other[:3], other[3] | gone]
    yield last + timedelta(hours=38), "b", other
    yield answer(39, deleted=[5], restored=[15])
    for without in ([3], [], [3]):
        yield answer(50, without=without)
    yield last + timedelta(hours=50), "b", [other[0], *other[2:]]  # at that moment another account misses one too
