"""How wide a terminal is, how wide a text is on it, and where its lines are broken.

Imports nothing of ours: an error is told by it, and shall wait for nothing.
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO


def terminal_width(stream: TextIO) -> int | None:
    """How many columns the terminal has that the stream goes to; None where it is none, or does not say."""
    if not stream.isatty():
        return None
    with suppress(OSError):
        return os.get_terminal_size(stream.fileno()).columns or None
    return None


def folded(text: str, width: int | None) -> str:
    """Text whose lines fit a width where their words do; what follows a break stands as far in as its line, and more.

    A word that is longer than a line is left whole: a broken id or path serves nobody.
    """
    if width is None or len(text) * 2 <= width:  # no sign takes more than two columns
        return text
    return "\n".join(one for line in text.split("\n") for one in _broken(line, width))


def _broken(line: str, width: int) -> Iterator[str]:
    if cells(line) <= width:
        yield line
        return
    indent = " " * min(len(line) - len(line.lstrip(" ")) + 2, width // 2)
    made = ""
    for word in re.findall(r" *[^ ]+", line):
        if made.strip() and cells(made + word) > width:
            yield made
            made = indent + word.lstrip(" ")
        else:
            made += word
    yield made


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(_takes_none, text))


def _takes_none(character: str) -> bool:
    return unicodedata.category(character) in {"Mn", "Me", "Cf"}
