"""CONTRACT 6, `zone`, once more, written from its text alone: do births between polls speak against the offset."""

from datetime import datetime, timedelta
from typing import NamedTuple

CONFIGURED = timedelta(hours=3)
QUARTER = timedelta(minutes=15)
SKEW = timedelta(minutes=10)  # by which a window is wider at both ends where not both answers have a `Date` (design.md)
FARTHEST = 104  # quarter hours between two offsets on earth: -12:00 and +14:00


class Heard(NamedTuple):
    """When an answer was heard: its `Date`, and the moment of the observation."""

    dated: datetime | None
    observed: datetime


class Birth(NamedTuple):
    """An instance that an answer shows first, and between which moments it was born."""

    after: datetime
    before: datetime
    key: int


def births_of(created: dict[int, datetime | None], last: Heard, now: Heard) -> list[Birth]:
    """Those of the new instances that were born between these two answers, if these lie close together."""
    after, before = last.observed, now.observed
    skew = SKEW
    if last.dated is not None and now.dated is not None:
        after, before, skew = last.dated, now.dated, timedelta()
    if not after <= before < after + QUARTER:
        return []
    after, before = after - skew, before + skew
    return [
        Birth(after, before, key)
        for key, at in created.items()
        if at is not None and after - FARTHEST * QUARTER <= at <= before + FARTHEST * QUARTER
    ]


def speaks_against(births: list[Birth], created: dict[int, datetime | None]) -> bool:
    """Whether the last three agree on another offset; `created` is what is known of them now."""
    dated = sorted(((one.before, one.key, one) for one in births if created[one.key] is not None), reverse=True)
    if len(dated) < 3:
        return False
    fits = [
        {n for n in range(-2 * FARTHEST, 2 * FARTHEST + 1) if one.after <= at + n * QUARTER <= one.before}
        for _, key, one in dated[:3]
        if (at := created[key]) is not None
    ]
    common = set.intersection(*fits)
    if len(common) != 1 or common == {0}:
        return False
    return timedelta(hours=-12) <= CONFIGURED - common.pop() * QUARTER <= timedelta(hours=14)
