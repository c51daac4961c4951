"""`syncer verify`: a healthy database breaks no promise, and each promise can be seen broken."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from builders import item, paid
from canary import api_token
from conftest import RunSyncer
from mirror import Mirror, account
from sqlalchemy import Connection, text

from syncer.storage.tables import metadata
from syncer.views import verify

OTHER = account("other")


def live_through_everything(mirror: Mirror) -> None:
    """Every transition, a reject, a held answer, its approval, a claim, and an instance that changes hands."""
    others = [item(number) for number in range(10, 30)]
    gone = {"deleted": True, "timeDeleted": "2026-11-01T15:09:00"}
    mirror.observe([item(1), paid(2), item(3), item(4), item(5), *others])
    mirror.observe(
        [item(1, **gone), paid(2, isExpired=True, expirationDate="2026-11-01T15:01:00"), item(3, name="new"), item(4), item(5, **gone), *others]
    )  # fmt: skip
    mirror.observe([item(1), paid(2), item(3, expirationDate="2026-12-20T00:00:00"), item(5, **gone), *others])
    mirror.observe(
        [
            item(1),
            paid(2, expirationDate="2027-01-05T18:39:44"),
            item(3),
            item(4, name="back"),
            {"idInstance": 7},
            *others,
        ]
    )
    held = mirror.observe([item(1)])
    mirror.approve(held.id)
    mirror.observe([item(1, apiTokenInstance=api_token(1, 1)), paid(2), item(3), item(4, name="back"), *others])
    mirror.observe([item(3), item(10), item(50)], of=OTHER)
    mirror.observe([item(1, apiTokenInstance=api_token(1, 1)), paid(2), item(4, name="back"), *others])


@pytest.fixture
def bare(mirror: Mirror) -> Iterator[Connection]:
    """A full life in tables without a constraint that would refuse to be broken; nothing is kept."""
    live_through_everything(mirror)
    with mirror.engine.connect() as connection, connection.begin() as transaction:
        if connection.dialect.name == "sqlite":
            for table in metadata.tables:  # a temporary table comes before one of the same name
                connection.execute(text(f"CREATE TEMP TABLE {table} AS SELECT * FROM main.{table}"))
        else:
            for table in metadata.tables:
                connection.execute(text(f"CREATE TEMP TABLE {table} ON COMMIT DROP AS SELECT * FROM public.{table}"))
        yield connection
        transaction.rollback()


def broken(connection: Connection) -> set[str]:
    return {outcome.check.name for outcome in verify.verification_of(connection).outcomes if outcome.broken}


def row_of(word: str, id_instance: int) -> str:
    return f"(SELECT max(id) FROM instance_history WHERE transition = '{word}' AND id_instance = {id_instance})"


COPIED = "account, observed_at, previous_observed_at, occurred_at, time_source, changes, name, type_instance, messenger, tariff, is_free, is_partner, time_deleted, deleted, expiration_date, is_expired, missing"


def once_more(word: str, id_instance: int, *, new_id: str, run_id: str = "run_id") -> str:
    return (
        f"INSERT INTO instance_history (id, id_instance, run_id, transition, {COPIED}) "
        f"SELECT {new_id}, id_instance, {run_id}, transition, {COPIED} FROM instance_history "
        f"WHERE id = {row_of(word, id_instance)}"
    )


MINUTES_AGO = "(SELECT min(observed_at) FROM instance_history)"
LATER = "(SELECT max(last_accepted_at) FROM accounts)"
BREACHES: dict[str, str] = {
    "history_starts_with_created": f"UPDATE instance_history SET transition = 'changed' WHERE id = {row_of('created', 10)}",
    "no_instance_without_history": "DELETE FROM instance_history WHERE id_instance = 10",
    "no_history_without_instance": "DELETE FROM instances WHERE id_instance = 10",
    "first_sight_agrees": f"UPDATE instances SET first_seen_at = {LATER} WHERE id_instance = 10",
    "previous_observation_only_later": f"UPDATE instance_history SET previous_observed_at = NULL WHERE id = {row_of('changed', 3)}",
    "state_equals_last_row": "UPDATE instances SET name = 'forged' WHERE id_instance = 10",
    "missing_since_last_seen_go": f"UPDATE instances SET missing_since = {MINUTES_AGO} WHERE id_instance = 5",
    "row_written_after_history": f"UPDATE instances SET changed_at = {MINUTES_AGO} WHERE id_instance = 5",
    "deleted_and_restored_alternate": f"DELETE FROM instance_history WHERE id = {row_of('deleted', 1)}",
    "deletion_is_told": f"DELETE FROM instance_history WHERE id = {row_of('restored', 1)}",
    "expired_and_renewed_alternate": f"DELETE FROM instance_history WHERE id = {row_of('expired', 2)}",
    "expiry_is_told": f"DELETE FROM instance_history WHERE id = {row_of('renewed', 2)}",
    "gone_and_reappeared_alternate": f"DELETE FROM instance_history WHERE id = {row_of('vanished', 4)}",
    "nothing_happens_while_gone": f"UPDATE instance_history SET transition = 'changed' WHERE id = {row_of('reappeared', 4)}",
    "missing_is_told": f"UPDATE instance_history SET missing = NOT missing WHERE id = {row_of('vanished', 4)}",
    "purged_was_deleted": f"UPDATE instance_history SET transition = 'vanished' WHERE id = {row_of('purged', 5)}",
    "one_answer_once": once_more("changed", 3, new_id="id + 1000"),
    "words_in_order": f"UPDATE instance_history SET id = id + 1000 WHERE id = {row_of('reappeared', 4)}",
    "nothing_occurs_after_it_is_seen": f"UPDATE instance_history SET occurred_at = {LATER} WHERE id = {row_of('deleted', 5)}",
    "observed_times_are_observed": f"UPDATE instance_history SET occurred_at = {MINUTES_AGO} WHERE id = {row_of('restored', 1)}",
    "stated_times_are_the_states": f"UPDATE instance_history SET occurred_at = {MINUTES_AGO} WHERE id = {row_of('deleted', 5)}",
    "transitions_are_known": f"UPDATE instance_history SET transition = 'lost' WHERE id = {row_of('changed', 3)}",
    "history_of_accepted_runs": "UPDATE sync_runs SET status = 'failed' WHERE id = 2",
    "runs_state_their_counts": f"DELETE FROM instance_history WHERE id = {row_of('token_rotated', 1)}",
    "unaccepted_runs_wrote_nothing": "UPDATE rejected_items SET run_id = 5",
    "answers_stand_together": f"UPDATE instance_history SET observed_at = {LATER} WHERE id = {row_of('created', 10)}",
    "answers_apply_in_order": "UPDATE instance_history SET id = id + 1000 WHERE run_id = 1",
    "base_covers_history": f"UPDATE accounts SET last_accepted_at = {MINUTES_AGO} WHERE account = 'default'",
    "observed_at_never_decreases": f"UPDATE instance_history SET observed_at = {MINUTES_AGO} WHERE account = 'other'",
    "base_is_last_accepted_run": "UPDATE accounts SET last_accepted_run_id = 1 WHERE account = 'default'",
    "instance_of_known_account": "UPDATE instances SET account = 'nobody' WHERE id_instance = 10",
    "held_answers_of_held_runs": "DELETE FROM held_answers",
    "timeline_is_of_history": "UPDATE past_versions SET name = 'forged' WHERE id_instance = 3",
    "claims_are_of_others": "UPDATE claims SET account = 'default'",
    "approvals_end_with_an_answer": "UPDATE approvals SET closed_by_run_id = run_id",
}  # fmt: skip


def test_every_check_has_its_breach() -> None:
    assert {check.name for checks, _query in verify.queries() for check in checks} | {verify.TIMELINE.name} == set(
        BREACHES
    )


def test_a_full_life_breaks_no_promise(bare: Connection) -> None:
    assert broken(bare) == set()
    words = bare.execute(text("SELECT count(DISTINCT transition) FROM instance_history")).scalar_one()
    assert words == 11


def test_each_promise_can_be_seen_broken(bare: Connection) -> None:
    unseen = set()
    for name, statement in BREACHES.items():
        with bare.begin_nested() as savepoint:
            assert bare.execute(text(statement)).rowcount > 0, name
            unseen |= {name} - broken(bare)
            savepoint.rollback()

    assert unseen == set()


def test_the_daily_roll_breaks_nothing_and_any_other_silent_date_does(mirror: Mirror) -> None:
    mirror.observe([item(1), paid(2)])
    mirror.observe([item(1, expirationDate="2026-12-04T18:39:44"), paid(2)], after=timedelta(days=1))
    rolled = verify.verify(mirror.engine)
    with mirror.engine.begin() as connection:
        connection.execute(
            text("UPDATE instances SET expiration_date = '2030-01-01 00:00:00.000000' WHERE id_instance = 2")
        )
    forged = verify.verify(mirror.engine)

    assert rolled.holds
    assert [outcome.first_ids for outcome in forged.outcomes if outcome.broken] == [(2,)]


def test_the_command_tells_what_holds_and_what_does_not(run_syncer: RunSyncer, mirror: Mirror) -> None:
    live_through_everything(mirror)
    env = {"SYNCER_DATABASE_URL": mirror.engine.url.render_as_string(hide_password=False), "SYNCER_PARTNER_TOKEN": ""}
    whole = run_syncer("verify", env=env)
    with mirror.engine.begin() as connection:
        connection.execute(text("UPDATE instances SET name = 'forged' WHERE id_instance IN (10, 11)"))
    forged = run_syncer("verify", env=env)
    document = run_syncer("verify", "--json", env=env)

    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "all 35 checks hold: 26 instances" in whole.stdout
    assert (forged.returncode, document.returncode) == (1, 1)
    assert "BROKEN state_equals_last_row" in forged.stdout
    assert "2 rows of instances break it: 10, 11" in forged.stdout
    (told,) = [check for check in json.loads(document.stdout)["checks"] if check["broken"]]
    assert (told["name"], told["broken"], told["first_ids"]) == ("state_equals_last_row", 2, [10, 11])
