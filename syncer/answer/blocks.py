"""The items of a list while its text arrives, block by block, each as the bytes that it was sent in. Pure."""

import json
import re
from collections.abc import Iterator, Sequence

import msgspec

BLOCK_BYTES = 256 * 1024
LARGEST_ITEM_BLOCK = 16 * BLOCK_BYTES  # an item that needs more than this is not split off
SPLITS_TRIED = 16

_ITEM_END = re.compile(rb"\}[ \t\r\n]*,")
_SPACE = b" \t\r\n"
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class OddAnswer(Exception):
    """The answer cannot be judged piece by piece."""


def read_head(chunks: Iterator[bytes]) -> bytes:
    """The first bytes up to at least one that is no white space, without a byte-order mark."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 3 and head.removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE):
            break
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)


def cut(head: bytes, chunks: Iterator[bytes]) -> Iterator[Sequence[bytes | msgspec.Raw]]:
    """The items of a list whose opening bracket was taken off, by the block; raises `OddAnswer` where it is no list."""
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
                raise OddAnswer
            waiting, wanted = [block], 2 * size
            continue
        yield items
        any_before = True
        waiting, size, wanted = [block[taken:]], len(block) - taken, BLOCK_BYTES
    rest = b"".join(waiting).rstrip(_SPACE)
    last = _whole_values(rest[:-1]) if rest.endswith(b"]") else None
    if last is None or (any_before and not last):
        raise OddAnswer
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
