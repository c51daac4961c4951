"""Items that differ, kept small between the reading of an answer and its transaction. Pure."""

import zlib
from collections.abc import Iterable, Iterator

import msgspec

from syncer.model import Item

PACKED_ITEMS = 1_000
PLAIN_PACKED_BYTES = 16 * 1024 * 1024  # what is packed beyond this is compressed too

_PACK = msgspec.msgpack.Encoder()
_UNPACK = msgspec.msgpack.Decoder(list[Item])


class Spool:
    """Given back in the order they came, some at a time."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._packs: list[tuple[bool, bytes]] = []
        self._packed_bytes = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, items: Iterable[Item]) -> None:
        before = len(self._items)
        self._items += items
        self._count += len(self._items) - before
        while len(self._items) >= PACKED_ITEMS:
            self._pack()

    def batches(self) -> Iterator[list[Item]]:
        for compressed, pack in self._packs:
            yield _UNPACK.decode(zlib.decompress(pack) if compressed else pack)
        if self._items:
            yield self._items

    def _pack(self) -> None:
        pack = _PACK.encode(self._items[:PACKED_ITEMS])
        compressed = self._packed_bytes > PLAIN_PACKED_BYTES
        if compressed:
            pack = zlib.compress(pack, 1)
        self._packed_bytes += len(pack)
        self._packs.append((compressed, pack))
        del self._items[:PACKED_ITEMS]
