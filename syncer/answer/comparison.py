"""The items of one answer beside what is known. Pure."""

from array import array
from collections.abc import Collection, Mapping, Sequence
from itertools import compress, islice, pairwise
from operator import and_, lt
from typing import Annotated

import msgspec
from xxhash import xxh3_64_intdigest

from syncer.answer.body import Body
from syncer.answer.item import Decoder, ItemReader, id_of, parse_item
from syncer.answer.known import CONTESTED, FREE, MISSING, Known
from syncer.answer.listing import Listing
from syncer.answer.pieces import NotAList, Pieces
from syncer.answer.problem import too_many_rejects
from syncer.answer.redated import Redated, read_dates, rest_of
from syncer.answer.spool import Spool
from syncer.model import LARGEST_ID, Item, Reject

RETURNS = MISSING | FREE  # listed again, or by another account: to be decided anew, though the item be as it was
_NO_RETURN = bytes(not flags & RETURNS for flags in range(256))


class _Id(msgspec.Struct, rename="camel", gc=False):
    id_instance: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)]


_IDS = msgspec.json.Decoder(list[_Id])
_ID = msgspec.json.Decoder(_Id)


def _id_of(item: bytes | msgspec.Raw) -> int | None:
    try:
        return _ID.decode(item).id_instance
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        return id_of(parse_item(item))
    except ValueError:
        raise NotAList from None


def _ids_of(items: Pieces) -> Sequence[int | None]:
    """The ids of items; None for one that cannot be read. Raises `NotAList` for what is no JSON after all."""
    try:
        return [one.id_instance for one in _IDS.decode(b"[%b]" % b",".join(items))]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return list(map(_id_of, items))


def _as_they_were(known: Known) -> tuple[set[int], bytearray]:
    """The hashes that tell an item that is as it was, and for each row 1 where they hold its own, else 0."""
    tells = known.flags.translate(_NO_RETURN)
    hashes = set(known.hashes)
    if 0 in tells or 0 in hashes:
        tells = bytearray(map(and_, map(bool, known.hashes), tells))
        hashes = set(compress(known.hashes, tells))
    if len(hashes) < tells.count(1):  # two rows of one hash, which is as good as never: each item is looked at
        return set(), bytearray(len(tells))
    return hashes, tells


