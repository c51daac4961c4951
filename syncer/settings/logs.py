"""Logs on standard error, one line a record, scrubbed as the last step: whatever a library writes, no secret leaves."""

import json
import logging
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from io import TextIOWrapper
from typing import TextIO

from syncer.views.strangers_text import still, still_json

LEVELS = ("debug", "info", "warning", "error")


class ScrubbedStream(TextIOWrapper):
    """A text stream out of which no secret comes, whoever writes to it."""

    def __init__(self, stream: TextIO, scrub: Callable[[str], str]) -> None:
        super().__init__(
            stream.buffer, encoding=stream.encoding, errors="backslashreplace", line_buffering=True, write_through=True
        )
        self._scrub = scrub
        self._stream = stream  # which would close the buffer that both write to, were it let go

    def write(self, text: str) -> int:
        super().write(self._scrub(text))
        return len(text)


class LogFormat(StrEnum):
    """`console` for people, `json` for machines."""

    CONSOLE = "console"
    JSON = "json"


def start_logging(log_format: LogFormat, level: str, scrub: Callable[[str], str]) -> None:
    """Send every logger's records, those of libraries too, through one scrubbing handler."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(scrub) if log_format is LogFormat.JSON else _ConsoleFormatter(scrub))
    # A library that cleans up while Ctrl-C passes through it would log that as an error of its own.
    handler.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], KeyboardInterrupt)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a closed or full standard error must not end the daemon
    if level != "debug":
        for noisy in ("httpx", "httpcore", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it warns of every run that outlasts its interval


def leave_out(*actions: str) -> None:
    """Log no more of these: who reads the log is told of them by the result."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: _fields(record).get("action") not in actions)


class _JsonFormatter(logging.Formatter):
    def __init__(self, scrub: Callable[[str], str]) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return still_json(self._scrub(json.dumps(line, ensure_ascii=False, default=str)))


class _ConsoleFormatter(logging.Formatter):
    def __init__(self, scrub: Callable[[str], str]) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(
            f"{name}={_short(value)}"
            for name, value in _fields(record).items()
            if name != "action" and value not in (None, {})
        )
        line = (
            f"{_moment(record):%Y-%m-%d %H:%M:%S} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip()
        )
        if record.exc_info:
            line += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return still(self._scrub(line))


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What was logged as `extra={"fields": …}`; under names of their own, fields could clash with the record's."""
    fields: dict[str, object] = getattr(record, "fields", {})
    return fields


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}:{number}" for key, number in value.items())
    text = str(value)
    return repr(text) if " " in text else text
