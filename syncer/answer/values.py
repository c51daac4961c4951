"""Single values of an item: what is read of each, and what makes the item a bad one (CONTRACT 5)."""

import json
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import NoReturn

from msgspec import ValidationError, convert

from syncer.scrub import REMOVED, is_secret_value

DEEPEST_NESTING = 64  # levels of an item, of which it is the first; PostgreSQL and SQLite both read far deeper ones
DEEPEST_JSON = 10_000  # levels of what is read as JSON at all
LONGEST_NUMBER = 4000  # digits; Python refuses to convert integers beyond 4,300

Scrub = Callable[[str], str]

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.([0-9]{1,9}))?(Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?"
)
# Of JSON: strings, what opens and closes, all else; and the quotation mark of a string that does not end.
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|[^\[\]{}"]+|"', re.DOTALL)
_OPENING, _CLOSING = frozenset("[{"), frozenset("]}")
_NO_DATE, _NO_YEAR = "0001-01-01", "0001-"
EARLIEST, LATEST = datetime(2010, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)  # the service is younger
_USUAL_LENGTH = len("2022-06-03T18:39:44")
_FIRST_USUAL, _LAST_USUAL = "2010-01-02T", "2199-12-31T"  # whichever the offset, what lies between is possible
_FLAGS: dict[object, bool] = {0: False, 1: True, "true": True, "false": False}  # True == 1 and False == 0


class BadItem(Exception):
    """Why an item is rejected."""


def storable(text: str) -> str:
    """Without NUL and lone surrogates, which the databases refuse."""
    return text if text.isprintable() else _UNSTORABLE.sub("\ufffd", text)


def read_text(key: str, value: object, scrub: Scrub) -> str | None:
    """A text or none; raises `BadItem`."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadItem(f"{key} is not a string")
    return scrub(storable(value))


def refuse_too_long(key: str, text: str | None, longest_bytes: int) -> None:
    """Raise `BadItem` for a text that takes more bytes in UTF-8."""
    if text is not None and len(text.encode()) > longest_bytes:
        raise BadItem(f"{key} is longer than {longest_bytes // 1024} KiB")


def read_flag(key: str, value: object) -> bool | None:
    """A flag in one of its spellings, or none; raises `BadItem`."""
    if value is None:
        return None
    if isinstance(value, bool | int | str) and value in _FLAGS:
        return _FLAGS[value]
    raise BadItem(f"{key} is neither true nor false")


def read_required_flag(key: str, value: object) -> bool:
    """A flag without which an item says nothing of its instance; raises `BadItem`."""
    flag = read_flag(key, value)
    if flag is None:
        raise BadItem(f"{key} is missing")
    return flag


def read_time(key: str, value: object, upstream_offset: timedelta, *, is_end: bool = False) -> datetime | None:
    """A time in UTC; a naive one is at the upstream's fixed offset, year 1 means none (UPSTREAM, The answer).

    Of the end of something a time after 2199 means none too. Raises `BadItem` for what is no time or an impossible one.
    """
    if value is None or (isinstance(value, str) and value.startswith(_NO_DATE)):
        return None
    try:
        moment = _moment(value, upstream_offset)
    except OverflowError:
        moment = LATEST
    except ValueError:
        raise BadItem(f"{key} is an impossible time") from None
    if moment is None:
        raise BadItem(f"{key} is not a time such as 2022-06-03T18:39:44")
    if str(value).startswith(_NO_YEAR) or (is_end and moment >= LATEST):
        return None
    if not EARLIEST <= moment < LATEST:
        raise BadItem(f"{key} is an impossible time")
    return moment


def read_times(
    key: str, values: Iterable[str | None], upstream_offset: timedelta, *, is_end: bool = False
) -> dict[str | None, datetime | None]:
    """What `read_time` makes of each of these; those in the usual form are read at once, in a third of the time."""
    distinct = set(values)
    usual = [
        text
        for text in distinct
        if text is not None and len(text) == _USUAL_LENGTH and text[10] == "T" and _FIRST_USUAL < text < _LAST_USUAL
    ]
    try:
        moments = convert([f"{text}Z" for text in usual], list[datetime])
    except ValidationError:
        usual, moments = [], []
    read = {text: moment - upstream_offset for text, moment in zip(usual, moments, strict=True)}
    rest = distinct - read.keys()
    return read | {value: read_time(key, value, upstream_offset, is_end=is_end) for value in rest}


def _moment(value: object, upstream_offset: timedelta) -> datetime | None:
    """None for what has not the form of a time; raises `ValueError` or `OverflowError` for what cannot be."""
    if not isinstance(value, str):
        return None
    match = _TIME.fullmatch(value)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '')[:6]:0<6}")
    return moment.replace(tzinfo=timezone(_offset(zone) if zone else upstream_offset)).astimezone(UTC)


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    size = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return -size if zone[0] == "-" else size


def fingerprint(token: str) -> str:
    """The first 16 hex digits of the SHA-256 of a secret."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def canonical_json(value: object) -> str:
    """JSON text that is equal exactly when the values are: sorted keys, no spaces, no escapes but the needed ones."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def without_secrets(value: object, scrub: Scrub, levels: int = DEEPEST_NESTING) -> object:
    """A JSON value that can be stored; raises `BadItem` where it is nested too deeply."""
    if isinstance(value, str):
        return scrub(storable(value))
    if levels == 0 and isinstance(value, dict | list):
        raise BadItem(f"it is nested deeper than {DEEPEST_NESTING} levels")
    if isinstance(value, list):
        return [without_secrets(element, scrub, levels - 1) for element in value]
    if isinstance(value, dict):
        return {
            scrub(storable(key)): REMOVED
            if is_secret_value(key, element)
            else without_secrets(element, scrub, levels - 1)
            for key, element in value.items()
        }
    return value


def parse_json(text: str) -> object:
    """A JSON value, also where a string holds a lone surrogate; raises `ValueError` or `RecursionError`."""
    return json.loads(text, parse_constant=refuse_constant, parse_int=_integer, parse_float=_float)


def shallow(text: str, at: int = 0) -> tuple[str, int]:
    """The container that begins here without what is nested too deeply to be stored, and where it ends.

    Parsers call themselves for each level and give up after some hundreds. What is left out was read all the same, from
    the inside. Raises `ValueError` for what is no JSON, or deeper than `DEEPEST_JSON` levels.
    """
    inside: list[list[str]] = []
    for token in _PIECES.finditer(text, at):
        piece = token.group()
        if piece in _OPENING and len(inside) < DEEPEST_JSON:
            inside.append([piece])
        elif not inside or piece in _OPENING:
            break
        elif piece in _CLOSING:
            whole = "".join(inside.pop()) + piece
            if len(inside) > DEEPEST_NESTING:
                parse_json(whole)
                whole = "[]"
            if not inside:
                return whole, token.end()
            inside[-1].append(whole)
        else:
            inside[-1].append(piece)
    raise ValueError("it is no whole JSON container")


def refuse_constant(constant: str) -> NoReturn:
    """NaN and Infinity, which the standard library would take."""
    raise ValueError(f"{constant} is not JSON")


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= LONGEST_NUMBER else digits


def _float(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits
