"""What was true of one instance when, by all that is known now."""

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from builders import item, paid
from figures_model import FiguresModel
from told_lives import NONE, local, told_lives

from syncer.model import FIELDS, Instance, Item, MirrorRow
from syncer.rules.timeline import (
    STATE_COLUMNS,
    HistoryRow,
    Version,
    lived_on,
    lives_of,
    reaches_back,
    read_history,
    state_of,
    versions_of,
)
from syncer.rules.transitions import Observation, decide_absent, decide_listed

START = datetime(2026, 8, 1, 9, 0, tzinfo=UTC)


def moment(text: str | None) -> datetime | None:
    if text is None or text.startswith("0001"):
        return None
    return datetime.fromisoformat(text).replace(tzinfo=UTC) - timedelta(hours=3)


def listed_item(told: dict[str, Any]) -> Item:
    values = {
        "id_instance": told["idInstance"],
        **{name: told[field.key] for name, field in FIELDS.items()},
        **{name: moment(told[FIELDS[name].key]) for name in ("time_created", "time_deleted", "expiration_date")},
    }
    return Item(Instance(**values, token_fingerprint=None, extra="{}"), 0)


class Histories:
    """The histories of an estate, by the core's own decisions."""

    def __init__(self) -> None:
        self.rows: dict[int, MirrorRow] = {}
        self.history: dict[int, list[HistoryRow]] = defaultdict(list)
        self.accepted: dict[str, datetime | None] = {}
        self.runs = 0

    def observe(self, account: str, items: Sequence[dict[str, Any]], now: datetime) -> None:
        self.runs += 1
        seen = Observation(account, now, self.accepted, timedelta(minutes=5))
        listed = {told["idInstance"]: listed_item(told) for told in items}
        decisions = [decide_listed(self.rows.get(key), one, seen) for key, one in listed.items()]
        decisions += [
            decide_absent(row, seen)
            for key, row in self.rows.items()
            if key not in listed and row.account == account and row.missing_since is None
        ]
        for decision in decisions:
            key, row = decision.id_instance, decision.row
            self.rows[key] = row
            values = row.instance._asdict() | {"account": account, "missing": row.missing_since is not None}
            state = state_of([values[name] for name in STATE_COLUMNS])
            self.history[key] += [
                HistoryRow(
                    key,
                    self.runs,
                    event.transition,
                    event.occurred_at,
                    event.time_source,
                    now,
                    json.dumps(event.changes, default=str),
                    state,
                )
                for event in decision.events
            ]
        self.accepted[account] = now

    def versions(self, key: int) -> list[Version]:
        return versions_of(read_history(self.history[key]))


def at(day: str) -> datetime:
    """`MM-DD` or `MM-DD HH:MM` of 2026, UTC."""
    return datetime.fromisoformat(f"2026-{day}").replace(tzinfo=UTC)


def told(day: str) -> str:
    return local(at(day))


def played(*answers: tuple[str, dict[str, Any] | None], account: str = "default") -> Histories:
    """One instance, 2, as answers of these moments tell it; None: it is not listed."""
    histories = Histories()
    for when, keys in answers:
        listed = [] if keys is None else [paid(2, timeCreated=told("10-01"), expirationDate=told("12-31")) | keys]
        histories.observe(account, listed, at(when))
    return histories


def said(histories: Histories, *columns: str) -> list[tuple[Any, ...]]:
    """Its versions as (from, the values of columns)."""
    return [
        (version.valid_from, *(columns_of(version)[column] for column in columns)) for version in histories.versions(2)
    ]


BORN = at("10-01")


def test_a_deletion_ends_before_a_restore_and_an_expiry_told_with_it_begins_at_its_date() -> None:
    histories = played(
        ("11-01", {}),
        ("11-03", {"deleted": True, "timeDeleted": told("11-02")}),
        ("11-20", {"isExpired": True, "expirationDate": told("11-05")}),
    )
    found = said(histories, "deleted", "is_expired")

    assert [
        (BORN, False, False),
        (at("11-02"), True, False),
        (at("11-05"), True, True),
        (at("11-20"), False, True),
    ] == found


