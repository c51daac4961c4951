"""Tells the items of an answer that are as they were when they were applied from those to be looked at. Pure."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
from xxhash import xxh3_64_intdigest

from syncer.answer.blocks import OddAnswer
from syncer.answer.decode import BadItem, Decoder, Shared, Told, read_item, read_plain_json, read_told
from syncer.answer.packed import Hashes, Packed
from syncer.model import Instance, Reject

SETTLED_ITEMS = 50_000  # items after which an answer that differs in most of them is looked up by id
CLEANED_TEXTS = 50_000

DELETED, MISSING = 1, 2  # flags of a known row

_TOLD_LIST = msgspec.json.Decoder(list[Told])
_TOLD = msgspec.json.Decoder(Told)
_ANY = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


class Known(NamedTuple):
    """What the mirror holds of an account, column by column in ascending order of id; a hash of 0 is no hash."""

    ids: "array[int]"
    item_hashes: "array[int]"
    content_hashes: "array[int]"
    flags: bytearray

    def find(self, id_instance: int) -> int:
        """The row of an id, or -1."""
        index = bisect_left(self.ids, id_instance)
        return index if index < len(self.ids) and self.ids[index] == id_instance else -1


NOTHING_KNOWN = Known(array("q"), array("Q"), array("Q"), bytearray())
"""Of an account whose first answer is yet to come."""


class Matcher:
    """Tells the items that are as they were from those that differ, and which rows were not seen."""

    def __init__(self, known: Known, decoder: Decoder, seed: int) -> None:
        self.position = 0
        self.differing = Packed()
        self.rejects: list[Reject] = []
        self.proves_absence = True
        self.returned = 0  # rows that were missing and are listed
        self.sealed_tokens: dict[int, bytes] = {}
        self._known = known
        self._decoder = decoder
        self._seed = seed
        self._seen = bytearray(len(known.ids))
        hashes = [
            number
            for number, flags in zip(known.item_hashes, known.flags, strict=True)
            if number and not flags & MISSING
        ]
        self._awaited: set[int] | None = set(hashes)
        if len(self._awaited) != len(hashes):
            raise OddAnswer
        self._all_hashed = len(hashes) == known.flags.count(0) + known.flags.count(DELETED)
        self._new_ids = array("q")
        self._cleaned: dict[Shared, Shared] = {}

    def take(self, items: Sequence[bytes | msgspec.Raw]) -> None:
        """The next items of the list."""
        seed = self._seed
        hashes = [xxh3_64_intdigest(item, seed) for item in items]
        awaited = self._awaited
        if awaited is not None:
            block = set(hashes)
            if len(block) == len(hashes) and block <= awaited:
                awaited -= block
            else:
                self._take_others(items, hashes, awaited)
        else:
            self._take_each(items, hashes, range(self.position, self.position + len(items)))
        self.position += len(items)
        if (
            awaited
            and self.position >= SETTLED_ITEMS
            and len(self.differing) > self.position // 2
            and len(awaited) > len(self._known.ids) // 4
        ):
            self._look_up_by_id()

    def unseen(self) -> "array[int]":
        """The rows, by index, that are listed in the mirror and not in the answer.

        Raises `OddAnswer` for an id that is listed twice.
        """
        if any(one >= other for one, other in pairwise(self._new_ids)):
            ids = sorted(self._new_ids)
            if any(one == other for one, other in pairwise(ids)):
                raise OddAnswer
        flags = self._known.flags
        if self._all_hashed and not self._awaited and self._awaited is not None:
            return array("q")
        return array(
            "q", (index for index in range(len(flags)) if not flags[index] & MISSING and not self._is_seen(index))
        )

    def _is_seen(self, index: int) -> bool:
        if self._seen[index]:
            return True
        awaited, number = self._awaited, self._known.item_hashes[index]
        return awaited is not None and bool(number) and not self._known.flags[index] & MISSING and number not in awaited

    def _look_up_by_id(self) -> None:
        """Do without the set of hashes, which takes much room and finds little in this answer."""
        for index in range(len(self._seen)):
            self._seen[index] = self._is_seen(index)
        self._awaited = None

    def _take_others(self, items: Sequence[bytes | msgspec.Raw], hashes: list[int], awaited: set[int]) -> None:
        others = []
        for offset, number in enumerate(hashes):
            if number in awaited:
                awaited.remove(number)
            else:
                others.append(offset)
        self._take_each(
            [items[offset] for offset in others],
            [hashes[offset] for offset in others],
            [self.position + offset for offset in others],
        )

    def _take_each(self, items: Sequence[bytes | msgspec.Raw], hashes: Sequence[int], positions: Sequence[int]) -> None:
        joined = b"[%b]" % b",".join(items)
        try:
            joined.decode()
        except UnicodeDecodeError:
            raise OddAnswer from None
        usual: Iterable[Told | None]
        try:
            usual = _TOLD_LIST.decode(joined)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            usual = map(_told, items)
        del joined
        for told, item, item_hash, position in zip(usual, items, hashes, positions, strict=True):
            if told is not None:
                self._take_told(told, item, item_hash, position)
            else:
                self._take_unusual(item, item_hash, position)
        if len(self._cleaned) > CLEANED_TEXTS:
            self._cleaned.clear()

    def _take_told(self, told: Told, item: bytes | msgspec.Raw, item_hash: int, position: int) -> None:
        content_hash = xxh3_64_intdigest(_ENCODER.encode(told), self._seed)
        index = self._note(told.id_instance)
        if index >= 0 and not self._known.flags[index] & MISSING and content_hash == self._known.content_hashes[index]:
            return
        try:
            instance = read_told(told, self._decoder, self._cleaned)
        except BadItem:
            self._keep(read_item(position, _ANY.decode(item), self._decoder), Hashes(item_hash, 0), None)
        else:
            self._keep(instance, Hashes(item_hash, content_hash), told.api_token_instance)

    def _take_unusual(self, item: bytes | msgspec.Raw, item_hash: int, position: int) -> None:
        try:
            value = _ANY.decode(item)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            try:
                value = read_plain_json(bytes(item).decode())
            except (ValueError, RecursionError):
                raise OddAnswer from None
        outcome = read_item(position, value, self._decoder)
        if outcome.id_instance is None:
            self.proves_absence = False
        else:
            self._note(outcome.id_instance)
        self._keep(outcome, Hashes(item_hash, 0), value.get("apiTokenInstance") if isinstance(value, dict) else None)

    def _keep(self, outcome: Instance | Reject, hashes: Hashes, token: str | None) -> None:
        if isinstance(outcome, Reject):
            self.rejects.append(outcome)
            return
        self.differing.add(outcome, hashes)
        if self._decoder.seal and token:
            self.sealed_tokens[outcome.id_instance] = self._decoder.seal(outcome.id_instance, token)

    def _note(self, id_instance: int) -> int:
        """Note that an id is listed, and give its row's index, or -1; raises `OddAnswer` for an id twice."""
        index = self._known.find(id_instance)
        if index < 0:
            self._new_ids.append(id_instance)
            return index
        if self._is_seen(index):
            raise OddAnswer
        self._seen[index] = 1
        if self._known.flags[index] & MISSING:
            self.returned += 1
        elif self._awaited is not None:
            self._awaited.discard(self._known.item_hashes[index])
        return index


def _told(item: bytes | msgspec.Raw) -> Told | None:
    try:
        return _TOLD.decode(item)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
