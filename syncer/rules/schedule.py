"""When to run: a duration, or a five-field cron expression as cron means it. Pure; time is an argument."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from apscheduler.triggers.base import BaseTrigger

TOLERANCE = timedelta(seconds=1)
LONGEST_INTERVAL = timedelta(days=7)
SEARCHED_DAYS = 366 * 41  # a 29 February that is a Sunday can be forty years away, around 2100

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?", re.ASCII)
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, ("", *_MONTHS)),
    ("weekday", 0, 7, _WEEKDAYS),
)


def parse_duration(text: str) -> timedelta:
    """A positive duration such as `90s`, `15m`, `1h30m`, `2d`; raises `ValueError` for anything else."""
    match = _DURATION.fullmatch(text.strip())
    parts = [int(number or 0) for number in match.groups()] if match else []
    duration = timedelta(**dict(zip(_UNITS.values(), parts, strict=True))) if parts else timedelta()
    if not duration:
        raise ValueError(f"{text!r} is no duration such as 90s, 15m, 1h30m or 2d")
    return duration


def parse_schedule(text: str, timezone: ZoneInfo) -> "Interval | Cron":
    """A duration, or a cron expression read in a time zone; raises `ValueError` if it is neither, or never fires."""
    expression = _NICKNAMES.get(text.strip().lower(), text)
    fields = expression.split()
    if len(fields) == 1:
        if fields[0].startswith("@"):
            raise ValueError(f"{text!r} is not known; known are {', '.join(_NICKNAMES)}")
        interval = parse_duration(fields[0])
        if interval > LONGEST_INTERVAL:
            raise ValueError(f"{text!r} is longer than 7 days; the upstream forgets, poll more often")
        return Interval(interval)
    if len(fields) != 5:
        raise ValueError(
            f"{text!r} has {len(fields)} fields; a cron expression has five: minute hour day month weekday"
        )
    minutes, hours, days, months, weekdays = (
        frozenset(_parse_field(field, *limits)) for field, limits in zip(fields, _FIELDS, strict=True)
    )
    cron = Cron(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
        by_the_clock=fields[0].startswith("*") or fields[1].startswith("*"),
        timezone=timezone,
    )
    try:
        cron.next_after(datetime(2000, 1, 1, tzinfo=UTC))
    except LookupError:
        pass
    else:
        return cron
    raise ValueError(f"{text!r} never fires: no month has such a day")


def _parse_field(field: str, name: str, lowest: int, highest: int, words: tuple[str, ...]) -> Iterator[int]:
    for part in field.lower().split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, f"step of the {name}", 1, 9999, ()) if slash else 1
        if span == "*":
            first, last = lowest, highest
        else:
            first_text, dash, last_text = span.partition("-")
            first = _number(first_text, name, lowest, highest, words)
            last = _number(last_text, name, lowest, highest, words) if dash else highest if slash else first
        if first > last:
            raise ValueError(f"{part!r} as {name} runs backwards")
        yield from range(first, last + 1, step)


def _number(text: str, name: str, lowest: int, highest: int, words: tuple[str, ...]) -> int:
    if text and text in words:
        return words.index(text)
    if not (text.isascii() and text.isdigit()) or not lowest <= int(text) <= highest:
        raise ValueError(f"{text!r} as {name} is not from {lowest} to {highest}")
    return int(text)


@dataclass(frozen=True)
class Interval:
    """Every so often."""

    length: timedelta

    @property
    def interval_seconds(self) -> int:
        return int(self.length.total_seconds())

    @property
    def tolerance(self) -> timedelta:
        """How much before its time a run may start: timers are not exact."""
        return min(TOLERANCE, self.length / 10)

    def next_after(self, moment: datetime) -> datetime:
        """One interval later."""
        return moment + self.length

    def due(self, started_at: datetime) -> datetime:
        """When a run is due that follows one which began at a moment."""
        return started_at + self.length


@dataclass(frozen=True)
class Cron:
    """At the minutes that a cron expression names, in a time zone.

    Across a change of clocks it does as Debian's cron: a fixed time that is skipped runs right after the gap, one that
    comes twice runs once; expressions with a star for minute or hour go by the clock as it shows.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either_day: bool
    by_the_clock: bool
    timezone: ZoneInfo

    @cached_property
    def interval_seconds(self) -> int:
        """The longest gap between two firings of a year, clock changes apart: how old data may be before it is late."""
        times = self._times()
        firings = [times[0], times[-1]]
        longest = max((later - earlier for earlier, later in pairwise(times)), default=timedelta())
        start = date(2028, 1, 1)  # a leap year
        matching = [
            day for day in (start + timedelta(days=ahead) for ahead in range(SEARCHED_DAYS)) if self._matches(day)
        ]
        for earlier, later in pairwise(matching[:400]):
            longest = max(longest, (later - earlier) + firings[0] - firings[1])
        return int(longest.total_seconds())

    @property
    def tolerance(self) -> timedelta:
        """How much before its time a run may start: timers are not exact."""
        return TOLERANCE

    def due(self, started_at: datetime) -> datetime:
        """When a run is due that follows one which began at a moment, perhaps a little before its own time."""
        return self.next_after(started_at + TOLERANCE)

    def next_after(self, moment: datetime) -> datetime:
        """The first firing strictly later than the moment, in UTC; raises `LookupError` if there is none."""
        day = moment.astimezone(self.timezone).date() - timedelta(days=1)  # a gap at midnight moves a firing on
        for _ in range(SEARCHED_DAYS):
            if self._matches(day):
                later = [firing for firing in self._firings(day, moment) if firing > moment]
                if later:
                    return min(later)
            day += timedelta(days=1)
        raise LookupError("it never fires")

    def _matches(self, day: date) -> bool:
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and ((in_month or in_week) if self.either_day else (in_month and in_week))

    def _times(self) -> list[timedelta]:
        return [timedelta(hours=hour, minutes=minute) for hour in sorted(self.hours) for minute in sorted(self.minutes)]

    def _firings(self, day: date, moment: datetime) -> Iterator[datetime]:
        """The firings of a local day, those around the moment or after it; at most a few hours' worth too many."""
        midnight = datetime.combine(day, time())
        earliest = moment.astimezone(self.timezone).replace(tzinfo=None) - timedelta(hours=3)
        found = 0
        for local in (midnight + of_day for of_day in self._times()):
            if local < earliest:
                continue
            for firing in self._instants(local):
                found += firing > moment
                yield firing
            if found > 3 * 60:  # more than any clock change moves
                return

    def _instants(self, local: datetime) -> list[datetime]:
        first, second = (local.replace(tzinfo=self.timezone, fold=fold).astimezone(UTC) for fold in (0, 1))
        exists = first.astimezone(self.timezone).replace(tzinfo=None) == local
        if self.by_the_clock:
            return sorted({first, second}) if exists else []
        if exists:
            return [first]
        while first.astimezone(self.timezone).replace(tzinfo=None) != local:
            local += timedelta(minutes=1)
            first = local.replace(tzinfo=self.timezone).astimezone(UTC)
        return [first]


