"""CONTRACT 5 once more, written from its text alone: what an answer lists, item by item, and what it says of itself.

Works on raw upstream items with naive UTC+3 times; the rest of the model is in `contract_model.py`.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, NamedTuple

FLAGS: dict[Any, bool] = {0: False, 1: True, "true": True, "false": False}
ONE_MINUTE = timedelta(minutes=1)


class Bad(Exception):
    """The item is no good."""


class Said(NamedTuple):
    """What came with an answer: its headers, names in lower case, and the machine's clock when they arrived."""

    headers: Mapping[str, str] = {}
    arrived_at: datetime | None = None
    tolerance: timedelta | None = timedelta(minutes=5)  # None: `off`

    @property
    def date(self) -> datetime | None:
        return parsedate_to_datetime(self.headers["date"]) if "date" in self.headers else None

    def problems(self, listed: int, last_date: datetime | None) -> set[str]:
        """The error kinds that it earns: `partial`, `stale` or `clock`; which comes first of two, the text does not say."""
        kinds = set()
        headers = self.headers
        if 'rel="next"' in headers.get("link", "") or "content-range" in headers:
            kinds.add("partial")
        if int(headers.get("x-total-count", "0")) > listed:
            kinds.add("partial")
        if self.date is None or self.tolerance is None:
            return kinds
        is_older = last_date is not None and self.date < last_date - ONE_MINUTE
        if is_older or timedelta(seconds=int(headers.get("age", "0"))) > self.tolerance:
            kinds.add("stale")
        elif self.arrived_at is not None and abs(self.date - self.arrived_at) > self.tolerance:
            kinds.add("clock")
        return kinds


class ReadAnswer:
    """The items of an answer: `good` by id, `seen` ids, and how many are listed and rejected."""

    def __init__(self, items: list[Any]) -> None:
        self.is_empty = not items
        self.good: dict[int, dict[str, Any]] = {}
        told: dict[int, list[Any]] = {}
        unreadable = 0
        for item in items:
            key = an_id(item)
            if key is None:
                unreadable += 1
            else:
                told.setdefault(key, []).append(item)
        self.seen = set(told)
        self.proves_absence = unreadable == 0
        self.listed = self.rejected = unreadable
        for key, items_of_it in told.items():
            forms = [_form(item) for item in items_of_it]
            others = [form for form in forms if form != forms[0]]
            self.listed += 1 + len(others)
            if others:
                self.rejected += 1 + len(others)
            elif isinstance(forms[0], str):
                self.rejected += 1
            else:
                self.good[key] = forms[0]

    @property
    def is_refused(self) -> bool:
        return self.rejected > 3 and self.rejected * 10 > self.listed


def an_id(item: Any) -> int | None:
    value = item.get("idInstance") if isinstance(item, dict) else None
    if isinstance(value, str) and re.fullmatch("[1-9][0-9]*", value):
        value = int(value)
    return value if type(value) is int and 0 < value < 2**63 else None


def utc(text: Any, *, is_end: bool = False) -> datetime | None:
    if text is None or (isinstance(text, str) and text.startswith("0001-")):
        return None
    if not isinstance(text, str) or not re.fullmatch(r"[0-9-]{10}T[0-9:]{8}", text):
        raise Bad
    try:
        read = (datetime.fromisoformat(text) - timedelta(hours=3)).replace(tzinfo=UTC)
    except ValueError:
        raise Bad from None
    if is_end and read.year > 2199:
        return None
    if not 2010 <= read.year <= 2199:
        raise Bad
    return read


def flag(value: Any) -> bool | None:
    if value is not None and (isinstance(value, float | list | dict) or value not in FLAGS):
        raise Bad
    return None if value is None else FLAGS[value]


def known_token(token: Any) -> str | None:
    """A token that says something: not absent, short, or a mask."""
    return token if token and len(token) > 15 and len(set(token)) > 1 else None


def _form(item: dict[str, Any]) -> dict[str, Any] | str:
    try:
        return _state(item)
    except Bad:
        return json.dumps(item, sort_keys=True)


def _state(item: dict[str, Any]) -> dict[str, Any]:
    token, name = item.get("apiTokenInstance"), item.get("name")
    deleted, is_expired = flag(item.get("deleted")), flag(item.get("isExpired"))
    if deleted is None or is_expired is None or not (name is None or isinstance(name, str)):
        raise Bad
    if name is not None:
        name = re.sub("[\x00\ud800-\udfff]", "\ufffd", name)
        if len(name.encode()) > 65536:
            raise Bad
        name = name.replace(token or "\x00", "[removed]")
    known = known_token(token)
    return {
        "name": name,
        "type_instance": item.get("typeInstance"),
        "tariff": item.get("tariff"),
        "is_partner": flag(item.get("isPartner")),
        "time_created": utc(item.get("timeCreated")),
        "time_deleted": utc(item.get("timeDeleted")),
        "deleted": deleted,
        "expiration_date": utc(item.get("expirationDate"), is_end=True),
        "is_expired": is_expired,
        "token_fingerprint": sha256(known.encode()).hexdigest()[:16] if known else None,
        "extra": {key: value for key, value in item.items() if key in {"apiUrl", "unknown"}},
    }
