"""The shape of an answer: keys, types and forms of values, never a value that may name somebody (CONTRACT 2, probe).

Pure. What is shown of a value is a closed set of forms, or a short word that looks like an identifier under one of
`WORD_KEYS`; what does not fit a rule is shown as its form only, so that a form nobody foresaw leaks nothing.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from syncer.answer.item import KNOWN_KEYS

UPSTREAM_OFFSET = timedelta(hours=3)
LISTED_AFTER_DELETION = timedelta(days=92)  # three months at their longest (UPSTREAM, Life of an instance)
NEW = timedelta(hours=1)  # by report, how long a new instance may be told as expired
MINUTE = timedelta(minutes=1)
MOST_WORDS = 40  # distinct values of one key; more are no set of words but data
MOST_UNKNOWN_KEYS = 64  # more are no keys but data used as keys
COUNTED = ("types", "forms", "values")
WORD_KEYS = frozenset({"typeInstance", "messenger", "tariff"})

_WORD = re.compile(r"[A-Z0-9_]{1,40}|[a-z0-9_]{1,40}")
_DATA_IN_A_WORD = re.compile(r"[0-9]{7}|[0-9a-fA-F]{16}|^[0-9_]*$")  # telephone numbers, ids and pieces of tokens
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_HEADER = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DATE = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(?:[T ][0-9:.,]{4,20} ?(?:Z|[+-][0-9:]{2,6})?)?")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_NO_DATE = "0001-01-01"

Scrub = Callable[[str], str]
Items = Sequence[Mapping[str, Any]]


def examine(
    body: bytes,
    headers: Mapping[str, str],
    seconds: float,
    now: datetime,
    *,
    upstream_offset: timedelta = UPSTREAM_OFFSET,
    scrub: Scrub = str,
) -> dict[str, Any]:
    """The document of `syncer probe --json`: the shape of a body (decompressed) that came with status 200."""
    told = {name.lower(): value.strip() for name, value in headers.items()}
    value = _parse(body)
    listed = value if isinstance(value, list) else []
    items = [item for item in listed if isinstance(item, dict)]
    return {
        "seconds": round(seconds, 3),
        "body_bytes": len(body),
        "headers": _headers(told, scrub),
        "kind": _type_of(value),
        "items": len(value) if isinstance(value, list) else None,
        "items_that_are_no_object": dict(Counter(_type_of(item) for item in listed if not isinstance(item, dict))),
        **_keys(items or ([value] if isinstance(value, dict) else []), scrub),
        "points": list(_points(items, _date_of(told), now, upstream_offset)) if isinstance(value, list) else [],
    }


def lines(document: Mapping[str, Any]) -> list[str]:
    """The document for a person."""
    told = document["headers"]
    many = f" of {document['items']} items" if document["items"] is not None else ", not a list"
    pressed = "compressed with gzip" if told["gzip"] else "not compressed"
    unusual = f" and {told['names_not_shown']} of unusual names" if told["names_not_shown"] else ""
    made = [
        f"answer: {document['kind']}{many}, {document['body_bytes']} bytes in {document['seconds']:g} s, {pressed}",
        f"headers: {', '.join(told['names'])}{unusual}; Date: {told['date'] or 'none'}; ETag: {told['etag'] or 'none'}",
    ]
    for kind, n in document["items_that_are_no_object"].items():
        made.append(f"items that are no object: {n} of type {kind}")
    made += ["", "keys (how many items have it: types; forms; values)"]
    for key in document["keys"]:
        counted = [", ".join(f"{word} {n}" for word, n in key[kind].items()) for kind in COUNTED if key[kind]]
        new = "" if key["known"] else " (unknown to syncer)"
        made.append(f"  {key['key']}{new}: {key['present']}: {'; '.join(counted)}")
    if document["keys_not_shown"]:
        made.append(f"  {document['keys_not_shown']} more, whose names may be data and are not shown")
    if document["points"]:
        made += ["", "what is not certain of the upstream"]
        made += [f"  {one['point']}: {one['verdict']}: {one['evidence']}" for one in document["points"]]
    return made


def _parse(body: bytes) -> Any:
    """The body's value; the body itself, as bytes, if it is no JSON."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        pass
    try:
        return json.loads(body.decode("utf-8"))  # a lone surrogate, which msgspec refuses
    except (RecursionError, ValueError):
        return body


