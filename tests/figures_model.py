"""Every figure of CONTRACT 7 once more, from its text alone: what each answer showed is kept, and each figure asks what
was true at one moment after another. Slow, plain, without SQL and without a line of syncer.

Takes upstream items with naive times at UTC+3, where the upstream bills; all times in here are such ones.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

ZONE = timedelta(hours=3)
GRACE = timedelta(minutes=5)
INSTANT = timedelta(microseconds=1)
FOREVER = datetime.fromisoformat("2200-01-01")
SHOWN = {
    "name": "name",
    "type_instance": "typeInstance",
    "messenger": "messenger",
    "tariff": "tariff",
    "is_free": "isFree",
    "is_partner": "isPartner",
}
Group = tuple[str, str | None, str | None]  # account, type, tariff


def local(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) + ZONE


def stated(text: str | None) -> datetime | None:
    moment = None if text is None else datetime.fromisoformat(text)
    return moment if moment is not None and 2010 <= moment.year <= 2199 else None


def renews_itself(item: Mapping[str, Any]) -> bool:
    partner = item.get("isPartner")
    return bool(partner) if partner is not None else (item.get("tariff") or "").startswith("PARTNER")


def midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time())


def month_of(day: date) -> str:
    return f"{day:%Y-%m}"


def next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


class Sight(NamedTuple):
    """What an answer showed of an instance: its item, or that it is not listed."""

    at: datetime
    account: str
    item: Mapping[str, Any] | None


class Step(NamedTuple):
    """Out of one group, or into it."""

    at: datetime
    group: Group
    word: str
    sign: int


class Life:
    """One instance and all that was ever shown of it."""

    def __init__(self) -> None:
        self.sights: list[Sight] = []

    def close(self) -> None:
        """Work out what was true when; after the last sight."""
        listed = [sight for sight in self.sights if sight.item is not None]
        dates = [moment for sight in listed if sight.item and (moment := stated(sight.item.get("timeCreated")))]
        self.first = listed[0]
        self.born = min([self.first.at, *dates[-1:]])
        self.expired = list(self._settled())
        self.deletions = list(self._deletions())
        self.expiries = list(self._expiries())
        moments = {self.born, *(sight.at for sight in self.sights)}
        moments |= {told[0] for told in (*self.deletions, *self.expiries) if told[0] > self.born}
        self.versions: list[tuple[datetime, dict[str, Any]]] = []
        for moment in sorted(moments):
            state = self._true_at(moment)
            if not self.versions or self.versions[-1][1] != state:
                self.versions.append((moment, state))
        self._moments = [moment for moment, _ in self.versions]

    def _listed_before(self, place: int) -> Mapping[str, Any] | None:
        return next((sight.item for sight in reversed(self.sights[:place]) if sight.item is not None), None)

    def _deletions(self) -> Iterator[tuple[datetime, datetime, str | None]]:
        """From when, told when, and as which date: each time that an instance is shown to be deleted now."""
        for place, sight in enumerate(self.sights):
            before = self._listed_before(place)
            if sight.item is None or not sight.item["deleted"] or (before is not None and before["deleted"]):
                continue
            words = []
            for later in self.sights[place:]:
                if later.item is not None and not later.item["deleted"]:
                    break
                if later.item is not None and (word := stated(later.item.get("timeDeleted"))):
                    words.append(word)
            possible = [word for word in words if word <= sight.at]
            since = sight.at
            for earlier in reversed(self.sights[:place]):
                if earlier.item is not None:
                    break
                since = earlier.at
            if possible:
                yield possible[-1], sight.at, possible[-1].isoformat()
            else:
                yield since, sight.at, None

    def _expiries(self) -> Iterator[tuple[datetime, datetime]]:
        was = False
        for sight, expired in zip(self.sights, self.expired, strict=True):
            if sight.item is None:
                continue
            date_ = stated(sight.item.get("expirationDate"))
            if expired and not was and date_ is not None and date_ <= sight.at:
                yield date_, sight.at
            was = expired

    def _settled(self) -> Iterator[bool]:
        """Whether each sight showed it expired, as far as that is believed."""
        was = False
        for sight in self.sights:
            item = sight.item
            if item is not None:
                created, due = stated(item.get("timeCreated")), stated(item.get("expirationDate"))
                is_young = created is not None and sight.at - created < GRACE
                is_due = due is not None and timedelta() <= sight.at - due < GRACE
                doubted = is_young or (is_due and renews_itself(item) and not was)
                was = bool(item["isExpired"]) and (item["deleted"] or not doubted)
            yield was

    def _true_at(self, moment: datetime) -> dict[str, Any]:
        places = [place for place, sight in enumerate(self.sights) if sight.at <= moment]
        place = places[-1] if places else 0
        missing = all(sight.item is None for sight in self.sights[place:])
        shown = next(sight for sight in reversed(self.sights[: place + 1]) if sight.item is not None)
        item = shown.item or {}
        state = {column: item.get(key) for column, key in SHOWN.items()}
        state |= {"account": shown.account, "missing": missing, "expiration_date": item.get("expirationDate")}
        if places:
            state |= {"deleted": item["deleted"], "is_expired": self.expired[place]}
            state["time_deleted"] = item.get("timeDeleted") if item["deleted"] else None
        else:
            state |= {"deleted": False, "is_expired": False, "time_deleted": None}
        overruling = [told for told in self.deletions if told[0] <= moment < told[1]]
        if overruling and not state["deleted"]:
            state |= {
                "deleted": True,
                "time_deleted": min(overruling, key=lambda told: (told[0], -told[1].timestamp()))[2],
            }
        if any(since <= moment < until for since, until in self.expiries):
            state["is_expired"] = True
        for column in ("time_deleted", "expiration_date"):
            if (state[column] or "").startswith("0001"):
                state[column] = None
        return state

    def at(self, moment: datetime) -> dict[str, Any] | None:
        """What was true at a moment; None before it was created."""
        place = bisect_right(self._moments, moment)
        return self.versions[place - 1][1] if place else None

    def lives_at(self, moment: datetime) -> Group | None:
        state = self.at(moment)
        if state is None or state["deleted"] or state["missing"]:
            return None
        return state["account"], state["type_instance"], state["tariff"]

    @property
    def first_group(self) -> Group:
        state = self.versions[0][1]
        return state["account"], state["type_instance"], state["tariff"]

    def steps(self) -> Iterator[Step]:
        yield Step(self.born, self.first_group, "created", 1)
        before: Group | None = self.first_group
        for moment, state in self.versions:
            after = self.lives_at(moment)
            if before is not None and after is None:
                yield Step(moment, before, "deleted" if state["deleted"] else "vanished", -1)
            elif before is None and after is not None:
                yield Step(moment, after, "returned", 1)
            elif before is not None and after is not None and before != after:
                word = "moved" if before[0] != after[0] else "regrouped"
                yield Step(moment, before, word, -1)
                yield Step(moment, after, word, 1)
            before = after

    def stretches(self) -> Iterator[tuple[Any, ...]]:
        """Each stretch in one group: its group, how and on which day it began, and how it ended, None while it has not."""
        into: Step | None = None
        for step in self.steps():
            if step.sign > 0:
                into = step
            elif into is not None:
                yield (*into.group, into.word, into.at.date(), step.word, step.at.date())
                into = None
        if into is not None:
            yield (*into.group, into.word, into.at.date(), None, None)

    def charged(self, today: date) -> Iterator[tuple[date, Group]]:
        """Each day that is charged, and as what."""
        yield self.born.date(), self.first_group
        day = self.born.date() + timedelta(days=1)
        while day <= today:
            if (group := self.lives_at(midnight(day))) is not None:
                yield day, group
            day += timedelta(days=1)


class FiguresModel:
    """An estate of any number of accounts; `today` is the day of the figures."""

    def __init__(self) -> None:
        self.lives: dict[int, Life] = defaultdict(Life)
        self.last_answers: dict[str, datetime] = {}
        self.last_seen: dict[int, datetime] = {}  # of what is missing
        self.rates: dict[str, list[tuple[date, Decimal, str]]] = {}
        self.customers: Any = None  # a `CustomersModel`, once somebody owns something

    def observe(self, account: str, items: Iterable[Mapping[str, Any]], now: datetime) -> None:
        """Take an accepted answer."""
        before = self.last_answers.get(account, local(now))
        self.last_answers[account] = local(now)
        listed = {item["idInstance"]: item for item in items}
        for key, item in listed.items():
            self.lives[key].sights.append(Sight(local(now), account, item))
        for key in self.lives.keys() - listed.keys():
            last = self.lives[key].sights[-1]
            if last.account == account and last.item is not None:
                self.lives[key].sights.append(Sight(local(now), account, None))
                self.last_seen[key] = before

    def close(self, today: date) -> None:
        """No answer follows: the figures may be asked."""
        self.today = today
        for life in self.lives.values():
            life.close()
        self.steps = [(key, step) for key, life in self.lives.items() for step in life.steps()]

    def _end_of(self, day: date) -> datetime:
        return midnight(day + timedelta(days=1)) - INSTANT

    def daily(self) -> dict[tuple[Any, ...], dict[str, int]]:
        counted: dict[tuple[date, Group], Counter[str]] = defaultdict(Counter)
        for _, step in self.steps:
            figures = counted[step.at.date(), step.group]
            figures["began" if step.sign > 0 else "ended"] += 1
            if step.word in {"created", "deleted"}:
                figures[step.word] += 1
        for life in self.lives.values():
            for day, group in life.charged(self.today):
                counted[day, group]["billable"] += 1
            day = life.born.date()
            while day <= self.today:
                if (there := life.lives_at(self._end_of(day))) is not None:
                    counted[day, there]["live"] += 1
                day += timedelta(days=1)
        rows = {}
        first: dict[Group, date] = {}
        for day, group in counted:
            first[group] = min(day, first.get(group, day))
        for group, begun in first.items():
            day = begun
            after = False  # the day before was one on which something lived, began or ended
            while day <= self.today:
                figures = counted[day, group] if (day, group) in counted else Counter()
                active = any(figures[word] for word in ("live", "began", "ended"))
                if active or after or figures["billable"]:
                    rows[day, *group] = {
                        word: figures[word] for word in ("created", "deleted", "began", "ended", "live", "billable")
                    }
                after = active
                day += timedelta(days=1)
        return rows

    def _price(self, tariff: str | None, day: date) -> tuple[Decimal, str] | None:
        known = [rate for rate in self.rates.get(tariff or "", []) if rate[0] <= day]
        return max(known)[1:] if known else None

    def _charges(self, key_of: Any) -> dict[tuple[Any, ...], dict[str, Any]]:
        charges: dict[tuple[Any, ...], dict[str, Any]] = {}
        for key, life in self.lives.items():
            for day, group in life.charged(self.today):
                row = charges.setdefault(
                    key_of(key, day, group), {"instance_days": 0, "currency": None, "amount": None, "unpriced_days": 0}
                )
                row["instance_days"] += 1
                price = self._price(group[2], day)
                if price is None:
                    row["unpriced_days"] += 1
                else:
                    row["amount"] = (row["amount"] or Decimal()) + price[0]
                    row["currency"] = price[1]
        return charges

    def billing_monthly(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        return self._charges(lambda _key, day, group: (month_of(day), *group))

    def costs_monthly(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        charges = self._charges(lambda key, day, group: (month_of(day), group[0], key, group[2]))
        for (month, _, key, _), row in charges.items():
            end = self._end_of(next_month(date.fromisoformat(f"{month}-01")) - timedelta(days=1))
            row["name"] = (self.lives[key].at(end) or {})["name"]
        return charges

    def instance_lives(self) -> Counter[tuple[Any, ...]]:
        """How often there is each stretch of each instance: some begin and end alike on one day."""
        return Counter((key, *stretch) for key, life in self.lives.items() for stretch in life.stretches())

    def billable_days(self) -> dict[int, int]:
        return {key: sum(1 for _ in life.charged(self.today)) for key, life in self.lives.items()}

    def instances(self) -> dict[tuple[int], dict[str, Any]]:
        rows = {}
        ages, days = self.age_days(), self.billable_days()
        for key, life in self.lives.items():
            state = life.versions[-1][1]
            due = state["expiration_date"]
            last = life.sights[-1]
            rows[key,] = {
                "status": status_of(state),
                "age_days": ages[key],
                "billable_days": days[key],
                "days_to_expiration": None if due is None else (datetime.fromisoformat(due).date() - self.today).days,
                "last_seen_at": self.last_seen[key] if last.item is None else self.last_answers[last.account],
                "name": state["name"],
                "tariff": state["tariff"],
            }
        return rows

    def age_days(self) -> dict[int, int]:
        ages = {}
        for key, life in self.lives.items():
            ends = [step.at.date() for step in life.steps() if step.sign < 0]
            end = self.today if life.lives_at(FOREVER) is not None else ends[-1]
            ages[key] = (end - life.born.date()).days
        return ages

    def churn(self) -> dict[tuple[str, str], dict[str, Any]]:
        rows = {}
        for account in {step.group[0] for _, step in self.steps}:
            own = [(key, step) for key, step in self.steps if step.group[0] == account and step.word != "regrouped"]
            first = min(step.at.date() for _, step in own).replace(day=1)
            while first <= self.today:
                end = next_month(first)
                before, last = midnight(first) - INSTANT, midnight(end) - INSTANT
                opening = {key for key, life in self.lives.items() if (life.lives_at(before) or ("",))[0] == account}
                closing = {key for key, life in self.lives.items() if (life.lives_at(last) or ("",))[0] == account}
                inside = [step for _, step in own if first <= step.at.date() < end]
                words = Counter(step.word for step in inside)
                lost = sum(self.lives[key].lives_at(last) is None for key in opening)
                rows[month_of(first), account] = {
                    "opening": len(opening),
                    "created": words["created"],
                    "returned": words["returned"],
                    "moved": sum(step.sign for step in inside if step.word == "moved"),
                    "deleted": words["deleted"],
                    "vanished": words["vanished"],
                    "closing": len(closing),
                    "lost": lost,
                    "churn_rate": lost / len(opening) if opening else None,
                }
                first = end
        return rows

    def cohorts(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for life in self.lives.values():
            month, age = life.born.date().replace(day=1), 0
            while month <= self.today:
                key = (month_of(life.born.date()), age, life.first_group[0])
                row = rows.setdefault(key, {"size": 0, "alive": 0})
                row["size"] += 1
                row["alive"] += life.lives_at(midnight(next_month(month)) - INSTANT) is not None
                month, age = next_month(month), age + 1
        return {key: row | {"survival": row["alive"] / row["size"]} for key, row in rows.items()}

    def statuses_at(self, moment: datetime) -> Counter[str]:
        """How many were active, expired, deleted, vanished or purged."""
        counted = Counter[str]()
        for life in self.lives.values():
            state = life.at(local(moment))
            if state is not None:
                counted[status_of(state)] += 1
        return counted


def status_of(state: Mapping[str, Any]) -> str:
    if state["missing"]:
        return "purged" if state["deleted"] else "vanished"
    return "deleted" if state["deleted"] else "expired" if state["is_expired"] else "active"
