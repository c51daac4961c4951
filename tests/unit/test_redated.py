"""The daily roll is told by what it leaves as it was: nothing else may be taken for it."""

import json
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import pytest
from builders import item, paid
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import Memory
from mirror import START

from syncer.answer.redated import NO_REST, Redated, read_dates, rest_of

SEED = 5
LATER = "2026-12-24T18:39:44"


def text(**values: Any) -> bytes:
    return json.dumps(item(1, **values), separators=(",", ":")).encode()


def rest(**values: Any) -> int:
    return rest_of(text(**values), SEED)[0]


def test_all_but_the_date_is_the_same_whatever_the_date() -> None:
    assert rest() == rest(expirationDate=LATER) != 0
    assert [rest_of(one, SEED)[1].decode() for one in (text(), text(expirationDate=LATER))] == [
        item(1)["expirationDate"],
        LATER,
    ]


@pytest.mark.parametrize("changed", [{"name": "new"}, {"tariff": "BUSINESS"}, {"isExpired": True}, {"idInstance": 2}])
def test_whatever_else_is_another_is_another_rest(changed: dict[str, Any]) -> None:
    assert rest() != rest(expirationDate=LATER, **changed)


def test_another_seed_is_another_rest() -> None:
    assert rest_of(text(), SEED) != rest_of(text(), SEED + 1)


@pytest.mark.parametrize(
    "sent",
    [
        b'{"idInstance":1,"deleted":false}',
        b'{"idInstance":1,"expirationDate":null,"name":"2026-12-24T18:39:44"}',
        b'{"idInstance":1,"expirationDate":5,"name":"2026-12-24T18:39:44"}',
        b'{"idInstance":1,"expirationDate":"2026-12-24T18:39:44","expirationDate":"2026-12-25T18:39:44"}',
        b'{"idInstance":1,"expirationDate":"2026-12-24T18:39:44","expiration\\u0044ate":"2026-12-25T18:39:44"}',
        b'{"idInstance":1,"name":"expirationDate"}',
        b'{"idInstance":1,"expirationDate":"2026-12-24T18:39:44","name":"expirationDate"}',
        b'{"idInstance":1,"name":"\\"expirationDate\\":\\"2026-12-24T18:39:44\\""}',
    ],
)
def test_where_it_is_not_certain_which_bytes_are_the_date_there_is_no_rest(sent: bytes) -> None:
    assert rest_of(sent, SEED) == NO_REST


def test_spaces_stand_in_no_way() -> None:
    spaced, date = rest_of(b'{"idInstance": 1, "expirationDate" : "2026-12-24T18:39:44"}', SEED)

    assert date == LATER.encode()
    assert spaced == rest_of(b'{"idInstance": 1, "expirationDate" : ""}', SEED)[0]


def test_letters_that_an_encoder_escapes_are_no_reason() -> None:
    assert rest_of(rb'{"name":"\u041f\u0027\u003c","expirationDate":"2026-12-24T18:39:44"}', SEED) != NO_REST


DATES = st.sampled_from(
    ["2026-11-20T18:39:44", "2026-12-03T18:39:44", "2026-12-04T18:39:44", LATER, "2026-12-04", "0001-01-01T00:00:00",
     "2026-12-04T18:39:44Z", "9999-12-31T23:59:59", "soon", "2026\\", "", None, 5]
)  # fmt: skip
ANSWERS = st.lists(
    st.lists(
        st.builds(
            lambda make, key, date, changed: make(key, expirationDate=date, **changed),
            st.sampled_from([item, paid]),
            st.integers(1, 4),
            DATES,
            st.sampled_from([{}, {}, {}, {"isExpired": True}, {"deleted": True}, {"name": "new"}, {"more": [1]}]),
        ),
        max_size=6,
    ),
    min_size=2,
    max_size=6,
)


class Forgetful(Memory):
    """Knows no rests, so that each item that differs is read as a whole."""

    def _keep_hashes(self, id_instance: int, item_hash: int, _rest_hash: int) -> None:
        super()._keep_hashes(id_instance, item_hash, 0)


def by_instance(memory: Memory) -> list[tuple[Any, ...]]:
    return sorted(memory.history, key=itemgetter(0))


@settings(max_examples=150)
@given(ANSWERS)
def test_what_is_told_by_the_rest_is_what_the_whole_item_tells(answers: list[list[dict[str, Any]]]) -> None:
    quick, thorough = Memory(), Forgetful()
    for number, items in enumerate(answers):
        pause = timedelta(hours=7 * number)
        assert quick.observe(items, pause) == thorough.observe(items, pause)
        assert quick.rows == thorough.rows
        assert by_instance(quick) == by_instance(thorough)
    assert thorough.rolled == 0


def test_a_roll_is_told_by_the_rest() -> None:
    """Else the property above would hold of nothing."""
    memory = Memory()
    memory.observe([item(1), item(2), paid(3)], timedelta())
    later = {"expirationDate": LATER}
    memory.observe([item(1, **later), item(2, name="new", **later), paid(3, **later)], timedelta(hours=1))

    assert memory.rolled == 1
    assert [(key, str(transition)) for key, transition, *_ in memory.history[3:]] == [(2, "changed"), (3, "extended")]


def test_rows_come_back_in_their_order_whatever_order_they_were_listed_in() -> None:
    redated = Redated()
    moments = {row: START + timedelta(microseconds=row) for row in (7, 0, 3, 2)}
    for row, moment in moments.items():
        redated.add([row], [100 + row], [moment])

    batches = [tuple(map(list, one)) for one in redated.batches(3)]

    assert batches == [
        ([0, 2, 3], [100, 102, 103], [moments[0], moments[2], moments[3]]),
        ([7], [107], [moments[7]]),
    ]
    assert list(Redated().batches(3)) == []


def test_a_date_that_cannot_be_is_none_and_takes_no_other_with_it() -> None:
    dates = [b"2026-12-01T00:00:00", b"2026-13-01T00:00:00", b"1999-01-01T00:00:00", b"0001-01-01T00:00:00"]

    assert read_dates(dates, timedelta(hours=3)) == [datetime(2026, 11, 30, 21, tzinfo=UTC), None, None, None]
