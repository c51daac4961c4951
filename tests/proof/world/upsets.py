"""What becomes of instances, one or many at a time."""

from datetime import datetime, timedelta
from typing import Any

from world import steps
from world.upstream import MOMENT, NONE, Item, local, rekeyed


def changes(one: Item, step: steps.Step, now: datetime) -> dict[str, Any]:
    """What a step changes of an instance."""
    match step:
        case steps.Dies():
            return {"deleted": True, "timeDeleted": local(now)}
        case steps.Restored():
            return {"deleted": False, "timeDeleted": NONE}
        case steps.Renamed(_, _, name):
            return {"name": name}
        case steps.Billed(_, _, tariff):
            return {"tariff": tariff, "isPartner": tariff.startswith("PARTNER")}
        case steps.Extended(_, _, days):
            return {"expirationDate": later(one["expirationDate"], timedelta(days=days))}
        case _:
            return {}


def later(text: str, by: timedelta) -> str:
    return (datetime.fromisoformat(text) + by).strftime(MOMENT)


def upset(items: dict[int, Item], what: str, now: datetime) -> None:
    """The same happens to two of three instances."""
    for place, (key, one) in enumerate(sorted(items.items())):
        if place % 3 == 2:
            continue
        match what:
            case "deletes":
                one |= {"deleted": True, "timeDeleted": local(now)}
            case "restores":
                one |= {"deleted": False, "timeDeleted": NONE}
            case "expires":
                one |= {"isPartner": False, "expirationDate": local(now - timedelta(hours=1))}
            case "strips":
                one |= {"tariff": None}
            case "shifts":
                one |= {"timeCreated": later(one["timeCreated"], timedelta(hours=-3))}
            case "loses":
                del items[key]
            case "renames":
                one |= {"name": f"{one['name']} {place}"[:60]}
            case "bills":
                one |= {"tariff": "BUSINESS", "isPartner": False}
            case "rekeys":
                items[key] = rekeyed(one)
            case "turns back":
                one |= {"expirationDate": later(one["expirationDate"], timedelta(days=-4))}
            case _:
                raise ValueError(what)
