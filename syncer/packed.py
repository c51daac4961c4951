"""Decoded instances, kept small between the reading of an answer and its transaction. Pure."""

import marshal
import zlib
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from syncer.model import Instance

PACKED_ROWS = 2_000
PLAIN_PACKED_BYTES = 16 * 1024 * 1024  # what is packed beyond this is compressed too

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME_FIELDS = tuple(Instance._fields.index(name) for name in ("time_created", "time_deleted", "expiration_date"))


class Hashes(NamedTuple):
    """Of an item's bytes, and of its content in whatever order of keys; 0 is none."""

    item: int
    content: int


class Packed:
    """Instances with their hashes, kept small until they are written; given back in the order they came."""

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
            yield _unpacked(zlib.decompress(pack) if compressed else pack)
        if self._rows:
            yield self._rows

    def _pack(self) -> None:
        columns: list[Sequence[object]] = list(zip(*(instance for instance, _ in self._rows), strict=True))
        for field in _TIME_FIELDS:
            columns[field] = [
                None if moment is None else (moment - _EPOCH) // _MICROSECOND  # type: ignore[operator]  # times
                for moment in columns[field]
            ]
        hashes = array("Q", [number for _, pair in self._rows for number in pair]).tobytes()
        pack = marshal.dumps((columns, hashes))
        compressed = self._packed_bytes > PLAIN_PACKED_BYTES
        if compressed:
            pack = zlib.compress(pack, 1)
        self._packed_bytes += len(pack)
        self._packs.append((compressed, pack))
        self._rows = []


def _unpacked(pack: bytes) -> list[tuple[Instance, Hashes]]:
    columns, hash_bytes = marshal.loads(pack)  # noqa: S302 - our own, never stored
    for field in _TIME_FIELDS:
        columns[field] = [
            None if number is None else _EPOCH + timedelta(microseconds=number) for number in columns[field]
        ]
    numbers = iter(array("Q", hash_bytes))
    return list(
        zip(
            map(Instance._make, zip(*columns, strict=True)),
            map(Hashes._make, zip(numbers, numbers, strict=True)),
            strict=True,
        )
    )
