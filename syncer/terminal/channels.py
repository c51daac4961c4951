"""Standard output and error where whoever reads them may go: what is lost by it is what was still to be read."""

import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any, TextIO


class _Unread(FileIO):
    """A channel into which one writes on when its reader has gone, as `head` goes."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)


def outlast_readers() -> None:
    """Let no command end, or end otherwise, because nobody reads any more what it prints."""
    sys.stdout, sys.stderr = _outlasting(sys.stdout), _outlasting(sys.stderr)


def _outlasting(channel: TextIO) -> TextIO:
    if not isinstance(channel, TextIOWrapper) or channel not in {sys.__stdout__, sys.__stderr__}:
        return channel  # what stands in for a missing one closes its file when it is given up
    raw = _Unread(channel.fileno(), "wb", closefd=False)
    # Python's own channels that are not to be buffered lose the rest of what is written only in part.
    in_lines = channel.line_buffering or channel.write_through
    return TextIOWrapper(BufferedWriter(raw), channel.encoding, channel.errors, line_buffering=in_lines)
