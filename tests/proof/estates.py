"""Endless lives of small estates, drawn by a seeded chance: what `histories.py` draws by hypothesis, at speed."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from builders import IDS, TIMES
from canary import api_token

PAUSES = [timedelta(minutes=2), timedelta(minutes=5), timedelta(hours=7), timedelta(days=40)]
Answers = Iterator[tuple[timedelta, list[Any]]]


def instance(id_instance: int, chance: random.Random) -> dict[str, Any]:
    return {
        "idInstance": id_instance,
        "name": chance.choice("ab"),
        "typeInstance": chance.choice(["whatsapp", "whatsapp", "v3"]),
        "tariff": chance.choice(["PARTNER_23", "BUSINESS"]),
        "isPartner": chance.choice([True, False, None]),
        "timeCreated": chance.choice(TIMES[1:]),
        "timeDeleted": chance.choice(TIMES),
        "deleted": chance.choice([False, False, False, True]),
        "expirationDate": chance.choice(TIMES),
        "isExpired": chance.choice([False, False, True]),
        "apiTokenInstance": chance.choice([api_token(id_instance), api_token(id_instance, 1), None]),
    }


def answers(chance: random.Random) -> Answers:
    """Pauses and lists for ever: most instances stay as they were, some come, go, change, or cannot be read."""
    current = {key: instance(key, chance) for key in IDS if chance.random() < 0.5}
    while True:
        for key in IDS:
            fate = chance.randrange(9)
            if fate in {6, 7} and key in current:
                name = chance.choice(list(current[key])[1:])
                current[key] = current[key] | {name: instance(key, chance)[name]}
            elif fate == 8 and key in current:
                del current[key]
            elif fate == 8:
                current[key] = instance(key, chance)
        items: list[Any] = list(current.values()) if chance.randrange(10) else []
        if chance.randrange(10) == 0:
            bad = chance.choice([{"name": "without an id"}, {"idInstance": 1, "deleted": None, "isExpired": False}])
            items = [bad, *(item for item in items if item["idInstance"] != bad.get("idInstance"))]
        yield chance.choice(PAUSES), items


def with_ids_from(offset: int, history: list[tuple[timedelta, list[Any]]]) -> list[tuple[timedelta, list[Any]]]:
    """The same history of other instances."""
    return [
        (
            pause,
            [item | {"idInstance": item["idInstance"] + offset} if "idInstance" in item else item for item in items],
        )
        for pause, items in history
    ]
