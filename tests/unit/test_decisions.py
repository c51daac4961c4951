"""What a whole answer means: what is decided of what, and what is done with claims."""

from array import array
from typing import Any

import pytest
from builders import body, item
from memory import known_of, rows_in
from mirror import START, account
from reading import read_whole

from syncer.answer.known import CLAIMED, CONTESTED, FREE, MISSING, Known
from syncer.answer.listing import Listing
from syncer.answer.reader import Reader
from syncer.model import Decision, Item, MirrorRow, Transition
from syncer.rules.decisions import NO_ROWS, decisions_of, dropped_claims, unread_strangers
from syncer.rules.transitions import Observation, decide_listed

ACCOUNT = account()
OBSERVATION = Observation("default", START, {}, ACCOUNT.expiry_grace)


def rows_of(*ids: int, **values: Any) -> dict[int, MirrorRow]:
    instances = read_whole(body([item(key) for key in ids]), ACCOUNT.decoder).instances
    return {
        key: decide_listed(None, Item(one, 0), OBSERVATION).row._replace(**values) for key, one in instances.items()
    }


def listing(answer: list[Any], known: Known) -> Listing:
    read = Reader(ACCOUNT.decoder, (), lambda: known)([body(answer)])
    assert read is not None
    return read


def with_flags(rows: dict[int, MirrorRow], flags: dict[int, int]) -> Known:
    ids = sorted(rows)
    none = array("Q", bytes(8 * len(ids)))
    return Known(array("q", ids), none, none, bytearray(flags.get(key, 0) for key in ids))


def decided(answer: Listing, rows: dict[int, MirrorRow], claimants: dict[int, str] | None = None) -> list[Decision]:
    return [one for some in decisions_of(answer, OBSERVATION, rows_in(rows, claimants)) for one in some.decisions]


def words(decisions: list[Decision]) -> dict[int, list[str]]:
    return {one.id_instance: [str(event.transition) for event in one.events] for one in decisions}


def test_the_first_answer_is_compared_with_nothing() -> None:
    answer = listing([item(2), item(1)], known_of({}))
    batches = list(decisions_of(answer, OBSERVATION, NO_ROWS))

    assert [[one.id_instance for one in some.decisions] for some in batches] == [[1, 2]]


def test_what_is_claimed_and_listed_no_more_is_no_loss() -> None:
    rows = rows_of(1) | rows_of(2, account="other")
    answer = listing([item(3)], with_flags(rows, {2: CLAIMED}))

    assert words(decided(answer, rows)) == {3: ["created"], 1: ["vanished"]}
    assert dropped_claims(answer) == [2]


@pytest.mark.parametrize(("claimants", "told"), [({}, {}), ({1: "other"}, {1: ["reappeared", "changed"]})])
def test_what_is_missing_moves_to_who_claims_it_and_to_nobody_else(claimants: Any, told: Any) -> None:
    rows = rows_of(1, missing_since=START) | rows_of(2)
    answer = listing([item(2)], with_flags(rows, {1: MISSING | CONTESTED}))

    assert words([one for one in decided(answer, rows, claimants) if one.events]) == told


def test_a_claim_that_is_free_is_looked_at_again_though_its_item_is_as_it_was() -> None:
    rows = rows_of(1, account="other", missing_since=START)
    first = listing([item(1)], with_flags(rows, {1: CLAIMED | FREE}))
    (decision,) = decided(first, rows)
    assert decision.item is not None
    known = Known(array("q", [1]), array("Q", [decision.item.item_hash]), array("Q", [0]), bytearray([CLAIMED | FREE]))

    again = listing([item(1)], known)

    assert [event.transition for event in decided(again, rows)[0].events] == [Transition.REAPPEARED, Transition.CHANGED]


def test_a_stranger_that_could_not_be_read_is_seen_all_the_same() -> None:
    rows = rows_of(1)
    answer = listing([item(1, deleted=None), item(2, deleted=None), {"name": "no id"}], with_flags(rows, {}))

    assert unread_strangers(answer) == [2]
    assert dropped_claims(answer) == []
