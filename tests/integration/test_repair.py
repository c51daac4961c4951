"""A row that somebody edited by hand: `plan` and `sync` agree on it, `verify` names it, `db repair` heals it."""

from datetime import timedelta
from typing import Any

import pytest
from builders import body, item, paid
from mirror import Mirror, account, serving
from sqlalchemy import text

from syncer.storage import database, repair
from syncer.storage.tables import instances
from syncer.sync import plan
from syncer.views import verify

EDITS = {
    "name and deleted": "name = 'by hand', deleted = true",
    "expired": "is_expired = true",
    "missing": "missing_since = changed_at",
    "owner": "account = 'other'",
    "date": "expiration_date = '2020-01-01 00:00:00.000000'",
}


def edit(mirror: Mirror, assignments: str) -> None:
    with mirror.engine.begin() as connection:
        connection.execute(text(f"UPDATE instances SET {assignments} WHERE id_instance = 1"))


def repaired(mirror: Mirror) -> list[int]:
    with database.writing(mirror.engine, "repairing rows") as connection:
        return repair.repair(connection)


def planned(mirror: Mirror, items: list[dict[str, Any]]) -> list[tuple[int, list[str]]]:
    decisions = plan(mirror.engine, account(), serving(body(items)), lambda: mirror.now).decisions
    return [(one.id_instance, [str(event.transition) for event in one.events]) for one in decisions]


@pytest.mark.parametrize("assignments", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("answer", [[item(1), paid(2)], [paid(2), item(1)], [item(1, name="new"), paid(2)]])
def test_plan_and_sync_agree_on_a_row_that_was_edited_by_hand(
    mirror: Mirror, assignments: str, answer: list[dict[str, Any]]
) -> None:
    mirror.observe([item(9)], of=account("other"))
    mirror.observe([item(1), paid(2)])
    edit(mirror, assignments)
    history = len(mirror.history())

    expected = planned(mirror, answer)
    report = mirror.observe(answer, after=timedelta())

    assert len(expected) == report.created + report.updated
    assert [words for _id, words in expected for words in words] == mirror.words()[history:]


@pytest.mark.parametrize("assignments", EDITS.values(), ids=EDITS)
def test_an_edited_row_is_named_and_set_back_without_a_transition(mirror: Mirror, assignments: str) -> None:
    mirror.observe([item(9)], of=account("other"))
    answer = [item(1), paid(2)]
    mirror.observe(answer)
    before = mirror.rows(instances)
    edit(mirror, assignments)
    named = {outcome.check.name for outcome in verify.verify(mirror.engine).outcomes if outcome.broken}

    assert named & {"state_equals_last_row", "missing_since_last_seen_go"}
    assert [1] == repaired(mirror)
    assert before == mirror.rows(instances)
    assert verify.verify(mirror.engine).holds
    assert "unchanged" == mirror.observe(answer).status
    assert ["created", "created", "created"] == mirror.words()


def test_what_the_upstream_changed_meanwhile_is_recorded_after_a_repair(mirror: Mirror) -> None:
    mirror.observe([item(1), paid(2)])
    edit(mirror, "name = 'by hand', deleted = true")
    repaired(mirror)

    mirror.observe([item(1, name="new"), paid(2)])

    assert ["created", "changed"] == mirror.words(1)
    assert {"name": ["client", "new"]} == mirror.history(1)[-1]["changes"]


def test_the_daily_roll_is_no_edit(mirror: Mirror) -> None:
    mirror.observe([item(1)])
    mirror.observe([item(1, expirationDate="2026-12-04T18:39:44")])

    assert [] == repaired(mirror)
    assert mirror.instance(1)["expiration_date"].day == 4
