"""What a reply means, and how long to wait after one that is no yes."""

from datetime import timedelta
from enum import Enum
from typing import NamedTuple

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(hours=1)
LONGEST_RETRY_AFTER = timedelta(days=1)  # a receiver that asks for more has made a mistake
GONE = 410


class Reply(NamedTuple):
    """What came of one attempt: a status, or None and what went wrong; `words` hold no secret."""

    status: int | None
    words: str = ""
    retry_after_seconds: float | None = None

    @property
    def problem(self) -> str:
        """What is wrong, in words for a person."""
        if self.status is None:
            return self.words
        said = f"it answered HTTP {self.status}"
        if 300 <= self.status < 400:
            said += ", a redirect, which is not followed"
        return f"{said}: {self.words}" if self.words else said


class Verdict(Enum):
    """What is done next: the next message, nothing until a person resumes, or the same message again."""

    DELIVERED = "delivered"
    STOPPED = "stopped"
    AGAIN = "again"


def verdict_of(reply: Reply) -> Verdict:
    """2xx is a yes, 410 says that nothing is wanted any more, and nothing else says either."""
    if reply.status is not None and 200 <= reply.status < 300:
        return Verdict.DELIVERED
    return Verdict.STOPPED if reply.status == GONE else Verdict.AGAIN


def pause_after(tries: int, retry_after_seconds: float | None, chance: float) -> timedelta:
    """How long to wait after so many attempts that failed, at least as long as was asked for.

    `chance` from 0 to 1 spreads it, from as much as half of the pause to all of it, but for the first one.
    """
    doubled: int = 2 ** min(tries - 1, 20)
    pause = min(FIRST_PAUSE * doubled, LONGEST_PAUSE)
    if tries > 1:
        pause *= 1 - chance / 2
    asked = timedelta(seconds=min(retry_after_seconds or 0.0, LONGEST_RETRY_AFTER.total_seconds()))
    return max(pause, asked)
