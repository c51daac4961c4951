"""One answer in, rows and history out: CONTRACT 3, 4 and 6, on both databases."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

import pytest
from builders import ABSENT, body, item, item_2022, paid
from canary import api_token, find_secrets
from mirror import START, Mirror, account, serving
from sqlalchemy import delete, update

from syncer.errors import DatabaseFailed, SyncerError, UpstreamUnreachable
from syncer.model import Answer, Read, RunStatus, Trigger
from syncer.storage import database, runs
from syncer.storage.runs import NO_BASE, StartedRun, read_status_after_failure
from syncer.storage.tables import accounts, approvals, held_sets, instances, rejected_items, sync_runs

ID = 1101000001
FIRST = START + timedelta(minutes=5)
SECOND = START + timedelta(minutes=10)


def test_an_instance_is_mirrored_in_utc(mirror: Mirror) -> None:
    mirror.observe([item(name="Клиент 🥐", apiUrl="https://1101.api.example")])

    row = mirror.instance()
    assert {
        "id_instance": ID,
        "account": "default",
        "name": "Клиент 🥐",
        "type_instance": "whatsapp",
        "type_account": "",
        "messenger": "whatsapp",
        "partner_user_uiid": "",
        "time_created": datetime(2026, 6, 3, 15, 39, 44, tzinfo=UTC),
        "time_deleted": None,
        "deleted": False,
        "tariff": "PARTNER_23",
        "is_free": False,
        "is_partner": True,
        "expiration_date": datetime(2026, 12, 3, 15, 39, 44, tzinfo=UTC),
        "is_expired": False,
        "token_fingerprint": row["token_fingerprint"],
        "extra": '{"apiUrl":"https://1101.api.example"}',
        "first_seen_at": FIRST,
        "changed_at": FIRST,
        "renewed_at": None,
        "missing_since": None,
        "item_hash": row["item_hash"],
        "rest_hash": row["rest_hash"],
        "valid_from": datetime(2026, 6, 3, 15, 39, 44, tzinfo=UTC),
        "life_began_at": datetime(2026, 6, 3, 15, 39, 44, tzinfo=UTC),
        "life_began_with": "created",
        "life_first_day": date(2026, 6, 3),
        "life_first_night": date(2026, 6, 3),
    } == row
    assert len(row["token_fingerprint"]) == 16


def test_an_item_of_2022_leaves_what_it_does_not_tell_unknown(mirror: Mirror) -> None:
    mirror.observe([item_2022()])

    row = mirror.instance()
    assert (row["is_free"], row["is_partner"], row["messenger"]) == (None, None, None)


def test_a_first_sight_is_created_at_the_time_that_the_upstream_states(mirror: Mirror) -> None:
    mirror.observe([item()])

    (event,) = mirror.history()
    assert ("created", datetime(2026, 6, 3, 15, 39, 44, tzinfo=UTC), "upstream", FIRST, None) == (
        event["transition"],
        event["occurred_at"],
        event["time_source"],
        event["observed_at"],
        event["previous_observed_at"],
    )


def test_an_instance_first_seen_expired_and_deleted_has_all_three(mirror: Mirror) -> None:
    mirror.observe(
        [paid(isExpired=True, deleted=True, timeDeleted="2026-10-01T03:00:00", expirationDate="2026-09-01T03:00:00")]
    )

    assert [
        ("created", datetime(2026, 6, 3, 15, 39, 44, tzinfo=UTC)),
        ("expired", datetime(2026, 9, 1, tzinfo=UTC)),
        ("deleted", datetime(2026, 10, 1, tzinfo=UTC)),
    ] == [(event["transition"], event["occurred_at"]) for event in mirror.history()]


def test_a_stated_time_in_the_future_is_not_believed(mirror: Mirror) -> None:
    mirror.observe([item(timeCreated="2030-01-01T00:00:00", deleted=True, timeDeleted="2030-01-01T00:00:00")])

    assert [(event["transition"], event["occurred_at"], event["time_source"]) for event in mirror.history()] == [
        ("created", FIRST, "observed"),
        ("deleted", FIRST, "observed"),
    ]


LATER = "2026-12-04T18:39:44"
EARLIER = "2026-12-02T18:39:44"
MOVES: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("deleted", item(), item(deleted=True, timeDeleted="2026-11-01T00:00:00"), ["deleted"]),
    ("restored", item(deleted=True, timeDeleted="2026-10-01T00:00:00"), item(), ["restored"]),
    ("expired", paid(), paid(isExpired=True), ["expired"]),
    ("expired, date moved", paid(), paid(isExpired=True, expirationDate=EARLIER), ["expired"]),
    ("renewed", paid(isExpired=True), paid(), ["renewed"]),
    ("renewed, date moved", paid(isExpired=True), paid(expirationDate=LATER), ["renewed"]),
    ("extended", paid(), paid(expirationDate=LATER), ["extended"]),
    ("the daily roll", item(), item(expirationDate=LATER), []),
    ("the daily roll, told by tariff", item(isPartner=ABSENT), item(isPartner=ABSENT, expirationDate=LATER), []),
    ("no partner by flag in spite of the tariff", item(isPartner=False), item(isPartner=False, expirationDate=LATER), ["extended"]),
    ("earlier on an auto-renewing one", item(), item(expirationDate=EARLIER), ["changed"]),
    ("earlier", paid(), paid(expirationDate=EARLIER), ["changed"]),
    ("date lost", item(), item(expirationDate=None), ["changed"]),
    ("date got", item(expirationDate=ABSENT), item(), ["changed"]),
    ("later on an expired one", paid(isExpired=True), paid(isExpired=True, expirationDate=LATER), ["changed"]),
    ("roll of an expired auto-renewing one", item(isExpired=True), item(isExpired=True, expirationDate=LATER), []),
    ("renamed", item(), item(name="other"), ["changed"]),
    ("type", item(), item(typeInstance="v3"), ["changed"]),
    ("type of account", item(), item(typeAccount="uuid"), ["changed"]),
    ("messenger", item(), item(messenger="telegram"), ["changed"]),
    ("tariff", item(), item(tariff="PARTNER_25"), ["changed"]),
    ("free", item(), item(isFree=True), ["changed"]),
    ("flag no longer told", item(), item(isFree=ABSENT), ["changed"]),
    ("customer", item(), item(partnerUserUiid="u"), ["changed"]),
    ("created at another time", item(), item(timeCreated="2026-06-03T18:39:45"), ["changed"]),
    ("deletion's time corrected", item(deleted=True, timeDeleted="2026-10-01T00:00:00"), item(deleted=True, timeDeleted="2026-10-02T00:00:00"), ["changed"]),
    ("token", item(), item(apiTokenInstance=api_token(ID, 1)), ["token_rotated"]),
    ("unknown key", item(), item(apiUrl="https://x.example"), []),
    ("all at once", paid(), paid(name="n", apiTokenInstance=api_token(ID, 1), isExpired=True, deleted=True), ["changed", "token_rotated", "expired", "deleted"]),
    ("back and renewed", paid(isExpired=True, deleted=True), paid(expirationDate=LATER, name="n"), ["restored", "renewed", "changed"]),
    ("nothing", item(), item(), []),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "words"), [move[1:] for move in MOVES], ids=[move[0] for move in MOVES])
def test_a_move_is_recorded_as_the_contract_says(
    mirror: Mirror, before: dict[str, Any], after: dict[str, Any], words: list[str]
) -> None:
    mirror.observe([before])
    already = len(mirror.words())

    mirror.observe([after])

    assert words == mirror.words()[already:]


def test_the_daily_roll_updates_the_row_and_says_when(mirror: Mirror) -> None:
    mirror.observe([item()])

    report = mirror.observe([item(expirationDate=LATER)])

    row = mirror.instance()
    assert (report.status, report.updated, report.transitions) == (RunStatus.OK, 1, {})
    assert (row["renewed_at"], row["changed_at"]) == (SECOND, SECOND)


def test_an_unchanged_answer_writes_no_row(mirror: Mirror) -> None:
    mirror.observe([item(), paid(2)])
    before = mirror.rows(instances)

    report = mirror.observe([paid(2), item()])

    assert (report.status, report.listed, report.created, report.updated) == (RunStatus.UNCHANGED, 2, 0, 0)
    assert before == mirror.rows(instances)
    assert mirror.words() == ["created", "created"]


def test_history_carries_the_change_and_the_state_after_it(mirror: Mirror) -> None:
    mirror.observe([paid()])
    mirror.observe([paid(name="n", expirationDate=LATER)])

    _created, extended, changed = mirror.history()
    assert extended["changes"] == {"expiration_date": ["2026-12-03T15:39:44Z", "2026-12-04T15:39:44Z"]}
    assert changed["changes"] == {"name": ["client", "n"]}
    assert [extended["name"], changed["name"]] == ["n", "n"]
    assert [extended["previous_observed_at"], changed["previous_observed_at"]] == [FIRST, FIRST]


def test_a_live_instance_that_is_not_listed_vanished_and_a_deleted_one_is_purged(mirror: Mirror) -> None:
    mirror.observe([item(1), item(2, deleted=True), item(3)])

    mirror.observe([item(3)])

    assert (mirror.words(1), mirror.words(2)) == (["created", "vanished"], ["created", "deleted", "purged"])
    assert [row["missing_since"] for row in mirror.rows(instances)] == [SECOND, SECOND, None]
    assert [row["deleted"] for row in mirror.rows(instances)[:2]] == [False, True]


def test_an_instance_that_stays_away_is_recorded_once_and_can_come_back_changed(mirror: Mirror) -> None:
    mirror.observe([item(1), item(2)])
    mirror.observe([item(2)])
    mirror.observe([item(2)])
    mirror.observe([item(1, deleted=True), item(2)])

    assert mirror.words(1) == ["created", "vanished", "reappeared", "deleted"]
    assert mirror.instance(1)["missing_since"] is None


def test_a_new_instance_that_is_reported_as_expired_is_not_within_the_grace(mirror: Mirror) -> None:
    created = (START + timedelta(minutes=3, hours=3)).strftime("%Y-%m-%dT%H:%M:%S")
    mirror.observe([item(timeCreated=created, isExpired=True)])
    young = mirror.instance()["is_expired"]

    mirror.observe([item(timeCreated=created, isExpired=True)])

    assert (young, mirror.instance()["is_expired"]) == (False, True)
    assert mirror.words() == ["created", "expired"]


def test_a_bad_item_keeps_its_row_and_counts_as_seen(mirror: Mirror) -> None:
    mirror.observe([item(1), item(2)])

    report = mirror.observe([item(1, name=7), item(2)])

    assert (report.status, report.rejected) == (RunStatus.UNCHANGED, 1)
    (reject,) = mirror.rows(rejected_items)
    assert (reject["position"], reject["id_instance"], reject["reason"]) == (0, 1, "name is not a string")
    assert mirror.instance(1)["missing_since"] is None


def test_an_item_without_a_readable_id_proves_no_absence(mirror: Mirror) -> None:
    mirror.observe([item(1), item(2)])

    mirror.observe([item(2), {"idInstance": None}])

    assert mirror.words() == ["created", "created"]


def test_too_many_bad_items_refuse_the_whole_answer(mirror: Mirror) -> None:
    mirror.observe([item(number) for number in range(1, 31)])

    report = mirror.observe([item(number, deleted=None if number < 5 else False, name="n") for number in range(1, 31)])

    assert (
        report.status,
        report.error and report.error.kind,
        report.exit_code,
    ) == (RunStatus.FAILED, "too_many_rejects", 5)
    assert {"client"} == {row["name"] for row in mirror.rows(instances)}
    assert mirror.rows(rejected_items) == []


@pytest.mark.parametrize(
    ("listed", "answer"),
    [
        (10, []),
        (10, range(5, 11)),
        (100, range(7, 101)),
        (3, range(11, 14)),
    ],
    ids=["empty", "more than three", "more than five percent", "another account's"],
)
def test_an_implausible_answer_is_held(mirror: Mirror, listed: int, answer: list[int]) -> None:
    mirror.observe([item(number) for number in range(1, listed + 1)])
    before = (mirror.rows(instances), mirror.history(), mirror.rows(accounts))

    report = mirror.observe([item(number) for number in answer])

    assert (report.status, report.exit_code) == (RunStatus.HELD, 6)
    assert before == (mirror.rows(instances), mirror.history(), mirror.rows(accounts))
    assert f"syncer approve {report.id}" in mirror.runs()[-1]["error"]


@pytest.mark.parametrize(
    ("listed", "answer"),
    [(3, [3]), (10, range(4, 11)), (100, range(6, 101)), (1, [1])],
    ids=["of 3", "3 of 10", "5 of 100", "none"],
)
def test_a_plausible_loss_passes(mirror: Mirror, listed: int, answer: list[int]) -> None:
    mirror.observe([item(number) for number in range(1, listed + 1)])

    assert mirror.observe([item(number) for number in answer]).exit_code == 0


def test_an_answer_of_nothing_but_what_returned_is_no_foreign_one(mirror: Mirror) -> None:
    for numbers in ((1, 2), (2,), (1,)):
        report = mirror.observe([item(number) for number in numbers])

    assert {"reappeared": 1, "vanished": 1} == report.transitions


def test_deleted_instances_that_are_purged_never_count(mirror: Mirror) -> None:
    mirror.observe([item(number, deleted=number > 1) for number in range(1, 20)])

    assert mirror.observe([item(1)]).transitions == {"purged": 18}


def test_an_account_whose_last_instances_were_deleted_may_become_empty(mirror: Mirror) -> None:
    mirror.observe([item(1, deleted=True)])

    assert mirror.observe([]).transitions == {"purged": 1}


def test_an_approval_lets_through_what_was_held_and_nothing_larger(mirror: Mirror) -> None:
    mirror.observe([item(number) for number in range(1, 11)])
    held = mirror.observe([item(number) for number in range(6, 11)])
    mirror.approve(held.id)

    larger = mirror.observe([item(number) for number in range(7, 11)])
    same = mirror.observe([item(number) for number in range(6, 11)])

    assert (larger.status, same.status) == (RunStatus.HELD, RunStatus.OK)
    assert same.transitions == {"vanished": 5}
    assert [same.id] == [row["closed_by_run_id"] for row in mirror.rows(approvals)]


def test_an_approval_is_good_for_the_next_accepted_answer_only(mirror: Mirror) -> None:
    mirror.observe([item(number) for number in range(1, 11)])
    mirror.approve(mirror.observe([item(number) for number in range(6, 11)]).id)
    mirror.observe([item(number) for number in range(1, 11)])

    assert RunStatus.HELD is mirror.observe([item(number) for number in range(6, 11)]).status


def test_an_approval_is_not_used_up_by_another_account(mirror: Mirror) -> None:
    of_one = [item(number) for number in range(1, 11)]
    of_two = [item(number) for number in range(101, 111)]
    mirror.observe(of_one, of=account("one"))
    mirror.observe(of_two, of=account("two"))
    mirror.approve(mirror.observe(of_one[5:], of=account("one")).id)
    mirror.observe(of_two, of=account("two"))

    assert RunStatus.OK is mirror.observe(of_one[5:], of=account("one")).status


def test_a_set_that_is_held_again_and_again_is_stored_once(mirror: Mirror) -> None:
    mirror.observe([item(number) for number in range(1, 11)])
    for _ in range(3):
        mirror.observe([])

    assert len(mirror.rows(held_sets)) == 1


def test_only_a_held_run_can_be_approved(mirror: Mirror) -> None:
    report = mirror.observe([item()])

    with pytest.raises(SyncerError, match=f"approving run {report.id}: it is not held but ok"):
        mirror.approve(report.id)
    with pytest.raises(SyncerError, match="approving run 99: there is no such run"):
        mirror.approve(99)


def test_a_run_that_was_accepted_stays_so_whatever_its_process_says_later(mirror: Mirror) -> None:
    """Its COMMIT arrived, and the process never learnt of it."""
    report = mirror.observe([item()])
    assert report.id is not None
    run = runs.StartedRun(report.id, runs.NO_BASE, mirror.now)

    with database.writing(mirror.engine, "noting the failure") as connection:
        runs.finish_run(connection, run, RunStatus.FAILED, mirror.now, error_kind="database", error="lost")

    assert ("ok", None) == (mirror.runs()[0]["status"], mirror.runs()[0]["error"])


def test_a_failed_run_is_a_row_and_nothing_else(mirror: Mirror) -> None:
    mirror.observe([item()])
    before = mirror.rows(instances), mirror.rows(accounts)

    def unreachable(_read: object) -> NoReturn:
        error = UpstreamUnreachable("calling the upstream: no route")
        error.http_status = 503
        raise error

    report = mirror.observe([], fetch=unreachable)

    run = mirror.runs()[-1]
    assert (report.status, report.exit_code) == (RunStatus.FAILED, 3)
    assert (
        run["status"], run["error_kind"], run["error"], run["http_status"],
    ) == ("failed", "network", "calling the upstream: no route", 503)  # fmt: skip
    assert before == (mirror.rows(instances), mirror.rows(accounts))


def test_an_answer_that_was_overtaken_is_not_applied(mirror: Mirror) -> None:
    mirror.observe([item(name="first")])

    stale = serving(b'[{"idInstance":1101000001,"name":"stale","deleted":false,"isExpired":false}]')

    def overtaken(read: Callable[[Iterable[bytes]], Read]) -> Answer[Read]:
        mirror.observe([item(name="later")])
        return stale(read)

    report = mirror.observe([], fetch=overtaken)

    assert (report.status, report.exit_code) == (RunStatus.SUPERSEDED, 7)
    assert [run["status"] for run in mirror.runs()] == ["ok", "superseded", "ok"]
    assert mirror.instance()["name"] == "later"


def test_a_clock_that_was_set_back_does_not_turn_history_round(mirror: Mirror) -> None:
    mirror.observe([item()])
    mirror.observe([item(name="n")], after=timedelta(hours=-2))

    assert [event["observed_at"] for event in mirror.history()] == [FIRST, FIRST]


def test_a_run_that_was_never_finished_is_closed_by_the_next(mirror: Mirror) -> None:
    with database.writing(mirror.engine, "starting a run that dies") as connection:
        runs.start_run(connection, "default", Trigger.SCHEDULE, mirror.now, 300)

    mirror.observe([item()])

    assert [run["status"] for run in mirror.runs()] == ["abandoned", "ok"]


def test_a_gap_of_more_than_eighty_days_is_noted(mirror: Mirror) -> None:
    mirror.observe([item()])
    mirror.observe([item()], after=timedelta(days=80))
    mirror.observe([item()], after=timedelta(days=80, seconds=1))

    assert [run["warning"] for run in mirror.runs()] == [None, None, "blind_gap"]


def test_hostile_text_is_stored_the_same_on_both_databases(mirror: Mirror) -> None:
    mirror.observe(
        b'[{"idInstance":1,"deleted":false,"isExpired":false,"name":"a\\u0000b\\ud800c \\u202e\'; DROP TABLE","x":{"\\u0000":1e300}}]'
    )

    row = mirror.instance(1)
    assert row["name"] == "a\ufffdb\ufffdc \u202e'; DROP TABLE"
    assert row["extra"] == '{"x":{"\ufffd":1e+300}}'
    assert (
        RunStatus.UNCHANGED
        is mirror.observe(
            b'[{"idInstance":1,"deleted":false,"isExpired":false,"name":"a\\u0000b\\ud800c \\u202e\'; DROP TABLE","x":{"\\u0000":1e300}}]'
        ).status
    )


def test_an_instance_token_is_stored_nowhere_as_it_is(mirror: Mirror) -> None:
    token = api_token(ID)

    mirror.observe(
        [
            item(name=f"my {token} is", note=token, authToken="abc"),
            {"idInstance": "x", "apiTokenInstance": token, "n": [token]},
        ]
    )

    row = mirror.instance()
    assert row["name"] == "my [removed] is"
    assert row["extra"] == '{"authToken":"[removed]","note":"[removed]"}'
    assert (
        mirror.rows(rejected_items)[0]["item"] == '{"apiTokenInstance":"[removed]","idInstance":"x","n":["[removed]"]}'
    )


def test_the_database_library_logs_no_token_at_any_level(
    mirror: Mirror, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("sqlalchemy"), "level", logging.DEBUG)
    logging.getLogger("sqlalchemy").manager._clear_cache()  # type: ignore[attr-defined]
    with caplog.at_level(logging.DEBUG, "sqlalchemy.engine"):
        spoken = Mirror(mirror.engine.url.render_as_string(hide_password=False))
        spoken.observe([item(note=api_token(ID)), {"apiTokenInstance": api_token(ID)}])
    spoken.engine.dispose()

    assert "INSERT INTO instances" in caplog.text
    assert find_secrets(caplog.text.encode()) == []


@pytest.mark.parametrize("second", [[item(1)], [item(1, name="b")], []], ids=["unchanged", "changed", "held"])
@pytest.mark.parametrize("left", ["nothing", "another run of that id"])
def test_a_run_that_a_restore_took_away_is_not_accepted(mirror: Mirror, second: list[Any], left: str) -> None:
    """The database was brought back to before the run's start while it was fetching; another run may have its id."""
    mirror.observe([item(1)])

    def restore() -> None:
        with database.writing(mirror.engine, "restoring") as connection:
            running = sync_runs.c.status == RunStatus.RUNNING
            if left == "nothing":
                connection.execute(delete(sync_runs).where(running))
            else:
                connection.execute(update(sync_runs).where(running).values(started_at=START + timedelta(days=9)))

    def fetch(read: Callable[[Iterable[bytes]], Read]) -> Answer[Read]:
        restore()
        return serving(body(second))(read)

    report = mirror.observe([], fetch=fetch)
    bases = [row["last_accepted_run_id"] for row in mirror.rows(accounts)]

    assert (report.exit_code, report.status) == (8, RunStatus.FAILED)
    assert bases == [1]
    assert mirror.words() == ["created"]
    assert [row["status"] for row in mirror.runs()][1:] == ([] if left == "nothing" else ["running"])
    assert mirror.observe([item(1)]).exit_code == 0


