"""Items of which nothing but the expiration date is not as it was applied: nearly all of them, once a day. Pure."""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
from xxhash import xxh3_64_intdigest

from syncer.answer.values import BadItem, read_time, read_times
from syncer.model import FIELDS

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_FIELD = FIELDS["expiration_date"]
_KEY = f'"{_FIELD.key}"'.encode()
_LETTER_ESCAPED = re.compile(rb"\\u00[4-7]")  # a key spelled with one would be found by nobody here


NO_REST = (0, b"")


def rest_of(item: bytes | msgspec.Raw, seed: int) -> tuple[int, bytes]:
    """A hash of all that an item says besides its expiration date, and that date as it was sent.

    `NO_REST` where it is not certain which bytes are the date. The item is valid JSON, so the key between its quotes
    cannot stand within a string.
    """
    text = bytes(item)
    _before, _key, after = text.partition(_KEY)
    colon, _quote, value = after.partition(b'"')
    date, _quote, tail = value.partition(b'"')
    if colon.strip() != b":" or _KEY in tail or (b"\\u00" in text and _LETTER_ESCAPED.search(text)):
        return NO_REST
    end = len(text) - len(tail) - 1
    return xxh3_64_intdigest(text[: end - len(date)] + text[end:], seed), date


def read_dates(dates: Sequence[bytes], upstream_offset: timedelta) -> list[datetime | None]:
    """Expiration dates that were sent so; None for what is no date, or means none."""
    texts = [date.decode(errors="replace") for date in dates]
    try:
        moments = read_times(_FIELD.key, texts, upstream_offset, is_end=_FIELD.is_end)
    except BadItem:
        return [_read_date(text, upstream_offset) for text in texts]
    return list(map(moments.__getitem__, texts))


def _read_date(text: str, upstream_offset: timedelta) -> datetime | None:
    try:
        return read_time(_FIELD.key, text, upstream_offset, is_end=_FIELD.is_end)
    except BadItem:
        return None


class Redated:
    """Such items: their rows in `Known`, the hashes of all their bytes, and the dates that they state."""

    def __init__(self) -> None:
        self._rows = array("q")
        self._hashes = array("Q")
        self._dates = array("q")  # in microseconds: ten thousand datetimes take half a megabyte

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Iterable[int], hashes: Iterable[int], dates: Iterable[datetime]) -> None:
        self._rows.extend(rows)
        self._hashes.extend(hashes)
        self._dates.extend((date - _EPOCH) // _MICROSECOND for date in dates)

    def batches(self, size: int) -> Iterator[tuple[Sequence[int], Sequence[int], Sequence[datetime]]]:
        """Rows, hashes and dates, some at a time; the rows ascend. None of them is there twice."""
        place_of = array("q", [-1]) * (max(self._rows, default=-1) + 1)  # a sorted list would take ten times the room
        for place, row in enumerate(self._rows):
            place_of[row] = place
        ascending = (row for row, place in enumerate(place_of) if place >= 0)
        while rows := list(islice(ascending, size)):
            places = [place_of[row] for row in rows]
            dates = [_EPOCH + timedelta(microseconds=self._dates[place]) for place in places]
            yield rows, [self._hashes[place] for place in places], dates


NONE_REDATED = Redated()
