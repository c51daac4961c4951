"""The items of a list while its text arrives, block by block, each as the bytes that it was sent in. Pure."""

import json
import re
from codecs import utf_8_decode
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from syncer.answer.values import refuse_constant, shallow

QUICK_TRIES = 4  # at the end of a block; text with many closing braces needs the slower way

Pieces = Sequence[bytes | msgspec.Raw]

_ITEM_END = re.compile(rb"\}[ \t\r\n]*,")
_SPACE = b" \t\r\n"
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class NotAList(Exception):
    """The text is no JSON array of whole values in strict UTF-8."""


def pieces_of(chunks: Iterable[bytes], block_bytes: int) -> Iterator[Pieces]:
    """The items in their order, some at a time; raises `NotAList` as soon as it shows.

    An item that is larger than a block is waited for.
    """
    arriving = iter(chunks)
    head = _read_head(arriving)
    if not head.startswith(b"["):
        raise NotAList
    waiting = [head[1:]]
    size, wanted = len(head) - 1, block_bytes
    any_before = False
    for chunk in arriving:
        waiting.append(chunk)
        size += len(chunk)
        if size < wanted:
            continue
        block = b"".join(waiting)
        items, end = _split(block)
        if not items:
            waiting, wanted = [block], 2 * size
            continue
        yield items
        any_before = True
        waiting, size, wanted = [block[end:]], len(block) - end, block_bytes
    rest = b"".join(waiting).rstrip(_SPACE)
    last = _whole(rest[:-1]) if rest.endswith(b"]") else None
    if last is None or (any_before and not last):
        raise NotAList
    yield last


def _read_head(chunks: Iterator[bytes]) -> bytes:
    """The first bytes up to at least one that is no white space, without a byte-order mark."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 3 and head.removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE):
            break
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)


def _split(block: bytes) -> tuple[Pieces, int]:
    """As many whole items as can be told apart, and how many bytes they take with the comma behind them.

    That everything before a comma is a list of whole values proves that the comma stands between two items:
    a comma inside a string or a container leaves it open.
    """
    end = len(block)
    for _try in range(QUICK_TRIES):
        end = block.rfind(b"}", 0, end)
        if end < 0:
            break
        separator = _ITEM_END.match(block, end)
        if separator is not None and (items := _values(block[: end + 1])):
            return items, separator.end()
    return _scan(block)


def _whole(text: bytes) -> Pieces | None:
    """The values of a list's inside, or None if it is not made of whole ones."""
    items = _values(text)
    if items is not None:
        return items
    found, end = _scan(text + b",")
    return found if found and end == len(text) + 1 else None


def _values(text: bytes) -> Pieces | None:
    """The same as msgspec sees it, which refuses a few values that are JSON all the same."""
    try:
        return _LIST.decode(b"[%b]" % text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _scan(block: bytes) -> tuple[Pieces, int]:
    """What `_split` says, value by value: the standard library finds where each ends. Always exact, and slower."""
    items: list[bytes] = []
    text, after_comma = "", 0
    try:
        text, _bytes = utf_8_decode(block)  # the last character may still be on its way
        at = _skip_space(text, 0)
        while at < len(text):
            end = _end_of(text, at)
            comma = _skip_space(text, end)
            if text[comma : comma + 1] != ",":
                break
            items.append(text[at:end].encode())
            after_comma = comma + 1
            at = _skip_space(text, after_comma)
    except (ValueError, RecursionError):
        pass
    return items, len(text[:after_comma].encode())


def _end_of(text: str, at: int) -> int:
    """Where the value that begins here ends; raises `ValueError` if it is not whole."""
    try:
        _value, end = _SCANNER.raw_decode(text, at)
    except RecursionError:
        whole, end = shallow(text, at)
        _SCANNER.decode(whole)
    return end


_SCANNER = json.JSONDecoder(parse_constant=refuse_constant, parse_int=str, parse_float=str)
_SPACES = re.compile(r"[ \t\r\n]*")


def _skip_space(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return match.end() if match else at
