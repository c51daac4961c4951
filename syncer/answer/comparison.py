"""The items of one answer beside what is known. Pure."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import msgspec
from xxhash import xxh3_64_intdigest

from syncer.answer.body import Body
from syncer.answer.item import Decoder, ItemReader, id_of, parse_item
from syncer.answer.known import MISSING, Known
from syncer.answer.listing import Listing
from syncer.answer.pieces import NotAList, Pieces
from syncer.answer.problem import too_many_rejects
from syncer.answer.spool import Spool
from syncer.model import LARGEST_ID, Item, Reject


class _Id(msgspec.Struct, rename="camel", gc=False):
    id_instance: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)]


_IDS = msgspec.json.Decoder(list[_Id])
_ID = msgspec.json.Decoder(_Id)


class Comparison:
    """The items of one answer beside what is known; ids in `twice` are left for the end."""

    def __init__(self, known: Known, decoder: Decoder, seed: int, twice: frozenset[int]) -> None:
        self._known = known
        self._decoder = decoder
        self._seed = seed
        self._reader = ItemReader(decoder)
        self._position = 0
        self._seen = bytearray(len(known.ids))
        self._foreign_ids = array("q")
        self._differing = Spool()
        self._rejects: list[Reject] = []
        self._every_id_read = True
        self._apart: dict[int, list[tuple[int, bytes]]] = {id_instance: [] for id_instance in twice}
        self._listed_twice: set[int] = set()

    @property
    def twice(self) -> frozenset[int]:
        """Ids that are listed more than once, and were not known to be."""
        ids = sorted(self._foreign_ids)
        return frozenset(self._listed_twice | {one for one, other in pairwise(ids) if one == other})

    def add(self, items: Pieces) -> None:
        """The next items of the list; raises `NotAList` where they are not UTF-8."""
        seed = self._seed
        ids: Sequence[int | None]
        try:
            ids = [one.id_instance for one in _IDS.decode(b"[%b]" % b",".join(items))]
        except (msgspec.MsgspecError, ValueError, RecursionError):
            ids = list(map(_id_in, items))
        known_ids, known_hashes, known_flags = self._known
        seen, apart, rows = self._seen, self._apart, len(known_ids)
        position, row = self._position, -1
        others: list[tuple[int, int]] = []  # place among these items, hash
        for place, (item, id_instance) in enumerate(zip(items, ids, strict=True)):
            if id_instance is None:
                others.append((place, 0))
                continue
            if id_instance in apart:
                apart[id_instance].append((position + place, bytes(item)))
                continue
            row += 1  # in the mirror's order, which an answer often has
            if row >= rows or known_ids[row] != id_instance:
                row = bisect_left(known_ids, id_instance)
            item_hash = xxh3_64_intdigest(item, seed)
            if row == rows or known_ids[row] != id_instance:
                self._foreign_ids.append(id_instance)
            elif seen[row]:
                self._listed_twice.add(id_instance)
                continue
            else:
                seen[row] = 1
                if item_hash == known_hashes[row] and not known_flags[row] & MISSING:
                    continue
            others.append((place, item_hash))
        self._position += len(items)
        if others:
            self._add_others([items[place] for place, _hash in others], others, position)

    def _add_others(self, items: Pieces, places: Sequence[tuple[int, int]], position: int) -> None:
        try:
            b",".join(items).decode()
        except UnicodeDecodeError:
            raise NotAList from None
        positions = [position + place for place, _hash in places]
        try:
            outcomes = self._reader.read(items, positions, [item_hash for _place, item_hash in places])
        except (ValueError, RecursionError):
            raise NotAList from None
        for outcome in outcomes:
            self._keep(outcome)

    def _keep(self, outcome: Item | Reject) -> None:
        if isinstance(outcome, Reject):
            self._rejects.append(outcome)
            self._every_id_read = self._every_id_read and outcome.id_instance is not None
        else:
            self._differing.add(outcome)

    def listing(self, body: Body) -> Listing:
        """All that the answer says."""
        repeated = sum(map(self._settle, self._apart.values()))
        listed = self._position - repeated
        rejects = tuple(sorted(self._rejects))
        rejected = {reject.id_instance for reject in rejects}
        flags = self._known.flags
        absent = array("q")
        if self._every_id_read:
            absent.extend(row for row in range(len(flags)) if not (self._seen[row] or flags[row] & MISSING))
        return Listing(
            listed,
            body.size,
            body.sha256(),
            self._seed,
            body.digest(),
            self._differing,
            rejects,
            self._known,
            absent,
            shares_any=any(self._seen),
            foreign_ids=array("q", (one for one in self._foreign_ids if one not in rejected)),
            problem=too_many_rejects(rejects, listed),
        )

    def _settle(self, items: Sequence[tuple[int, bytes]]) -> int:
        """Items with the same id count once if they say the same, else all are bad; how many are not counted."""
        if not items:
            return 0
        hashes = [xxh3_64_intdigest(item, self._seed) for _position, item in items]
        read = [
            self._reader.read_one(item, position, item_hash)
            for (position, item), item_hash in zip(items, hashes, strict=True)
        ]
        id_instance = read[0].id_instance or 0
        row = self._known.find(id_instance)
        if row < 0:
            self._foreign_ids.append(id_instance)
        else:
            self._seen[row] = 1
        differing = [place for place, outcome in enumerate(read) if not _say_the_same(read[0], outcome)]
        if differing:
            reason = f"idInstance is listed {1 + len(differing)} times with differing items"
            for position, item in (items[place] for place in (0, *differing)):
                self._rejects.append(self._reader.reject(item, position, id_instance, reason))
        elif row < 0 or hashes[0] != self._known.hashes[row] or self._known.flags[row] & MISSING:
            self._keep(read[0])
        return len(items) - 1 - len(differing)


def _say_the_same(one: Item | Reject, other: Item | Reject) -> bool:
    if isinstance(one, Reject) and isinstance(other, Reject):
        return one[1:] == other[1:]
    return isinstance(one, Item) and isinstance(other, Item) and one.instance == other.instance


def _id_in(item: bytes | msgspec.Raw) -> int | None:
    try:
        return _ID.decode(item).id_instance
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        return id_of(parse_item(item))
    except (ValueError, RecursionError):
        raise NotAList from None
