"""The partner API of a world: estates that live, and answers that are not always what they should be."""

import gzip
import json
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

import httpcore
from builders import item
from canary import PARTNER_TOKEN, api_token

from world.steps import Late
from world.wire import Reply

Item = dict[str, Any]
MOMENT = "%Y-%m-%dT%H:%M:%S"
NONE = "0001-01-01T00:00:00"
ZONE = timedelta(hours=3)
PIECE = 700  # bytes that arrive at a time
YOUNG = timedelta(minutes=2)  # a new instance is told to be expired for so long
ROLL = timedelta(minutes=3)  # what renews itself each day is told to be expired for so long
REMEMBERED = 6  # answers of an account that may come again


def local(moment: datetime) -> str:
    """As the upstream writes it."""
    return (moment + ZONE).strftime(MOMENT)


def partner_token(account: int, generation: int) -> str:
    """A canary: all of them begin alike."""
    return f"{PARTNER_TOKEN[:-6]}{account:02x}{generation:04x}"


class Told(NamedTuple):
    """What an answer says, by whoever sent it; `items` is None where it is no usable list."""

    items: list[Any] | None
    headers: Mapping[str, str]


class Listed(NamedTuple):
    """An answer as it should be, before anything happens to it."""

    items: list[Any]
    date: datetime
    older: "list[Listed]"


class Sent(NamedTuple):
    """A reply on the wire, and what it tells."""

    told: Told
    reply: Reply


class Estate:
    """What one partner account lists."""

    def __init__(self, place: int) -> None:
        self.items: dict[int, Item] = {}
        self.generation = 0
        self.place = place
        self.kinds: deque[str] = deque()
        self.late: deque[Late] = deque()
        self.earlier: list[Listed] = []

    @property
    def token(self) -> str:
        return partner_token(self.place, self.generation)

    def nth(self, nth: int, *, deleted: bool = False) -> Item | None:
        """One of its instances; the same for the same number while none comes or goes."""
        keys = [key for key, one in sorted(self.items.items()) if one["deleted"] is deleted]
        return self.items[keys[nth % len(keys)]] if keys else None


class Upstream:
    """All the accounts, by the order in which the world begins with them."""

    def __init__(self, count: int) -> None:
        self.estates = [Estate(place) for place in range(count)]
        self._next = 1101000001
        self.asked = 0

    def born(self, account: int, tariff: str, now: datetime) -> None:
        """A new instance; of a partner's tariff it renews itself, else it is paid for 20 days."""
        key, self._next = self._next, self._next + 1
        renews = tariff.startswith("PARTNER")
        self.estates[account].items[key] = item(
            key, tariff=tariff, isPartner=renews, timeCreated=local(now), expirationDate=local(now + timedelta(days=20))
        )

    def answer(self, request: bytes, now: datetime) -> tuple[Sent, Late | None]:
        """What comes back for a request, and how late."""
        self.asked += 1
        path = request.split(b" ", 2)[1].decode("ascii")
        assert path.startswith("/partner/getInstances/"), f"it called {path.rpartition('/')[0]}"
        assert b"cache-control: no-cache" in request.lower()
        token = path.rpartition("/")[2]
        estate = next((one for one in self.estates if one.token == token), None)
        if estate is None:
            return _refused(self.asked, token, now), None
        listed = Listed([shown(one, now) for _, one in sorted(estate.items.items())], now, estate.earlier[:])
        estate.earlier = [*estate.earlier, listed][-REMEMBERED:]
        sent = KINDS[estate.kinds.popleft() if estate.kinds else "whole"](listed)
        return sent, estate.late.popleft() if estate.late else None


