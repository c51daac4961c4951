"""Random lives of estates that two or three accounts list, as steps that a mirror and the model of the contract play.

Most instances stay as they were from answer to answer. Some are listed by two accounts, or go from one to the other;
now and then many change at once, an old answer comes again, or an account is renamed or retired. In some histories
an instance is born before each poll, by clocks of other zones too.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from builders import TIMES
from canary import api_token
from hypothesis import strategies as st
from mirror import START

NAMES = ("a", "b", "c")
PAUSES = [timedelta(minutes=2), timedelta(minutes=5), timedelta(minutes=5), timedelta(hours=7), timedelta(days=40)]
BACKWARDS = timedelta(minutes=-30)  # a machine's clock that is set right
LARGE = 100  # instances, of which the guard's shares are more than its least counts
NEAR_THE_BOUNDS = [0.03, 0.05, 0.07, 0.15, 0.2, 0.3, 0.35, 1.0]
MOMENT = "%Y-%m-%dT%H:%M:%S"
Item = dict[str, Any]


class Poll(NamedTuple):
    """An answer of an account; `age` is how much older its `Date` is than the machine's clock, None without one."""

    account: str
    pause: timedelta
    items: list[Any]
    age: timedelta | None = None
    headers: Mapping[str, str] = {}


class Approve(NamedTuple):
    """Of the last held run, or of the one before it."""

    back: int = 1


class Rename(NamedTuple):
    old: str
    new: str


class Retire(NamedTuple):
    account: str


Step = Poll | Approve | Rename | Retire


def steps(chance: random.Random, count: int) -> list[Step]:
    """A history of so many polls and what is done between them."""
    return list(_Lives(chance).steps(count))


def shared_histories(longest: int = 10) -> st.SearchStrategy[list[Step]]:
    """The same, drawn by hypothesis."""
    return st.builds(steps, st.randoms(use_true_random=False), st.integers(2, longest))


