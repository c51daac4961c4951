"""CONTRACT 6, `zone`: three births between polls name the upstream's offset, and a wrong clock of ours names none."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from syncer.rules.zone import Birth, Window, is_birth, offset_text, suggested_offset, window_between

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY_OFFSET = [timedelta(minutes=15 * quarters) for quarters in range(-48, 57)]


def births_of(
    true: timedelta,
    configured: timedelta,
    seed: int,
    *,
    every: timedelta,
    skew: timedelta = timedelta(),
    dated: bool = True,
) -> list[Birth]:
    """Three births, newest first, as polls of this pace see them, by the answers' `Date` or by this machine's clock."""
    chance = random.Random(seed)
    polls = [START]
    while len(polls) < 10:
        polls.append(polls[-1] + every * chance.uniform(0.95, 1.0))
    found = []
    for before, after in chance.sample(list(pairwise(polls)), 3):
        window = window_between((before if dated else None, before + skew), (after if dated else None, after + skew))
        assert window is not None
        born = before + (after - before) * chance.random()
        found.append(Birth(born + true - configured, window))
    return found


@pytest.mark.parametrize("every", [MINUTE, 5 * MINUTE, 14 * MINUTE], ids=str)
@pytest.mark.parametrize("configured", [timedelta(hours=3), timedelta(), timedelta(hours=5, minutes=45)], ids=str)
def test_each_offset_is_named_after_three_births(every: timedelta, configured: timedelta) -> None:
    for seed, true in enumerate(EVERY_OFFSET):
        births = births_of(true, configured, seed, every=every)

        assert (None if true == configured else true) == suggested_offset(configured, births)
        assert suggested_offset(configured, births[:2]) is None


@pytest.mark.parametrize("dated", [True, False])
def test_no_offset_is_named_within_ten_minutes_of_clock_skew(dated: bool) -> None:
    offset = timedelta(hours=3)
    for seed in range(2_000):
        skew = random.Random(seed).uniform(-10, 10) * MINUTE
        every = random.Random(-seed).choice([1, 2, 5, 10, 14]) * MINUTE

        assert suggested_offset(offset, births_of(offset, offset, seed, every=every, skew=skew, dated=dated)) is None


def test_without_a_date_frequent_polls_name_the_offset_too() -> None:
    for seed, true in enumerate(EVERY_OFFSET):
        configured = timedelta(hours=3)
        births = births_of(true, configured, seed, every=4 * MINUTE, dated=False)

        assert suggested_offset(configured, births) in {None, true}
        if abs(true - configured) > timedelta(minutes=30):
            assert suggested_offset(configured, births) == (true if true != configured else None)


def test_births_that_disagree_name_no_offset() -> None:
    configured = timedelta(hours=3)
    one, two, _ = births_of(timedelta(hours=5), configured, 1, every=5 * MINUTE)
    other = births_of(timedelta(hours=6), configured, 2, every=5 * MINUTE)[0]

    assert suggested_offset(configured, [one, two, other]) is None
    assert suggested_offset(configured, [one, two, two, other]) == timedelta(hours=5)


def test_an_offset_that_is_nowhere_on_earth_is_not_named() -> None:
    births = births_of(timedelta(hours=15), timedelta(hours=3), 1, every=5 * MINUTE)

    assert suggested_offset(timedelta(hours=3), births) is None


@pytest.mark.parametrize(
    ("last", "now", "window"),
    [
        ((START, None), (START + MINUTE, START), Window(START, START + MINUTE)),
        ((None, START), (None, START + MINUTE), Window(START - 10 * MINUTE, START + 11 * MINUTE)),
        ((None, START), (START, START + MINUTE), Window(START - 10 * MINUTE, START + 11 * MINUTE)),
        ((None, None), (START, START + MINUTE), None),
        ((START, START), (START + 15 * MINUTE, START), None),
        ((START, START), (START - MINUTE, START), None),
    ],
    ids=["dated", "undated", "only now dated", "the first answer", "too far apart", "turned round"],
)  # fmt: skip
def test_a_window_lies_between_two_answers_that_are_near(
    last: tuple[datetime | None, datetime | None], now: tuple[datetime | None, datetime], window: Window | None
) -> None:
    assert window == window_between(last, now)


@pytest.mark.parametrize(("hours", "told"), [(-27, False), (-25, True), (25, True), (27, False)])
def test_what_no_offset_brings_into_its_window_was_not_born_there(hours: int, told: bool) -> None:
    assert told is is_birth(START + timedelta(hours=hours), Window(START, START + MINUTE))


@pytest.mark.parametrize(
    ("minutes", "text"), [(180, "+03:00"), (0, "+00:00"), (-720, "-12:00"), (345, "+05:45"), (-570, "-09:30")]
)
def test_an_offset_is_written_with_its_sign(minutes: int, text: str) -> None:
    assert text == offset_text(timedelta(minutes=minutes))
