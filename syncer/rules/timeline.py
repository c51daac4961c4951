"""The timeline of one instance: what was true of it when, by all that is known now (CONTRACT 7). Pure.

`read_history` makes the rows of its history into what each answer told, `versions_of` says what was true when, and
`lives_of` when it lived under one account, type and tariff, and for which days the upstream charges that.

Over 300 lines: the three are read beside one section of the contract, and none of them alone is the timeline.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from syncer.model import HISTORY_FIELDS, TimeSource, Transition

BILLING_OFFSET = timedelta(hours=3)  # a day is a day at UTC+3, where the upstream bills
FIRST_BELIEVED = datetime(2010, 1, 1, tzinfo=UTC)  # an answer that states a date outside of these years is refused;
END_OF_BELIEVED = datetime(2200, 1, 1, tzinfo=UTC)  # histories of older editions hold some


class State(NamedTuple):
    """What a version says: whose the instance is, whether it is missing, and the fields of `model.HISTORY_FIELDS`.

    `other` are the values of `OTHER_FIELDS`, of which the rules know nothing but whether they are the same.
    """

    account: str
    type_instance: str | None
    tariff: str | None
    time_deleted: datetime | None
    deleted: bool
    is_expired: bool
    missing: bool
    other: tuple[object, ...]

    @property
    def is_live(self) -> bool:
        return not self.deleted and not self.missing


_NAMED = State._fields[:-1]
OTHER_FIELDS = tuple(name for name in HISTORY_FIELDS if name not in _NAMED)
STATE_COLUMNS = (*_NAMED, *OTHER_FIELDS)
"""The columns of the history that make a state, in the order that `state_of` takes."""


def state_of(values: Sequence[Any]) -> State:
    """The state of which `STATE_COLUMNS` have these values."""
    return undated(State._make((*values[: len(_NAMED)], tuple(values[len(_NAMED) :]))))


def undated(state: State) -> State:
    """The state without the date of a deletion that did not happen: of what lives it says nothing."""
    return state if state.deleted or state.time_deleted is None else state._replace(time_deleted=None)


class Seen(NamedTuple):
    """What one answer told of an instance: the state from then on, and its transitions with the dates stated.

    `time_created` is the creation's date where this answer states one for the first time, or another one.
    """

    at: datetime
    state: State
    transitions: Mapping[str, datetime | None]
    time_created: datetime | None = None


class Version(NamedTuple):
    """What was true from `valid_from` until before `valid_to`; None: still."""

    valid_from: datetime
    valid_to: datetime | None
    state: State


class Step(StrEnum):
    """How a life begins or ends; the last two are the end of one and the beginning of the next."""

    CREATED = "created"
    RETURNED = "returned"
    DELETED = "deleted"
    VANISHED = "vanished"
    MOVED = "moved"  # to another account
    REGROUPED = "regrouped"  # another type or tariff


class Life(NamedTuple):
    """A stretch of life under one account, type and tariff; it is still going on where `ended_at` is None."""

    began_at: datetime
    began_with: Step
    ended_at: datetime | None
    ended_with: Step | None
    account: str
    type_instance: str | None
    tariff: str | None

    @property
    def first_day(self) -> date:
        return billing_day(self.began_at)

    @property
    def last_day(self) -> date | None:
        return None if self.ended_at is None else billing_day(self.ended_at)

    @property
    def first_night(self) -> date:
        """The first day that is charged: that of the creation, else the first at whose 00:00 it is there."""
        return self.first_day if self.began_with is Step.CREATED else first_midnight(self.began_at)

    @property
    def end_night(self) -> date | None:
        """The first day that is not charged any more; a creation is charged however short the life."""
        if self.ended_at is None:
            return None
        night = first_midnight(self.ended_at)
        return max(night, self.first_day + timedelta(days=1)) if self.began_with is Step.CREATED else night


class HistoryRow(NamedTuple):
    """A row of `instance_history`: what occurred, and the state after the whole observation. `changes` is JSON text."""

    id_instance: int
    run_id: int
    transition: str
    occurred_at: datetime
    time_source: str
    observed_at: datetime
    changes: str
    state: State


def billing_day(moment: datetime) -> date:
    """The day at UTC+3 on which a moment falls."""
    return (moment + BILLING_OFFSET).date()


def first_midnight(moment: datetime) -> date:
    """The day of the first 00:00 (UTC+3) at this moment or after it."""
    local = moment + BILLING_OFFSET
    begun = local.hour or local.minute or local.second or local.microsecond
    return local.date() + timedelta(days=1) if begun else local.date()


def midnight_of(day: date) -> datetime:
    """The 00:00 (UTC+3) at which a day begins."""
    return datetime.combine(day, datetime.min.time(), UTC) - BILLING_OFFSET


def read_history(rows: Iterable[HistoryRow]) -> list[Seen]:
    """What each answer told; `rows` are those of one instance in the order of their ids.

    Rows of one answer hold the same state.
    """
    seen = []
    for _, group in groupby(rows, key=lambda row: row.run_id):  # run ids of two accounts need not ascend
        of_answer = list(group)
        transitions: dict[str, datetime | None] = {}
        created = None
        for row in of_answer:
            stated = row.occurred_at if row.time_source == TimeSource.UPSTREAM else None
            transitions[row.transition] = stated if stated is not None and is_believed(stated) else None
            if row.transition == Transition.CREATED:
                created = transitions[row.transition]
            elif row.transition == Transition.CHANGED and '"time_created"' in row.changes:
                created = _corrected_creation(row.changes)
        seen.append(Seen(of_answer[0].observed_at, of_answer[0].state, transitions, created))
    return seen


def _corrected_creation(changes: str) -> datetime | None:
    _, stated = json.loads(changes).get("time_created", (None, None))
    moment = None if stated is None else datetime.fromisoformat(stated)
    return moment if moment is not None and is_believed(moment) else None


def is_believed(moment: datetime) -> bool:
    return FIRST_BELIEVED <= moment < END_OF_BELIEVED


def versions_of(seen: Sequence[Seen]) -> list[Version]:
    """The versions of one instance, oldest first: none is empty, each begins where the one before ends.

    Walks back from the newest answer. `deleted_from` and `expired_from` are the earliest dates from which the answers
    walked over say that it was deleted or expired: whatever was seen from such a date on is overruled by it.
    """
    birth = _birth(seen)
    found: list[Version] = []
    until: datetime | None = None
    deleted_from: datetime | None = None
    deletion_stated: datetime | None = None
    expired_from: datetime | None = None
    words: list[datetime] = []  # the dates that answers walked over gave to one deletion, the last first
    for before, answer in zip([*seen[-2::-1], birth, None], [*seen[::-1], birth], strict=True):
        state = answer.state
        if until is not None and state.missing:
            state = state._replace(missing=False)  # a gap that ended was none
        starts = {answer.at}
        starts.update(
            moment
            for moment in (deleted_from, expired_from)
            if moment is not None and answer.at < moment and (until is None or moment < until)
        )
        for start in sorted(starts, reverse=True):
            if until is not None and start >= until:
                continue  # two answers at the same moment: the later one counts
            version = state
            if deleted_from is not None and deleted_from <= start and not state.deleted:
                version = version._replace(deleted=True, time_deleted=deletion_stated)
            if expired_from is not None and expired_from <= start:
                version = version._replace(is_expired=True)
            found.append(Version(start, until, version))
            until = start
        if not answer.state.deleted:
            words.clear()
        elif (word := answer.state.time_deleted) is not None and is_believed(word):
            words.append(word)
        if Transition.DELETED in answer.transitions:
            stated = next((word for word in words if word <= answer.at), None)
            gone_at = before.at if before is not None and before.state.missing else answer.at
            moment = stated if stated is not None else gone_at
            if deleted_from is None or moment < deleted_from:
                deleted_from, deletion_stated = moment, stated
        if (expiry := answer.transitions.get(Transition.EXPIRED)) is not None:
            expired_from = expiry if expired_from is None else min(expired_from, expiry)
    return _merged(reversed(found))


def _birth(seen: Sequence[Seen]) -> Seen:
    """Its creation, as what it was first seen, but alive."""
    first = seen[0]
    dates = [answer.time_created for answer in seen if answer.time_created is not None]
    alive = undated(first.state._replace(deleted=False, is_expired=False, missing=False))
    return Seen(min([first.at, *dates[-1:]]), alive, {})


def reaches_back(before: State, answer: Seen) -> bool:
    """Whether an answer says anything of the time before it; `before` is what the answer before it showed.

    Any other one but ends the current version, where it says something else: `versions_of` and `lives_of` of all the
    answers up to it are then those up to the one before, and what `lived_on` makes of their last ones.
    """
    return (
        before.missing
        or answer.time_created is not None
        or answer.transitions.get(Transition.DELETED) is not None
        or answer.transitions.get(Transition.EXPIRED) is not None
        or (before.deleted and answer.state.deleted and before.time_deleted != answer.state.time_deleted)
    )


def lived_on(current: Version, life: Life | None, answer: Seen) -> tuple[list[Version], list[Life]]:
    """The current version and the life that goes on, and what comes of them by an answer that does not reach back."""
    if current.state == answer.state:
        return [current], [] if life is None else [life]
    versions = [current._replace(valid_to=answer.at), Version(answer.at, None, answer.state)]
    lives = lives_of(versions)
    if life is None:  # the first of the two is no life, and no creation either
        return versions, lives[1:]
    return versions, [life._replace(ended_at=lives[0].ended_at, ended_with=lives[0].ended_with), *lives[1:]]


def _merged(versions: Iterator[Version]) -> list[Version]:
    """Neighbours that say the same are one."""
    merged: list[Version] = []
    for version in versions:
        if merged and merged[-1].state == version.state:
            merged[-1] = merged[-1]._replace(valid_to=version.valid_to)
        else:
            merged.append(version)
    return merged


def lives_of(versions: Sequence[Version]) -> list[Life]:
    """The lives of one instance, oldest first; only the last one can be going on.

    What is deleted as of its creation has a life of no length, in the group of its first version.
    """
    lives: list[Life] = []
    start, _, state = versions[0]
    if not state.is_live:
        lives.append(Life(start, Step.CREATED, start, _end(state), *_group(state)))
    else:
        lives.append(Life(start, Step.CREATED, None, None, *_group(state)))
    for (_, _, before), (moment, _, after) in pairwise(versions):
        if before.is_live and after.is_live and _group(before) == _group(after):
            continue
        step = Step.MOVED if before.account != after.account else Step.REGROUPED
        if before.is_live:
            lives[-1] = lives[-1]._replace(ended_at=moment, ended_with=step if after.is_live else _end(after))
        if after.is_live:
            began_with = step if before.is_live else Step.RETURNED
            lives.append(Life(moment, began_with, None, None, *_group(after)))
    return lives


def _group(state: State) -> tuple[str, str | None, str | None]:
    return state.account, state.type_instance, state.tariff


def _end(state: State) -> Step:
    return Step.DELETED if state.deleted else Step.VANISHED
