"""CONTRACT 4, Whose it is: what two accounts list stays with its owner, and moves once; accounts that are renamed, or retired."""

from datetime import timedelta
from typing import Any

import pytest
from builders import body, item
from canary import api_token
from mirror import Mirror, account, serving
from sqlalchemy import update

from syncer.errors import ConfigurationError
from syncer.model import RunResult, RunStatus
from syncer.storage import accounts as names
from syncer.storage import database, lease
from syncer.storage.tables import accounts, claims, instances, leases, sync_runs
from syncer.views.verify import verify

A, B, C = account("a"), account("b"), account("c")


def estate(*ids: int, **values: Any) -> list[dict[str, Any]]:
    return [item(key, **values) for key in ids]


def owners(mirror: Mirror) -> dict[int, str]:
    return {row["id_instance"]: row["account"] for row in mirror.rows(instances)}


def claimed(mirror: Mirror) -> list[tuple[int, str, int]]:
    return [(row["id_instance"], row["account"], row["since_run_id"]) for row in mirror.rows(claims)]


def warnings(mirror: Mirror) -> list[str | None]:
    return [run["warning"] for run in mirror.runs()]


@pytest.fixture(autouse=True)
def every_promise_holds(mirror: Mirror) -> Any:
    yield
    assert [one.check.name for one in verify(mirror.engine).outcomes if one.broken] == []


def test_two_accounts_that_list_the_same_estate_never_hand_it_back_and_forth(mirror: Mirror) -> None:
    ids = range(1, 31)
    for _ in range(3):
        mirror.observe(estate(*ids), of=A)
        mirror.observe(estate(*ids), of=B)

    assert set(owners(mirror).values()) == {"a"}
    assert mirror.words() == ["created"] * 30
    assert claimed(mirror) == [(key, "b", 2) for key in ids]
    assert warnings(mirror) == [None, "overlap", "overlap", "overlap", "overlap", "overlap"]
    assert [run["status"] for run in mirror.runs()] == ["ok", *["unchanged"] * 5]


def test_only_the_owners_answer_counts(mirror: Mirror) -> None:
    mirror.observe(estate(1, name="of a"), of=A)
    mirror.observe(estate(1, name="of b", apiTokenInstance=api_token(7)), of=B)

    assert mirror.instance(1)["name"] == "of a"
    assert mirror.words(1) == ["created"]
    mirror.observe(estate(1, name="of a, later"), of=A)
    assert mirror.words(1) == ["created", "changed"]


def test_what_its_owner_lists_no_more_moves_to_who_claims_it_in_that_very_run(mirror: Mirror) -> None:
    mirror.observe(estate(1, 2, 3, 4, 5), of=A)
    mirror.observe(estate(11, 1, 2, 3, 4), of=B)
    mirror.observe(estate(1, 2, 3, 4, 5), of=A)

    report = mirror.observe(estate(5), of=A)

    assert report.status is RunStatus.OK
    assert report.transitions == {"changed": 4}
    assert owners(mirror) == {1: "b", 2: "b", 3: "b", 4: "b", 5: "a", 11: "b"}
    told = mirror.history(1)[-1]
    assert (told["changes"], told["account"], told["run_id"]) == ({"account": ["a", "b"]}, "b", report.id)
    assert claimed(mirror) == []
    mirror.observe(estate(11, 1, 2, 3, 4), of=B)
    assert mirror.words(1) == ["created", "changed"]
    assert mirror.runs()[-1]["warning"] is None


def test_a_move_does_not_count_as_a_loss(mirror: Mirror) -> None:
    mirror.observe(estate(*range(1, 21)), of=A)
    mirror.observe(estate(*range(1, 21)), of=B)

    assert mirror.observe([], of=A).status is RunStatus.OK
    assert set(owners(mirror).values()) == {"b"}


def test_the_longest_claim_wins(mirror: Mirror) -> None:
    mirror.observe(estate(1, 2), of=A)
    mirror.observe(estate(1, 3), of=C)
    mirror.observe(estate(1, 4), of=B)

    mirror.observe(estate(2), of=A)

    assert owners(mirror)[1] == "c"
    assert claimed(mirror) == [(1, "b", 3)]


def test_what_its_owner_misses_is_taken_over_by_who_lists_it(mirror: Mirror) -> None:
    mirror.observe(estate(1, 2), of=A)
    mirror.observe(estate(2), of=A)
    mirror.observe(estate(1, 3), of=B)

    assert owners(mirror)[1] == "b"
    assert mirror.words(1) == ["created", "vanished", "reappeared", "changed"]
    assert mirror.history(1)[-1]["changes"] == {"account": ["a", "b"]}


