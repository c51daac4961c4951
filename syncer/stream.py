"""Reads an answer while it arrives, keeping only what differs from what was applied before. Pure.

An item whose bytes have the stored hash is as it was: nothing of it is decoded. Every other item is decoded as
`decode` would. An answer that cannot be judged piece by piece, for one because an id is listed twice, is `odd`:
it has to be read whole, by `decode`.
"""

import json
import marshal
import re
import zlib
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

import msgspec
from xxhash import xxh3_64, xxh3_64_intdigest

from syncer import __version__
from syncer.decode import BadItem, Decoder, Told, read_item, read_plain_json, read_told
from syncer.model import Instance, Reject
from syncer.scrub import Scrubber

BLOCK_BYTES = 256 * 1024
LARGEST_ITEM_BLOCK = 16 * BLOCK_BYTES  # an item that needs more than this is not split off
KEPT_WHOLE_BYTES = 8 * 1024 * 1024
SPLITS_TRIED = 16
SLICE_BYTES = 1024 * 1024
WAITING_BYTES = 32 * 1024 * 1024  # of an answer that goes along with the quiet one, until it is let go
PACKED_ROWS = 2_000
PLAIN_PACKED_BYTES = 16 * 1024 * 1024  # what is packed beyond this is compressed too
SETTLED_ITEMS = 50_000  # items after which an answer that differs in most of them is looked up by id
SHORT_TEXTS = 50_000

DELETED, MISSING = 1, 2  # flags of a known row

_ITEM_END = re.compile(rb"\}[ \t\r\n]*,")
_SPACE = b" \t\r\n"
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TOLD_LIST = msgspec.json.Decoder(list[Told])
_TOLD = msgspec.json.Decoder(Told)
_ANY = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME_FIELDS = tuple(Instance._fields.index(name) for name in ("time_created", "time_deleted", "expiration_date"))


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


class QuietMark(NamedTuple):
    """What an answer is known by that would change nothing, were it to come again under the same seed.

    `slices` are the hashes of its whole slices, in order; `sha256` is of all of it.
    """

    seed: int
    listed: int
    size: int
    sha256: bytes
    slices: "array[int]"

    def write(self) -> bytes:
        return array("Q", (self.seed, self.listed, self.size)).tobytes() + self.sha256 + self.slices.tobytes()

    @classmethod
    def read(cls, text: bytes | None) -> "QuietMark | None":
        if not text:
            return None
        seed, listed, size = array("Q", text[:24])
        return cls(seed, listed, size, text[24:56], array("Q", text[56:]))


class Reading(NamedTuple):
    """An answer that was read: its size and digest, and what of it differs from what is known.

    `whole` is the body where it is small or no list. Of an `odd` answer only these four say anything.
    `unseen` are the rows, by index, that are listed in the mirror and not in the answer.
    `again` says that it would not be odd if it were read without regard to the quiet answer.
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
    known: Known = Known(array("q"), array("Q"), array("Q"), bytearray())
    unseen: "array[int]" = array("q")
    mark: QuietMark | None = None
    again: bool = False


class _Odd(Exception):
    """The answer cannot be judged piece by piece."""


def seed_of(decoder: Decoder, *rules: object) -> int:
    """A seed for the hashes of everything but the item that its meaning depends on."""
    secrets = decoder.scrub.fingerprint() if isinstance(decoder.scrub, Scrubber) else ""
    told = repr((__version__, decoder.upstream_offset, decoder.seal is not None, secrets, *rules))
    return int.from_bytes(sha256(told.encode()).digest()[:8], "big")


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
    if mark is not None and mark.seed == seed:
        outcome = body.follow(mark)
        if outcome is not None:
            return outcome
    matcher: _Matcher | None = None
    arriving = iter(body)
    try:
        head = _head(arriving)
        body.is_list = head.startswith(b"[")
        if body.is_list:
            known = load()
            matcher = _Matcher(known, decoder, seed)
            for items in _blocks(head[1:], arriving):
                matcher.take(items)
            unseen = matcher.unseen()
    except _Odd:
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
        self._slices = array("Q")
        self._slice = xxh3_64(seed=seed)
        self._slice_ends = SLICE_BYTES

    def __iter__(self) -> Iterator[bytes]:
        while self._waiting:
            yield self._keep(self._waiting.popleft())
        for chunk in self._arriving:
            self._count(chunk)
            yield self._keep(chunk)

    def whole(self) -> bytes | None:
        return b"".join(self._kept) if self._kept is not None else None

    def mark(self, listed: int) -> QuietMark:
        return QuietMark(self._seed, listed, self.size, self.digest.digest(), self._slices)

    def follow(self, mark: QuietMark) -> Reading | None:
        """Go along while the bytes are those of the quiet answer; None if they are not and nothing was let go."""
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
            if self.digest.digest() == mark.sha256:
                return Reading(self.size, self.digest.hexdigest(), None, odd=False, listed=mark.listed, mark=mark)
        if not let_go:
            return None
        for chunk in self._arriving:
            self._count(chunk)
        return Reading(self.size, self.digest.hexdigest(), None, odd=True, again=True)

    def _count(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        at = 0
        while self.size + len(chunk) - at >= self._slice_ends:
            rest = self._slice_ends - self.size
            self._slice.update(chunk[at : at + rest])
            self._slices.append(self._slice.intdigest())
            self._slice.reset()
            self._slice_ends += SLICE_BYTES
            self.size += rest
            at += rest
        self._slice.update(chunk[at:] if at else chunk)
        self.size += len(chunk) - at

    def _keep(self, chunk: bytes) -> bytes:
        if self._kept is not None:
            self._kept.append(chunk)
            if self.is_list and self.size > KEPT_WHOLE_BYTES:
                self._kept = None
        return chunk


def _head(chunks: Iterator[bytes]) -> bytes:
    """The first bytes up to at least one that is no white space, without a byte-order mark."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 3 and head.removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE):
            break
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)