def test_an_instance_that_is_listed_again_was_there_all_along() -> None:
    histories = played(("11-01", {}), ("11-03", None), ("11-20", {"isExpired": True, "expirationDate": told("11-05")}))
    found = said(histories, "missing", "is_expired")

    assert [(BORN, False, False), (at("11-05"), False, True), (at("11-20"), False, True)][:2] == [
        row for row in found if row[0] != at("11-20")
    ]
    assert 1 == len(lives_of(histories.versions(2)))


def test_a_deletion_told_late_is_laid_over_an_expiry_and_a_renewal() -> None:
    born = {"timeCreated": told("03-01")}
    histories = played(
        ("03-06", born),
        ("03-10", born | {"isExpired": True, "expirationDate": told("03-10")}),
        ("03-24", born),
        ("04-19", born | {"deleted": True, "timeDeleted": told("03-06")}),
    )
    found = said(histories, "deleted")

    assert {at("03-06")} == {when for when, deleted in found if deleted} & {at("03-06")}
    assert [deleted for when, deleted in found if when >= at("03-06")].count(False) == 0
    assert at("03-06") == lives_of(histories.versions(2))[-1].ended_at


@pytest.mark.parametrize("deleted", [False, True])
def test_what_is_told_late_counts_under_the_tariff_of_its_date(deleted: bool) -> None:
    dated = {"isExpired": True, "expirationDate": told("11-05")}
    if deleted:
        dated |= {"deleted": True, "timeDeleted": told("11-10")}
    histories = played(("11-01", {"tariff": "BUSINESS"}), ("11-20", {"tariff": "DEVELOPER"} | dated))
    lives = lives_of(histories.versions(2))

    assert [(BORN, "BUSINESS", "deleted" if deleted else "regrouped")] == [
        (life.began_at, life.tariff, life.ended_with) for life in lives[:1]
    ]
    assert lives[0].ended_at == at("11-10" if deleted else "11-20")
    assert len(lives) == (1 if deleted else 2)


def test_what_vanished_and_came_back_deleted_without_a_date_ended_when_it_vanished() -> None:
    histories = played(("11-01", {}), ("11-05", None), ("11-10", {"deleted": True, "timeDeleted": NONE}))

    assert [(BORN, False, False), (at("11-05"), True, False)] == [
        row for row in said(histories, "deleted", "missing") if row[0] != at("11-10")
    ]
    assert [("created", "deleted", at("11-05"))] == [
        (life.began_with, life.ended_with, life.ended_at) for life in lives_of(histories.versions(2))
    ]


def test_what_is_missing_now_is_missing_since_it_vanished_and_no_other_version_is() -> None:
    histories = played(("11-01", {}), ("11-03", None), ("11-05", {"name": "b"}), ("11-07", None))

    assert [(BORN, "client", False), (at("11-05"), "b", False), (at("11-07"), "b", True)] == said(
        histories, "name", "missing"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["11-08"], "11-08"),
        (["11-08", "11-06"], "11-06"),
        (["11-08", "11-09"], "11-09"),
        (["11-08", None], "11-08"),
        ([None], "11-10"),
        ([None, "11-04"], "11-04"),
        (["11-08", "11-18"], "11-08"),
        (["11-08", "11-09", "11-18"], "11-09"),
    ],
)
def test_the_last_date_of_a_deletion_that_its_first_answer_could_have_told_counts(
    words: list[str | None], expected: str
) -> None:
    answers: list[tuple[str, dict[str, Any] | None]] = [("11-01", {})]
    for day, word in zip(("11-10", "11-20", "11-22"), words, strict=False):
        answers.append((day, {"deleted": True, "timeDeleted": NONE if word is None else told(word)}))
    histories = played(*answers)

    assert at(expected) == lives_of(histories.versions(2))[-1].ended_at


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["10-05", "10-02"], "10-02"),
        (["10-05", "10-07"], "10-07"),
        (["10-05", None], "10-05"),
        (["10-05", "11-15"], "11-01"),
        ([None], "11-01"),
        ([None, "10-20"], "10-20"),
    ],
)
def test_a_life_begins_at_the_last_stated_date_of_its_creation_or_at_its_first_sight(
    dates: list[str | None], expected: str
) -> None:
    days = ("11-01", "11-20")
    histories = played(
        *((day, {"timeCreated": NONE if word is None else told(word)}) for day, word in zip(days, dates, strict=False))
    )

    assert at(expected) == histories.versions(2)[0].valid_from


