"""Reads an answer while it arrives, keeping only what differs from what was applied before. Pure.

An item whose bytes have the stored hash is as it was: nothing of it is decoded. Every other item is decoded as
`decode` would. An answer that cannot be judged piece by piece, for one because an id is listed twice, is `odd`:
it has to be read whole, by `decode`.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from xxhash import xxh3_128

from syncer import __version__
from syncer.answer.blocks import OddAnswer, cut, read_head
from syncer.answer.decode import Decoder
from syncer.answer.matcher import NOTHING_KNOWN, Known, Matcher
from syncer.answer.packed import Packed
from syncer.model import Reject
from syncer.scrub import Scrubber

KEPT_WHOLE_BYTES = 8 * 1024 * 1024
SLICE_BYTES = 1024 * 1024
WAITING_BYTES = 32 * 1024 * 1024  # of an answer that goes along with the quiet one, until it is let go


class QuietMark(NamedTuple):
    """What an answer is known by that would change nothing, were it to come again under the same settings.

    `slices` are the hashes of its slices, in order, under the seed of those settings; `sha256` is of all of it.
    """

    listed: int
    size: int
    sha256: bytes
    slices: bytes

    def write(self) -> bytes:
        return array("Q", (self.listed, self.size)).tobytes() + self.sha256 + self.slices

    @classmethod
    def read(cls, text: bytes | None) -> "QuietMark | None":
        if not text:
            return None
        listed, size = array("Q", text[:16])
        return cls(listed, size, text[16:48], text[48:])


class Reading(NamedTuple):
    """An answer that was read: its size and digest, and what of it differs from what is known.

    `whole` is the body where it is small or no list. Of an `odd` answer only these four say anything.
    `unseen` are the rows, by index, that are listed in the mirror and not in the answer; `returned` counts those that
    were missing and are listed. `seed` is that of the hashes in `differing`.
    `again` says that the answer was not kept, and may not be odd if it is read without regard to the quiet one.
    """

    body_bytes: int
    body_sha256: str
    whole: bytes | None
    odd: bool
    listed: int = 0
    differing: Packed = Packed()
    rejects: tuple[Reject, ...] = ()
    proves_absence: bool = True
    sealed_tokens: Mapping[int, bytes] = {}
    known: Known = NOTHING_KNOWN
    unseen: "array[int]" = array("q")
    returned: int = 0
    seed: int = 0
    mark: QuietMark | None = None
    again: bool = False


def seed_of(decoder: Decoder, *rules: object) -> int:
    """A seed for hashes, from everything but the item that its meaning depends on; within a BIGINT."""
    secrets = decoder.scrub.fingerprint() if isinstance(decoder.scrub, Scrubber) else ""
    told = repr((__version__, decoder.upstream_offset, decoder.seal is not None, secrets, *rules))
    return int.from_bytes(sha256(told.encode()).digest()[:8], "big") >> 1


def read(
    chunks: Iterable[bytes],
    decoder: Decoder,
    load: Callable[[], Known],
    rules: Sequence[object] = (),
    quiet: bytes | None = None,
) -> Reading:
    """Read a whole answer; what `chunks` raises is raised.

    `load` is asked for what is known, at most once, when the answer has begun to differ from the quiet one.
    `rules` are further settings that an item's meaning depends on. `quiet` is the mark of an answer that would change
    nothing; while the bytes are its bytes, they are not looked at but only hashed.
    """
    seed = seed_of(decoder, *rules)
    body = _Body(chunks, seed)
    mark = QuietMark.read(quiet)
    if mark is not None:
        outcome = body.follow(mark)
        if outcome is not None:
            return outcome
    matcher: Matcher | None = None
    arriving = iter(body)
    try:
        head = read_head(arriving)
        body.is_list = head.startswith(b"[")
        if body.is_list:
            known = load()
            matcher = Matcher(known, decoder, seed)
            for items in cut(head[1:], arriving):
                matcher.take(items)
            unseen = matcher.unseen()
    except OddAnswer:
        matcher = None
    for _rest in arriving:
        pass
    if matcher is None:
        return Reading(body.size, body.digest.hexdigest(), body.whole(), odd=True)
    return Reading(
        body.size,
        body.digest.hexdigest(),
        body.whole(),
        odd=False,
        listed=matcher.position,
        differing=matcher.differing,
        rejects=tuple(matcher.rejects),
        proves_absence=matcher.proves_absence,
        sealed_tokens=matcher.sealed_tokens,
        known=known,
        unseen=unseen,
        returned=matcher.returned,
        seed=seed,
        mark=body.mark(matcher.position),
    )


class _Body:
    """The bytes of an answer on their way: counted, hashed, cut into slices, and kept while there are few."""

    def __init__(self, chunks: Iterable[bytes], seed: int) -> None:
        self.digest = sha256()
        self.size = 0
        self.is_list = False
        self._seed = seed
        self._arriving = iter(chunks)
        self._kept: list[bytes] | None = []
        self._waiting: deque[bytes] = deque()  # arrived, and not handed on yet
        self._slices = bytearray()
        self._slice = xxh3_128(seed=seed)
        self._slice_ends = SLICE_BYTES

    def __iter__(self) -> Iterator[bytes]:
        while self._waiting:
            yield self._hand_on(self._waiting.popleft())
        for chunk in self._arriving:
            self._count(chunk)
            yield self._hand_on(chunk)

    def whole(self) -> bytes | None:
        return b"".join(self._kept) if self._kept is not None else None

    def mark(self, listed: int) -> QuietMark:
        return QuietMark(listed, self.size, self.digest.digest(), self._all_slices())

    def follow(self, mark: QuietMark) -> Reading | None:
        """Go along while the bytes are those of the quiet answer; None if they are not and nothing was let go.

        All slices equal, their SHA-256 is known: to compute it would take half the time of such a poll.
        """
        let_go = False
        waiting_bytes = 0
        for chunk in self._arriving:
            seen = len(self._slices)
            self._count(chunk)
            self._waiting.append(chunk)
            waiting_bytes += len(chunk)
            if self.size > mark.size or self._slices[seen:] != mark.slices[seen : len(self._slices)]:
                break
            if waiting_bytes > WAITING_BYTES:
                let_go = True
                self._waiting.clear()
        else:
            if self._all_slices() == mark.slices:
                return Reading(
                    self.size, mark.sha256.hex(), None, odd=False, listed=mark.listed, seed=self._seed, mark=mark
                )
        if not let_go:
            return None
        for _rest in self._arriving:
            pass
        return Reading(0, "", None, odd=True, again=True)

    def _all_slices(self) -> bytes:
        """With the last, which may be empty."""
        return bytes(self._slices) + self._slice.digest()

    def _count(self, chunk: bytes) -> None:
        at = 0
        while self.size + len(chunk) - at >= self._slice_ends:
            rest = self._slice_ends - self.size
            self._slice.update(chunk[at : at + rest])
            self._slices += self._slice.digest()
            self._slice.reset()
            self._slice_ends += SLICE_BYTES
            self.size += rest
            at += rest
        self._slice.update(chunk[at:] if at else chunk)
        self.size += len(chunk) - at

    def _hand_on(self, chunk: bytes) -> bytes:
        self.digest.update(chunk)
        if self._kept is not None:
            self._kept.append(chunk)
            if self.is_list and self.size > KEPT_WHOLE_BYTES:
                self._kept = None
        return chunk
