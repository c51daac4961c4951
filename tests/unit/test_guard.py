"""CONTRACT 6: when an answer is held, and what a person is told of it."""

from fractions import Fraction
from typing import Any

import pytest
from builders import body, item
from memory import known_of
from mirror import START, account
from reading import read_whole

from syncer.answer.reader import Reader
from syncer.model import Item, MirrorRow
from syncer.rules import guard
from syncer.rules.guard import Hold, HoldReason
from syncer.rules.transitions import Observation, decide_listed

ACCOUNT = account()


def mirror_of(items: list[dict[str, Any]]) -> dict[int, MirrorRow]:
    """The mirror after a first answer."""
    instances = read_whole(body(items), ACCOUNT.decoder).instances
    observation = Observation("default", START, {}, ACCOUNT.expiry_grace)
    return {key: decide_listed(None, Item(one, 0), observation).row for key, one in instances.items()}


def judged(
    before: list[dict[str, Any]],
    after: list[Any],
    share: str = "5/100",
    approved: list[set[int]] | None = None,
    missing: int | None = None,
) -> Hold | None:
    mirror = mirror_of(before)
    if missing is not None:
        mirror[missing] = mirror[missing]._replace(missing_since=START)
    return judged_of(mirror, after, share, approved)


def judged_of(
    mirror: dict[int, MirrorRow], after: list[Any], share: str = "5/100", approved: list[set[int]] | None = None
) -> Hold | None:
    listing = Reader(ACCOUNT.decoder, (), lambda: known_of(mirror))([body(after)])
    assert listing is not None
    return guard.examine(listing, tolerated_share=Fraction(share), approved=[frozenset(one) for one in approved or []])


ESTATE = [item(id_instance) for id_instance in range(1, 101)]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (ESTATE, ESTATE, None),
        (ESTATE, [], HoldReason.EMPTY),
        ([], [], None),
        ([item(1, deleted=True)], [], None),
        (ESTATE, [item(1000)], HoldReason.FOREIGN),
        ([], [item(1000)], None),
        (ESTATE, ESTATE[5:], None),
        (ESTATE, ESTATE[6:], HoldReason.VANISHED),
        (ESTATE[:10], ESTATE[3:10], None),
        (ESTATE[:10], ESTATE[4:10], HoldReason.VANISHED),
        ([*ESTATE[:9], *(item(one, deleted=True) for one in range(10, 60))], ESTATE[:9], None),
    ],
    ids=[
        "nothing is missing", "empty", "empty before as well", "empty, but nothing was live", "another account's",
        "the first answer", "as many as are tolerated", "one more", "three of a few", "four of a few", "only purged",
    ],
)  # fmt: skip
def test_an_answer_is_held_for_its_reason(before: list[Any], after: list[Any], reason: HoldReason | None) -> None:
    hold = judged(before, after)

    assert reason == (hold.reason if hold else None)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([], Hold(HoldReason.EMPTY, tuple(range(1, 9)), 8, 0)),
        ([item(1, deleted=None), *ESTATE[1:4], item(9, deleted=True)], Hold(HoldReason.VANISHED, (5, 6, 7, 8), 8, 5)),
        ([item(1000), item(1001)], Hold(HoldReason.FOREIGN, tuple(range(1, 9)), 8, 2)),
    ],
    ids=["empty", "vanished", "foreign"],
)
def test_what_is_held_says_what_is_missing_of_how_many(after: list[Any], expected: Hold) -> None:
    assert expected == judged([*ESTATE[:8], item(9, deleted=True)], after)


@pytest.mark.parametrize("answer", [[item(1)], [item(1, deleted=None)]], ids=["taken", "rejected"])
def test_one_known_instance_is_enough_to_be_of_this_account(answer: list[Any]) -> None:
    assert judged([item(1), *(item(one, deleted=True) for one in range(2, 9))], answer) is None


def test_the_reasons_are_the_words_that_are_stored() -> None:
    assert ["empty", "vanished", "foreign"] == [str(reason) for reason in HoldReason]


@pytest.mark.parametrize("owner", ["a", "z"])
def test_the_rows_of_another_account_count_for_nothing(owner: str) -> None:
    mirror = {key: row._replace(account=owner) for key, row in mirror_of(ESTATE[:8]).items()}

    assert judged_of(mirror, []) is None
    assert judged_of(mirror, [item(1000)]) is None


def test_an_instance_that_returns_is_of_this_account_though_nothing_else_is_listed() -> None:
    assert judged(ESTATE[:2], ESTATE[:1], missing=1) is None


def test_an_approval_lets_the_same_loss_or_less_pass_and_nothing_larger() -> None:
    approved = [set(range(1, 11))]

    assert judged(ESTATE, ESTATE[10:], approved=approved) is None
    assert judged(ESTATE, ESTATE[8:], approved=approved) is None
    assert judged(ESTATE, ESTATE[11:], approved=approved) is not None


@pytest.mark.parametrize(
    ("hold", "run_id", "told"),
    [
        (Hold(HoldReason.EMPTY, (), 7, 0), 12, "the answer is empty while 7 instances are live; if that is right: syncer approve 12"),
        (Hold(HoldReason.VANISHED, (1, 2, 3, 4), 9, 5), 12, "4 of 9 live instances are missing from the answer (1, 2, 3, 4); if that is right: syncer approve 12"),
        (Hold(HoldReason.VANISHED, (1, 2, 3, 4, 5), 9, 4), 12, "5 of 9 live instances are missing from the answer (1, 2, 3, 4, 5); if that is right: syncer approve 12"),
        (Hold(HoldReason.VANISHED, tuple(range(1, 7)), 9, 3), 12, "6 of 9 live instances are missing from the answer (1, 2, 3, 4, 5 and 1 more); if that is right: syncer approve 12"),
        (Hold(HoldReason.VANISHED, tuple(range(1, 13)), 20, 8), 12, "12 of 20 live instances are missing from the answer (1, 2, 3, 4, 5 and 7 more); if that is right: syncer approve 12"),
        (Hold(HoldReason.VANISHED, tuple(range(1, 8)), 9, 2), None, "7 of 9 live instances are missing from the answer (1, 2, 3, 4, 5 and 2 more); a run would be held for it"),
        (Hold(HoldReason.FOREIGN, (), 9, 2), None, "the answer shares no instance with the mirror, as if the token were another account's; a run would be held for it"),
    ],
)  # fmt: skip
def test_a_person_is_told_what_is_missing_and_how_to_approve_it(hold: Hold, run_id: int | None, told: str) -> None:
    assert told == guard.describe(hold, run_id)