def shown(one: Item, now: datetime) -> Item:
    """An instance as it is told at a moment: what renews itself moves on each midnight, what is paid for ends."""
    at_upstream = now + ZONE
    told = dict(one)
    if told["deleted"]:
        return told
    if told["isPartner"]:
        created = datetime.fromisoformat(told["timeCreated"])
        today = at_upstream.replace(tzinfo=None).date()
        told["expirationDate"] = datetime.combine(today + timedelta(days=30), created.time()).strftime(MOMENT)
        if told["idInstance"] % 4 == 0:  # it lasts for a day alone, and is extended some time after midnight
            is_late = at_upstream.replace(tzinfo=None) - datetime.combine(today, time()) < ROLL
            told["expirationDate"] = datetime.combine(today + timedelta(days=not is_late), time()).strftime(MOMENT)
            told["isExpired"] = is_late
    is_young = at_upstream.replace(tzinfo=None) - datetime.fromisoformat(told["timeCreated"]) < YOUNG
    is_over = not told["isPartner"] and told["expirationDate"] <= at_upstream.strftime(MOMENT)
    told["isExpired"] = told["isExpired"] or is_young or is_over
    return told


def _http(status: str, body: bytes, headers: Mapping[str, str]) -> list[bytes | float | Exception]:
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    return [head.encode("latin-1"), *(body[at : at + PIECE] for at in range(0, len(body), PIECE))]


def _dated(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0), usegmt=True)


def _refused(number: int, token: str, now: datetime) -> Sent:
    """A wrong token: either host's way, and the token comes back in the words."""
    if number % 2:
        body = b'{"code":401,"description":"Unauthorized"}'
        return _no_list("200 OK", body, now)
    return _no_list("400 Bad Request", f"no partner with token {token}".encode(), now)


def _no_list(status: str, body: bytes, now: datetime, **headers: str) -> Sent:
    told = {"date": _dated(now), "content-length": str(len(body))} | headers
    return Sent(Told(None, told), _http(status, body, told))


def _list(
    items: list[Any], date: datetime | None, *, encoding: str = "", told: list[Any] | None = None, **headers: str
) -> Sent:
    body = json.dumps(items).encode()
    if encoding == "gzip":
        body = gzip.compress(body, 1, mtime=0)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if date is not None:
        given["date"] = _dated(date)
    if encoding:
        given["content-encoding"] = encoding
    return Sent(
        Told(items if told is None else told, given),
        _http("200 OK", body, given | {"content-type": "application/json", "content-length": str(len(body))}),
    )


def _whole(listed: Listed) -> Sent:
    return _list(listed.items, listed.date)


def _broken(sent: Sent, *end: float | Exception, keep: float = 0.5) -> Sent:
    """The beginning of a reply, and what ends it; without an end the connection is closed."""
    parts = list(sent.reply)
    kept = parts[: max(1, int(len(parts) * keep))]
    return Sent(Told(None, sent.told.headers), [*kept, *end])


def _chunked(listed: Listed, *, whole: bool = True) -> Sent:
    body = json.dumps(listed.items).encode()
    pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
    framed = [f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces]
    headers = {"date": _dated(listed.date), "transfer-encoding": "chunked"}
    sent = [*_http("200 OK", b"", headers), *framed, *([b"0\r\n\r\n"] if whole else [])]
    return Sent(Told(listed.items if whole else None, headers), sent)


def _cut_gzip(listed: Listed) -> Sent:
    packed = zlib.compressobj(1, wbits=31)
    body = packed.compress(json.dumps(listed.items).encode()) + packed.flush()
    headers = {"date": _dated(listed.date), "content-encoding": "gzip", "content-length": str(len(body) - 9)}
    return Sent(Told(None, headers), _http("200 OK", body[:-9], headers))


def _earlier(listed: Listed) -> Listed:
    return listed.older[0] if listed.older else listed


def _changed(listed: Listed, change: Callable[[Item], Any], every: int) -> Sent:
    return _list([change(one) if place % every == 0 else one for place, one in enumerate(listed.items)], listed.date)


def _foreign(listed: Listed) -> Sent:
    return _list([item(1900000000 + key, name="somebody else's") for key in range(3)], listed.date)