@pytest.mark.parametrize("deleted_on", ["10-01", "09-20"])
def test_what_is_deleted_as_of_its_creation_has_a_life_of_no_length(deleted_on: str) -> None:
    histories = played(("11-01", {}), ("11-20", {"deleted": True, "timeDeleted": told(deleted_on), "tariff": "X"}))
    (life,) = lives_of(histories.versions(2))

    assert (BORN, "created", BORN, "deleted", "BUSINESS") == (
        life.began_at, life.began_with, life.ended_at, life.ended_with, life.tariff
    )  # fmt: skip
    assert life.end_night is not None
    assert 1 == (life.end_night - life.first_night).days


def test_a_date_that_no_answer_may_state_is_none() -> None:
    histories = played(
        ("11-01", {"timeCreated": "0002-01-01T00:00:00"}),
        ("11-10", {"timeCreated": "0002-01-01T00:00:00", "deleted": True, "timeDeleted": "2009-12-31T00:00:00"}),
    )

    assert [(at("11-01"), False), (at("11-10"), True)] == said(histories, "deleted")


def test_dates_are_believed_from_2010_on() -> None:
    histories = played(("11-01", {"timeCreated": "2010-01-01T03:00:00"}))

    assert datetime(2010, 1, 1, tzinfo=UTC) == histories.versions(2)[0].valid_from


def test_a_deletion_dated_at_the_answer_that_ends_a_gap_is_not_dated_at_the_gap() -> None:
    histories = played(("11-01", {}), ("11-05", None), ("11-10", {"deleted": True, "timeDeleted": told("11-10")}))

    assert at("11-10") == lives_of(histories.versions(2))[-1].ended_at


def test_of_two_deletions_from_one_moment_the_one_told_later_has_the_date() -> None:
    """The first has none, and so is from when it vanished."""
    histories = played(
        ("11-01", {}),
        ("11-08", None),
        ("11-12", {"deleted": True}),
        ("11-15", {}),
        ("11-20", {"deleted": True, "timeDeleted": told("11-08")}),
    )

    assert (at("11-08"), at("11-08")) in said(histories, "time_deleted")


def test_two_expiries_told_late_are_each_true_from_their_dates() -> None:
    histories = played(
        ("11-01", {}),
        ("11-20", {"isExpired": True, "expirationDate": told("11-05")}),
        ("11-22", {}),
        ("11-25", {"isExpired": True, "expirationDate": told("11-10")}),
    )
    found = [(since, expired) for since, expired in said(histories, "is_expired")]

    assert (at("11-05"), True) == found[1]
    assert not any(not expired for _, expired in found[1:])


def test_a_midnight_counts_for_what_begins_at_it_and_not_for_what_ends_at_it() -> None:
    midnight = "10-31 21:00"
    histories = played(
        ("10-20", {"timeCreated": told("10-15 21:00")}),
        (midnight, {"timeCreated": told("10-15 21:00"), "tariff": "DEVELOPER"}),
        ("11-05 21:00", {"timeCreated": told("10-15 21:00"), "tariff": "DEVELOPER", "deleted": True}),
    )
    nights = [(life.first_night.isoformat(), str(life.end_night)) for life in lives_of(histories.versions(2))]

    assert [("2026-10-16", "2026-11-01"), ("2026-11-01", "2026-11-06")] == nights


def test_a_life_that_moves_to_another_account_is_two() -> None:
    histories = played(("11-01", {}))
    histories.observe("default", [item(3)], at("11-03"))
    histories.observe("other", [paid(2, timeCreated=told("10-01"), expirationDate=told("12-31"))], at("11-05"))

    assert [("default", "created", "moved", at("11-05")), ("other", "moved", None, None)] == [
        (life.account, life.began_with, life.ended_with, life.ended_at) for life in lives_of(histories.versions(2))
    ]


