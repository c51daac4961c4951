"""CONTRACT 5: what an answer says of itself in its headers, and why it is not accepted for it."""

from datetime import UTC, datetime, timedelta

import pytest

from syncer.answer.stated import NOTHING_STATED, Stated, part_problem, read_stated, time_problem

AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
TOLERANCE = timedelta(minutes=5)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("headers", "stated"),
    [
        ({}, NOTHING_STATED),
        ({"date": "Sun, 01 Nov 2026 12:00:00 GMT"}, Stated(at=AT)),
        ({"date": "Sun, 01 Nov 2026 15:00:00 +0300"}, Stated(at=AT)),
        ({"date": "Sun, 01 Nov 2026 12:00:00 -0000"}, Stated(at=AT)),
        ({"date": "yesterday"}, NOTHING_STATED),
        ({"date": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, NOTHING_STATED),
        ({"date": ""}, NOTHING_STATED),
        ({"date": "Fri, 31 Dec 9999 23:00:00 -2300"}, NOTHING_STATED),
        ({"age": " 600 "}, Stated(age=timedelta(minutes=10))),
        ({"age": "-1"}, NOTHING_STATED),
        ({"age": "9" * 18}, Stated(age=timedelta(seconds=10**9))),
        ({"age": "9" * 19}, NOTHING_STATED),
        ({"x-total-count": "108"}, Stated(total=108)),
        ({"x-total-count": "many"}, NOTHING_STATED),
        ({"content-range": "items 0-99/108"}, Stated(part="Content-Range")),
        ({"link": '<https://x/?page=2>; rel="next"'}, Stated(part='Link with rel="next"')),
        ({"link": "</?page=2>; rel=next, </?page=9>; rel=last"}, Stated(part='Link with rel="next"')),
        ({"link": '</?page=2>; title="x"; REL="last Next"'}, Stated(part='Link with rel="next"')),
        ({"link": '</next>; rel="prev"'}, NOTHING_STATED),
        ({"link": '</?rel=next>; rel="prev"'}, NOTHING_STATED),
        ({"link": '</a>; rel="next-archive"'}, NOTHING_STATED),
        ({"link": '</a>; title="b; rel=next"; rel=prev'}, NOTHING_STATED),
        ({"link": '</a>; rel="prev", </b>; Rel = NEXT'}, Stated(part='Link with rel="next"')),
        ({"link": '</style.css>; rel="preload"; as=next'}, NOTHING_STATED),
    ],
)
def test_headers_are_read(headers: dict[str, str], stated: Stated) -> None:
    assert stated == read_stated(headers)


@pytest.mark.parametrize(
    ("stated", "items", "is_part"),
    [
        (NOTHING_STATED, 100, False),
        (Stated(total=100), 100, False),
        (Stated(total=99), 100, False),
        (Stated(total=101), 100, True),
        (Stated(part="Content-Range"), 100, True),
    ],
)
def test_an_answer_that_calls_itself_a_part_is_no_list(stated: Stated, items: int, is_part: bool) -> None:
    problem = part_problem(stated, items)

    assert (problem.kind, problem.exit_code) == ("partial", 5) if problem else not is_part


@pytest.mark.parametrize(
    ("stated", "arrived_at", "last", "kind"),
    [
        (Stated(at=AT), AT, None, None),
        (Stated(at=AT), AT + TOLERANCE, None, None),
        (Stated(at=AT), AT + TOLERANCE + SECOND, None, "clock"),
        (Stated(at=AT), AT - TOLERANCE, None, None),
        (Stated(at=AT), AT - TOLERANCE - SECOND, None, "clock"),
        (Stated(at=AT), AT, AT + MINUTE, None),
        (Stated(at=AT), AT, AT + MINUTE + SECOND, "stale"),
        (Stated(at=AT), AT + timedelta(days=1), AT + timedelta(days=1), "stale"),
        (Stated(at=AT, age=TOLERANCE), AT, None, None),
        (Stated(at=AT, age=TOLERANCE + SECOND), AT, None, "stale"),
        (Stated(at=AT, age=timedelta(days=1)), AT + timedelta(days=1), None, "stale"),
        (Stated(age=timedelta(days=1)), AT, AT, None),
        (NOTHING_STATED, AT, AT + timedelta(days=1), None),
    ],
)
def test_an_answers_time_is_compared(
    stated: Stated, arrived_at: datetime, last: datetime | None, kind: str | None
) -> None:
    problem = time_problem(stated, arrived_at, last, TOLERANCE)

    assert kind == (problem.kind if problem else None)
    assert (problem.exit_code if problem else None) == {"clock": 9, "stale": 5, None: None}[kind]


@pytest.mark.parametrize("stated", [Stated(at=AT - timedelta(days=9)), Stated(at=AT, age=timedelta(days=1))])
def test_without_a_tolerance_no_time_is_compared(stated: Stated) -> None:
    assert time_problem(stated, AT, AT, None) is None


@pytest.mark.parametrize("arrived_at", [AT + timedelta(days=30), AT - timedelta(days=30)])
def test_a_wrong_clock_is_told_with_both_times(arrived_at: datetime) -> None:
    problem = time_problem(Stated(at=AT), arrived_at, None, TOLERANCE)

    assert str(problem) == (
        f"comparing clocks: this machine's clock says {arrived_at:%Y-%m-%d} 12:00:00 UTC, the upstream's 2026-11-01 "
        "12:00:00 UTC; nothing was written; set this machine's clock (NTP), or SYNCER_CLOCK_TOLERANCE if it is the "
        "upstream's that is wrong"
    )