KINDS: dict[str, Callable[[Listed], Sent]] = {
    "whole": _whole,
    "compressed": lambda listed: _list(listed.items, listed.date, encoding="gzip"),
    "chunked": _chunked,
    "encoded as identity": lambda listed: _list(listed.items, listed.date, encoding="identity"),
    "in another order": lambda listed: _list(listed.items[::-1], listed.date),
    "keys in another order": lambda listed: _changed(listed, lambda one: dict(reversed(one.items())), 1),
    "without a date": lambda listed: _list(listed.items, None),
    "doubled": lambda listed: _list([*listed.items, *listed.items], listed.date),
    "doubled, differing": lambda listed: _list(
        [*listed.items, *(one | {"name": "another"} for one in listed.items[:1])], listed.date
    ),
    "with a bad item": lambda listed: _changed(listed, lambda one: one | {"deleted": None}, 20),
    "with many bad items": lambda listed: _changed(listed, lambda one: one | {"deleted": None}, 2),
    "with an unreadable id": lambda listed: _list([{"name": "nobody"}, *listed.items[1:]], listed.date),
    "with an unknown key": lambda listed: _changed(listed, lambda one: one | {"unknown": "?"}, 1),
    "tokens masked": lambda listed: _changed(listed, lambda one: one | {"apiTokenInstance": "*" * 50}, 1),
    "an older one": lambda listed: _whole(_earlier(listed)),
    "an older one, dated now": lambda listed: _list(_earlier(listed).items, listed.date),
    "from a cache": lambda listed: _list(_earlier(listed).items, listed.date, age="4000"),
    "dated wrong": lambda listed: _list(listed.items, listed.date + timedelta(minutes=40)),
    "dated a little late": lambda listed: _list(listed.items, listed.date + timedelta(minutes=4)),
    "a page": lambda listed: _list(listed.items[:2], listed.date, link='</x?page=2>; rel="next"'),
    "a part": lambda listed: _list(listed.items[:2], listed.date, x_total_count=str(len(listed.items) + 9)),
    "empty": lambda listed: _list([], listed.date),
    "foreign": _foreign,
    "half a list": lambda listed: _list(listed.items[: len(listed.items) // 2], listed.date),
    "cut": lambda listed: _broken(_whole(listed)),
    "cut in chunks": lambda listed: _chunked(listed, whole=False),
    "cut in gzip": _cut_gzip,
    "reset": lambda listed: _broken(_whole(listed), httpcore.ReadError("connection reset by peer"), keep=0.7),
    "silent": lambda _listed: Sent(Told(None, {}), [1e6]),
    "silent in the middle": lambda listed: _broken(_whole(listed), 1e6),
    "closed": lambda _listed: Sent(Told(None, {}), []),
    "no HTTP": lambda _listed: Sent(Told(None, {}), [b"220 smtp.example.org ready\r\n"]),
    "500": lambda listed: _no_list("500 Internal Server Error", b"<html>sorry</html>", listed.date),
    "502": lambda listed: _no_list("502 Bad Gateway", b"<html>nginx</html>", listed.date),
    "429": lambda listed: _no_list("429 Too Many Requests", b"", listed.date, **{"retry-after": "20"}),
    "429 for long": lambda listed: _no_list("429 Too Many Requests", b"", listed.date, **{"retry-after": "1800"}),
    "403": lambda listed: _no_list("403 Forbidden", b"no", listed.date),
    "redirected": lambda listed: _no_list("302 Found", b"", listed.date, location="http://elsewhere.example/"),
    "206": lambda listed: _no_list("206 Partial Content", json.dumps(listed.items).encode(), listed.date),
    "an object": lambda listed: _no_list("200 OK", b'{"code":404,"description":"Not found"}', listed.date),
    "null": lambda listed: _no_list("200 OK", b"null", listed.date),
    "a page of HTML": lambda listed: _no_list("200 OK", b"<html>log in</html>", listed.date),
    "not UTF-8": lambda listed: _no_list("200 OK", b'[{"name": "\xff"}]', listed.date),
}
"""Answers by their kind."""


def rekeyed(one: Item) -> Item:
    """The instance with another token."""
    old = one["apiTokenInstance"]
    again = next(n for n in range(1, 1000) if api_token(one["idInstance"], n - 1) == old)
    return one | {"apiTokenInstance": api_token(one["idInstance"], again)}