Schedule = Interval | Cron


class Again(NamedTuple):
    """In how many seconds to try what was not run; with `is_latest` at its own next time where that is sooner."""

    seconds: float
    is_latest: bool = False


def planned_again(again: Again, planned: datetime, now: datetime) -> datetime:
    """When something is tried again that is planned for a moment."""
    tried = now + timedelta(seconds=again.seconds)
    return min(tried, planned) if again.is_latest else tried


def planned_after_jump(schedule: Schedule, planned: datetime, jump: timedelta, now: datetime) -> datetime:
    """When a run that was planned is due after the wall clock moved by `jump`, to `now`.

    Nothing waits longer than its interval; what is overdue is due now.
    """
    latest = schedule.next_after(now)
    if planned <= latest:
        return planned
    return max(now, min(planned + jump, latest)) if isinstance(schedule, Interval) else latest


def trigger(schedule: Schedule) -> "BaseTrigger":
    """The schedule for APScheduler: whatever was missed coalesces into one run, and nothing bursts or stalls.

    An interval keeps its beat: runs stay multiples of it apart, however late one was.
    """
    from apscheduler.triggers.base import BaseTrigger

    class ScheduleTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
        def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
            now = now.astimezone(UTC)
            if isinstance(schedule, Cron):
                return schedule.next_after(now)
            if previous_fire_time is None or previous_fire_time > now:
                return schedule.next_after(now)
            missed = (now - previous_fire_time) // schedule.length
            return previous_fire_time.astimezone(UTC) + (missed + 1) * schedule.length

    return ScheduleTrigger()
