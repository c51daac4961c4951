"""Whose an instance is, as one list says it and as it is known: where days overlap, and what a new list changes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

Key = tuple[int, date]  # an instance and an assignment's first day


class Assignment(NamedTuple):
    """A row of `customers`: whose an instance is from a day to a last one (None: still), and what its day is sold for.

    Price and currency are None together: it is not sold.
    """

    id_instance: int
    customer: str
    valid_from: date
    valid_to: date | None
    daily_price: Decimal | None
    currency: str | None

    @property
    def key(self) -> Key:
        return self.id_instance, self.valid_from


class Listed(NamedTuple):
    """An assignment, and the line of the list that says it."""

    line: int
    assignment: Assignment


class Changes(NamedTuple):
    """What a list changes of what is known; `changed` has pairs of before and after."""

    added: Sequence[Assignment]
    changed: Sequence[tuple[Assignment, Assignment]]
    removed: Sequence[Assignment]
    kept: int

    @property
    def drops_most(self) -> bool:
        """Whether more than half of what is known would go: a list that was cut, or another one."""
        return 2 * len(self.removed) > len(self.removed) + len(self.changed) + self.kept


def first_overlap(listed: Iterable[Listed]) -> tuple[Listed, Listed] | None:
    """Two lines that give one instance to somebody on the same day, the earlier line first; None if there are none."""
    in_order = sorted(listed, key=lambda one: (*one.assignment.key, one.line))
    for before, after in pairwise(in_order):
        one, other = before.assignment, after.assignment
        if one.id_instance == other.id_instance and (one.valid_to is None or other.valid_from <= one.valid_to):
            return (before, after) if before.line < after.line else (after, before)
    return None


def changes(known: Iterable[Assignment], wanted: Iterable[Assignment]) -> Changes:
    """What turns what is known into a whole list, by instance and day."""
    old: Mapping[Key, Assignment] = {one.key: one for one in known}
    new: Mapping[Key, Assignment] = {one.key: one for one in wanted}
    both = sorted(old.keys() & new.keys())
    changed = [(old[key], new[key]) for key in both if old[key] != new[key]]
    return Changes(
        added=[new[key] for key in sorted(new.keys() - old.keys())],
        changed=changed,
        removed=[old[key] for key in sorted(old.keys() - new.keys())],
        kept=len(both) - len(changed),
    )
