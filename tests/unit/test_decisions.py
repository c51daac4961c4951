"""What a whole answer means: what is decided of what, and what is done with claims."""

from array import array
from datetime import timedelta
from typing import Any

import pytest
from builders import body, item
from memory import known_of, rows_in
from mirror import START, account
from reading import read_whole

from syncer.answer.known import CLAIMED, CONTESTED, FREE, MISSING, Known
from syncer.answer.listing import Listing
from syncer.answer.reader import Reader
from syncer.model import Decision, Event, Item, MirrorRow, TimeSource, Transition
from syncer.rules.decisions import NO_ROWS, decisions_of, dropped_claims, told_one_by_one, unread_strangers
from syncer.rules.transitions import Observation, decide_listed, is_only_created

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
    known_rows = rows_in(rows, claimants)
    batches = decisions_of(answer, OBSERVATION, known_rows)
    return [one for some in batches for one in told_one_by_one(some, OBSERVATION, known_rows)]


def words(decisions: list[Decision]) -> dict[int, list[str]]:
    return {one.id_instance: [str(event.transition) for event in one.events] for one in decisions}


def test_the_first_answer_is_compared_with_nothing() -> None:
    answer = listing([item(2), item(1)], known_of({}))
    batches = list(decisions_of(answer, OBSERVATION, NO_ROWS))

    assert [[one.id_instance for one in told_one_by_one(some, OBSERVATION, NO_ROWS)] for some in batches] == [[1, 2]]


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


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("expired", [False, True])
@pytest.mark.parametrize("created", [None, -30, -0.001, 0, 0.001, 30])  # days from the observation
def test_what_is_only_created_means_nothing_else_and_all_else_means_more(
    deleted: bool, expired: bool, created: float | None
) -> None:
    moment = None if created is None else START + timedelta(days=created)
    told = {
        "deleted": deleted,
        "isExpired": expired,
        "timeCreated": moment and moment.isoformat(),
        "expirationDate": (START - timedelta(minutes=1)).isoformat(),  # within the grace
    }
    read = read_whole(body([item(1, **told)]), ACCOUNT.decoder).instances[1]

    decision = decide_listed(None, Item(read, 0), OBSERVATION)

    created_as_it_says = (Event(Transition.CREATED, moment, TimeSource.UPSTREAM, {}),) if moment else ()
    as_it_is = MirrorRow("default", read, START, START, None, None)
    is_so = (decision.events, decision.row) == (created_as_it_says, as_it_is)
    assert is_only_created(read, START) == is_so


def test_what_is_told_in_one_and_what_is_told_one_by_one_is_seen_and_owned_alike() -> None:
    rows = rows_of(3) | rows_of(4, account="other")
    told = [item(1), item(2, deleted=True), item(3, name="new"), item(4, name="claimed")]

    batches = list(decisions_of(listing(told, with_flags(rows, {4: CLAIMED})), OBSERVATION, rows_in(rows)))

    assert [1] == [one.id_instance for some in batches for one in some.created]
    assert [1, 2] == [one.id_instance for some in batches for one in some.first_sights()]
    assert [1, 2, 3] == [one.id_instance for some in batches for one in some.owned_items()]
