"""Raw bytes of an answer to records, rejects and seen ids (CONTRACT 5). Pure: no I/O, no clock, no logging."""

import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Annotated, Any, NamedTuple, NoReturn, TypeVar

import msgspec

from syncer.errors import AnswerUnusable, UpstreamRefused
from syncer.model import LARGEST_ID, Instance, Listing, Reject
from syncer.scrub import REMOVED, SECRET_KEY, SHORTEST_TOKEN

LONGEST_NAME = 64 * 1024  # bytes in UTF-8
LONGEST_REJECTED_TEXT = 1024  # characters kept of one string of a rejected item
LONGEST_BEGINNING = 4000  # characters of what is no JSON that are looked at for an excerpt
DEEPEST_NESTING = 64  # levels of an item, of which it is the first; PostgreSQL and SQLite both read far deeper ones
TOLERATED_REJECTS = 3
TOLERATED_REJECT_SHARE = 0.10
LONGEST_NUMBER = 4000  # digits; Python refuses to convert integers beyond 4,300

KNOWN_KEYS = frozenset(
    {
        "idInstance",
        "name",
        "typeInstance",
        "typeAccount",
        "messenger",
        "partnerUserUiid",
        "timeCreated",
        "timeDeleted",
        "deleted",
        "tariff",
        "isFree",
        "isPartner",
        "expirationDate",
        "isExpired",
        "apiTokenInstance",
    }
)

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_DECIMAL_ID = re.compile("[1-9][0-9]{0,18}")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.([0-9]{1,9}))?(Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?"
)
_NO_DATE = "0001-01-01"
_USUAL_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]")

Scrub = Callable[[str], str]
Item = TypeVar("Item")
Shared = tuple[str | None, str | None, str | None, str | None, str | None]
"""Types, customer and tariff of an instance: texts that many have in common."""


class Decoder(NamedTuple):
    """What decoding needs to know besides the answer.

    `seal` turns an instance's id and token into ciphertext, or is None when tokens are not kept.
    """

    upstream_offset: timedelta
    scrub: Scrub
    seal: Callable[[int, str], bytes] | None = None


class BadItem(Exception):
    """Why an item cannot be taken."""


class Told(msgspec.Struct, forbid_unknown_fields=True, rename="camel", gc=False, omit_defaults=True):
    """An item in its usual form: every key known, every value of its usual type; anything else is decoded plainly.

    Two items of equal `Told` mean the same, whatever the order of their keys.
    """

    id_instance: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)]
    deleted: bool
    is_expired: bool
    name: str | None = None
    type_instance: str | None = None
    type_account: str | None = None
    messenger: str | None = None
    partner_user_uiid: str | None = None
    time_created: str | None = None
    time_deleted: str | None = None
    tariff: str | None = None
    is_free: bool | None = None
    is_partner: bool | None = None
    expiration_date: str | None = None
    api_token_instance: str | None = None
    api_url: str | msgspec.UnsetType = msgspec.UNSET
    media_url: str | msgspec.UnsetType = msgspec.UNSET


