"""Durations, cron as cron means it, and the trigger that APScheduler is given."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError

from syncer.rules.schedule import (
    Again,
    Cron,
    Interval,
    parse_duration,
    parse_schedule,
    planned_after_jump,
    planned_again,
    trigger,
)

MOSCOW = ZoneInfo("Europe/Moscow")
UTC_ZONE = ZoneInfo("UTC")
# Without zones that move by half an hour: cronsim steps by whole hours and loses the half, see the test below.
ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Moscow", "America/New_York", "Pacific/Auckland", "Europe/Berlin")]
MONDAY = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800), ("1h30m", 5400), (" 5m ", 300)]
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert timedelta(seconds=seconds) == parse_duration(text)


@pytest.mark.parametrize("text", ["", "5", "0s", "-5m", "1.5h", "5 m", "5x", "m", "h5", "٥m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration such as"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 * * 1", datetime(2026, 11, 30, 9, tzinfo=UTC)),
        ("0 9 * * 0", datetime(2026, 11, 29, 9, tzinfo=UTC)),
        ("0 9 * * 7", datetime(2026, 11, 29, 9, tzinfo=UTC)),
        ("0 9 * * sun", datetime(2026, 11, 29, 9, tzinfo=UTC)),
        ("0 9 1 * fri", datetime(2026, 11, 27, 9, tzinfo=UTC)),
        ("0 9 */40 * fri", datetime(2027, 1, 1, 9, tzinfo=UTC)),
        ("*/20 * * * *", datetime(2026, 11, 23, 12, 20, tzinfo=UTC)),
        ("5/20 12 * * *", datetime(2026, 11, 23, 12, 5, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
        ("@daily", datetime(2026, 11, 24, tzinfo=UTC)),
    ],
)
def test_cron_means_what_cron_means(expression: str, expected: datetime) -> None:
    assert expected == parse_schedule(expression, UTC_ZONE).next_after(MONDAY)


def test_cron_is_read_in_its_time_zone() -> None:
    assert datetime(2026, 11, 23, 21, tzinfo=UTC) == parse_schedule("0 0 * * *", MOSCOW).next_after(MONDAY)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("0 0 31 2 *", "never fires"),
        ("0 0 31 4,6 *", "never fires"),
        ("0 0 * * * *", "6 fields"),
        ("60 * * * *", "not from 0 to 59"),
        ("* * 0 * *", "not from 1 to 31"),
        ("* * * 13 *", "not from 1 to 12"),
        ("* * * * 8", "not from 0 to 7"),
        ("*/0 * * * *", "not from 1"),
        ("9-5 * * * *", "runs backwards"),
        ("@often", "is not known"),
        ("8d", "longer than 7 days"),
    ],
)
def test_what_is_no_schedule_is_refused(expression: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_schedule(expression, UTC_ZONE)


def test_a_thousand_random_expressions_fire_as_cronsim_says() -> None:
    chance = random.Random(20261123)
    compared = 0
    while compared < 1000:
        expression = _random_expression(chance)
        zone = chance.choice(ZONES)
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(2 * 366 * 24 * 60))
        if chance.random() < 0.3:  # close to a change of clocks
            moment = chance.choice(
                [
                    datetime(2026, 3, 8, 5, tzinfo=UTC),
                    datetime(2026, 11, 1, 4, tzinfo=UTC),
                    datetime(2026, 10, 24, 23, tzinfo=UTC),
                ]
            ) + timedelta(minutes=chance.randrange(300))
        try:
            reference = CronSim(expression, moment.astimezone(zone))
        except CronSimError:
            with pytest.raises(ValueError, match=r"fires|from|backwards"):
                parse_schedule(expression, zone)
            continue
        schedule = parse_schedule(expression, zone)
        for _ in range(5):
            expected = next(reference).astimezone(UTC)
            while expected <= moment:  # cronsim repeats a moment where several skipped times fall on it
                expected = next(reference).astimezone(UTC)
            moment = schedule.next_after(moment)

            assert expected == moment, f"{expression} in {zone}"
        compared += 1


def _random_expression(chance: random.Random) -> str:
    def field(lowest: int, highest: int) -> str:
        # Two different numbers: cronsim reads the step of a range of one, 7-7/2, as if the range were open.
        first, last = sorted(chance.sample(range(lowest, highest + 1), 2))
        return chance.choice(
            [
                "*",
                "*",
                str(first),
                f"{first}-{last}",
                f"*/{chance.randint(1, 15)}",
                f"{first}-{last}/2",
                f"{first},{last}",
            ]
        )

    return " ".join(field(*limits) for limits in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7)))


def test_a_change_of_clocks_by_half_an_hour_moves_no_later_firing() -> None:
    before_the_change = datetime(2026, 4, 4, 15, tzinfo=UTC)  # 02:00 becomes 01:30 on Lord Howe Island
    schedule = parse_schedule("* 14 * * *", ZoneInfo("Australia/Lord_Howe"))

    assert datetime(2026, 4, 5, 3, 30, tzinfo=UTC) == schedule.next_after(before_the_change)


@pytest.mark.parametrize(
    ("expression", "moment", "expected"),
    [
        ("30 2 * * *", datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("30 2 * * *", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)),
        ("30 * * * *", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    ],
)
def test_a_fixed_time_runs_once_on_the_days_when_clocks_change(
    expression: str, moment: datetime, expected: datetime
) -> None:
    assert expected == parse_schedule(expression, ZoneInfo("Europe/Berlin")).next_after(moment)


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("5m", 300), ("*/5 * * * *", 300), ("0 * * * *", 3600), ("0 9 * * 1-5", 3 * 86_400), ("0 9-17 * * *", 16 * 3600)],
)
def test_the_interval_is_the_longest_gap(expression: str, seconds: int) -> None:
    assert seconds == parse_schedule(expression, UTC_ZONE).interval_seconds


@pytest.mark.parametrize("schedule", [Interval(timedelta(minutes=5)), parse_schedule("*/5 * * * *", UTC_ZONE)])
def test_missed_runs_coalesce_into_one(schedule: Interval | Cron) -> None:
    after_a_night = MONDAY + timedelta(hours=8, seconds=7)

    assert MONDAY + timedelta(hours=8, minutes=5) == trigger(schedule).get_next_fire_time(MONDAY, after_a_night)


@pytest.mark.parametrize("schedule", [Interval(timedelta(minutes=5)), parse_schedule("*/5 * * * *", UTC_ZONE)])
def test_a_clock_that_was_set_back_does_not_stall_the_schedule(schedule: Interval | Cron) -> None:
    an_hour_back = MONDAY - timedelta(hours=1)

    assert an_hour_back + timedelta(minutes=5) == trigger(schedule).get_next_fire_time(MONDAY, an_hour_back)


@pytest.mark.parametrize(
    ("schedule", "jump", "expected"),
    [
        ("1h", timedelta(minutes=90), MONDAY + timedelta(minutes=30)),  # overdue: at its time, which has passed
        ("1h", timedelta(hours=-9), MONDAY - timedelta(hours=8, minutes=30)),  # it waits as long as it would have
        ("1h", timedelta(hours=-9, minutes=40), MONDAY - timedelta(hours=7, minutes=50)),
        ("0 * * * *", timedelta(hours=-9), MONDAY - timedelta(hours=8)),  # a cron's time is the clock's
    ],
)
def test_what_was_planned_follows_a_clock_that_moved(schedule: str, jump: timedelta, expected: datetime) -> None:
    planned = MONDAY + timedelta(minutes=30)  # half an hour ahead when the clock moves

    assert expected == planned_after_jump(parse_schedule(schedule, UTC_ZONE), planned, jump, MONDAY + jump)


@pytest.mark.parametrize(
    ("again", "seconds"),
    [(Again(10), 10), (Again(90), 90), (Again(10, is_latest=True), 10), (Again(90, is_latest=True), 30)],
)
def test_what_is_tried_again_at_the_latest_is_so_at_its_own_time_where_that_is_sooner(
    again: Again, seconds: int
) -> None:
    planned = MONDAY + timedelta(seconds=30)

    assert MONDAY + timedelta(seconds=seconds) == planned_again(again, planned, MONDAY)