def _type_of(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return "null" if value is None else names.get(type(value), "no JSON")


def _headers(told: Mapping[str, str], scrub: Scrub) -> dict[str, Any]:
    names = [name for name in sorted(told) if _HEADER.fullmatch(name) and _is_harmless(name, scrub)]
    date, etag = _date_of(told), told.get("etag")
    return {
        "names": names,
        "names_not_shown": len(told) - len(names),
        "date": date.isoformat().replace("+00:00", "Z") if date else None,
        "etag": None if etag is None else "weak" if etag.startswith("W/") else "strong",
        "gzip": told.get("content-encoding", "").lower() in {"gzip", "x-gzip"},
    }


def _date_of(headers: Mapping[str, str]) -> datetime | None:
    try:
        moment = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _is_harmless(word: str, scrub: Scrub) -> bool:
    return not _DATA_IN_A_WORD.search(word) and scrub(word) == word


def _keys(items: Iterable[Mapping[str, Any]], scrub: Scrub) -> dict[str, Any]:
    """What the values under each key look like, counted: their types, their forms, and words where they are a set."""
    found: dict[str, dict[str, Counter[str]]] = {}
    for item in items:
        for key, value in item.items():
            counts = found.setdefault(key, {kind: Counter() for kind in COUNTED})
            counts["types"][_type_of(value)] += 1
            if isinstance(value, bool):
                counts["values"][str(value).lower()] += 1
            elif isinstance(value, int):
                counts["forms"][_digits(str(abs(value))) + (" below zero" if value < 0 else "")] += 1
            elif isinstance(value, str):
                is_word = key in WORD_KEYS and _WORD.fullmatch(value) and _is_harmless(value, scrub)
                counts["values" if is_word else "forms"][value if is_word else _form_of(value)] += 1
    for counts in found.values():
        if len(counts["values"]) > MOST_WORDS:
            counts["forms"]["word of a large set"] = counts["values"].total()
            counts["values"].clear()
    shown = found.keys() & KNOWN_KEYS
    if len(found.keys() - KNOWN_KEYS) <= MOST_UNKNOWN_KEYS:
        shown |= {key for key in found if _KEY.fullmatch(key) and _is_harmless(key, scrub)}
    told = [
        {"key": key, "known": key in KNOWN_KEYS, "present": found[key]["types"].total()}
        | {kind: dict(sorted(found[key][kind].items(), key=lambda pair: (-pair[1], pair[0]))) for kind in COUNTED}
        for key in sorted(shown)
    ]
    return {"keys": told, "keys_not_shown": len(found) - len(shown)}


def _digits(text: str) -> str:
    return f"{len(text)} digit{'s' if len(text) > 1 else ''}"


def _form_of(text: str) -> str:
    """The form of a string: nothing of the text is in it but its length, or where a date has its digits."""
    return next(form(text) for pattern, form in _FORMS if re.fullmatch(pattern, text, re.DOTALL))


_FORMS: tuple[tuple[str | re.Pattern[str], Callable[[str], str]], ...] = (
    ("", lambda _text: "empty"),
    (_NO_DATE + ".*", lambda _text: "no date (year 1)"),
    ("[0-9]+", _digits),
    (_DATE.pattern, lambda text: re.sub("[0-9]", "d", text)),
    (r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", lambda _text: "UUID"),
    ("[0-9a-fA-F]{8,}", lambda text: f"{len(text)} hex digits"),
    ("https?://.*", lambda _text: "URL"),
    (r"[\x00-\x7f]*", lambda _text: "text"),
    (".*", lambda _text: "text beyond ASCII"),
)


def _points(items: Items, date: datetime | None, now: datetime, offset: timedelta) -> Iterator[dict[str, str]]:
    """What docs/upstream.md leaves unproven and the keys alone do not show; the verdict, and what speaks for it."""
    judged = {
        f"naive times are at {_offset_text(offset)}": _zone(items, date, offset),
        "deleted instances leave the list after three months": _old_deletions(items, now, offset),
        "new live instances say isExpired": _new_expired(items, now, offset),
    }
    for point, (verdict, evidence) in judged.items():
        yield {"point": point, "verdict": verdict, "evidence": evidence}


def _zone(items: Items, date: datetime | None, offset: timedelta) -> tuple[str, str]:
    """One answer cannot prove an offset; it can disprove one, where an instance would be created in the future."""
    created = [moment for item in items if (moment := _moment(item.get("timeCreated"), timedelta()))]
    if date is None or not created:
        return "not seen", "timeCreated and a Date header are both needed"
    ahead = max(created) - date  # of the newest, read as if it were UTC
    if ahead - offset > MINUTE:
        return "contradicted", "read so, the newest timeCreated lies after the answer's Date"
    if ahead <= MINUTE:
        told = "no timeCreated lies after Date; create an instance and probe within minutes to see the offset"
    else:
        least = _offset_text(ahead // MINUTE * MINUTE)
        told = f"the newest timeCreated lies ahead of Date unless the offset is at least {least}: the times are not UTC"
    return "not provable", told


def _offset_text(offset: timedelta) -> str:
    minutes = abs(offset) // MINUTE
    return f"{'-' if offset < timedelta() else '+'}{minutes // 60:02}:{minutes % 60:02}"


def _moment(value: object, offset: timedelta) -> datetime | None:
    """A time of the answer in UTC, to the second; None where there is none or it cannot be read."""
    found = _TIME.fullmatch(value) if isinstance(value, str) and not value.startswith(_NO_DATE) else None
    try:
        moment = datetime.fromisoformat(found[1] + (found[2] or "")) if found else None
        return moment and (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC) - offset)
    except (ValueError, OverflowError):
        return None


def _is_true(value: object) -> bool:
    return value in (True, "true")


def _old_deletions(items: Items, now: datetime, offset: timedelta) -> tuple[str, str]:
    told = [_moment(item.get("timeDeleted"), offset) for item in items if _is_true(item.get("deleted"))]
    times = [moment for moment in told if moment]
    if not times:
        return "not seen", "no deleted instance with a time is listed"
    old = sum(1 for time in times if now - time > LISTED_AFTER_DELETION)
    days = max(0, (now - min(times)).days)
    evidence = (
        f"{len(times)} deleted instances are listed, {old} of them longer; the oldest deletion is {days} days ago"
    )
    return "contradicted" if old else "confirmed", evidence


def _new_expired(items: Items, now: datetime, offset: timedelta) -> tuple[str, str]:
    live = [item for item in items if not _is_true(item.get("deleted"))]
    born = [(item, moment) for item in live if (moment := _moment(item.get("timeCreated"), offset))]
    new = [(now - moment, _is_true(item.get("isExpired"))) for item, moment in born if now - moment <= NEW]
    ages = [age for age, is_expired in new if is_expired]
    if not new:
        return "not seen", "no live instance is younger than an hour"
    if not ages:
        return "contradicted", f"none of {len(new)} live instances younger than an hour"
    oldest = max(0, max(ages) // MINUTE)
    return "confirmed", f"{len(ages)} of {len(new)} live instances younger than an hour, the oldest of {oldest} minutes"