def decode(body: bytes, decoder: Decoder) -> Listing:
    """Read a whole answer.

    Raises `UpstreamRefused` for an error object that names the credentials, `AnswerUnusable` for anything else that is
    no JSON array in strict UTF-8, or when more than 10 % (and more than 3) of its items are bad.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    text = _text_of(body)
    try:
        listing = _read_items(msgspec.json.decode(body, type=list[msgspec.Raw]), msgspec.json.decode, decoder)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        # Strict msgspec refuses a few documents that are JSON all the same, a lone surrogate for one.
        listing = _read_items(_plain_json(text, decoder.scrub), lambda item: item, decoder)
    refuse_too_many(listing.rejects, listing.listed)
    return listing


def refuse_too_many(rejects: Sequence[Reject], listed: int) -> None:
    """Raise `AnswerUnusable` when more than 10 % (and more than 3) of the items are bad; `rejects` are in order."""
    rejected = len(rejects)
    if rejected > TOLERATED_REJECTS and rejected > TOLERATED_REJECT_SHARE * listed:
        first = rejects[0]
        raise AnswerUnusable(
            f"reading the answer: {rejected} of {listed} items cannot be taken, the first at position "
            f"{first.position} because {first.reason}; nothing was applied, `syncer probe` shows the answer's shape",
            kind="too_many_rejects",
        )


def read_item(position: int, item: object, decoder: Decoder) -> Instance | Reject:
    """One item, taken or rejected."""
    id_instance = _id_of(item)
    if id_instance is None or not isinstance(item, dict):
        return Reject(position, None, _why_no_id(item), _presentable(item, decoder.scrub))
    try:
        return _read_item(id_instance, item, decoder)
    except BadItem as bad:
        return Reject(position, id_instance, str(bad), _presentable(item, decoder.scrub))


def read_plain_json(text: str) -> object:
    """A JSON value as the plain reading of a whole answer takes it; raises `ValueError` or `RecursionError`."""
    return json.loads(text, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_float)


def read_told(told: Told, decoder: Decoder, cleaned: dict[Shared, Shared]) -> Instance:
    """What `read_item` makes of the same item; raises `BadItem`.

    `cleaned` remembers what became of texts that many instances share, and may be emptied at any time.
    """
    token = (told.api_token_instance or "").replace("\x00", "\ufffd")
    offset = decoder.upstream_offset

    def clean(text: str | None) -> str | None:
        if text is None:
            return None
        text = _storable(text)
        if len(token) >= SHORTEST_TOKEN and token in text:
            text = text.replace(token, REMOVED)
        return decoder.scrub(text)

    name = _short_enough(clean(told.name))
    texts = (told.type_instance, told.type_account, told.messenger, told.partner_user_uiid, told.tariff)
    shared = cleaned.get(texts)
    if shared is None:
        type_instance, type_account, messenger, partner_user_uiid, tariff = map(clean, texts)
        shared = (type_instance, type_account, messenger, partner_user_uiid, tariff)
        if all(text is None or len(text) < SHORTEST_TOKEN for text in texts):  # too short to hold the item's own token
            cleaned[texts] = shared
    type_instance, type_account, messenger, partner_user_uiid, tariff = shared
    extra = "{}"
    if told.api_url is not msgspec.UNSET or told.media_url is not msgspec.UNSET:
        unknown = {"apiUrl": told.api_url, "mediaUrl": told.media_url}
        extra = canonical_json({key: clean(text) for key, text in unknown.items() if text is not msgspec.UNSET})
    return Instance(
        told.id_instance,
        name,
        type_instance,
        type_account,
        messenger,
        partner_user_uiid,
        _moment("timeCreated", told.time_created, offset),
        _moment("timeDeleted", told.time_deleted, offset),
        told.deleted,
        tariff,
        told.is_free,
        told.is_partner,
        _moment("expirationDate", told.expiration_date, offset),
        told.is_expired,
        fingerprint(token) if token else None,
        extra,
    )


def _text_of(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        place = error.start
    raise AnswerUnusable(f"reading the answer: byte {place} is not UTF-8; a proxy may have garbled it, try again later")


def _plain_json(text: str, scrub: Scrub) -> list[Any]:
    try:
        document = read_plain_json(text)
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = str(error)
    else:
        if isinstance(document, list):
            return document
        _refuse_document(document, scrub)
    if text.lstrip()[:1] in {"[", "{"}:
        raise AnswerUnusable(f"reading the answer: it is not whole JSON ({reason}); nothing is inferred from it")
    if not text.strip():
        raise AnswerUnusable("reading the answer: it is empty; nothing is inferred from it, try again later")
    begun = text.lstrip()
    if len(begun) > LONGEST_BEGINNING:
        begun = begun[:LONGEST_BEGINNING].rsplit(maxsplit=1)[0]  # half a token is not known for one
    excerpt = " ".join(scrub(begun).split())[:80]
    raise AnswerUnusable(f"reading the answer: it is no JSON but {excerpt!r}; check SYNCER_API_URL and any proxy")


def _refuse_document(document: object, scrub: Scrub) -> NoReturn:
    """Raise for a document that is not an array: an error object with status 200 is a refusal (UPSTREAM, Failure)."""
    if isinstance(document, dict):
        code = document.get("code", document.get("statusCode"))
        words = scrub(str(document.get("description", document.get("message", ""))))[:200]
        if str(code) in {"401", "403"}:
            raise UpstreamRefused(
                f"calling the upstream: it answered code {code} {words!r}; check the partner token and SYNCER_API_URL",
                http_status=200,
            )
        if isinstance(code, int | str) and words:
            raise AnswerUnusable(
                f"reading the answer: it is an error object, code {scrub(str(code))[:20]} {words!r}, not a list; "
                "check SYNCER_API_URL"
            )
    kind = {dict: "an object", str: "a string", type(None): "null", bool: "a boolean"}.get(type(document), "a number")
    raise AnswerUnusable(f"reading the answer: it is {kind}, not a list; nothing is inferred from it")


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= LONGEST_NUMBER else digits


def _float(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _read_items(raw_items: Sequence[Item], parse: Callable[[Item], Any], decoder: Decoder) -> Listing:
    """Decode item by item; the same id twice counts once if the items are identical, else all of them are bad."""
    taken: dict[int, Instance | Reject] = {}  # by id, at first sight
    positions: dict[int, int] = {}  # of first sight, by id
    conflicts: dict[int, list[int]] = {}  # later positions of an id whose items differ
    unreadable: list[Reject] = []
    sealed: dict[int, bytes] = {}
    repeated = 0
    for position, raw_item in enumerate(raw_items):
        item = parse(raw_item)
        id_instance = _id_of(item)
        if id_instance is None:
            unreadable.append(Reject(position, None, _why_no_id(item), _presentable(item, decoder.scrub)))
            continue
        outcome: Instance | Reject
        try:
            outcome = _read_item(id_instance, item, decoder)
        except BadItem as bad:
            outcome = Reject(position, id_instance, str(bad), _presentable(item, decoder.scrub))
        if id_instance not in taken:
            taken[id_instance] = outcome
            positions[id_instance] = position
            if decoder.seal and item.get("apiTokenInstance") and isinstance(outcome, Instance):
                sealed[id_instance] = decoder.seal(id_instance, item["apiTokenInstance"])
        elif _identical(taken[id_instance], outcome):
            repeated += 1
        else:
            conflicts.setdefault(id_instance, [positions[id_instance]]).append(position)
    for id_instance in conflicts:
        del taken[id_instance]
        sealed.pop(id_instance, None)
    rejects = [
        *unreadable,
        *(outcome for outcome in taken.values() if isinstance(outcome, Reject)),
        *(
            Reject(
                position,
                id_instance,
                f"idInstance is listed {len(places)} times with differing items",
                _presentable(parse(raw_items[position]), decoder.scrub),
            )
            for id_instance, places in conflicts.items()
            for position in places
        ),
    ]
    return Listing(
        instances={key: outcome for key, outcome in taken.items() if isinstance(outcome, Instance)},
        rejects=tuple(sorted(rejects)),
        rejected_ids=frozenset(reject.id_instance for reject in rejects if reject.id_instance is not None),
        listed=len(raw_items) - repeated,
        proves_absence=not unreadable,
        sealed_tokens=sealed,
    )


def _identical(one: Instance | Reject, other: Instance | Reject) -> bool:
    if isinstance(one, Reject) and isinstance(other, Reject):
        return one[1:] == other[1:]
    return one == other


def _id_of(item: object) -> int | None:
    """The item's id if it can be read: an integer from 1 to 2^63-1, or a decimal string of one."""
    value = item.get("idInstance") if isinstance(item, dict) else None
    if isinstance(value, str) and _DECIMAL_ID.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_ID:
        return None
    return value