def test_an_answer_with_an_id_that_cannot_be_read_moves_nothing(mirror: Mirror) -> None:
    unreadable = {"name": "no id", "deleted": False, "isExpired": False}
    mirror.observe(estate(1, 2), of=A)
    mirror.observe(estate(2), of=A)
    mirror.observe([*estate(1, 3), unreadable], of=B)

    assert owners(mirror)[1] == "a"
    assert claimed(mirror) == [(1, "b", 3)]
    mirror.observe(estate(1, 3), of=B)
    assert owners(mirror)[1] == "b"

    mirror.observe(estate(3), of=A)
    mirror.observe([*estate(1), unreadable], of=B)
    assert owners(mirror)[3] == "b"


def test_a_claim_ends_with_the_answer_that_lists_it_no_more(mirror: Mirror) -> None:
    mirror.observe(estate(1, 2), of=A)
    mirror.observe(estate(1, 3), of=B)
    mirror.observe(estate(3), of=B)

    assert claimed(mirror) == []
    mirror.observe(estate(2), of=A)
    assert mirror.words(1) == ["created", "vanished"]


def test_a_bad_item_of_a_claimed_instance_is_rejected_and_still_claims_it(mirror: Mirror) -> None:
    mirror.observe(estate(1, 2), of=A)
    mirror.observe(estate(1, 3), of=B)

    report = mirror.observe([item(1, deleted=None), item(3)], of=B)

    assert (report.rejected, claimed(mirror)) == (1, [(1, "b", 2)])


def test_a_foreign_answer_is_one_that_shares_not_even_a_claim(mirror: Mirror) -> None:
    mirror.observe(estate(1, 2), of=A)
    mirror.observe(estate(1, *range(10, 14)), of=B)

    assert mirror.observe(estate(1), of=B).status is RunStatus.HELD
    assert "missing" in str(mirror.runs()[-1]["error"])
    assert "shares no instance" in str(mirror.observe(estate(50), of=B).error)


def test_a_move_ends_a_run_of_the_new_owner_that_was_fetched_before_it(mirror: Mirror) -> None:
    mirror.observe(estate(1, 2), of=A)
    mirror.observe(estate(1, 3), of=B)

    def overtaken(read: Any) -> Any:
        mirror.observe(estate(2), of=A)
        return serving(body(estate(3)))(read)

    report = mirror.observe([], of=B, fetch=overtaken)

    assert report.status is RunStatus.SUPERSEDED
    assert owners(mirror)[1] == "b"
    assert mirror.observe(estate(1, 3), of=B).status is RunStatus.UNCHANGED


def test_a_clock_that_was_set_back_does_not_turn_a_moved_instances_history_round(mirror: Mirror) -> None:
    mirror.observe(estate(1, 2), of=A)
    mirror.observe(estate(1, 3), of=B)
    mirror.observe(estate(2), of=A)
    mirror.observe(estate(1, 3, name="n"), of=B, after=timedelta(hours=-3))

    seen = [event["observed_at"] for event in mirror.history(1)]
    assert seen == sorted(seen)


@pytest.mark.parametrize("said", [{"deleted": True}, {"isExpired": True, "tariff": "BUSINESS", "isPartner": False}])
def test_runs_that_overlap_and_exchange_instances_break_no_promise(mirror: Mirror, said: dict[str, Any]) -> None:
    """The number of the run that applies last is the lower one: of two accounts only the id of history is an order."""
    mirror.observe(estate(1, 2), of=B)

    def overlapped(read: Any) -> Any:
        mirror.observe([item(1, **said), item(2)], of=B)
        mirror.observe(estate(2), of=B)
        return serving(body([item(1, **said), item(3)]))(read)

    report = mirror.observe([], of=A, fetch=overlapped)

    assert report.status is RunStatus.OK
    assert owners(mirror)[1] == "a"
    runs_of_it = [event["run_id"] for event in mirror.history(1)]
    assert runs_of_it != sorted(runs_of_it)


# --- renamed and retired -------------------------------------------------------------------------------------------------


def rename(mirror: Mirror, old: str, new: str) -> None:
    with database.writing(mirror.engine, "renaming the account") as connection:
        names.rename(connection, old, new, mirror.now)


def retire(mirror: Mirror, name: str) -> None:
    with database.writing(mirror.engine, "retiring the account") as connection:
        names.retire(connection, name, mirror.now)


def test_a_renamed_account_keeps_everything(mirror: Mirror) -> None:
    mirror.observe(estate(1, 2, 3), of=A)
    mirror.observe(estate(1, 4), of=B)
    mirror.observe(estate(2, 3, 4), of=A)

    rename(mirror, "a", "new")

    assert owners(mirror) == {1: "b", 2: "new", 3: "new", 4: "b"}
    assert {run["account"] for run in mirror.runs()} == {"new", "b"}
    assert {row["account"] for row in mirror.rows(accounts)} == {"new", "b"}
    assert mirror.history(1)[-1]["changes"] == {"account": ["new", "b"]}
    assert claimed(mirror) == [(4, "new", 3)]
    report = mirror.observe(estate(2, 3, 4), of=account("new"))
    assert report.status is RunStatus.UNCHANGED


