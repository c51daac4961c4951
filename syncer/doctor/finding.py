"""What a check of `syncer doctor` found, and the words in which findings are made."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

from syncer.doctor.table import CHECKS
from syncer.errors import SyncerError

TOLERATED_SKEW = timedelta(seconds=60)

Clock = Callable[[], datetime]


class Level(StrEnum):
    """`error` keeps syncer from working, `warning` may do so one day."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """What one check of the table found; `remedy` is empty exactly where nothing needs doing.

    `exit_code` is what the command ends with if this is the first error; it is no part of the document.
    """

    check: str
    level: Level
    message: str
    remedy: str = ""
    exit_code: int = 0


def ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, remedy: str = "") -> Finding:
    """Without a remedy of its own it gets the check's usual one."""
    return Finding(check, Level.WARNING, message, remedy or CHECKS[check].remedy)


def error(check: str, message: str, remedy: str = "") -> Finding:
    """Without a remedy of its own it gets the check's usual one."""
    return Finding(check, Level.ERROR, message, remedy or CHECKS[check].remedy, CHECKS[check].exit_code)


def failure(check: str, error: SyncerError, remedy: str = "") -> Finding:
    """An error that syncer met; its own message ends in the remedy, which a better one may replace."""
    problem, _, advice = str(error).rpartition("; ")
    return Finding(check, Level.ERROR, problem or advice, remedy or advice, error.exit_code)


def compared(check: str, theirs: datetime, now: datetime, whose: str) -> Finding:
    skew = now - theirs
    if abs(skew) > TOLERATED_SKEW:
        side = "ahead of" if skew > timedelta() else "behind"
        return warning(check, f"this machine's clock is {abs(skew).total_seconds():.0f} s {side} {whose}")
    return ok(check, f"this machine's clock agrees with {whose} within {TOLERATED_SKEW.total_seconds():.0f} s")


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """The `Date` of an answer in UTC, by headers whose names are in lower case; None where it cannot be read."""
    try:
        moment = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
