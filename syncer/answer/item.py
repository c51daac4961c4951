"""An item of an answer to an instance, or to the reason why it is rejected (CONTRACT 5). Driven by `model.FIELDS`."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import repeat
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec.structs import astuple

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
    read_times,
    refuse_too_long,
    shallow,
    storable,
    without_secrets,
)
from syncer.model import FIELDS, LARGEST_ID, TYPES, Instance, Item, Reject
from syncer.scrub import REMOVED, without

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
    kept_bytes: int = 8 * 1024 * 1024  # some 20,000 items; what is kept and what differs are in memory at once


def _named(kind: object) -> tuple[str, ...]:
    """The fields of this type, in the order of `Instance`."""
    return tuple(name for name, its in TYPES.items() if its == kind)


_TEXTS = _named(str | None)
_TIMES = [(name, FIELDS[name]) for name in _named(datetime | None)]
_LONGEST = [(name, FIELDS[name].key, longest) for name in _TEXTS if (longest := FIELDS[name].longest_bytes) is not None]


def _member(name: str) -> tuple[str, object, Any]:
    key, kind = FIELDS[name].key, TYPES[name]
    if kind is bool:
        return name, bool, msgspec.field(name=key)
    return name, bool | None if kind == bool | None else str | None, msgspec.field(name=key, default=None)


Usual = msgspec.defstruct(
    "Usual",
    [
        ("id_instance", Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)], msgspec.field(name="idInstance")),
        *map(_member, FIELDS),
        ("api_token_instance", str | None, msgspec.field(name="apiTokenInstance", default=None)),
        *((key, str | msgspec.UnsetType, msgspec.field(name=key, default=msgspec.UNSET)) for key in UNDOCUMENTED_KEYS),
    ],
    forbid_unknown_fields=True,
    kw_only=True,
    gc=False,
)
"""An item in its usual form: every key known, every value of its usual type. Read ten times as quickly as others."""

_USUAL_LIST = msgspec.json.Decoder(list[Usual])  # type: ignore[valid-type]
_USUAL = msgspec.json.Decoder(Usual)


_USUAL_NAMES = tuple(field.name for field in msgspec.structs.fields(Usual))

Text = bytes | msgspec.Raw


class ItemReader:
    """Reads items of answers under the same settings."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def read(
        self, items: Sequence[Text], positions: Sequence[int], hashes: Sequence[int], rests: Sequence[int]
    ) -> list[Item | Reject]:
        """What each item says, or why it is rejected; `positions` are their places in the list.

        An item that is not in its usual form, or expired, keeps no hash of its rest.
        Raises `ValueError` for what is no JSON in UTF-8.
        """
        text = b",".join(items)
        text.decode()
        try:
            return self._read_usual(_USUAL_LIST.decode(b"[%b]" % text), hashes, rests)
        except (msgspec.MsgspecError, ValueError, RecursionError, BadItem):
            return [self.read_one(*one) for one in zip(items, positions, hashes, rests, strict=True)]

    def read_one(self, item: Text, position: int, item_hash: int, rest_hash: int) -> Item | Reject:
        """The same for one item."""
        try:
            (read,) = self._read_usual([_USUAL.decode(item)], [item_hash], [rest_hash])
        except (msgspec.MsgspecError, ValueError, RecursionError, BadItem):
            return self._read_unusual(item, position, item_hash)
        return read

    def reject(self, item: Text, position: int, id_instance: int, reason: str) -> Reject:
        """An item that is rejected for a reason that lies outside it."""
        return Reject(position, id_instance, reason, _presentable(parse_item(item), self._decoder.scrub))

    def _read_usual(self, items: Sequence[Any], hashes: Sequence[int], rests: Sequence[int]) -> list[Item | Reject]:
        """What `_read_unusual` makes of the same items, at a tenth of its cost; raises `BadItem` where one is bad.

        Field by field: item by item takes three times as long.
        """
        columns: dict[str, Sequence[Any]]
        columns = dict(zip(_USUAL_NAMES, zip(*map(astuple, items), strict=True), strict=True))
        tokens = [storable(token or "") for token in columns["api_token_instance"]]
        for name in _TEXTS:
            columns[name] = self._clean(columns[name], tokens)
        for name, key, longest_bytes in _LONGEST:
            for text in columns[name]:
                if text is not None and len(text) * 4 > longest_bytes:
                    refuse_too_long(key, text, longest_bytes)
        offset = self._decoder.upstream_offset
        for name, field in _TIMES:
            moments = read_times(field.key, columns[name], offset, is_end=field.is_end)
            columns[name] = list(map(moments.__getitem__, columns[name]))
        columns["token_fingerprint"] = [fingerprint(token) if is_known_token(token) else None for token in tokens]
        columns["extra"] = self._extras(columns, tokens)
        instances = map(Instance._make, zip(*map(columns.__getitem__, Instance._fields), strict=True))
        rests = [0 if expired else rest for expired, rest in zip(columns["is_expired"], rests, strict=True)]
        keeps = self._decoder.keeps_tokens
        kept = map(self._kept, columns["api_token_instance"]) if keeps else repeat(None, len(items))
        return list(map(Item, instances, hashes, kept, rests))

    def _clean(self, texts: Sequence[Any], tokens: Sequence[str]) -> list[Any]:
        """Texts as they can be stored, each without the token of its item; what is no text stays as it is.

        What many items have in common is cleaned once.
        """
        stored = {text: storable(text) if isinstance(text, str) else text for text in set(texts)}
        texts = list(map(stored.__getitem__, texts))
        may_hold_one = any(isinstance(text, str) and len(text) >= SHORTEST_KNOWN_TOKEN for text in stored)
        if may_hold_one:
            texts = [
                _without_token(text, token) if isinstance(text, str) and len(text) >= len(token) else text
                for text, token in zip(texts, tokens, strict=True)
            ]
        scrub = self._decoder.scrub
        cleaned = {text: scrub(text) if isinstance(text, str) else text for text in set(texts)}
        return list(map(cleaned.__getitem__, texts))

    def _extras(self, columns: Mapping[str, Sequence[Any]], tokens: Sequence[str]) -> list[str]:
        sent = list(zip(*(self._clean(columns[key], tokens) for key in UNDOCUMENTED_KEYS), strict=True))
        extras = {
            texts: canonical_json(
                {key: text for key, text in zip(UNDOCUMENTED_KEYS, texts, strict=True) if text is not msgspec.UNSET}
            )
            for texts in set(sent)
        }
        return [extras[texts] for texts in sent]

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
    return len(token) >= SHORTEST_KNOWN_TOKEN and token.strip(token[0]) != ""


def _without_token(text: str, token: str) -> str:
    """A text without the token of its own item, if that is long enough not to stand in innocent words."""
    return without(token, text) if len(token) >= SHORTEST_KNOWN_TOKEN else text


def parse_item(item: Text) -> Any:
    """An item's JSON value, of a deep one what `shallow` leaves; raises `ValueError` for what is no JSON."""
    try:
        return _ANY.decode(item)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        text = bytes(item).decode()
    try:
        return parse_json(text)  # msgspec refuses a lone surrogate, for one
    except RecursionError:
        return parse_json(shallow(text)[0])


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
        return decoder.scrub(_without_token(text, token or ""))

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
    tokens = [storable(token)] if isinstance(token, str) and token else []

    def scrub_and_cut(text: str) -> str:
        for token in tokens:
            text = without(token, text)
        return scrub(text)[:LONGEST_REJECTED_TEXT]

    if isinstance(value, dict):
        value = {key: REMOVED if key == "apiTokenInstance" and one else one for key, one in value.items()}
    try:
        return canonical_json(without_secrets(value, scrub_and_cut))
    except BadItem as bad:
        return canonical_json(str(bad))
