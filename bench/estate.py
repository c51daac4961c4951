"""Realistic estates, seeded: the same number and seed give the same bytes; and the server that hands them out."""

import http.server
import json
import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

FIRST_DAY = datetime.fromisoformat("2024-11-24")
TODAY = datetime.fromisoformat("2026-11-24")
WORDS = ("Аптека", "client", "shop", "Салон", "support", "bot", "доставка", "sales", "clinic", "🥐 bakery")


def instance(number: int, seed: int) -> dict[str, Any]:
    """One item of the list, in the newest form; about 370 bytes."""
    chance = random.Random(seed * 1_000_003 + number)
    created = FIRST_DAY + (TODAY - FIRST_DAY) * chance.random()
    created = created.replace(microsecond=0)
    partner = chance.random() < 0.85
    deleted = chance.random() < 0.08
    messenger = chance.choices(("whatsapp", "v3", "telegram"), (75, 15, 10))[0]
    return {
        "idInstance": 110_100_000_000 + number,
        "name": f"{chance.choice(WORDS)} {number}",
        "typeInstance": messenger,
        "typeAccount": "",
        "partnerUserUiid": "",
        "timeCreated": created.isoformat(),
        "timeDeleted": (created + (TODAY - created) * chance.random()).replace(microsecond=0).isoformat()
        if deleted
        else "0001-01-01T00:00:00",
        "apiTokenInstance": f"{chance.getrandbits(200):050x}",
        "deleted": deleted,
        "tariff": "PARTNER_23" if partner else chance.choice(("BUSINESS", "BUSINESS_USD", "DEVELOPER")),
        "isFree": not partner and chance.random() < 0.05,
        "isPartner": partner,
        "expirationDate": (TODAY + timedelta(days=chance.randrange(30), seconds=chance.randrange(86400))).isoformat(),
        "isExpired": not partner and chance.random() < 0.1,
        "messenger": messenger,
    }


Change = Callable[[int, dict[str, Any]], dict[str, Any]]


def unchanged(_number: int, item: dict[str, Any]) -> dict[str, Any]:
    return item


def one_percent(number: int, item: dict[str, Any]) -> dict[str, Any]:
    """Every hundredth instance has another name."""
    return item | {"name": f"{item['name']} II"} if number % 100 == 50 else item


def daily_roll(_number: int, item: dict[str, Any]) -> dict[str, Any]:
    """The expiration date of every live row that renews itself has moved by a day, as it does each day."""
    if item["deleted"] or not item["isPartner"]:
        return item
    later = datetime.fromisoformat(item["expirationDate"]) + timedelta(days=1)
    return item | {"expirationDate": later.isoformat()}


def keys_shuffled(number: int, item: dict[str, Any]) -> dict[str, Any]:
    """The keys of each item in an order of its own."""
    keys = list(item)
    random.Random(number).shuffle(keys)
    return {key: item[key] for key in keys}


def items(count: int, seed: int, change: Change = unchanged, *, shuffled: bool = False) -> Iterator[dict[str, Any]]:
    """The items of an answer, in the order of their ids or in another one."""
    numbers = list(range(count))
    if shuffled:
        random.Random(seed).shuffle(numbers)
    for number in numbers:
        yield change(number, instance(number, seed))


def write_body(path: str, count: int, seed: int, change: Change = unchanged, *, shuffled: bool = False) -> None:
    """The answer as it comes over the wire, compact as the upstream's is."""
    with open(path, "wb") as file:  # noqa: PTH123 - a plain path is handed about
        file.write(b"[")
        for at, item in enumerate(items(count, seed, change, shuffled=shuffled)):
            file.write(b"," if at else b"")
            file.write(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode())
        file.write(b"]")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    body_path = ""

    def do_GET(self) -> None:
        with open(self.body_path, "rb") as file:  # noqa: PTH123 - as above
            size = file.seek(0, 2)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(size))
            self.end_headers()
            file.seek(0)
            self.wfile.flush()
            self.connection.sendfile(file)

    def log_message(self, format: str, *_values: Any) -> None:  # noqa: A002 - the base class's name
        pass


class Server:
    """Hands out one file at a time to whoever asks, over loopback."""

    def __init__(self) -> None:
        self._handler = type("Handler", (_Handler,), {})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def show(self, path: str) -> None:
        """Hand out this file from now on."""
        self._handler.body_path = path  # type: ignore[attr-defined]  # of the handler made here

    def close(self) -> None:
        self._server.shutdown()
