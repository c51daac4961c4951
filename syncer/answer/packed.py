"""Decoded instances, kept small between the reading of an answer and its transaction. Pure."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from syncer.model import Instance

PACKED_ROWS = 1_000
PLAIN_PACKED_BYTES = 16 * 1024 * 1024  # what is packed beyond this is compressed too


class Hashes(NamedTuple):
    """Of an item's bytes, and of its content in whatever order of keys; 0 is none."""

    item: int
    content: int


_PACK = msgspec.msgpack.Encoder()
_UNPACK = msgspec.msgpack.Decoder(list[tuple[Instance, Hashes]])


class Packed:
    """Given back in the order they came."""

    def __init__(self) -> None:
        self._rows: list[tuple[Instance, Hashes]] = []
        self._packs: list[tuple[bool, bytes]] = []
        self._packed_bytes = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, instance: Instance, hashes: Hashes) -> None:
        self._rows.append((instance, hashes))
        self._count += 1
        if len(self._rows) == PACKED_ROWS:
            self._pack()

    def batches(self) -> Iterator[list[tuple[Instance, Hashes]]]:
        for compressed, pack in self._packs:
            yield _UNPACK.decode(zlib.decompress(pack) if compressed else pack)
        if self._rows:
            yield self._rows

    def _pack(self) -> None:
        pack = _PACK.encode(self._rows)
        compressed = self._packed_bytes > PLAIN_PACKED_BYTES
        if compressed:
            pack = zlib.compress(pack, 1)
        self._packed_bytes += len(pack)
        self._packs.append((compressed, pack))
        self._rows = []
