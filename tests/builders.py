"""Upstream items with defaults: a test says only what it is about."""

import json
from collections.abc import Iterable
from typing import Any

from canary import api_token

# Of which small estates are made: whatever happens to so few ids and times happens often.
IDS = range(1, 8)
TIMES = [
    "0001-01-01T00:00:00",
    "2026-10-01T00:00:00",
    "2026-11-01T15:03:00",
    "2026-11-02T00:00:00",
    "2027-01-01T00:00:00",
]

ABSENT = object()
"""As the value of a key: leave the key out."""


def item(id_instance: Any = 1101000001, **keys: Any) -> dict[str, Any]:
    """A live auto-renewing WhatsApp instance, in the newest form of the list."""
    made = {
        "idInstance": id_instance,
        "name": "client",
        "typeInstance": "whatsapp",
        "typeAccount": "",
        "partnerUserUiid": "",
        "timeCreated": "2026-06-03T18:39:44",
        "timeDeleted": "0001-01-01T00:00:00",
        "apiTokenInstance": api_token(id_instance if isinstance(id_instance, int) else 0),
        "deleted": False,
        "tariff": "PARTNER_23",
        "isFree": False,
        "isPartner": True,
        "expirationDate": "2026-12-03T18:39:44",
        "isExpired": False,
        "messenger": "whatsapp",
    } | keys
    return {key: value for key, value in made.items() if value is not ABSENT}


def paid(id_instance: Any = 1101000001, **keys: Any) -> dict[str, Any]:
    """An instance that is paid for by term and does expire."""
    return item(id_instance, **{"tariff": "BUSINESS", "isPartner": False} | keys)


def item_2022(id_instance: int = 1101000001, **keys: Any) -> dict[str, Any]:
    """An item of the twelve keys of 2022."""
    return item(id_instance, isFree=ABSENT, isPartner=ABSENT, messenger=ABSENT, **keys)


def body(items: Iterable[Any]) -> bytes:
    """The list as it comes over the wire."""
    return json.dumps(list(items)).encode()