def test_a_name_that_owns_nothing_is_taken_over(mirror: Mirror) -> None:
    """The settings were changed first: under the new name everything was another account's."""
    mirror.observe(estate(1, 2, 3), of=A)
    mirror.observe(estate(1, 2, 3), of=account("new"))

    rename(mirror, "a", "new")

    assert set(owners(mirror).values()) == {"new"}
    assert claimed(mirror) == []
    assert mirror.observe(estate(1, 2), of=account("new")).transitions == {"vanished": 1}
    assert mirror.history(3)[-1]["previous_observed_at"] == mirror.history(3)[0]["observed_at"]


def test_an_account_that_had_the_instances_once_gets_them_back_by_its_name(mirror: Mirror) -> None:
    mirror.observe(estate(1), of=A)
    mirror.observe(estate(1), of=B)
    mirror.observe([], of=A)

    rename(mirror, "b", "a")

    assert mirror.history(1)[-1]["changes"] == {"account": ["a", "a"]}


def test_a_name_that_is_taken_over_brings_runs_that_were_in_no_order_with_the_new_ones(mirror: Mirror) -> None:
    """Two accounts run side by side, and one of them gets the other's name: every promise holds of what was."""
    slow = serving(body(estate(1, 2)))

    def while_b_runs(read: Any) -> Any:
        mirror.observe(estate(3, 4), of=B, after=timedelta())
        mirror.now += timedelta(minutes=2)
        return slow(read)

    mirror.observe([], of=A, fetch=while_b_runs)
    retire(mirror, "a")
    mirror.observe(estate(1, 2, 3, 4), of=B)
    rename(mirror, "b", "a")

    assert set(owners(mirror).values()) == {"a"}
    assert [run["account"] for run in mirror.runs()] == ["a", "a", "a"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [("x", "y", "no such account"), ("a", "a", "its name already"), ("a", "b", "instances of its own")],
)
def test_a_name_that_cannot_be_given_is_refused(mirror: Mirror, old: str, new: str, told: str) -> None:
    mirror.observe(estate(1), of=A)
    mirror.observe(estate(2), of=B)

    with pytest.raises(ConfigurationError, match=told):
        rename(mirror, old, new)


@pytest.mark.parametrize("leased", ["a", "new"])
def test_an_account_that_runs_is_not_renamed(mirror: Mirror, leased: str) -> None:
    mirror.observe(estate(1), of=A)
    keeper = lease.Keeper(mirror.engine)
    keeper.acquire(leased)

    with pytest.raises(ConfigurationError, match="under way"):
        rename(mirror, "a", "new")
    keeper.release(leased)
    rename(mirror, "a", "new")
    assert owners(mirror) == {1: "new"}


def test_a_lease_of_the_future_keeps_no_account_from_its_new_name(mirror: Mirror) -> None:
    """It was left by a clock that was set back, and no process will release it."""
    mirror.observe(estate(1), of=A)
    keeper = lease.Keeper(mirror.engine)
    keeper.acquire("a")
    with database.writing(mirror.engine, "a clock that was wrong") as connection:
        ahead = lease.database_now(connection) + timedelta(hours=2)
        connection.execute(update(leases).values(holder="elsewhere:1:0123456789ab:00000001", expires_at=ahead))

    rename(mirror, "a", "new")

    assert owners(mirror) == {1: "new"}
    keeper.release("new")


def test_what_a_retired_account_owned_is_taken_over_by_who_lists_it(mirror: Mirror) -> None:
    mirror.observe(estate(1, 2), of=A)
    mirror.observe(estate(1), of=B)
    mirror.observe(estate(1), of=B)
    retire(mirror, "a")

    report = mirror.observe(estate(1), of=B)

    assert report.transitions == {"changed": 1}
    assert owners(mirror) == {1: "b", 2: "a"}
    assert report.id is not None
    assert mirror.rows(sync_runs)[-1]["warning"] is None


def test_a_retired_account_claims_nothing_and_an_accepted_answer_brings_it_back(mirror: Mirror) -> None:
    mirror.observe(estate(1), of=A)
    mirror.observe(estate(1, 2), of=B)
    retire(mirror, "b")
    assert claimed(mirror) == []

    report: RunResult = mirror.observe(estate(1, 2), of=B)

    assert report.status is RunStatus.UNCHANGED
    assert claimed(mirror) == [(1, "b", 3)]
    assert [row["retired_at"] for row in mirror.rows(accounts)] == [None, None]


def test_only_an_account_that_is_known_is_retired(mirror: Mirror) -> None:
    mirror.observe(estate(1), of=A)

    with pytest.raises(ConfigurationError, match="no such account"):
        retire(mirror, "b")
