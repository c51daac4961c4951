"""The shape of an answer: keys, types and forms of values, never a value that may name somebody (CONTRACT 2, probe).

Pure. What is shown of a value is a closed set of forms, or a short word that looks like an identifier under one of
`WORD_KEYS`; what does not fit a rule is shown as its form only, so that a form nobody foresaw leaks nothing.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import msgspec

from syncer.answer.item import KNOWN_KEYS

UPSTREAM_OFFSET = timedelta(hours=3)
LISTED_AFTER_DELETION = timedelta(days=92)  # three months at their longest (UPSTREAM, Life of an instance)
NEW = timedelta(hours=1)  # by report, how long a new instance may be told as expired
MOST_WORDS = 40  # distinct values of one key; more are no set of words but data
MOST_UNKNOWN_KEYS = 64  # more are no keys but data used as keys

WORD_KEYS = frozenset({"typeInstance", "messenger", "tariff"})
TIME_KEYS = ("timeCreated", "timeDeleted", "expirationDate")
OPTIONAL_KEYS = ("isFree", "isPartner", "messenger", "apiUrl", "mediaUrl")

_WORD = re.compile(r"[A-Z0-9_]{1,40}|[a-z0-9_]{1,40}")
_DATA_IN_A_WORD = re.compile(r"[0-9]{7}|[0-9a-fA-F]{16}|^[0-9_]*$")  # telephone numbers, ids and pieces of tokens
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_HEADER = re.compile(r"[a-z][a-z0-9-]{0,39}")
_CONTENT_TYPE = re.compile(r"(?:application|text)/[a-z.+-]{1,30}(?:; ?charset=[a-z0-9-]{1,12})?")
_ENCODINGS = frozenset({"identity", "gzip", "x-gzip"})
_DATE = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(?:[T ][0-9:.,]{4,20} ?(?:Z|[+-][0-9:]{2,6})?)?")
_NAIVE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?")
_ZONED_TIME = re.compile(_NAIVE_TIME.pattern + r"(?:Z|[+-][0-9]{2}:?[0-9]{2})")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEADER_FACTS = (
    ("Date", "date"),
    ("Content-Type", "content_type"),
    ("Content-Encoding", "content_encoding"),
    ("ETag", "etag"),
)
_RATE_LIMIT = re.compile(r"rate-?limit|retry-after|quota")
_NO_DATE = "0001-01-01"

CONFIRMED = "confirmed"
CONTRADICTED = "contradicted"
NOT_SEEN = "not seen"
NOT_PROVABLE = "not provable"


class Point(NamedTuple):
    """What the answer says of something that docs/upstream.md leaves unproven."""

    point: str
    verdict: str
    evidence: str


def examine(
    body: bytes,
    headers: Mapping[str, str],
    seconds: float,
    now: datetime,
    *,
    upstream_offset: timedelta = UPSTREAM_OFFSET,
    scrub: Callable[[str], str] = str,
) -> dict[str, Any]:
    """The document of `syncer probe --json`: the shape of a body (decompressed) that came with status 200."""
    named = {name.lower(): value for name, value in headers.items()}
    value = _parse(body)
    items = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    shape = {
        "seconds": round(seconds, 3),
        "body_bytes": len(body),
        "headers": _header_facts(named, scrub),
        "kind": _type_of(value),
        "items": len(value) if isinstance(value, list) else None,
        "items_that_are_no_object": dict(Counter(_type_of(item) for item in value if not isinstance(item, dict)))
        if isinstance(value, list)
        else {},
        **_keys(items or ([value] if isinstance(value, dict) else []), scrub),
    }
    points = _points(items, named, now, upstream_offset) if isinstance(value, list) else []
    return shape | {"points": [point._asdict() for point in points]}


def lines(document: Mapping[str, Any]) -> list[str]:
    """The document for a person."""
    told = document["headers"]
    made = [
        f"answer: {document['kind']}"
        + (f" of {document['items']} items" if document["items"] is not None else ", not a list")
        + f", {document['body_bytes']} bytes in {document['seconds']:g} s, "
        + ("compressed with gzip" if told["gzip"] else "not compressed"),
        f"headers: {', '.join(told['names'])}"
        + (f" and {told['names_not_shown']} of unusual names" if told["names_not_shown"] else ""),
        "; ".join(f"{name}: {told[key] or 'none'}" for name, key in _HEADER_FACTS),
    ]
    for kind, count in document["items_that_are_no_object"].items():
        made.append(f"items that are no object: {count} of type {kind}")
    made += ["", "keys (how many items have it: types; forms; values)"]
    for key in document["keys"]:
        parts = [_counted(key["types"]), _counted(key["forms"]), _counted(key["values"])]
        new = "" if key["known"] else " (unknown to syncer)"
        made.append(f"  {key['key']}{new}: {key['present']}: {'; '.join(part for part in parts if part)}")
    if document["keys_not_shown"]:
        made.append(f"  {document['keys_not_shown']} more, whose names may be data and are not shown")
    if document["points"]:
        made += ["", "what is not certain of the upstream"]
        made += [f"  {one['point']}: {one['verdict']}: {one['evidence']}" for one in document["points"]]
    return made


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{word} {count}" for word, count in counts.items())


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


def _header_facts(headers: Mapping[str, str], scrub: Callable[[str], str]) -> dict[str, Any]:
    names = sorted(headers)
    shown = [name for name in names if _is_harmless_header(name, scrub)]
    content_type = headers.get("content-type", "").strip().lower()
    encoding = headers.get("content-encoding", "").strip().lower()
    date = _date_of(headers)
    etag = headers.get("etag")
    return {
        "names": shown,
        "names_not_shown": len(names) - len(shown),
        "date": date.isoformat().replace("+00:00", "Z") if date else None,
        "content_type": _known(content_type, bool(_CONTENT_TYPE.fullmatch(content_type))),
        "content_encoding": _known(encoding, encoding in _ENCODINGS),
        "etag": None if etag is None else "weak" if etag.startswith("W/") else "strong",
        "gzip": encoding in {"gzip", "x-gzip"},
    }


def _known(text: str, is_known: bool) -> str | None:
    return None if not text else text if is_known else "of another form"


def _date_of(headers: Mapping[str, str]) -> datetime | None:
    try:
        moment = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _is_harmless_header(name: str, scrub: Callable[[str], str]) -> bool:
    return bool(_HEADER.fullmatch(name)) and _is_harmless(name, scrub)


def _is_harmless(word: str, scrub: Callable[[str], str]) -> bool:
    return not _DATA_IN_A_WORD.search(word) and scrub(word) == word


class _Key:
    """What the values under one key look like."""

    def __init__(self, key: str, scrub: Callable[[str], str]) -> None:
        self._key = key
        self._scrub = scrub
        self.present = 0
        self._types: Counter[str] = Counter()
        self._forms: Counter[str] = Counter()
        self._words: Counter[str] = Counter()

    def add(self, value: object) -> None:
        self.present += 1
        self._types[_type_of(value)] += 1
        if isinstance(value, bool):
            self._words[str(value).lower()] += 1
        elif isinstance(value, int):
            self._forms[_digits(str(abs(value))) + (" below zero" if value < 0 else "")] += 1
        elif isinstance(value, str):
            if self._key in WORD_KEYS and _WORD.fullmatch(value) and _is_harmless(value, self._scrub):
                self._words[value] += 1
            else:
                self._forms[_form_of(value)] += 1

    def document(self) -> dict[str, Any]:
        words, forms = self._words, self._forms
        if len(words) > MOST_WORDS:
            words, forms = Counter(), forms + Counter({"word of a large set": words.total()})
        return {
            "key": self._key,
            "known": self._key in KNOWN_KEYS,
            "present": self.present,
            "types": _most_first(self._types),
            "forms": _most_first(forms),
            "values": _most_first(words),
        }


def _keys(items: Iterable[Mapping[str, Any]], scrub: Callable[[str], str]) -> dict[str, Any]:
    found: dict[str, _Key] = {}
    for item in items:
        for key, value in item.items():
            if key not in found:
                found[key] = _Key(key, scrub)
            found[key].add(value)
    unknown = found.keys() - KNOWN_KEYS
    shown = found.keys() & KNOWN_KEYS
    if len(unknown) <= MOST_UNKNOWN_KEYS:
        shown |= {key for key in unknown if _KEY.fullmatch(key) and _is_harmless(key, scrub)}
    return {
        "keys": [found[key].document() for key in sorted(shown)],
        "keys_not_shown": len(found) - len(shown),
    }


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _digits(text: str) -> str:
    return f"{len(text)} digit{'s' if len(text) > 1 else ''}"


def _form_of(text: str) -> str:
    """The form of a string: nothing of the text is in it but its length, or where a date has its digits."""
    return next(form(text) for pattern, form in _FORMS if pattern.fullmatch(text))


_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(""), lambda _text: "empty"),
    (re.compile(_NO_DATE + ".*", re.DOTALL), lambda _text: "no date (year 1)"),
    (re.compile("[0-9]+"), _digits),
    (_DATE, lambda text: re.sub("[0-9]", "d", text)),
    (_UUID, lambda _text: "UUID"),
    (re.compile("[0-9a-fA-F]{8,}"), lambda text: f"{len(text)} hex digits"),
    (re.compile("https?://.*", re.DOTALL), lambda _text: "URL"),
    (re.compile(r"[\x00-\x7f]*"), lambda _text: "text"),
    (re.compile(".*", re.DOTALL), lambda _text: "text beyond ASCII"),
)


def _points(
    items: Sequence[Mapping[str, Any]], headers: Mapping[str, str], now: datetime, upstream_offset: timedelta
) -> list[Point]:
    return [
        _id_digits(items),
        _naive_times(items),
        _zone(items, headers, upstream_offset),
        *(_presence(f"{key} present", key, items) for key in OPTIONAL_KEYS),
        _presence("apiTokenInstance still sent", "apiTokenInstance", items),
        _old_deletions(items, now, upstream_offset),
        _order(items),
        _new_expired(items, now, upstream_offset),
        _gzip(headers),
        _etag(headers),
        _rate_limit(headers),
    ]


def _id_digits(items: Sequence[Mapping[str, Any]]) -> Point:
    counts: Counter[int] = Counter()
    for item in items:
        text = str(item.get("idInstance"))
        if text.isascii() and text.isdigit():
            counts[len(text)] += 1
    told = ", ".join(f"{count} of {digits} digits" for digits, count in sorted(counts.items())) or "no readable id"
    verdict = NOT_SEEN if not counts else CONFIRMED if counts.keys() <= {10, 12} else CONTRADICTED
    return Point("ids have 10 or 12 digits", verdict, told)


def _naive_times(items: Sequence[Mapping[str, Any]]) -> Point:
    times = [
        value
        for item in items
        for key in TIME_KEYS
        if (value := item.get(key)) not in (None, "") and not str(value).startswith(_NO_DATE)
    ]
    naive = sum(1 for time in times if isinstance(time, str) and _NAIVE_TIME.fullmatch(time))
    zoned = sum(1 for time in times if isinstance(time, str) and _ZONED_TIME.fullmatch(time))
    verdict = NOT_SEEN if not times else CONFIRMED if naive == len(times) else CONTRADICTED
    other = len(times) - naive - zoned
    return Point("times carry no zone", verdict, f"{naive} naive, {zoned} with Z or an offset, {other} of another form")


def _zone(items: Sequence[Mapping[str, Any]], headers: Mapping[str, str], upstream_offset: timedelta) -> Point:
    """One answer cannot prove an offset; it can disprove one, where an instance would be created in the future."""
    point = f"naive times are at {_offset_text(upstream_offset)}"
    date = _date_of(headers)
    created = [moment for item in items if (moment := _moment(item.get("timeCreated"), timedelta())) is not None]
    if date is None or not created:
        return Point(point, NOT_SEEN, "timeCreated and a Date header are both needed")
    ahead = max(created) - date  # of the newest, read as if it were UTC
    if ahead - upstream_offset > timedelta(minutes=1):
        return Point(point, CONTRADICTED, "read so, the newest timeCreated lies after the answer's Date")
    if ahead > timedelta(minutes=1):
        least = timedelta(minutes=ahead // timedelta(minutes=1))
        return Point(
            point,
            NOT_PROVABLE,
            f"the newest timeCreated lies ahead of Date unless the offset is at least {_offset_text(least)}, "
            "so the times are not UTC; one answer cannot prove more",
        )
    return Point(
        point,
        NOT_PROVABLE,
        "no timeCreated lies after Date; create an instance and probe within minutes to see the offset",
    )


def _offset_text(offset: timedelta) -> str:
    minutes = abs(offset) // timedelta(minutes=1)
    return f"{'-' if offset < timedelta() else '+'}{minutes // 60:02}:{minutes % 60:02}"


def _moment(value: object, offset: timedelta) -> datetime | None:
    """A time of the answer in UTC; None where there is none or it cannot be read."""
    if not isinstance(value, str) or value.startswith(_NO_DATE):
        return None
    if not _NAIVE_TIME.fullmatch(value) and not _ZONED_TIME.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.[0-9]{1,6})[0-9]*", r"\1", value))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC) - offset
    except (ValueError, OverflowError):
        return None


def _presence(point: str, key: str, items: Sequence[Mapping[str, Any]]) -> Point:
    present = sum(1 for item in items if item.get(key) not in (None, ""))
    verdict = NOT_SEEN if not items else CONFIRMED if present else CONTRADICTED
    return Point(point, verdict, f"set in {present} of {len(items)} items")


def _old_deletions(items: Sequence[Mapping[str, Any]], now: datetime, offset: timedelta) -> Point:
    point = "deleted instances leave the list after three months"
    times = [
        moment
        for item in items
        if _is_true(item.get("deleted")) and (moment := _moment(item.get("timeDeleted"), offset)) is not None
    ]
    if not times:
        return Point(point, NOT_SEEN, "no deleted instance with a time is listed")
    old = sum(1 for time in times if now - time > LISTED_AFTER_DELETION)
    days = max(0, (now - min(times)).days)
    return Point(
        point,
        CONTRADICTED if old else CONFIRMED,
        f"{len(times)} deleted instances are listed, {old} of them longer; the oldest deletion is {days} days ago",
    )


def _order(items: Sequence[Mapping[str, Any]]) -> Point:
    """Whether rows come in the order of their ids, which nobody promised."""
    point = "rows are in the order of idInstance"
    ids = [int(text) for item in items if (text := str(item.get("idInstance"))[:19]).isascii() and text.isdigit()]
    if len(set(ids)) < 3:
        return Point(point, NOT_SEEN, "fewer than three ids")
    if ids == sorted(ids):
        return Point(point, CONFIRMED, "ascending")
    if ids == sorted(ids, reverse=True):
        return Point(point, CONFIRMED, "descending")
    return Point(point, CONTRADICTED, "neither ascending nor descending")


def _new_expired(items: Sequence[Mapping[str, Any]], now: datetime, offset: timedelta) -> Point:
    point = "new live instances say isExpired"
    ages: list[timedelta] = []
    new = 0
    for item in items:
        created = _moment(item.get("timeCreated"), offset)
        if created is None or now - created > NEW or _is_true(item.get("deleted")):
            continue
        new += 1
        if _is_true(item.get("isExpired")):
            ages.append(now - created)
    if not new:
        return Point(point, NOT_SEEN, "no live instance is younger than an hour")
    if not ages:
        return Point(point, CONTRADICTED, f"none of {new} live instances younger than an hour")
    oldest = max(0, max(ages) // timedelta(minutes=1))
    return Point(
        point, CONFIRMED, f"{len(ages)} of {new} live instances younger than an hour, the oldest of {oldest} minutes"
    )


def _is_true(value: object) -> bool:
    return value in (True, "true")


def _gzip(headers: Mapping[str, str]) -> Point:
    came = headers.get("content-encoding", "").strip().lower() in {"gzip", "x-gzip"}
    return Point(
        "gzip is sent when offered",
        CONFIRMED if came else CONTRADICTED,
        "the answer came compressed" if came else "it was offered, and the answer came plain",
    )


def _etag(headers: Mapping[str, str]) -> Point:
    etag = headers.get("etag")
    if etag is None:
        return Point("an ETag is sent", CONTRADICTED, "there is none")
    kind = "weak" if etag.startswith("W/") else "strong"
    return Point("an ETag is sent", CONFIRMED, f"a {kind} one; 304 cannot be seen, syncer asks without conditions")


def _rate_limit(headers: Mapping[str, str]) -> Point:
    names = [name for name in sorted(headers) if _RATE_LIMIT.search(name) and _is_harmless_header(name, str)]
    return Point(
        "rate-limit headers are sent", CONFIRMED if names else NOT_SEEN, ", ".join(names) or "no header is named so"
    )
