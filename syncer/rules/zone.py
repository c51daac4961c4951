"""Whether the births between two polls speak against the configured offset of the upstream's times. Pure.

A birth must lie between the answer that did not list the instance yet and the one that does. Where it is stated hours
away from there, in a whole number of quarter hours, and of several births the same, it is the offset that is wrong.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

STEP = timedelta(minutes=15)  # of which every offset on earth is a multiple
LONGEST_WINDOW = timedelta(minutes=15)  # between two polls; in a shorter one at most one step can bring a birth
DECISIVE_BIRTHS = 3
UNKNOWN_SKEW = timedelta(minutes=10)  # of this machine's clock, where the answers bear no `Date`
LEAST_OFFSET, MOST_OFFSET = timedelta(hours=-12), timedelta(hours=14)


class Window(NamedTuple):
    """Between two answers, both ends included."""

    after: datetime
    before: datetime


class Birth(NamedTuple):
    """An instance that was born in the window, and when, by its creation's date under the configured offset."""

    stated: datetime
    window: Window


def window_between(
    last: tuple[datetime | None, datetime | None], now: tuple[datetime | None, datetime]
) -> Window | None:
    """The window between two answers, each given by its `Date` and by this machine's time; None if it is too long.

    By this machine's clock, which may be wrong, it is wider at both ends.
    """
    (last_stated, last_observed), (stated, observed) = last, now
    if last_stated is not None and stated is not None:
        after, before, skew = last_stated, stated, timedelta()
    elif last_observed is not None:
        after, before, skew = last_observed, observed, UNKNOWN_SKEW
    else:
        return None
    if not timedelta() <= before - after < LONGEST_WINDOW:
        return None
    return Window(after - skew, before + skew)


def is_birth(stated: datetime, window: Window) -> bool:
    """Whether any offset on earth brings the creation into the window; what is older came from elsewhere."""
    widest = MOST_OFFSET - LEAST_OFFSET
    return window.after - widest <= stated <= window.before + widest


def suggested_offset(configured: timedelta, births: Sequence[Birth]) -> timedelta | None:
    """The offset that the last births, newest first, agree on; None where nothing speaks against the configured one."""
    decisive = births[:DECISIVE_BIRTHS]
    if len(decisive) < DECISIVE_BIRTHS:
        return None
    steps = set.intersection(*map(_steps, decisive))
    if len(steps) != 1 or 0 in steps:
        return None
    offset = configured - steps.pop() * STEP
    return offset if LEAST_OFFSET <= offset <= MOST_OFFSET else None


def _steps(birth: Birth) -> set[int]:
    """The whole numbers of steps that bring the stated birth into its window."""
    least = -((birth.stated - birth.window.after) // STEP)
    most = (birth.window.before - birth.stated) // STEP
    return set(range(least, most + 1))


def offset_text(offset: timedelta) -> str:
    """As `+03:00`."""
    minutes = abs(offset) // timedelta(minutes=1)
    return f"{'-' if offset < timedelta() else '+'}{minutes // 60:02}:{minutes % 60:02}"
