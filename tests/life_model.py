"""What BI must be told of an estate, worked out day by day from the answers alone: slow, plain, without SQL.

Takes upstream items with naive UTC+3 times, as the upstream sends them; days and months are those of UTC+3.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

ZONE = timedelta(hours=3)
Group = tuple[str | None, str | None]  # type, tariff


def told(text: str | None, seen_at: datetime) -> datetime:
    """A time that the upstream states, in naive UTC+3; what it does not state or lies ahead counts as seen now."""
    stated = None if text is None or text.startswith("0001") else datetime.fromisoformat(text)
    return stated if stated is not None and stated <= seen_at else seen_at


class Life:
    """One instance: when it lived and as what."""

    def __init__(self, item: dict[str, Any], now: datetime) -> None:
        self.born = told(item["timeCreated"], now)
        self.group: Group = (item["typeInstance"], item["tariff"])
        self.creation = (self.born, self.group)
        self.deletions: list[tuple[datetime, Group]] = []
        self.stretches: list[list[Any]] = [[self.born, None, self.group]]
        self.settled = 0  # stretches that an earlier deletion has ended
        self.is_deleted = False
        self.is_missing = False
        self._deletion(item, now)

    def see(self, item: dict[str, Any], now: datetime) -> None:
        """The instance is listed."""
        group = (item["typeInstance"], item["tariff"])
        lived = not self.is_deleted and not self.is_missing
        self.is_missing = False
        if item["deleted"]:
            self._deletion(item, now, group)
        else:
            if lived and group != self.group:
                self._end(now)
            if not lived or group != self.group:
                self.stretches.append([now, None, group])
            self.is_deleted = False
        self.group = group

    def miss(self, now: datetime) -> None:
        """The instance is not listed."""
        if not self.is_missing and not self.is_deleted:
            self._end(now)
        self.is_missing = True

    def _deletion(self, item: dict[str, Any], now: datetime, group: Group | None = None) -> None:
        if item["deleted"] and not self.is_deleted:
            at = told(item["timeDeleted"], now)
            self.deletions.append((at, group or self.group))
            for stretch in self.stretches[self.settled :]:
                stretch[1] = at if stretch[1] is None else min(at, stretch[1])
            self.settled = len(self.stretches)
            self.is_deleted = True

    def _end(self, at: datetime) -> None:
        if self.stretches and self.stretches[-1][1] is None:
            self.stretches[-1][1] = at

    def is_there_at_midnight(self, midnight: datetime) -> Group | None:
        """As what it is charged at this 00:00; None if it is not."""
        for begin, end, group in self.stretches:
            if begin < midnight and (end is None or midnight < end):
                return group
        return None

    def lives_at_end_of(self, day: date) -> Group | None:
        """As what it lives when the day ends."""
        end_of_day = datetime.combine(day + timedelta(days=1), datetime.min.time())
        for begin, end, group in self.stretches:
            if begin < end_of_day and (end is None or end_of_day <= end) and (end is None or begin < end):
                return group
        return None


class LifeModel:
    """The lives of an estate of one account."""

    def __init__(self) -> None:
        self.lives: dict[int, Life] = {}

    def observe(self, items: Iterable[dict[str, Any]], now: datetime) -> None:
        """Take an accepted answer."""
        local = now.astimezone(UTC).replace(tzinfo=None) + ZONE
        listed = {item["idInstance"]: item for item in items}
        for key, item in listed.items():
            if key in self.lives:
                self.lives[key].see(item, local)
            else:
                self.lives[key] = Life(item, local)
        for key in self.lives.keys() - listed.keys():
            self.lives[key].miss(local)

    def daily(self, today: date) -> dict[tuple[date, Group], Counter[str]]:
        """created, deleted, live and billable by day and group, where any of them is not zero."""
        figures: dict[tuple[date, Group], Counter[str]] = defaultdict(Counter)
        for life in self.lives.values():
            born, group = life.creation
            figures[born.date(), group].update(created=1, billable=1)
            for at, deleted_group in life.deletions:
                figures[at.date(), deleted_group].update(deleted=1)
            day = born.date()
            while day <= today:
                midnight = datetime.combine(day, datetime.min.time())
                if (there := life.is_there_at_midnight(midnight)) is not None:
                    figures[day, there].update(billable=1)
                if (alive := life.lives_at_end_of(day)) is not None:
                    figures[day, alive].update(live=1)
                day += timedelta(days=1)
        return figures

    def billable_days(self, key: int, today: date) -> int:
        """One for the creation, and one for each midnight at which it was there."""
        life = self.lives[key]
        days = (today - life.born.date()).days
        midnights = (
            datetime.combine(life.born.date() + timedelta(days=n + 1), datetime.min.time()) for n in range(days)
        )
        return 1 + sum(life.is_there_at_midnight(midnight) is not None for midnight in midnights)
