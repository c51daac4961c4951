"""Values in the one form that both drivers take."""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from syncer.storage import rows


@given(st.datetimes(timezones=st.just(UTC)))
@example(datetime.min.replace(tzinfo=UTC))
@example(datetime.max.replace(tzinfo=UTC))
@example(datetime(2026, 11, 24, 12, tzinfo=UTC))
@example(datetime(2026, 11, 24, 12, tzinfo=UTC) + timedelta(microseconds=10))
def test_a_time_is_written_as_sqlalchemy_writes_it_on_sqlite(moment: datetime) -> None:
    assert moment.replace(tzinfo=None).isoformat(" ", "microseconds") == rows.moment(moment)


def test_no_time_is_none() -> None:
    assert rows.moment(None) is None
