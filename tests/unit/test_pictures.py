"""The report's pictures: every figure has its place and size, and no label touches another on the narrowest page."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.views.report import pictures
from syncer.views.report.pictures import Bar, Cell, Column, Step
from syncer.views.report.shapes import Label, Picture, Rect, reach
from syncer.words.language import number, signed

COUNTS = st.integers(0, 10**9)


def rects(picture: Picture, *kinds: str) -> list[Rect]:
    return [mark for mark in picture.marks if isinstance(mark, Rect) and mark.kind.split()[0] in kinds]


def texts(picture: Picture, kind: str) -> list[Label]:
    return [mark for mark in picture.marks if isinstance(mark, Label) and mark.kind.split()[0] == kind]


def touching(labels: list[Label]) -> list[tuple[str, str]]:
    ordered = sorted(labels, key=lambda label: reach(label)[0])
    return [(one.text, other.text) for one, other in pairwise(ordered) if reach(one)[1] > reach(other)[0]]


@given(st.lists(st.sampled_from(["", "1 May", "26 November", "Nov 2026"]), max_size=120))
def test_labels_of_an_axis_lie_apart_and_within(names: list[str]) -> None:
    labels = [mark for mark in pictures.axis(names, 100) if isinstance(mark, Label)]

    assert [] == touching(labels)
    assert all(reach(label)[0] >= -1e-6 and reach(label)[1] <= 100 + 1e-6 for label in labels)
    assert bool(labels) == any(names)


BELOW_LINE = 3  # units that the box of a number reaches below its line


@given(st.lists(COUNTS, min_size=31, max_size=31))
def test_every_day_has_a_slot_and_the_largest_its_number(counts: list[int]) -> None:
    days = [(f"{day} Nov", n, "") for day, n in enumerate(counts)]

    picture = pictures.slots("expiries", days, 7, number)

    bars = rects(picture, "soon", "later", "nothing")
    assert len(bars) == 31
    assert ["soon" if n else "nothing" for n in counts[:7]] == [bar.kind for bar in bars[:7]]
    shown = texts(picture, "value")
    assert [] == touching(shown)
    assert not any(counts) or number(max(counts)) in [label.text for label in shown]


@given(st.lists(st.integers(0, 99), min_size=31, max_size=31))
def test_no_days_number_lies_on_a_neighbours_bar(counts: list[int]) -> None:
    picture = pictures.slots("expiries", [("", n, "") for n in counts], 7, number)

    bars = rects(picture, "soon", "later")
    for label in texts(picture, "value"):
        start, end = reach(label)
        beside = [bar for bar in bars if bar.x < end and bar.x + bar.width > start]
        assert all(label.y + BELOW_LINE <= bar.y for bar in beside), label.text


@given(COUNTS, st.lists(st.integers(-(10**6), 10**6), min_size=5, max_size=5))
def test_a_waterfall_steps_from_its_opening_to_its_closing(opening: int, changes: list[int]) -> None:
    opening += 5 * 10**6  # never below nothing
    closing = opening + sum(changes)
    steps = [
        Step("Opening", opening, number(opening), is_level=True),
        *(Step("step", change, signed(change)) for change in changes),
        Step("Closing", closing, number(closing), is_level=True),
    ]

    picture, begin = pictures.waterfall("month", steps, seen=True)

    moved = [change for change in changes if change]
    bars = rects(picture, "level", "came", "went")
    assert ["level", *("came" if change > 0 else "went" for change in moved), "level"] == [bar.kind for bar in bars]
    unit = bars[0].width / (opening - begin)
    assert 0 <= begin < min(opening, closing) or not moved
    for bar, change in zip(bars[1:-1], moved, strict=True):
        assert bar.width == pytest.approx(max(abs(change) * unit, 0.4), abs=0.01)
    assert all(bar.x >= 36 - 0.01 and bar.x + bar.width <= 70.5 for bar in bars)


def test_what_lives_is_stacked_and_the_time_before_is_veiled() -> None:
    columns = [Column("", (10, 0), seen=False), Column("", (8, 2), seen=False), Column("Nov", (5, 5), seen=True)]

    picture = pictures.over_time("estate", columns, ("active", "expired"), number)

    (veil,) = rects(picture, "veil")
    assert (0, pytest.approx(200 / 3)) == (veil.x, veil.width)
    assert ["5", "10"] == [label.text for label in texts(picture, "tick")]


def test_months_before_syncer_watched_are_veiled_as_in_every_picture() -> None:
    cost = pictures.bars("cost", [Bar("Sep", 3, "3", seen=False), Bar("Oct", 2, "2", seen=False), Bar("Nov", 1, "1")])
    steps = [Step("Opening", 1, "1", is_level=True), Step("Created", 1, "+1"), Step("Closing", 2, "2", is_level=True)]
    unwatched, watched = (pictures.waterfall("month", steps, seen)[0] for seen in (False, True))

    spent, veils = rects(cost, "spent"), rects(cost, "veil")
    assert 2 == len(veils)
    for bar, veil in zip(spent, veils, strict=False):
        assert veil.y < bar.y
        assert veil.y + veil.height > bar.y + bar.height
        assert veil.x <= bar.x
        assert veil.x + veil.width >= bar.x + bar.width
    (veil,) = rects(unwatched, "veil")
    assert (0, unwatched.height) == (veil.y, veil.height)
    assert [] == rects(watched, "veil")


def test_the_month_under_way_is_hatched_up_to_its_forecast() -> None:
    picture = pictures.bars("cost", [Bar("Oct", 200, "200"), Bar("Nov", 100, "100", 50, "forecast 150")])

    october, november = rects(picture, "spent")
    (hatched,) = rects(picture, "hatched")
    assert (november.width, hatched.width) == (october.width / 2, october.width / 4)
    assert hatched.x == november.x + november.width


def test_a_heat_map_has_all_cohorts_and_greys_what_was_not_seen() -> None:
    rows = [[Cell(None if age < 3 else 0.5, "50", "") for age in range(60 - month)] for month in range(60)]

    picture = pictures.heat_map("cohorts", [f"m {n}" for n in range(60)], rows, "months")

    assert sum(range(1, 61)) == len(rects(picture, "unseen", "heat"))
    assert 3 * 58 + 2 + 1 == len(rects(picture, "unseen"))
    assert [] == texts(picture, "cell")  # there is no room for a figure
    names = sorted(label.y for label in texts(picture, "name"))
    assert all(below - above >= 14 for above, below in pairwise(names))


@pytest.mark.parametrize(("share", "shade"), [(0, 0), (0.19, 0), (0.2, 1), (0.999, 4), (1, 5)])
def test_the_darkest_shade_is_for_all_of_a_cohort_alone(share: float, shade: int) -> None:
    picture = pictures.heat_map("cohorts", ["Nov"], [[Cell(share, "", "")]], "months")

    assert [f"heat heat{shade}"] == [one.kind for one in rects(picture, "heat")]


@pytest.mark.parametrize(("largest", "step", "end"), [(0, 1, 1), (3, 1, 3), (26, 10, 30), (8_957, 5_000, 10_000)])
def test_an_axis_counts_in_few_whole_steps(largest: int, step: int, end: int) -> None:
    assert (step, end) == pictures.scale(largest)
