"""Times as people give them on the command line."""

from datetime import UTC, date, datetime

import pytest

from syncer.cli.moments import day_of, moment_of
from syncer.errors import ConfigurationError

NOW = datetime(2026, 11, 26, 22, 30, tzinfo=UTC)  # where the upstream bills it is the 27th


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-10-01", datetime(2026, 9, 30, 21, tzinfo=UTC)),  # where the billing day begins
        ("20261001", datetime(2026, 9, 30, 21, tzinfo=UTC)),
        ("2026-10-01T00:00", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-10-01T00:00:00+05:00", datetime(2026, 9, 30, 19, tzinfo=UTC)),
        ("now", NOW),
        ("today", datetime(2026, 11, 26, 21, tzinfo=UTC)),
        ("Yesterday", datetime(2026, 11, 25, 21, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 19, 22, 30, tzinfo=UTC)),
        ("12h", datetime(2026, 11, 26, 10, 30, tzinfo=UTC)),
        ("1h30m", datetime(2026, 11, 26, 21, 0, tzinfo=UTC)),
    ],
)
def test_a_time_is_understood_as_people_write_it_and_a_day_begins_where_the_upstream_bills(
    written: str, expected: datetime
) -> None:
    assert expected == moment_of("--since", written, NOW)


@pytest.mark.parametrize("written", ["monday", "0d", "-7d", "7", "7w", "99999999d", "2026-13-01", "2026-10", "", "d"])
def test_what_is_no_time_is_refused_with_examples(written: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"--since: .* is no time such as 2026-11-23, .*, yesterday, 7d or 12h"
    ):
        moment_of("--since", written, NOW)


def test_a_price_may_begin_today_or_yesterday() -> None:
    assert [date(2026, 11, 27), date(2026, 11, 26), date(2026, 11, 1)] == [
        day_of("--from", written, NOW) for written in ("today", "yesterday", "2026-11-01")
    ]
