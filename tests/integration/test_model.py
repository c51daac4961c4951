"""The core beside the model of the contract: the same histories, the same rows."""

import os
from datetime import timedelta
from typing import Any

import pytest
from builders import TIMES
from contract_model import ContractModel
from histories import histories
from hypothesis import HealthCheck, given, settings
from mirror import Mirror, emptied
from playing import Players
from shared_histories import Poll, Step, shared_histories, usual
from sqlalchemy import text

from syncer.storage.tables import instance_history, instances

ROW_COLUMNS = (
    "name", "type_instance", "tariff", "is_partner", "time_created", "time_deleted", "deleted", "expiration_date", "is_expired",
    "token_fingerprint", "account",
)  # fmt: skip
EXAMPLES = int(os.environ.get("SYNCER_MODEL_EXAMPLES", "60"))
SHARED_EXAMPLES = int(os.environ.get("SYNCER_MODEL_EXAMPLES", "30"))
OUTCOMES = {"ok": "accepted", "unchanged": "accepted", "held": "held", "failed": "failed"}


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(answers=histories())
def test_every_history_ends_in_the_rows_of_the_model(
    mirror: Mirror, answers: list[tuple[timedelta, list[dict[str, Any]]]]
) -> None:
    emptied(mirror)
    model = ContractModel()
    for pause, items in answers:
        report = mirror.observe(items, after=pause)
        expected = model.observe(items, mirror.now)

        assert expected == OUTCOMES[report.status]

    assert model.rows == {
        row["id_instance"]: {name: row[name] for name in ROW_COLUMNS}
        | {"missing": row["missing_since"] is not None, "extra": {}}
        for row in mirror.rows(instances)
    }
    columns = list(model.history[0]) if model.history else []
    stored = [{name: row[name] for name in columns} for row in mirror.rows(instance_history)]
    assert by_instance(model.history) == by_instance(stored)

    # One answer applied twice adds nothing.
    before = mirror.rows(instances), mirror.rows(instance_history)
    if report.status in {"ok", "unchanged"}:
        mirror.observe(answers[-1][1], after=timedelta())
        assert before == (mirror.rows(instances), mirror.rows(instance_history))


@settings(
    max_examples=SHARED_EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=shared_histories())
def test_accounts_that_share_instances_are_held_move_and_pass_as_the_model_says(
    mirror: Mirror, history: list[Step]
) -> None:
    Players(emptied(mirror)).play(history)


LIVE, BAD = usual(1), usual(1) | {"deleted": None}
MANY = [usual(key) for key in range(1, 21)]
DELETED = {"deleted": True, "timeDeleted": TIMES[2], "expirationDate": TIMES[2]}


@pytest.mark.parametrize(
    "answers",
    [
        [("a", [LIVE]), ("b", [BAD])],
        [("a", [LIVE]), ("b", [usual(2), LIVE]), ("a", [usual(2)])],
        [("a", MANY), ("a", [*MANY[:16], *(one | DELETED for one in MANY[16:])])],
        [("a", [LIVE, usual(2)]), ("a", [usual(2)]), ("b", [LIVE, usual(3), None]), ("a", [usual(2)])],
        [("a", [LIVE, usual(2)]), ("a", [usual(2)]), ("b", [BAD, usual(3)]), ("a", [usual(2)])],
    ],
    ids=[
        "a rejected item claims",
        "foreign, though all moves",
        "deleted, with the date set back",
        "what is missing moves to its claimant",
        "what is missing moves to who lists it, though that item cannot be read",
    ],
)
def test_what_the_text_says_of_odd_answers_holds(mirror: Mirror, answers: list[tuple[str, list[Any]]]) -> None:
    Players(mirror).play([Poll(name, timedelta(minutes=5), items) for name, items in answers])


def by_instance(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each instance's events in their order; between instances the contract states none."""
    return sorted(events, key=lambda event: int(event["id_instance"]))


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("UPDATE instances SET name = 'z'", "rows"),
        ("UPDATE instance_history SET observed_at = '2026-11-02'", "history"),
        ("DELETE FROM claims", "claims"),
        ("UPDATE accounts SET last_accepted_at = '2026-11-02'", "last accepted"),
    ],
    ids=["instances", "instance_history", "claims", "accounts"],
)
def test_players_see_what_was_tampered_with(sqlite_url: str, tampering: str, told: str) -> None:
    players = Players(Mirror(sqlite_url))
    players.play(Poll(name, timedelta(minutes=5), [usual(1)]) for name in ("a", "b"))
    with players.mirror.engine.begin() as connection:
        connection.execute(text(tampering))

    with pytest.raises(AssertionError, match=told):
        players.compare()


@pytest.mark.parametrize("table", ["instances", "instance_history"])
def test_the_model_can_fail(sqlite_url: str, table: str) -> None:
    """A mirror that was tampered with is not what the model says."""
    mirror, model = Mirror(sqlite_url), ContractModel()
    answer = [{"idInstance": 1, "deleted": False, "isExpired": False, "name": "a"}]
    mirror.observe(answer)
    model.observe(answer, mirror.now)
    with mirror.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE instances SET name = 'b'" if table == "instances" else "UPDATE instance_history SET name = 'b'"
            )
        )

    stored = mirror.rows(instances if table == "instances" else instance_history)[0]["name"]
    expected = model.rows[1]["name"] if table == "instances" else model.history[0]["name"]
    assert expected != stored
