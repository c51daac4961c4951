"""What an answer differs in from what is known of its account. Pure but for `load`, which is given.

Every answer goes this one way, usual or not: while it arrives, each item's id is read and looked up and its bytes are
hashed; an item whose hash is known is as it was when it was applied, of one that is as it was but for its expiration
date that date is read, every other one is read whole. An answer that is byte
for byte the last one is recognised by one digest, and nothing of it is read.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from syncer.answer.body import Body
from syncer.answer.comparison import Comparison
from syncer.answer.item import Decoder
from syncer.answer.known import NOTHING_KNOWN, NOTHING_REMEMBERED, Known, Remembered, seed_of
from syncer.answer.listing import Listing
from syncer.answer.pieces import NotAList, pieces_of
from syncer.answer.problem import not_a_list
from syncer.answer.spool import Spool


def read_body(body: bytes, decoder: Decoder) -> Listing:
    """A whole body as if nothing were known; raises what is wrong with it, see `problem`."""
    listing = Reader(decoder._replace(kept_bytes=len(body)), (), lambda: NOTHING_KNOWN)([body])
    assert listing is not None  # noqa: S101 - it was kept
    if listing.problem is not None:
        raise listing.problem
    return listing


class Reader:
    """Reads the answers that one run is given, until one is settled.

    `rules` are settings, besides the decoder's, that an item's meaning depends on. `load` is asked for what is known
    when an answer has begun that is not the remembered one.
    """

    def __init__(
        self,
        decoder: Decoder,
        rules: Sequence[object],
        load: Callable[[], Known],
        remembered: Remembered = NOTHING_REMEMBERED,
    ) -> None:
        self._decoder = decoder
        self._rules = rules
        self._load = load
        self._remembered = remembered
        self._may_recognise = True
        self._twice: frozenset[int] = frozenset()  # ids that an answer listed more than once

    def __call__(self, chunks: Iterable[bytes]) -> Listing | None:
        """Read a whole answer; None if it has to be asked for once more: it was too large to be kept.

        That is so where it began as the recognised one and then differed, and where it lists an id twice.
        What `chunks` raises is raised.
        """
        seed = seed_of(self._decoder, *self._rules)  # anew each time: a fetch may have read a rotated token
        body = Body(chunks, seed, self._decoder.kept_bytes)
        remembered = self._remembered
        if self._may_recognise and remembered.digest is not None and remembered.seed == seed:
            is_recognised = body.is_recognised_by(remembered.digest)
            if is_recognised:
                return Listing(remembered.listed, body.size, remembered.body_sha256, seed, remembered.digest, Spool())
            if is_recognised is None:
                self._may_recognise = False
                return None
        comparison = self._compare(body, body, seed)
        if comparison is not None and comparison.twice:
            self._twice |= comparison.twice
            whole = body.whole()
            if whole is None:
                return None
            comparison = self._compare([whole], body, seed)
        if comparison is None:
            problem = not_a_list(body.whole(), self._decoder.scrub)
            return Listing(0, body.size, body.sha256(), seed, b"", Spool(), problem=problem)
        return comparison.listing(body)

    def _compare(self, chunks: Iterable[bytes], body: Body, seed: int) -> "Comparison | None":
        """What the items say beside what is known; None for what is no list. The body is read to its end."""
        comparison: Comparison | None
        try:
            parts = pieces_of(chunks, self._decoder.block_bytes)
            first = next(parts)  # an empty list has one, too; now it is worth asking what is known
            known = self._load()
            if seed != self._remembered.seed:  # hashes under another one mean nothing
                known = known.without_hashes()
            comparison = Comparison(known, self._decoder, seed, self._twice)
            for pieces in chain([first], parts):
                comparison.add(pieces)
            comparison.settle()
        except NotAList:
            comparison = None
        for _rest in body:
            pass
        return comparison
