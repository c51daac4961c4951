"""An item of an answer to an instance, or to the reason why it is rejected (CONTRACT 5). Driven by `model.FIELDS`."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Annotated, Any, NamedTuple

import msgspec

from syncer.answer.values import (
    BadItem,
    Scrub,
    canonical_json,
    fingerprint,
    parse_json,
    read_flag,
    read_required_flag,
    read_text,
    read_time,
    refuse_too_long,
    storable,
    without_secrets,
)
from syncer.model import FIELDS, LARGEST_ID, TYPES, Instance, Item, Reject
from syncer.scrub import REMOVED, SHORTEST_TOKEN

CLEANED_TEXTS = 50_000  # remembered at a time
SHORTEST_KNOWN_TOKEN = 16  # characters
LONGEST_REJECTED_TEXT = 1024  # characters kept of one string of a rejected item
UNDOCUMENTED_KEYS = ("apiUrl", "mediaUrl")  # have no column, but stand in every newer item (UPSTREAM, The answer)
KNOWN_KEYS = frozenset({"idInstance", "apiTokenInstance", *(field.key for field in FIELDS.values())})

_DECIMAL_ID = re.compile("[1-9][0-9]{0,18}")
_ANY = msgspec.json.Decoder()


class Decoder(NamedTuple):
    """What reading an answer needs to know besides its bytes.

    With `keeps_tokens`, items carry their tokens to the transaction. An answer of up to `kept_bytes` is kept until it
    is settled; a larger one is read in blocks and, where it must be read again, asked for again.
    """

    upstream_offset: timedelta
    scrub: Scrub
    keeps_tokens: bool = False
    block_bytes: int = 256 * 1024
    kept_bytes: int = 16 * 1024 * 1024


def _named(*kinds: object, bounded: bool = False) -> tuple[str, ...]:
    """The fields of these types, in the order of `Instance`; those with a greatest length, or those without."""
    return tuple(
        name for name, kind in TYPES.items() if kind in kinds and (FIELDS[name].longest_bytes is not None) is bounded
    )


_LONG_TEXTS = _named(str | None, bounded=True)
_SHARED_TEXTS = _named(str | None)  # types, customer and tariff: what many instances have in common
_TIMES = _named(datetime | None)
_REQUIRED_FLAGS = _named(bool)
_FLAGS = _named(bool | None)
_READ_ORDER = (
    "id_instance", *_LONG_TEXTS, *_SHARED_TEXTS, *_TIMES, *_REQUIRED_FLAGS, *_FLAGS, "token_fingerprint", "extra",
)  # fmt: skip
_in_order_of_instance = itemgetter(*map(_READ_ORDER.index, Instance._fields))

_Member = tuple[str, object, Any]


def _members(names: Sequence[str], kind: object, **default: Any) -> list[_Member]:
    return [(name, kind, msgspec.field(name=FIELDS[name].key, **default)) for name in names]


Usual = msgspec.defstruct(
    "Usual",
    [
        ("id_instance", Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)], msgspec.field(name="idInstance")),
        *_members(_REQUIRED_FLAGS, bool),
        *_members((*_LONG_TEXTS, *_SHARED_TEXTS, *_TIMES), str | None, default=None),
        *_members(_FLAGS, bool | None, default=None),
        ("api_token_instance", str | None, msgspec.field(name="apiTokenInstance", default=None)),
        *((key, str | msgspec.UnsetType, msgspec.field(name=key, default=msgspec.UNSET)) for key in UNDOCUMENTED_KEYS),
    ],
    forbid_unknown_fields=True,
    gc=False,
)
"""An item in its usual form: every key known, every value of its usual type. Read ten times as quickly as others."""

_USUAL_LIST = msgspec.json.Decoder(list[Usual])  # type: ignore[valid-type]
_USUAL = msgspec.json.Decoder(Usual)


def _all_of(names: Sequence[str]) -> Callable[[object], tuple[Any, ...]]:
    """`attrgetter` that gives a tuple for one name too."""
    getter = attrgetter(*names)
    return getter if len(names) > 1 else lambda of: (getter(of),)


_long_texts_of = _all_of(_LONG_TEXTS)
_shared_texts_of = _all_of(_SHARED_TEXTS)
_times_of = _all_of(_TIMES)
_flags_of = _all_of((*_REQUIRED_FLAGS, *_FLAGS))
_undocumented_of = _all_of(UNDOCUMENTED_KEYS)
_LONGEST = [(FIELDS[name].key, FIELDS[name].longest_bytes or 0) for name in _LONG_TEXTS]
_TIME_FIELDS = [FIELDS[name] for name in _TIMES]
_NOT_SENT = (msgspec.UNSET,) * len(UNDOCUMENTED_KEYS)

Text = bytes | msgspec.Raw
Texts = tuple[str | None, ...]


class ItemReader:
    """Reads items of answers under the same settings."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._cleaned: dict[Texts, Texts] = {}  # what became of texts that many instances share

    def read(self, items: Sequence[Text], positions: Sequence[int], hashes: Sequence[int]) -> list[Item | Reject]:
        """What each item says, or why it is rejected; `positions` are their places in the list.

        Raises `ValueError` or `RecursionError` for what is no JSON in UTF-8.
        """
        text = b",".join(items)
        text.decode()
        if len(self._cleaned) > CLEANED_TEXTS:
            self._cleaned.clear()
        try:
            usual = _USUAL_LIST.decode(b"[%b]" % text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return [self.read_one(*one) for one in zip(items, positions, hashes, strict=True)]
        return [
            self._read_usual(one, item_hash) or self._read_unusual(item, position, item_hash)
            for one, item, position, item_hash in zip(usual, items, positions, hashes, strict=True)
        ]

    def read_one(self, item: Text, position: int, item_hash: int) -> Item | Reject:
        """The same for one item."""
        try:
            usual = _USUAL.decode(item)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._read_unusual(item, position, item_hash)
        return self._read_usual(usual, item_hash) or self._read_unusual(item, position, item_hash)

    def reject(self, item: Text, position: int, id_instance: int, reason: str) -> Reject:
        """An item that is rejected for a reason that lies outside it."""
        return Reject(position, id_instance, reason, _presentable(parse_item(item), self._decoder.scrub))

    def _read_usual(self, usual: Any, item_hash: int) -> Item | None:
        """What `_read_unusual` makes of the same item, at a tenth of its cost; None for a bad one."""
        scrub = self._decoder.scrub
        offset = self._decoder.upstream_offset
        token = storable(usual.api_token_instance or "")

        def clean(text: str | None) -> str | None:
            if text is None:
                return None
            text = storable(text)
            if len(token) >= SHORTEST_TOKEN and token in text:
                text = text.replace(token, REMOVED)
            return scrub(text)

        texts = _shared_texts_of(usual)
        shared = self._cleaned.get(texts)
        if shared is None:
            shared = tuple(map(clean, texts))
            if all(text is None or len(text) < SHORTEST_TOKEN for text in texts):  # too short to hold the own token
                self._cleaned[texts] = shared
        extra = "{}"
        undocumented = _undocumented_of(usual)
        if undocumented != _NOT_SENT:
            sent = zip(UNDOCUMENTED_KEYS, undocumented, strict=True)
            extra = canonical_json({key: clean(text) for key, text in sent if text is not msgspec.UNSET})
        own = [clean(text) for text in _long_texts_of(usual)]
        try:
            for text, (key, longest_bytes) in zip(own, _LONGEST, strict=True):
                refuse_too_long(key, text, longest_bytes)
            times = [
                read_time(field.key, text, offset, is_end=field.is_end)
                for field, text in zip(_TIME_FIELDS, _times_of(usual), strict=True)
            ]
        except BadItem:
            return None
        told = (usual.id_instance, *own, *shared, *times, *_flags_of(usual))
        read = (*told, fingerprint(token) if is_known_token(token) else None, extra)
        return Item(Instance._make(_in_order_of_instance(read)), item_hash, self._kept(usual.api_token_instance))

    def _read_unusual(self, item: Text, position: int, item_hash: int) -> Item | Reject:
        value = parse_item(item)
        id_instance = id_of(value)
        if id_instance is None or not isinstance(value, dict):
            return Reject(position, None, _why_no_id(value), _presentable(value, self._decoder.scrub))
        try:
            instance = _read_fields(id_instance, value, self._decoder)
        except BadItem as bad:
            return Reject(position, id_instance, str(bad), _presentable(value, self._decoder.scrub))
        return Item(instance, item_hash, self._kept(value.get("apiTokenInstance")))

    def _kept(self, token: str | None) -> bytes | None:
        if not token or not self._decoder.keeps_tokens or not is_known_token(token):
            return None
        return token.encode("utf-8", "surrogatepass")


def is_known_token(token: str) -> bool:
    """Whether it is one: what is too short or one character repeated is a mask, as consoles show it."""
    return len(token) >= SHORTEST_KNOWN_TOKEN and len(set(token)) > 1


def parse_item(item: Text) -> Any:
    """An item's JSON value; raises `ValueError` or `RecursionError` for one that the standard library refuses too."""
    try:
        return _ANY.decode(item)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return parse_json(bytes(item).decode())  # msgspec refuses a lone surrogate, for one


def id_of(value: object) -> int | None:
    """The item's id if it can be read: an integer from 1 to 2^63-1, or a decimal string of one."""
    told = value.get("idInstance") if isinstance(value, dict) else None
    if isinstance(told, str) and _DECIMAL_ID.fullmatch(told):
        told = int(told)
    if isinstance(told, bool) or not isinstance(told, int) or not 1 <= told <= LARGEST_ID:
        return None
    return told


def _why_no_id(value: object) -> str:
    if not isinstance(value, dict):
        return "it is not an object"
    if value.get("idInstance") is None:
        return "idInstance is missing"
    return "idInstance is no integer from 1 to 2^63-1"


def _read_fields(id_instance: int, value: dict[str, Any], decoder: Decoder) -> Instance:
    """An item in whatever form; raises `BadItem` for the first field, in the order of `Instance`, that is bad."""
    token = read_text("apiTokenInstance", value.get("apiTokenInstance"), str)

    def scrub(text: str) -> str:
        if token and len(token) >= SHORTEST_TOKEN and token in text:
            text = text.replace(token, REMOVED)
        return decoder.scrub(text)

    read = {name: _read_field(name, value.get(field.key), scrub, decoder) for name, field in FIELDS.items()}
    unknown = {key: one for key, one in value.items() if key not in KNOWN_KEYS}
    return Instance(
        id_instance=id_instance,
        **read,
        token_fingerprint=fingerprint(token) if token and is_known_token(token) else None,
        extra=canonical_json(without_secrets(unknown, scrub)) if unknown else "{}",
    )


def _read_field(name: str, value: object, scrub: Scrub, decoder: Decoder) -> Any:
    field, kind = FIELDS[name], TYPES[name]
    if kind == str | None:
        text = read_text(field.key, value, scrub)
        if field.longest_bytes is not None:
            refuse_too_long(field.key, text, field.longest_bytes)
        return text
    if kind == datetime | None:
        return read_time(field.key, value, decoder.upstream_offset, is_end=field.is_end)
    return read_required_flag(field.key, value) if kind is bool else read_flag(field.key, value)


def _presentable(value: object, scrub: Scrub) -> str:
    """A bad item as JSON text to store: its own token removed wherever it stands, long texts cut after that."""
    token = value.get("apiTokenInstance") if isinstance(value, dict) else None
    tokens = [token] if isinstance(token, str) and token else []

    def scrub_and_cut(text: str) -> str:
        for token in tokens:
            text = text.replace(token, REMOVED)
        return scrub(text)[:LONGEST_REJECTED_TEXT]

    if isinstance(value, dict):
        value = {key: REMOVED if key == "apiTokenInstance" and one else one for key, one in value.items()}
    try:
        return canonical_json(without_secrets(value, scrub_and_cut))
    except BadItem as bad:
        return canonical_json(str(bad))