def _why_no_id(item: object) -> str:
    if not isinstance(item, dict):
        return "it is not an object"
    if item.get("idInstance") is None:
        return "idInstance is missing"
    return "idInstance is no integer from 1 to 2^63-1"


def _read_item(id_instance: int, item: dict[str, Any], decoder: Decoder) -> Instance:
    offset = decoder.upstream_offset
    token = _string(item, "apiTokenInstance", str)

    def scrub(text: str) -> str:
        if token and len(token) >= SHORTEST_TOKEN and token in text:
            text = text.replace(token, REMOVED)
        return decoder.scrub(text)

    return Instance(
        id_instance=id_instance,
        name=_name(item, scrub),
        type_instance=_string(item, "typeInstance", scrub),
        type_account=_string(item, "typeAccount", scrub),
        messenger=_string(item, "messenger", scrub),
        partner_user_uiid=_string(item, "partnerUserUiid", scrub),
        time_created=_time(item, "timeCreated", offset),
        time_deleted=_time(item, "timeDeleted", offset),
        deleted=_required_flag(item, "deleted"),
        tariff=_string(item, "tariff", scrub),
        is_free=_flag(item, "isFree"),
        is_partner=_flag(item, "isPartner"),
        expiration_date=_time(item, "expirationDate", offset),
        is_expired=_required_flag(item, "isExpired"),
        token_fingerprint=fingerprint(token) if token else None,
        extra=_extra(item, scrub),
    )


