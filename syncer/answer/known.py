"""What is known of an account when its next answer is read: rows, hashes, and what the last answer left. Pure."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from syncer import __version__
from syncer.answer.item import Decoder
from syncer.model import Instance
from syncer.scrub import Scrubber

DELETED, MISSING = 1, 2  # flags of a known row
RENEWING = 4  # it renews itself
CLAIMED = 8  # it is another account's, whose answers list it too
FREE = 16  # what is claimed may be taken over: its owner misses it, or is retired
CONTESTED = 32  # it is missing, and another account claims it


class Known(NamedTuple):
    """What the mirror holds of an account and its claims, column by column, ascending by id; a hash of 0 is none.

    `rests` are hashes of items but their expiration dates, none of them of an item that says it is expired.
    """

    ids: "array[int]"
    hashes: "array[int]"
    rests: "array[int]"
    flags: bytearray

    def without_hashes(self) -> "Known":
        """The same where the hashes mean nothing."""
        none = array("Q", bytes(8 * len(self.ids)))
        return self._replace(hashes=none, rests=none)

    def find(self, id_instance: int) -> int:
        """The row of an id, or -1."""
        row = bisect_left(self.ids, id_instance)
        return row if row < len(self.ids) and self.ids[row] == id_instance else -1

    def among(self, ids: Sequence[int]) -> list[int]:
        """Those of the ids that have a row, in their order."""
        return [key for key, row in zip(ids, self.rows_of(ids), strict=True) if row >= 0]

    def rows_of(self, ids: Sequence[int | None]) -> Sequence[int]:
        """The row of each id, or -1."""
        if not self.ids:
            return [-1] * len(ids)
        first = bisect_left(self.ids, ids[0] or 0) if ids else 0
        try:
            if self.ids[first : first + len(ids)] == array("q", ids):  # type: ignore[type-var]  # None raises
                return range(first, first + len(ids))  # in the mirror's order, which an answer often has
        except TypeError:  # an id that cannot be read
            pass
        return [self.find(id_instance or 0) for id_instance in ids]


NOTHING_KNOWN = Known(array("q"), array("Q"), array("Q"), bytearray())
"""Of an account whose first answer is yet to come."""


class Remembered(NamedTuple):
    """What the last accepted answer left: the seed of its hashes and, if it would change nothing, its own digest.

    `answered_at` is its `Date`.
    """

    seed: int | None
    digest: bytes | None
    listed: int
    body_sha256: str
    answered_at: datetime | None = None


NOTHING_REMEMBERED = Remembered(None, None, 0, "")


def seed_of(decoder: Decoder, *rules: object) -> int:
    """A seed for hashes, from everything but the item that its meaning depends on; within a BIGINT.

    `rules` are settings that count besides the decoder's.
    """
    secrets = decoder.scrub.fingerprint() if isinstance(decoder.scrub, Scrubber) else ""
    told = repr((__version__, Instance._fields, decoder.upstream_offset, decoder.keeps_tokens, secrets, *rules))
    return int.from_bytes(sha256(told.encode()).digest()[:8], "big") >> 1
