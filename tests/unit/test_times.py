"""Times as people give them on the command line."""

from datetime import UTC, datetime

import pytest

from syncer.cli.command import moment_of


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-10-01", datetime(2026, 9, 30, 21, tzinfo=UTC)),  # where the billing day begins
        ("2026-10-01T00:00", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-10-01T00:00:00+05:00", datetime(2026, 9, 30, 19, tzinfo=UTC)),
    ],
)
def test_a_bare_date_is_midnight_where_the_upstream_bills(written: str, expected: datetime) -> None:
    assert expected == moment_of("--since", written)