def test_what_came_of_a_commit_is_said_by_the_run_itself_alone(mirror: Mirror) -> None:
    """After a restore its id may be another run's, or nobody's."""
    mirror.observe([item(1)])
    (row,) = mirror.runs()
    run = StartedRun(row["id"], NO_BASE, row["started_at"])

    assert RunStatus.OK is read_status_after_failure(mirror.engine, run)
    assert read_status_after_failure(mirror.engine, run._replace(started_at=START + timedelta(days=9))) is None
    assert read_status_after_failure(mirror.engine, run._replace(id=99)) is None


def test_the_base_of_an_account_is_a_run_that_is_there(mirror: Mirror) -> None:
    mirror.observe([item(1)])

    with pytest.raises(DatabaseFailed), database.writing(mirror.engine, "spoiling") as connection:
        connection.execute(update(accounts).values(last_accepted_run_id=99))


@pytest.mark.parametrize("mirror", ["postgresql"], indirect=True)
def test_a_run_that_starts_does_not_wait_for_one_that_ends(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would hold what the other wants: the account, and the run that is found unfinished."""
    monkeypatch.setattr(database, "LOCK_TIMEOUT_SECONDS", 1)
    mirror.observe([item(1)])
    with database.writing(mirror.engine, "applying") as ending:
        runs.read_base(ending, "default", lock=True)
        with database.writing(mirror.engine, "starting") as starting:
            run = runs.start_run(starting, "default", Trigger.MANUAL, mirror.now, 300)

    assert run.id == 2
