"""What an answer says of itself in its headers: whether it is whole, and of when (CONTRACT 5). Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from syncer.errors import AnswerUnusable, ClockWrong, SyncerError

BACKWARDS = timedelta(minutes=1)  # by which back ends of one service may differ

_LINK = re.compile(r"""<[^>]*>|([\w!#$&+.^`|~*-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)""")  # a target, or a parameter
_COUNT = re.compile(r"[0-9]{1,18}")


class Stated(NamedTuple):
    """`at` is the answer's `Date` and `age` its `Age`; `total` is its `X-Total-Count`.

    `part` is the header by which it calls itself a part of a list.
    """

    at: datetime | None = None
    age: timedelta = timedelta()
    total: int | None = None
    part: str | None = None


NOTHING_STATED = Stated()


def read_stated(headers: Mapping[str, str]) -> Stated:
    """What the headers say; names are in lower case, and what is garbled says nothing."""
    total, age = headers.get("x-total-count", "").strip(), headers.get("age", "").strip()
    part = None
    if "content-range" in headers:
        part = "Content-Range"
    elif _links_to_next(headers.get("link", "")):
        part = 'Link with rel="next"'
    return Stated(
        at=read_http_date(headers.get("date")),
        age=timedelta(seconds=min(int(age), 10**9)) if _COUNT.fullmatch(age) else timedelta(),
        total=int(total) if _COUNT.fullmatch(total) else None,
        part=part,
    )


def time_problem(
    stated: Stated, arrived_at: datetime, last_stated_at: datetime | None, tolerance: timedelta | None
) -> SyncerError | None:
    """Why an answer of this time is not accepted: it is stale, or this machine's clock is wrong.

    `arrived_at` is this machine's time when the headers were there, `last_stated_at` the `Date` of the last accepted
    answer. Without a `Date`, or without a tolerance, nothing is checked.
    """
    if stated.at is None or tolerance is None:
        return None
    if last_stated_at is not None and last_stated_at - stated.at > BACKWARDS:
        return _stale(f"it is of {_told(stated.at)}, older than the last accepted one of {_told(last_stated_at)}")
    if stated.age > tolerance:
        return _stale(f"a cache has kept it for {stated.age.total_seconds():.0f} s")
    apart = arrived_at - stated.at
    if abs(apart) <= tolerance:
        return None
    return ClockWrong(
        f"comparing clocks: this machine's clock says {_told(arrived_at)}, the upstream's {_told(stated.at)}; nothing "
        "was written; set this machine's clock (NTP), or SYNCER_CLOCK_TOLERANCE if it is the upstream's that is wrong"
    )


def part_problem(stated: Stated, items: int) -> SyncerError | None:
    """Why an answer of so many items is not the whole list, if it says so."""
    told = stated.part
    if told is None and stated.total is not None and stated.total > items:
        told = f"X-Total-Count of {stated.total} above {items} items"
    if told is None:
        return None
    return AnswerUnusable(
        f"reading the answer: it says of itself that it is a part of a list ({told}); nothing is inferred from it; "
        "ask the vendor, or the keeper of the proxy between",
        kind="partial",
    )


def _stale(why: str) -> SyncerError:
    return AnswerUnusable(
        f"reading the answer: {why}; nothing is inferred from it, the next run asks again", kind="stale"
    )


def _links_to_next(header: str) -> bool:
    """Whether one of its links is of the relation `next` (RFC 8288)."""
    return any(
        name.lower() == "rel" and "next" in value.strip('"').lower().split() for name, value in _LINK.findall(header)
    )


def read_http_date(header: str | None) -> datetime | None:
    """The moment that a header says, in UTC; None where it is missing or garbled."""
    try:
        moment = parsedate_to_datetime(header or "")
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