def _blocks(head: bytes, chunks: Iterator[bytes]) -> Iterator[Sequence[bytes | msgspec.Raw]]:
    """The items of a list whose opening bracket was taken off, by the block; raises `_Odd` where it is no list."""
    waiting = [head]
    size = len(head)
    wanted = BLOCK_BYTES
    any_before = False
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size < wanted:
            continue
        block = b"".join(waiting)
        items, taken = _split(block)
        if not taken:
            if size > LARGEST_ITEM_BLOCK:
                raise _Odd
            waiting, wanted = [block], 2 * size
            continue
        yield items
        any_before = True
        waiting, size, wanted = [block[taken:]], len(block) - taken, BLOCK_BYTES
    rest = b"".join(waiting).rstrip(_SPACE)
    last = _whole_values(rest[:-1]) if rest.endswith(b"]") else None
    if last is None or (any_before and not last):
        raise _Odd
    yield last


def _split(block: bytes) -> tuple[Sequence[bytes | msgspec.Raw], int]:
    """As many whole items as can be told apart, and how many bytes they take with the comma behind them.

    That everything before a comma is a list of whole values proves that the comma stands between two items:
    a comma inside a string or a container leaves it open.
    """
    end = len(block)
    for _attempt in range(SPLITS_TRIED):
        brace = block.rfind(b"}", 0, end)
        if brace < 0:
            break
        end = brace
        separator = _ITEM_END.match(block, brace)
        if separator is None:
            continue
        items = _whole_values(block[: brace + 1])
        if items:
            return items, separator.end()
    return [], 0


def _whole_values(text: bytes) -> Sequence[bytes | msgspec.Raw] | None:
    """The values of a list's inside, or None if it is not made of whole ones."""
    try:
        return _LIST.decode(b"[%b]" % text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    # Strict msgspec refuses lone surrogates: the standard library finds where values end, `decode` judges them.
    try:
        plain = text.decode()
        values: list[bytes] = []
        at = _skip_space(plain, 0)
        while at < len(plain):
            _value, end = _SCANNER.raw_decode(plain, at)
            values.append(plain[at:end].encode())
            at = _skip_space(plain, end)
            if at == len(plain):
                return values
            if plain[at] != ",":
                return None
            at = _skip_space(plain, at + 1)
    except (ValueError, RecursionError):
        return None
    return None if values else []


def _no_constant(constant: str) -> float:
    raise ValueError(constant)


_SCANNER = json.JSONDecoder(parse_constant=_no_constant, parse_int=str, parse_float=str)
_SPACES = re.compile(r"[ \t\r\n]*")


def _skip_space(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return match.end() if match else at


class _Matcher:
    """Tells the items that are as they were from those that differ, and which rows were not seen."""

    def __init__(self, known: Known, decoder: Decoder, seed: int) -> None:
        self.position = 0
        self.differing = Packed()
        self.rejects: list[Reject] = []
        self.proves_absence = True
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
            raise _Odd
        self._all_hashed = len(hashes) == known.flags.count(0) + known.flags.count(DELETED)
        self._new_ids = array("q")
        self._short_texts: dict[str, str] = {}

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
        """The rows, by index, that are listed in the mirror and not in the answer; raises `_Odd` for an id twice."""
        if any(one >= other for one, other in pairwise(self._new_ids)):
            ids = sorted(self._new_ids)
            if any(one == other for one, other in pairwise(ids)):
                raise _Odd
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
            raise _Odd from None
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
        if len(self._short_texts) > SHORT_TEXTS:
            self._short_texts.clear()

    def _take_told(self, told: Told, item: bytes | msgspec.Raw, item_hash: int, position: int) -> None:
        content_hash = xxh3_64_intdigest(_ENCODER.encode(told), self._seed)
        index = self._note(told.id_instance)
        if index >= 0 and not self._known.flags[index] & MISSING and content_hash == self._known.content_hashes[index]:
            return
        try:
            instance = read_told(told, self._decoder, self._short_texts)
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
                raise _Odd from None
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
        """Note that an id is listed, and give its row's index, or -1; raises `_Odd` for an id twice."""
        index = self._known.find(id_instance)
        if index < 0:
            self._new_ids.append(id_instance)
            return index
        if self._is_seen(index):
            raise _Odd
        self._seen[index] = 1
        if self._awaited is not None and not self._known.flags[index] & MISSING:
            self._awaited.discard(self._known.item_hashes[index])
        return index


def _told(item: bytes | msgspec.Raw) -> Told | None:
    try:
        return _TOLD.decode(item)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
