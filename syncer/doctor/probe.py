"""The shape of an answer: keys, types and forms of values, never a value that may name somebody (CONTRACT 2, probe).

Pure. What is shown of a value is a closed set of forms, or a short word that looks like an identifier under one of
`WORD_KEYS`; what does not fit a rule is shown as its form only, so that a form nobody foresaw leaks nothing.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from syncer.answer.item import KNOWN_KEYS
from syncer.answer.stated import read_stated
from syncer.answer.values import BadItem, Scrub, read_time
from syncer.rules.zone import offset_text
from syncer.words.errors import in_words
from syncer.words.language import Language

LISTED_AFTER_DELETION = timedelta(days=92)  # three months at their longest (UPSTREAM, Life of an instance)
NEW = timedelta(hours=1)  # as is told, how long a new instance may be told as expired
MINUTE = timedelta(minutes=1)
MOST_WORDS = 40  # distinct values of one key; more are no set of words but data
MOST_UNKNOWN_KEYS = 64  # more are no keys but data used as keys
TRUE = (True, "true")
COUNTED = ("types", "forms", "values")
WORD_KEYS = frozenset({"typeInstance", "messenger", "tariff"})

_WORD = re.compile(r"[A-Z0-9_]{1,40}|[a-z0-9_]{1,40}")
_DATA_IN_A_WORD = re.compile(r"[0-9]{7}|[0-9a-fA-F]{16}|^[0-9_]*$")  # telephone numbers, ids and pieces of tokens
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_HEADER = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DATE = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(?:[T ][0-9:.,]{4,20} ?(?:Z|[+-][0-9:]{2,6})?)?")
_NO_DATE = "0001-01-01"
_FORMS = (  # of a string that is no date; the first that fits, with the length in it
    ("", "empty"),
    (_NO_DATE + ".*", "no date (year 1)"),
    ("[0-9]", "1 digit"),
    ("[0-9]+", "{} digits"),
    ("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "UUID"),
    ("[0-9a-fA-F]{8,}", "{} hex digits"),
    ("https?://.*", "URL"),
    (r"[\x00-\x7f]*", "text"),
    (".*", "text beyond ASCII"),
)

Items = Sequence[Mapping[str, Any]]


class Sample(NamedTuple):
    """An answer with status 200 as it came: its body decompressed, how long it took, and when it was there."""

    body: bytes
    headers: Mapping[str, str]
    seconds: float
    at: datetime


def shape_of(sample: Sample, upstream_offset: timedelta, scrub: Scrub) -> dict[str, Any]:
    """The document of `syncer probe --json`."""
    told = {name.lower(): value.strip() for name, value in sample.headers.items()}
    value = _parse(sample.body)
    listed = value if isinstance(value, list) else []
    items = [item for item in listed if isinstance(item, dict)]
    return {
        "seconds": round(sample.seconds, 3),
        "body_bytes": len(sample.body),
        "headers": _headers(told, scrub),
        "kind": _type_of(value),
        "items": len(listed) if listed is value else None,
        "items_that_are_no_object": dict(Counter(_type_of(item) for item in listed if not isinstance(item, dict))),
        **_keys(items or ([value] if isinstance(value, dict) else []), scrub),
        "points": _points(items, read_stated(told).at, sample.at, upstream_offset) if listed is value else [],
    }


def lines(language: Language, document: Mapping[str, Any]) -> list[str]:
    """The document for a person; types and forms are of no language."""

    def said(text: str) -> str:
        return in_words(language, text)

    told = document["headers"]
    many = f" of {document['items']} items" if document["items"] is not None else ", not a list"
    pressed = "compressed with gzip" if told["gzip"] else "not compressed"
    unusual = f" and {told['names_not_shown']} of unusual names" if told["names_not_shown"] else ""
    made = [
        said(
            f"answer: {document['kind']}{many}, {document['body_bytes']} bytes in {document['seconds']:g} s, {pressed}"
        ),
        said(
            f"headers: {', '.join(told['names'])}{unusual}; "
            f"Date: {told['date'] or 'none'}; ETag: {told['etag'] or 'none'}"
        ),
    ]
    others = document["items_that_are_no_object"]
    made += [said(f"items that are no object: {n} of type {kind}") for kind, n in others.items()]
    made += ["", said("keys (how many items have it: types; forms; values)")]
    for key in document["keys"]:
        counted = [", ".join(f"{word} {n}" for word, n in key[kind].items()) for kind in COUNTED if key[kind]]
        new = "" if key["known"] else f" {said('(unknown to syncer)')}"
        made.append(f"  {key['key']}{new}: {key['present']}: {'; '.join(counted)}")
    if document["keys_not_shown"]:
        made.append("  " + said(f"{document['keys_not_shown']} more, whose names may be data and are not shown"))
    if document["points"]:
        made += ["", said("what is not certain of the upstream")]
        parts = ("point", "verdict", "evidence")
        made += ["  " + ": ".join(said(one[part]) for part in parts) for one in document["points"]]
    return made


def _parse(body: bytes) -> Any:
    """The body's value; the body itself, as bytes, if it is no JSON."""
    with suppress(RecursionError, ValueError):
        return json.loads(body.decode("utf-8-sig"))
    return body


