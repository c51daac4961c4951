"""Estates for the report: of any size, with everything that it shows, lived through production's own runs."""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from builders import item
from mirror import Mirror, account

from syncer.storage import database
from syncer.views import rates

BEFORE = timedelta(days=600)  # when the oldest was created, before now
WATCHED = 8  # months of answers
STEP = timedelta(days=30)
TARIFFS = ("PARTNER_23",) * 14 + ("BUSINESS",) * 3 + ("BUSINESS_KZT",) * 2 + ("DEVELOPER",)
TYPES = ("whatsapp",) * 6 + ("v3",) * 3 + ("telegram",)
NAMES = (
    "client", "Пекарня №7 🥐", "длинное-имя-" * 12, "<b>bold</b> & co", "right\u202eto left", "Салон красоты «Нұр-Жол Айгерім» на Тверской",
    "sales+whatsapp@a-rather-long-domain-name.example.com", "",
)  # fmt: skip
PRICES = (("PARTNER_23", "12.5", "RUB"), ("BUSINESS", "41", "RUB"), ("BUSINESS_KZT", "240", "KZT"))


def local(moment: datetime) -> str:
    """A moment as the upstream writes it."""
    return (moment + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%S")


def grow(mirror: Mirror, size: int, now: datetime, names: tuple[str, ...] = ("default",)) -> None:
    """Months of answers up to `now`, after which about so many live instances are in the mirror, shared by accounts."""
    mirror.chunk = 2**16
    chance = random.Random(size)
    with database.writing(mirror.engine, "setting prices") as connection:
        for tariff, price, currency in PRICES:
            rates.set_rate(connection, tariff, Decimal(price), currency, date(2020, 1, 1))
    for number, name in enumerate(names):
        for at, items in _answers(size // len(names), 10**11 * (number + 1), now, chance):
            mirror.now = at
            mirror.observe(items, after=timedelta(), of=account(name, tolerated="60%"))


def _answers(
    size: int, first_id: int, now: datetime, chance: random.Random
) -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
    """Each month some are created, deleted, expire and are paid again; at the end a few vanish and one is renewed late."""
    start = now - STEP * WATCHED - timedelta(minutes=2)
    births = sorted(now - BEFORE * chance.random() for _ in range(size))
    known: dict[int, dict[str, Any]] = {}
    waiting = [(birth, first_id + place) for place, birth in enumerate(births)]
    for month in range(WATCHED + 1):
        at = start + month * STEP
        while waiting and waiting[0][0] <= at:
            birth, id_instance = waiting.pop(0)
            known[id_instance] = _born(id_instance, birth, now, chance)
        for one in known.values():
            _live_on(one, at, chance)
        yield at, list(known.values())
    gone = set(list(known)[5 :: max(7, size // 60)][:40])
    for one in known.values():
        # all but a few are renewed by the last midnight
        if one["isPartner"] and chance.random() > 0.01:
            one["expirationDate"] = local(now + timedelta(days=1))
    yield now - timedelta(minutes=1), [one for key, one in known.items() if key not in gone]


def _born(id_instance: int, birth: datetime, now: datetime, chance: random.Random) -> dict[str, Any]:
    tariff, kind = chance.choice(TARIFFS), chance.choice(TYPES)
    is_partner = tariff.startswith("PARTNER")
    ends = now - timedelta(days=5) if is_partner else now + timedelta(days=60 * chance.random())
    return item(
        id_instance, name=chance.choice(NAMES), tariff=tariff, typeInstance=kind, messenger=kind, isPartner=is_partner,
        timeCreated=local(birth), expirationDate=local(ends),
    )  # fmt: skip


def _live_on(one: dict[str, Any], at: datetime, chance: random.Random) -> None:
    if one["deleted"]:
        return
    born = datetime.fromisoformat(one["timeCreated"] + "+03:00")
    lot = chance.random()
    if lot < 0.04:
        ends = max(born + timedelta(hours=5), at - timedelta(days=20 * chance.random()))
        one |= {"deleted": True, "timeDeleted": local(min(ends, at))}
    elif lot < 0.06 and not one["isPartner"]:
        one |= {"isExpired": True, "expirationDate": local(at - timedelta(days=10 * chance.random()))}
    elif one["isExpired"] and lot < 0.5:
        one |= {"isExpired": False, "expirationDate": local(at + timedelta(days=45))}
