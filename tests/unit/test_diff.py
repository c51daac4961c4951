"""The facts of one answer beside the mirror."""

from datetime import timedelta

import pytest
from builders import body, item
from mirror import START, account

from syncer.answer.decode import decode
from syncer.model import Instance, Listing, MirrorRow
from syncer.rules.diff import Differences, diff, settle

GRACE = timedelta(minutes=5)
OWN = " owner".strip()  # equal to what the rows say, and another object, as a database gives it


def listed(*items: object) -> Listing:
    return decode(body(items), account().decoder)


def row(id_instance: int, owner: str = "owner", *, missing: bool = False) -> MirrorRow:
    (instance,) = listed(item(id_instance)).instances.values()
    return MirrorRow(owner, instance, START, START, None, START if missing else None)


def difference(rows: list[MirrorRow], listing: Listing) -> Differences:
    mirror = {one.instance.id_instance: one for one in rows}
    return diff(mirror, listing, account=OWN, observed_at=START, expiry_grace=GRACE)


def test_an_answer_that_is_the_mirror_differs_in_nothing() -> None:
    assert Differences((), (), ()) == difference([row(1), row(2)], listed(item(2), item(1)))


@pytest.mark.parametrize(
    "before", [row(1, "a"), row(1, "z"), row(1, missing=True)], ids=["an owner before", "an owner after", "missing"]
)
def test_an_instance_that_is_told_unchanged_may_differ_by_its_row(before: MirrorRow) -> None:
    assert Differences((), ((before, before.instance),), ()) == difference([before], listed(item(1)))


@pytest.mark.parametrize("name", ["a", "z", None])
def test_an_instance_that_is_told_otherwise_differs(name: str | None) -> None:
    answer = listed(item(1, name=name))

    assert Differences((), ((row(1), answer.instances[1]),), ()) == difference([row(1)], answer)


def test_what_is_new_and_what_is_absent_is_told_in_ascending_order() -> None:
    answer = listed(item(5), item(4), item(3))

    assert Differences((answer.instances[4], answer.instances[5]), (), (row(1), row(2))) == difference(
        [row(2), row(3), row(1)], answer
    )


def test_only_the_accounts_own_rows_that_were_there_can_be_absent() -> None:
    rows = [row(1, "a"), row(2, "z"), row(3, missing=True), row(4), row(5)]

    assert Differences((), (), (row(4),)) == difference(rows, listed(item(5, deleted=None)))


def test_a_rejected_item_of_an_unknown_instance_is_neither_new_nor_absent() -> None:
    assert Differences((), (), (row(2),)) == difference([row(1), row(2)], listed(item(1), item(3, deleted=None)))


def test_an_answer_with_an_unreadable_id_proves_no_absence() -> None:
    assert Differences((), (), ()) == difference([row(1), row(2)], listed(item(1), item(None)))


def test_what_differs_is_settled_at_the_time_of_the_answer() -> None:
    young, old = "2026-11-01T14:56:00", "2026-11-01T14:54:00"  # START is 15:00 there
    answer = listed(*(item(key, timeCreated=created, isExpired=True) for key, created in enumerate([young, old], 1)))

    assert [(1, False), (2, True)] == [(one.id_instance, one.is_expired) for one in difference([], answer).new]


@pytest.mark.parametrize(
    ("age", "deleted", "is_expired"),
    [
        (GRACE - timedelta(seconds=1), False, False),
        (GRACE, False, True),
        (GRACE + timedelta(seconds=1), False, True),
        (GRACE - timedelta(seconds=1), True, True),
        (timedelta(seconds=-1), False, False),
        (None, False, True),
    ],
    ids=["just within", "to the moment", "after", "deleted", "created after the answer", "created nobody knows when"],
)
def test_within_the_grace_a_live_instance_is_not_expired(
    *, age: timedelta | None, deleted: bool, is_expired: bool
) -> None:
    told: Instance = row(1).instance._replace(
        time_created=None if age is None else START - age, deleted=deleted, is_expired=True
    )

    assert told._replace(is_expired=is_expired) == settle(told, START, GRACE)
    assert told._replace(is_expired=False) == settle(told._replace(is_expired=False), START, GRACE)