def _type_of(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return "null" if value is None else names.get(type(value), "no JSON")


def _headers(told: Mapping[str, str], scrub: Scrub) -> dict[str, Any]:
    names = [name for name in sorted(told) if _HEADER.fullmatch(name) and _is_harmless(name, scrub)]
    date, etag = read_stated(told).at, told.get("etag")
    return {
        "names": names,
        "names_not_shown": len(told) - len(names),
        "date": date.isoformat().replace("+00:00", "Z") if date else None,
        "etag": None if etag is None else "weak" if etag.startswith("W/") else "strong",
        "gzip": told.get("content-encoding", "").lower() in {"gzip", "x-gzip"},
    }


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
                counts["forms"][_form_of(str(abs(value))) + (" below zero" if value < 0 else "")] += 1
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


def _form_of(text: str) -> str:
    """The form of a string: nothing of the text is in it but its length, or where a date has its digits."""
    if _DATE.fullmatch(text) and not text.startswith(_NO_DATE):
        return re.sub("[0-9]", "d", text)
    return next(form.format(len(text)) for pattern, form in _FORMS if re.fullmatch(pattern, text, re.DOTALL))


def _points(items: Items, date: datetime | None, now: datetime, offset: timedelta) -> list[dict[str, str]]:
    """What docs/upstream.md leaves unproven and the keys alone do not show; the verdict, and what speaks for it."""
    judged = {
        f"naive times are at {offset_text(offset)}": _zone(items, date, offset),
        "deleted instances leave the list after three months": _old_deletions(items, now, offset),
        "new live instances say isExpired": _new_expired(items, now, offset),
    }
    return [{"point": point, "verdict": verdict, "evidence": evidence} for point, (verdict, evidence) in judged.items()]


def _zone(items: Items, date: datetime | None, offset: timedelta) -> tuple[str, str]:
    """One answer cannot prove an offset; it can disprove one, where an instance would be created in the future."""
    created = [moment for item in items if (moment := _moment(item.get("timeCreated"), timedelta()))]
    if date is None or not created:
        return "not seen", "timeCreated and a Date header are both needed"
    ahead = max(created) - date  # of the newest, read as if it were UTC
    if ahead - offset > MINUTE:
        return "contradicted", "read so, the newest timeCreated lies after the answer's Date"
    told = "no timeCreated lies after Date; create an instance and probe within minutes to see the offset"
    if ahead > MINUTE:
        least = offset_text(ahead // MINUTE * MINUTE)
        told = f"the newest timeCreated lies ahead of Date unless the offset is at least {least}: the times are not UTC"
    return "not provable", told


def _moment(value: object, offset: timedelta) -> datetime | None:
    """A time of the answer in UTC; None where there is none or it cannot be read."""
    with suppress(BadItem):
        return read_time("", value, offset)
    return None


def _old_deletions(items: Items, now: datetime, offset: timedelta) -> tuple[str, str]:
    deleted = [item.get("timeDeleted") for item in items if item.get("deleted") in TRUE]
    ages = [now - moment for value in deleted if (moment := _moment(value, offset))]
    if not ages:
        return "not seen", "no deleted instance with a time is listed"
    old = sum(age > LISTED_AFTER_DELETION for age in ages)
    told = f"{len(ages)} deleted instances are listed, {old} of them longer; the oldest deletion is"
    return "contradicted" if old else "confirmed", f"{told} {max(0, max(ages).days)} days ago"


def _new_expired(items: Items, now: datetime, offset: timedelta) -> tuple[str, str]:
    live = [(item, _moment(item.get("timeCreated"), offset)) for item in items if item.get("deleted") not in TRUE]
    new = [(now - born, item.get("isExpired") in TRUE) for item, born in live if born and now - born <= NEW]
    ages = [age for age, is_expired in new if is_expired]
    if not new:
        return "not seen", "no live instance is younger than an hour"
    if not ages:
        return "contradicted", f"none of {len(new)} live instances younger than an hour"
    oldest = max(0, max(ages) // MINUTE)
    return "confirmed", f"{len(ages)} of {len(new)} live instances younger than an hour, the oldest of {oldest} minutes"