def fingerprint(token: str) -> str:
    """The first 16 hex digits of the SHA-256 of a secret."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _string(item: dict[str, Any], key: str, scrub: Scrub) -> str | None:
    value = item.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadItem(f"{key} is not a string")
    return scrub(_storable(value))


def _name(item: dict[str, Any], scrub: Scrub) -> str | None:
    return _short_enough(_string(item, "name", scrub))


def _short_enough(name: str | None) -> str | None:
    if name is not None and len(name) * 4 > LONGEST_NAME and len(name.encode()) > LONGEST_NAME:
        raise BadItem("name is longer than 64 KiB")
    return name


def _storable(text: str) -> str:
    """Without NUL and lone surrogates, which the databases refuse."""
    return _UNSTORABLE.sub("\ufffd", text)


_FLAGS: dict[object, bool] = {0: False, 1: True, "true": True, "false": False}  # True == 1 and False == 0


def _flag(item: dict[str, Any], key: str) -> bool | None:
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool | int | str) and value in _FLAGS:
        return _FLAGS[value]
    raise BadItem(f"{key} is neither true nor false")


def _required_flag(item: dict[str, Any], key: str) -> bool:
    value = _flag(item, key)
    if value is None:
        raise BadItem(f"{key} is missing")
    return value


def _time(item: dict[str, Any], key: str, upstream_offset: timedelta) -> datetime | None:
    return _moment(key, item.get(key), upstream_offset)


def _moment(key: str, value: object, upstream_offset: timedelta) -> datetime | None:
    """A naive time is at the upstream's fixed offset; year 1 means none (UPSTREAM, The answer)."""
    if value is None or (isinstance(value, str) and value.startswith(_NO_DATE)):
        return None
    if isinstance(value, str) and _USUAL_TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(f"{value}+00:00") - upstream_offset
        except (ValueError, OverflowError):
            raise BadItem(f"{key} is an impossible time") from None
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadItem(f"{key} is not a time such as 2022-06-03T18:39:44")
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '')[:6]:0<6}")
        return moment.replace(tzinfo=timezone(_offset(zone) if zone else upstream_offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadItem(f"{key} is an impossible time")


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    size = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return -size if zone[0] == "-" else size


def _extra(item: dict[str, Any], scrub: Scrub) -> str:
    unknown = {key: value for key, value in item.items() if key not in KNOWN_KEYS}
    return canonical_json(_without_secrets(unknown, scrub, DEEPEST_NESTING)) if unknown else "{}"


def canonical_json(value: object) -> str:
    """JSON text that is equal exactly when the values are: sorted keys, no spaces, no escapes but the needed ones."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _without_secrets(value: object, scrub: Scrub, levels: int) -> object:
    if isinstance(value, str):
        return scrub(_storable(value))
    if levels == 0 and isinstance(value, dict | list):
        raise BadItem(f"it is nested deeper than {DEEPEST_NESTING} levels")
    if isinstance(value, list):
        return [_without_secrets(element, scrub, levels - 1) for element in value]
    if isinstance(value, dict):
        return {
            scrub(_storable(key)): REMOVED
            if element and isinstance(element, str) and SECRET_KEY.search(key)
            else _without_secrets(element, scrub, levels - 1)
            for key, element in value.items()
        }
    return value


def _presentable(item: object, scrub: Scrub) -> str:
    """A bad item as JSON text to store: its own token removed wherever it stands, long texts cut after that."""
    token = item.get("apiTokenInstance") if isinstance(item, dict) else None
    tokens = [token] if isinstance(token, str) and token else []

    def scrub_and_cut(text: str) -> str:
        for token in tokens:
            text = text.replace(token, REMOVED)
        return scrub(text)[:LONGEST_REJECTED_TEXT]

    if isinstance(item, dict):
        item = {key: REMOVED if key == "apiTokenInstance" and value else value for key, value in item.items()}
    try:
        return canonical_json(_without_secrets(item, scrub_and_cut, DEEPEST_NESTING))
    except BadItem as bad:
        return canonical_json(str(bad))