class Comparison:
    """The items of one answer beside what is known; ids in `twice` are left for the end."""

    def __init__(self, known: Known, decoder: Decoder, seed: int, twice: frozenset[int]) -> None:
        self._known = known
        self._decoder = decoder
        self._seed = seed
        self._reader = ItemReader(decoder)
        self._position = 0
        self._unseen, self._seen = _as_they_were(known)
        self._foreign_ids = array("q")
        self._differing = Spool()
        self._redated = Redated()
        self._rejects: list[Reject] = []
        self._every_id_read = True
        self._apart: dict[int, list[tuple[int, bytes]]] = {id_instance: [] for id_instance in twice}
        self._listed_twice: set[int] = set()
        self._repeated = 0  # items that say what another one says

    @property
    def twice(self) -> frozenset[int]:
        """Ids that are listed more than once, and were not known to be."""
        ids = self._foreign_ids
        if all(map(lt, ids, islice(ids, 1, None))):  # as they mostly do; to sort them takes five times their room
            return frozenset(self._listed_twice)
        return frozenset(self._listed_twice | {one for one, other in pairwise(sorted(ids)) if one == other})

    def add(self, items: Pieces) -> None:
        """The next items of the list; raises `NotAList` where they are not UTF-8, or no JSON after all."""
        hashes = [xxh3_64_intdigest(item, self._seed) for item in items]
        places = self._not_as_they_were(hashes)
        if places:
            positions = [self._position + place for place in places]
            self._look_closer([items[place] for place in places], [hashes[place] for place in places], positions)
        self._position += len(items)

    def settle(self) -> None:
        """Say what the ids that are listed twice mean, after the last item; raises `NotAList` as `add` does."""
        for items in self._apart.values():
            if items:
                self._settle(items)

    def _not_as_they_were(self, hashes: Sequence[int]) -> Sequence[int]:
        """The places of items that need a closer look; the others are noted as listed.

        A row that keeps an item's hash is the item's: the hash is of all its bytes, its id among them. Were it not,
        that row's own item would show as listed twice, and items of what is are looked at by their ids.
        """
        everywhere = range(len(hashes))
        if self._apart:
            return everywhere
        as_they_were = self._unseen.intersection(hashes)
        self._unseen -= as_they_were
        if len(as_they_were) == len(hashes):
            return ()
        if not as_they_were:
            return everywhere
        places = [place for place, item_hash in enumerate(hashes) if item_hash not in as_they_were]
        if len(places) + len(as_they_were) < len(hashes):  # one of them comes twice, and its first place alone is known
            places = []
            for place, item_hash in enumerate(hashes):
                if item_hash in as_they_were:
                    as_they_were.remove(item_hash)
                else:
                    places.append(place)
        return places

    def _look_closer(self, items: Pieces, hashes: Sequence[int], positions: Sequence[int]) -> None:
        """Note which instances these items are of, and keep what they say where it differs from what is known."""
        ids = _ids_of(items)
        rows = self._known.rows_of(ids)
        told = zip(items, ids, hashes, rows, positions, strict=True)
        places = [place for place, one in enumerate(told) if self._is_to_be_read(*one)]
        rests = {place: rest_of(items[place], self._seed) for place in places}
        redated = self._redated_among(rows, hashes, rests)
        places = [place for place in places if place not in redated]
        if places:
            self._keep(
                self._read(
                    [items[place] for place in places],
                    [positions[place] for place in places],
                    [hashes[place] for place in places],
                    [rests[place][0] for place in places],
                )
            )

    def _is_to_be_read(
        self, item: bytes | msgspec.Raw, id_instance: int | None, item_hash: int, row: int, position: int
    ) -> bool:
        """Note that the item is listed, and say whether it differs from what is known or may be a bad one."""
        if id_instance is None:
            return True
        if id_instance in self._apart:
            self._apart[id_instance].append((position, bytes(item)))
            return False
        if row < 0:
            self._foreign_ids.append(id_instance)
            return True
        if not self._note(row):
            self._listed_twice.add(id_instance)
            return False
        return bool(self._known.flags[row] & RETURNS) or item_hash != self._known.hashes[row]

    def _note(self, row: int) -> bool:
        """Note that the row is listed; whether that is news."""
        if not self._known.flags[row] & RETURNS and self._known.hashes[row] in self._unseen:
            self._unseen.remove(self._known.hashes[row])
            return True
        is_news = not self._seen[row]
        self._seen[row] = 1
        return is_news

    def _redated_among(
        self, rows: Sequence[int], hashes: Sequence[int], rests: Mapping[int, tuple[int, bytes]]
    ) -> Collection[int]:
        """The places of those of these items of which nothing but the date is not as it was; that is kept of them."""
        known = self._known
        found: dict[int, tuple[int, bytes]] = {}
        for place, (rest_hash, date) in rests.items():
            row = rows[place]
            if row >= 0 and known.rests[row] == rest_hash != 0 and not known.flags[row] & RETURNS:
                found[place] = row, date
        if not found:
            return ()
        moments = read_dates([date for _row, date in found.values()], self._decoder.upstream_offset)
        dated = {place: moment for place, moment in zip(found, moments, strict=True) if moment is not None}
        self._redated.add((found[place][0] for place in dated), (hashes[place] for place in dated), dated.values())
        return dated.keys()

    def _read(
        self, items: Pieces, positions: Sequence[int], hashes: Sequence[int], rests: Sequence[int]
    ) -> list[Item | Reject]:
        try:
            return self._reader.read(items, positions, hashes, rests)
        except ValueError:
            raise NotAList from None

    def _keep(self, outcomes: Sequence[Item | Reject]) -> None:
        self._differing.add(outcome for outcome in outcomes if isinstance(outcome, Item))
        rejects = [outcome for outcome in outcomes if isinstance(outcome, Reject)]
        self._rejects += rejects
        self._every_id_read = self._every_id_read and all(reject.id_instance is not None for reject in rejects)

    def listing(self, body: Body) -> Listing:
        """All that the answer says."""
        listed = self._position - self._repeated
        if self._unseen:
            for row, (item_hash, flags) in enumerate(zip(self._known.hashes, self._known.flags, strict=True)):
                if item_hash in self._unseen and not flags & RETURNS:
                    self._seen[row] = 0
        unlisted, none = self._unlisted(), array("q")
        absent, unproven = (unlisted, none) if self._every_id_read else (none, unlisted)
        rejects = tuple(sorted(self._rejects))
        foreign_ids = self._foreign_ids
        if rejects:
            rejected = {reject.id_instance for reject in rejects}
            foreign_ids = array("q", (one for one in foreign_ids if one not in rejected))
        return Listing(
            listed,
            body.size,
            body.sha256(),
            self._seed,
            body.digest(),
            self._differing,
            self._redated,
            rejects,
            self._known,
            absent,
            unproven=unproven,
            shares_any=any(self._seen),
            foreign_ids=foreign_ids,
            repeated=self._repeated,
            every_id_read=self._every_id_read,
            problem=too_many_rejects(rejects, listed),
        )

    def _unlisted(self) -> "array[int]":
        unlisted = array("q")
        row = self._seen.find(0)
        while row >= 0:
            if not self._known.flags[row] & MISSING or self._known.flags[row] & CONTESTED:
                unlisted.append(row)
            row = self._seen.find(0, row + 1)
        return unlisted

    def _settle(self, items: Sequence[tuple[int, bytes]]) -> None:
        """Items with the same id count once if they say the same, else all are bad."""
        hashes = [xxh3_64_intdigest(item, self._seed) for _position, item in items]
        positions = [position for position, _item in items]
        read = self._read([item for _position, item in items], positions, hashes, [0] * len(items))
        id_instance = read[0].id_instance or 0
        row = self._known.find(id_instance)
        if row < 0:
            self._foreign_ids.append(id_instance)
        else:
            self._note(row)
        differing = [place for place, outcome in enumerate(read) if not _say_the_same(read[0], outcome)]
        if differing:
            reason = f"idInstance is listed {1 + len(differing)} times with differing items"
            for position, item in (items[place] for place in (0, *differing)):
                self._rejects.append(self._reader.reject(item, position, id_instance, reason))
        elif row < 0 or hashes[0] != self._known.hashes[row] or self._known.flags[row] & RETURNS:
            self._keep(read[:1])
        self._repeated += len(items) - 1 - len(differing)


def _say_the_same(one: Item | Reject, other: Item | Reject) -> bool:
    if isinstance(one, Reject) and isinstance(other, Reject):
        return one[1:] == other[1:]
    return isinstance(one, Item) and isinstance(other, Item) and one.instance == other.instance
