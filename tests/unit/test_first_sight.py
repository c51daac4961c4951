"""What is kept of an instance at first sight is what its one answer says, however it is written down."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from builders import paid
from test_timeline import listed_item
from told_lives import told_lives

from syncer.model import Decision
from syncer.rules.transitions import Observation, decide_listed
from syncer.storage import rows
from syncer.storage.timeline import _seen_in, first_of, openings_of
from syncer.storage.timeline_rows import Kept, kept_of

START = datetime(2026, 8, 1, 9, 0, tzinfo=UTC)


def kept_at_first_sight(decision: Decision, now: datetime) -> Kept:
    """As a run keeps it."""
    instance, observed = decision.row.instance, rows.moment(now) or ""
    opened = tuple(column[0] for column in openings_of([rows.moment(instance.time_created)], observed))
    is_usual = not instance.deleted and not instance.is_expired
    return Kept([], [], opened) if is_usual else first_of(decision, opened, observed)


@pytest.mark.parametrize("seed", range(40))
def test_a_first_sight_is_kept_as_the_timeline_of_one_answer(seed: int) -> None:
    kinds = set()
    for now, account, items in told_lives(random.Random(seed), START, START + timedelta(days=60), answers=40):
        for told in items:
            seen = Observation(account, now, {}, timedelta(minutes=5))
            decision = decide_listed(None, listed_item(told), seen)
            kept = kept_at_first_sight(decision, now)
            kinds.add((decision.row.instance.deleted, decision.row.instance.is_expired))

            assert kept_of(decision.id_instance, [_seen_in(decision)]) == kept
    assert len(kinds) > 2


@pytest.mark.parametrize("is_expired", [False, True])
def test_the_date_of_a_deletion_that_did_not_happen_divides_no_version(*, is_expired: bool) -> None:
    told = paid(1, timeDeleted="2026-07-20T00:00:00", isExpired=is_expired, expirationDate="2026-07-25T00:00:00")
    decision = decide_listed(None, listed_item(told), Observation("a", START, {}, timedelta(minutes=5)))

    kept = kept_at_first_sight(decision, START)

    assert kept_of(1, [_seen_in(decision)]) == kept
    assert len(kept.versions) == is_expired
