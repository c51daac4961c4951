"""Text that others wrote, made harmless for what shows it: a terminal, a JSON document, a spreadsheet."""

import io
import re
from typing import BinaryIO

from syncer.readings import INVISIBLE

# What moves a terminal's cursor or changes its colours, and what turns the order of letters around.
_MOVES = [
    *(code for code in (*range(32), *range(127, 160)) if code != ord("\n")),
    *(0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)),
]
_SPACES = "\u00a0\u202f"  # that are not broken at: they stand in amounts, and in names that were pasted
_AS_SIGNS = dict.fromkeys(_MOVES, "\ufffd")
_AS_ESCAPES = {code: f"\\u{code:04x}" for code in _MOVES}
# A spreadsheet takes a cell that begins so for a formula; white space before it does not help, nor what is not seen.
_FORMULA = re.compile(rf"[\t\r\n]|[\s{INVISIBLE}]*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def still(text: str) -> str:
    """Text that moves no cursor and turns no letters around; its lines stay lines."""
    return text.translate(_AS_SIGNS)


def one_line(text: str | None) -> str:
    """Text for a place in a line: only what is seen and spaces, or a sign that something is neither."""
    return "".join(one if one.isprintable() or one in _SPACES else "\ufffd" for one in text or "")


def still_json(document: str) -> str:
    """A JSON text of the same meaning that moves no cursor."""
    return document.translate(_AS_ESCAPES)


def cell(text: str) -> str:
    """Text that a spreadsheet shows as it stands; what it would take for a formula is quoted with `'`."""
    return f"'{text}" if _FORMULA.match(text) else text


class StillBytes(io.RawIOBase):
    """Bytes of UTF-8 text for a terminal, given in whole characters."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # nobody writes anything else here
        self._out.write(still(bytes(data).decode("utf-8", "replace").replace("\r\n", "\n")).encode())
        return len(data)
