"""How a text is read: with its escapes resolved, without what nobody sees, without white space; and the way back.

For `scrub`, which finds a secret however it is spelt; with how an answer is read it has nothing to do.

What is found in a reading is traced back to the text by what each pass has replaced.
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import NamedTuple

DEEPEST_ENCODING = 4  # times that a text is taken to have been encoded

_INVISIBLE_RANGES = (
    (0x00, 0x08), (0x0E, 0x1B), (0x7F, 0x84), (0x86, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C),
    (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F),
    (0x2800, 0x2800), (0x3164, 0x3164), (0xD800, 0xDFFF), (0xFDD0, 0xFDEF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFF), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
INVISIBLE = "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in _INVISIBLE_RANGES)
"""Characters that are no white space and not seen, or stand for what is not, as U+FFFD; for a class in a pattern."""

_HEX = "[0-9a-fA-F]"
_PERCENT = r"%(?=[0-9a-fA-F]{2})(?:25)*"  # encoded once or many times
_TAIL = rf"{_PERCENT}[89abAB]{_HEX}"
_BYTE = rf"\\x[89abAB]{_HEX}"  # of UTF-8 behind its first, as `repr` shows it
_ESCAPE = re.compile(
    rf"{_PERCENT}(?:[0-7]{_HEX}|[cdCD]{_HEX}{_TAIL}|[eE]{_HEX}{_TAIL}{{2}}|[fF][0-7]{_TAIL}{{3}})"
    rf"|\\(?:u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|u{_HEX}{{4}}|u\{{{_HEX}{{1,5}}\}}"
    rf"|x(?:[cdCD]{_HEX}{_BYTE}|[eE]{_HEX}{_BYTE}{{2}}|[fF][0-7]{_BYTE}{{3}}|{_HEX}{{2}})|[\"'\\/nrtfv])"
    rf"|&(?:\#[0-9]{{1,7}};?|\#[xX]{_HEX}{{1,6}};?|[A-Za-z]{{2,31}};)"
)
_SIGNS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_UNSEEN = re.compile(rf"[{INVISIBLE}]+|<(?i:wbr|br)\s{{0,9}}/?>|[\\=]\r?\n")
SPACE = re.compile(r"\s+")

Replacement = str | Callable[[re.Match[str]], str]


class _Step:
    """One pass over a text, and the way back from a place after it to one before it."""

    def __init__(self, source: str, pattern: re.Pattern[str], replacement: Replacement) -> None:
        self._source, self._pattern, self._replacement = source, pattern, replacement

    def back(self, first: int, last: int) -> tuple[int, int]:
        """The span that became the one from `first` to before `last`, which is not empty."""
        return self._back(first, 0), self._back(last - 1, 1)

    def _back(self, place: int, side: int) -> int:
        begins, ends, sources = self._places
        found = bisect_right(begins, place) - 1
        if found < 0:
            return place + side
        beyond = place - ends[found]
        return sources[found][side] if beyond < 0 else sources[found][1] + beyond + side

    @cached_property
    def _places(self) -> tuple[list[int], list[int], list[tuple[int, int]]]:
        """Where each replacement begins and ends, and the span that it stands for; few texts are ever asked."""
        begins, ends, sources = [], [], []
        longer = 0
        for found in self._pattern.finditer(self._source):
            made = self._replacement if isinstance(self._replacement, str) else self._replacement(found)
            begins.append(found.start() + longer)
            ends.append(begins[-1] + len(made))
            longer = ends[-1] - found.end()
            sources.append(found.span())
        return begins, ends, sources


class Reading(NamedTuple):
    """A text as it is read after some passes."""

    text: str
    steps: tuple[_Step, ...] = ()

    def after(self, pattern: re.Pattern[str], replacement: Replacement) -> "Reading":
        text, times = pattern.subn(replacement, self.text)
        return Reading(text, (*self.steps, _Step(self.text, pattern, replacement))) if times else self

    def back(self, first: int, last: int) -> tuple[int, int]:
        for step in reversed(self.steps):
            first, last = step.back(first, last)
        return first, last


def seen(text: str) -> Reading:
    """The text with percent-encodings, JSON's and HTML's escapes resolved, and what nobody sees left out."""
    reading = Reading(text)
    for _nested in range(DEEPEST_ENCODING):
        if not has_escapes(reading.text):
            break
        reading = reading.after(_ESCAPE, _resolved)
    is_plain = reading.text.isascii() and reading.text.isprintable() and "<" not in reading.text
    return reading if is_plain else reading.after(_UNSEEN, "")


def has_escapes(text: str) -> bool:
    return "%" in text or "\\" in text or "&" in text


def has_invisible(text: str) -> bool:
    return not (text.isascii() and text.isprintable()) and _INVISIBLE.search(text) is not None


def solid(text: str) -> str:
    """Without white space, and without case; base64 is written with either pair of signs."""
    return "".join(text.split()).replace("\u0130", "i").lower().replace("-", "+").replace("_", "/")


def _resolved(escape: re.Match[str]) -> str:
    return _meaning(escape[0])


@lru_cache(maxsize=4096)
def _meaning(escape: str) -> str:
    """What an escape stands for."""
    if escape[0] == "%" or escape.count("\\x") > 1:
        return bytes(int(part[-2:], 16) for part in re.split(r"%|\\x", escape)[1:]).decode("utf-8", "replace")
    if escape[0] == "&":
        from html import unescape

        return unescape(escape)
    if escape[1] in "ux":
        units = [part.strip("{}") for part in re.split(r"\\[ux]", escape)[1:]]
        return (
            "".join(chr(int(unit, 16)) for unit in units).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    return _SIGNS.get(escape[1], escape[1])