class _Lives:
    """What each account lists, and how it goes on."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.names = list(NAMES[: chance.choice([2, 2, 3])])
        self.size = LARGE if chance.randrange(12) == 0 else chance.choice([4, 7, 12, 20, 30])
        self.lists: dict[str, dict[int, Item]] = {name: {} for name in self.names}
        alike = chance.choice([usual, usual, usual, paid, None, None])  # so that much can change at once
        for key in range(1, self.size + 1):
            everyone = list(range(len(self.names)))
            listers = chance.choice([[0], [0], [0], [0], [1], [0, 1], everyone, everyone[-1:], []])
            item = alike(key) if alike else instance(key, chance)
            for place in listers:
                self.lists[self.names[place]][key] = item
        self.told: dict[str, list[list[Any]]] = {name: [] for name in self.names}
        self.dated = chance.random() < 0.5
        self.now = START
        self.born = 0
        hours = chance.choice([3, 3, 0, 5, 5.75, -3.5]) if chance.randrange(5) == 0 else None
        self.offset = None if hours is None else timedelta(hours=hours)  # of births' dates

    def steps(self, count: int) -> Iterator[Step]:
        chance = self.chance
        for _ in range(count):
            fate = chance.randrange(30)
            if fate == 0:
                yield from self._renamed()
            elif fate == 1:
                yield Retire(chance.choice(self.names))
            name = chance.choice([self.names[0], *self.names])
            poll = self._poll(name)
            self.now += poll.pause
            yield poll
            if chance.randrange(2):
                yield Approve(chance.choice([1, 1, 1, 2]))
            if chance.randrange(3) == 0:
                poll = self._again(poll)
                self.now += poll.pause
                yield poll

    def _again(self, poll: Poll) -> Poll:
        """The same answer once more, or one that goes a step further or not quite as far."""
        items = list(poll.items)
        match self.chance.randrange(6):
            case 0 if items:
                del items[self.chance.randrange(len(items))]
            case 1:
                items += list(self.lists[poll.account].values())[:2] if not items else [instance(2000, self.chance)]
            case 2 if items and isinstance(items[-1], dict):
                items[-1] = items[-1] | self.chance.choice(MANY)(usual(self.size) | items[-1], self.chance)
            case _:
                pass
        return poll._replace(items=items, pause=timedelta(minutes=5))

    def _renamed(self) -> Iterator[Step]:
        old = self.chance.choice(self.names)
        new = self.chance.choice([*NAMES, "d", "e"])
        yield Rename(old, new)
        if self.chance.randrange(4) and new not in self.names:
            # It goes on under the new name; else both names are one token.
            self.lists[new], self.told[new] = self.lists.pop(old), self.told.pop(old)
            self.names[self.names.index(old)] = new

    def _poll(self, name: str) -> Poll:
        chance = self.chance
        pause = BACKWARDS if chance.randrange(25) == 0 else chance.choice(PAUSES)
        age = timedelta(seconds=chance.choice([0, 0, 0, 20, 200])) if self.dated else None
        headers: dict[str, str] = {}
        told = self.told[name]
        items: list[Any]
        if told and chance.randrange(10) == 0:  # an old answer again
            items = chance.choice(told[-4:])
            return Poll(name, pause, items, timedelta(minutes=chance.choice([0, 2, 90])) if age is not None else None)
        kind = chance.randrange(13)
        if kind in {0, 1}:
            self._move(name)
        elif kind == 2:
            self._overlap(name)
        if self.offset is not None:
            pause = chance.choice([timedelta(minutes=2), timedelta(minutes=5), timedelta(minutes=14)])
            self._bear(name, self.now + pause - chance.random() * timedelta(minutes=2), self.offset)
        listed = self.lists[name]
        changed = dict(listed)
        if kind in {3, 4, 5, 12} or (self.size == LARGE and kind > 6):
            changed = self._many(changed)
        elif kind != 6:
            changed = self._few(changed)
        if chance.randrange(3):
            self.lists[name] = changed
        items = list(changed.values())
        match chance.randrange(40):
            case 0:
                items = []
            case 1:
                items = [instance(1000 + chance.randrange(3), chance) for _ in range(chance.randrange(1, 3))]
            case 2 | 3:
                items = [chance.choice([{"name": "without an id"}, None, {"idInstance": 0}]), *items]
            case 4 if items:
                place = chance.randrange(len(items))
                items = [*items[:place], items[place] | {"deleted": None}, *items[place + 1 :]]
            case 5:
                headers = chance.choice(
                    [
                        {"link": '</x?page=2>; rel="next"'},
                        {"x-total-count": str(len(items) + 1)},
                        {"content-range": "items 0-1/5"},
                    ]
                )
            case 6:
                headers = {"x-total-count": str(len(items))}
            case 7 if age is not None:
                headers = {"age": chance.choice(["20", "600"])}
            case 8 if age is not None:
                age = timedelta(minutes=chance.choice([-20, -6, 6, 600]))
            case _:
                pass
        told.append(items)
        return Poll(name, pause, items, age, headers)

    def _few(self, listed: dict[int, Item]) -> dict[int, Item]:
        chance = self.chance
        for key in list(listed):
            fate = chance.randrange(20)
            if fate == 0:
                del listed[key]
            elif fate in {1, 2}:
                column = chance.choice(list(listed[key])[1:])
                listed[key] = listed[key] | {column: instance(key, chance)[column]}
        if chance.randrange(4) == 0:
            key = chance.randrange(1, self.size + 3)
            listed.setdefault(key, instance(key, chance))
        return listed

    def _many(self, listed: dict[int, Item]) -> dict[int, Item]:
        """The same happens to some, many or all of them."""
        chance = self.chance
        part = chance.choice(NEAR_THE_BOUNDS if self.size == LARGE else [0.2, 0.4, 0.7, 1.0])
        picked = [key for key in listed if chance.random() < part]
        change = chance.choice([*MANY, None])
        if change is None:
            return {key: item for key, item in listed.items() if key not in picked}
        return listed | {key: listed[key] | change(listed[key], chance) for key in picked}

    def _move(self, name: str) -> None:
        """Some go to another account, which may list them before this one ceases to."""
        chance = self.chance
        to = chance.choice(self.names)
        picked = [key for key in self.lists[name] if chance.random() < chance.choice([0.2, 1.0])]
        for key in picked:
            self.lists[to][key] = self.lists[name][key]
            if to != name and chance.randrange(3):
                del self.lists[name][key]

    def _bear(self, name: str, at: datetime, offset: timedelta) -> None:
        """One more, and when by the upstream's clock."""
        self.born += 1
        key = 3000 + self.born
        self.lists[name][key] = usual(key) | {"timeCreated": (at + offset).strftime(MOMENT)}

    def _overlap(self, name: str) -> None:
        """Some of another account's are listed by this one too."""
        chance = self.chance
        for key, item in self.lists[chance.choice(self.names)].copy().items():
            if chance.randrange(2):
                self.lists[name].setdefault(key, item)