@pytest.mark.parametrize("seed", range(300))
def test_versions_lives_and_nights_are_those_of_the_model(seed: int) -> None:
    chance = random.Random(seed)
    model, histories = FiguresModel(), Histories()
    until = START + timedelta(days=120)
    for now, account, items in told_lives(chance, START, until, answers=20, instances=6):
        model.observe(account, items, now)
        histories.observe(account, items, now)
    model.close(until.date())
    for key, life in model.lives.items():
        versions = histories.versions(key)
        found = [(local_(version.valid_from), shown(version)) for version in versions]

        assert without_rolls(life.versions) == without_rolls(found)
        assert [version.valid_to for version in versions] == [*(version.valid_from for version in versions[1:]), None]
        assert all(version.valid_to is None or version.valid_from < version.valid_to for version in versions)
        assert all(one.state != other.state for one, other in pairwise(versions))
        row = histories.rows[key]
        last = versions[-1].state
        assert (row.account, row.instance.deleted, row.missing_since is not None) == (
            last.account,
            last.deleted,
            last.missing,
        )
        check_lives(histories, model, key)


@pytest.mark.parametrize("seed", range(50))
def test_what_does_not_reach_back_only_goes_on_from_the_current_version(seed: int) -> None:
    histories = Histories()
    for now, account, items in told_lives(random.Random(seed), START, START + timedelta(days=120), answers=20):
        histories.observe(account, items, now)
    counted = 0
    for rows in histories.history.values():
        seen = read_history(rows)
        for n in range(1, len(seen)):
            answer = seen[n]
            before, after = versions_of(seen[:n]), versions_of(seen[: n + 1])
            if reaches_back(seen[n - 1].state, answer) or before[-1].valid_from >= answer.at:
                continue
            counted += 1
            lives = lives_of(before)
            ended, going_on = (lives[:-1], lives[-1]) if lives[-1].ended_at is None else (lives, None)
            versions, more = lived_on(before[-1], going_on, answer)

            assert after == [*before[:-1], *versions]
            assert lives_of(after) == [*ended, *more]
    assert counted


def check_lives(histories: Histories, model: FiguresModel, key: int) -> None:
    lives = lives_of(histories.versions(key))
    steps = []
    for life in lives:
        group = (life.account, life.type_instance, life.tariff)
        steps.append((local_(life.began_at), group, str(life.began_with), 1))
        assert local_(life.began_at).date() == life.first_day
        assert (life.ended_at and local_(life.ended_at).date()) == life.last_day
        if life.ended_at is not None:
            steps.append((local_(life.ended_at), group, str(life.ended_with), -1))
    expected = list(model.lives[key].steps())

    assert sorted(expected, key=str) == sorted(steps, key=str)
    nights = []
    for life in lives:
        day, end = life.first_night, life.end_night or model.today + timedelta(days=1)
        while day < end:
            nights.append((day, (life.account, life.type_instance, life.tariff)))
            day += timedelta(days=1)
    assert sorted(model.lives[key].charged(model.today), key=str) == sorted(nights, key=str)


def without_rolls(versions: Sequence[tuple[datetime, dict[str, Any]]]) -> list[tuple[datetime, dict[str, Any]]]:
    """The upstream moves the date of what renews itself every day; of that history has no rows."""
    kept: list[tuple[datetime, dict[str, Any]]] = []
    for since, state in versions:
        renews_itself = (
            state["is_partner"] if state["is_partner"] is not None else (state["tariff"] or "")[:7] == "PARTNER"
        )
        shown_state = state | {"expiration_date": None} if renews_itself else state
        if not kept or kept[-1][1] != shown_state:
            kept.append((since, shown_state))
    return kept


def local_(when: datetime) -> datetime:
    return when.replace(tzinfo=None) + timedelta(hours=3)


def columns_of(version: Version) -> dict[str, Any]:
    return dict(zip(STATE_COLUMNS, [*version.state[:-1], *version.state.other], strict=True))


def shown(version: Version) -> dict[str, Any]:
    state = columns_of(version)
    for column in ("time_deleted", "expiration_date"):
        state[column] = None if state[column] is None else local(state[column])
    return state