def usual(key: int) -> Item:
    """Live and auto-renewing."""
    return {
        "idInstance": key,
        "name": "a",
        "tariff": "PARTNER_23",
        "isPartner": True,
        "timeCreated": TIMES[1],
        "timeDeleted": TIMES[0],
        "deleted": False,
        "expirationDate": TIMES[4],
        "isExpired": False,
        "apiTokenInstance": api_token(key),
    }


def paid(key: int) -> Item:
    """Live, and to expire nine hours after the first answer."""
    return usual(key) | {"tariff": "BUSINESS", "isPartner": False, "expirationDate": TIMES[3]}


def instance(key: int, chance: random.Random) -> Item:
    return {
        "idInstance": key,
        "name": chance.choice("ab"),
        "tariff": chance.choice(["PARTNER_23", "BUSINESS"]),
        "isPartner": chance.choice([True, False, None]),
        "timeCreated": chance.choice(TIMES[1:]),
        "timeDeleted": chance.choice(TIMES),
        "deleted": chance.choice([False, False, False, True]),
        "expirationDate": chance.choice([*TIMES, "2300-01-01T00:00:00"]),
        "isExpired": chance.choice([False, False, True]),
        "apiTokenInstance": chance.choice([api_token(key), api_token(key, 1), None, "*" * 20]),
    }


def _later(text: str, by: timedelta) -> str:
    return text if text.startswith("0001") else (datetime.fromisoformat(text) + by).strftime(MOMENT)


MANY: list[Callable[[Item, random.Random], Item]] = [
    lambda _item, _chance: {"deleted": True, "timeDeleted": TIMES[2]},
    lambda _item, _chance: {"deleted": True, "timeDeleted": TIMES[2], "expirationDate": TIMES[2]},
    lambda _item, _chance: {"deleted": False, "timeDeleted": TIMES[0]},
    lambda _item, _chance: {"isExpired": True},
    lambda _item, _chance: {"isExpired": False},
    lambda _item, _chance: {"isExpired": True, "isPartner": False},
    lambda _item, chance: {chance.choice(["tariff", "isPartner", "timeCreated", "expirationDate"]): None},
    lambda _item, _chance: {"tariff": None, "isPartner": None},
    lambda item, _chance: {"expirationDate": _later(item["expirationDate"] or TIMES[0], timedelta(days=-1))},
    lambda item, _chance: {"expirationDate": _later(item["expirationDate"] or TIMES[0], timedelta(days=1))},
    lambda item, _chance: {"timeCreated": _later(item["timeCreated"] or TIMES[0], timedelta(hours=-3))},
    lambda item, chance: {
        "timeCreated": _later(item["timeCreated"] or TIMES[0], timedelta(hours=chance.choice([-1, 2])))
    },
    lambda _item, _chance: {"tariff": "BUSINESS", "isPartner": False},
    lambda _item, _chance: {"name": "c"},
    lambda _item, _chance: {"apiTokenInstance": "*" * 20},
    lambda item, _chance: {"apiTokenInstance": api_token(item["idInstance"], 1)},
]
