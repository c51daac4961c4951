"""CONTRACT 4: what a move says, to the column and to the moment."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from builders import body, item, paid
from canary import api_token
from mirror import START, account
from reading import read_whole

from syncer.answer.values import fingerprint
from syncer.model import Change, Event, Instance, Item, MirrorRow, TimeSource, Transition
from syncer.rules.transitions import Observation, decide_absent, decide_listed, is_auto_renewing, settle

FIRST, NOW = START - timedelta(days=1), START
ONE, OTHER = "the token of the one", "the token of the other"
DATE, LATER, EARLIER = "2026-12-03T18:39:44", "2026-12-04T18:39:44", "2026-12-02T18:39:44"
GRACE = timedelta(minutes=5)
OBSERVATION = Observation("default", NOW, {"default": FIRST, "other": FIRST - timedelta(days=1)}, GRACE)


def at(text: str) -> datetime:
    """A time of the upstream."""
    return datetime.fromisoformat(f"{text}+03:00")


def told(made: dict[str, Any]) -> Instance:
    (instance,) = read_whole(body([made]), account().decoder).instances.values()
    return instance


def row_of(made: dict[str, Any], **values: Any) -> MirrorRow:
    """A row of the first answer."""
    row = MirrorRow("default", told(made), FIRST, FIRST, None, None)
    return row._replace(**values)


def moved(before: MirrorRow, after: dict[str, Any]) -> dict[Transition, dict[str, Change]]:
    events = decide_listed(before, Item(told(after), 0), OBSERVATION).events
    return {event.transition: dict(event.changes) for event in events}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (item(), item(), {}),
        (item(), item(deleted=True), {Transition.DELETED: {"deleted": (False, True)}}),
        (item(), item(deleted=True, timeDeleted=EARLIER), {Transition.DELETED: {"deleted": (False, True), "time_deleted": (None, at(EARLIER))}}),
        (item(deleted=True, timeDeleted=EARLIER), item(), {Transition.RESTORED: {"deleted": (True, False), "time_deleted": (at(EARLIER), None)}}),
        (item(timeDeleted=EARLIER), item(), {}),
        (item(deleted=True, timeDeleted=EARLIER), item(deleted=True), {Transition.CHANGED: {"time_deleted": (at(EARLIER), None)}}),
        (paid(), paid(isExpired=True), {Transition.EXPIRED: {"is_expired": (False, True)}}),
        (paid(), paid(isExpired=True, expirationDate=EARLIER), {Transition.EXPIRED: {"is_expired": (False, True), "expiration_date": (at(DATE), at(EARLIER))}}),
        (paid(isExpired=True), paid(expirationDate=LATER), {Transition.RENEWED: {"is_expired": (True, False), "expiration_date": (at(DATE), at(LATER))}}),
        (item(isExpired=True), item(expirationDate=LATER), {Transition.RENEWED: {"is_expired": (True, False), "expiration_date": (at(DATE), at(LATER))}}),
        (paid(), paid(expirationDate=LATER), {Transition.EXTENDED: {"expiration_date": (at(DATE), at(LATER))}}),
        (paid(isExpired=True), paid(isExpired=True, expirationDate=LATER), {Transition.CHANGED: {"expiration_date": (at(DATE), at(LATER))}}),
        (item(), item(expirationDate=EARLIER), {Transition.CHANGED: {"expiration_date": (at(DATE), at(EARLIER))}}),
        (item(), item(expirationDate=LATER), {}),
        (item(isPartner=None), item(isPartner=None, expirationDate=LATER), {}),
        (item(isPartner=False), item(isPartner=False, expirationDate=LATER), {Transition.EXTENDED: {"expiration_date": (at(DATE), at(LATER))}}),
        (item(deleted=True), item(deleted=True, tariff="T"), {Transition.CHANGED: {"tariff": ("PARTNER_23", "T")}}),
        (item(), item(isPartner=False, expirationDate=LATER), {Transition.EXTENDED: {"expiration_date": (at(DATE), at(LATER))}, Transition.CHANGED: {"is_partner": (True, False)}}),
        (item(isPartner=False), item(expirationDate=LATER), {Transition.CHANGED: {"is_partner": (False, True)}}),
        (item(name="n"), item(), {Transition.CHANGED: {"name": ("n", "client")}}),
        (item(), item(name="n", isFree=None), {Transition.CHANGED: {"name": ("client", "n"), "is_free": (False, None)}}),
        (item(apiTokenInstance=ONE), item(apiTokenInstance=OTHER), {Transition.TOKEN_ROTATED: {"token_fingerprint": (fingerprint(ONE), fingerprint(OTHER))}}),
        (item(apiTokenInstance=OTHER), item(apiTokenInstance=ONE), {Transition.TOKEN_ROTATED: {"token_fingerprint": (fingerprint(OTHER), fingerprint(ONE))}}),
        (item(apiTokenInstance=None), item(apiTokenInstance=ONE), {}),
        (item(apiTokenInstance=ONE), item(apiTokenInstance=None), {}),
        (item(apiTokenInstance=ONE), item(apiTokenInstance="****"), {}),
    ],
)  # fmt: skip
def test_a_move_tells_the_columns_that_changed_and_no_other(
    before: dict[str, Any], after: dict[str, Any], expected: dict[Transition, dict[str, Change]]
) -> None:
    assert expected == moved(row_of(before), after)


@pytest.mark.parametrize("owner", ["a", "other"])
@pytest.mark.parametrize(
    ("values", "observation"),
    [
        ({}, OBSERVATION),
        ({"missing_since": FIRST}, OBSERVATION._replace(may_move=False)),
        ({}, OBSERVATION._replace(retired=["b"])),
        ({}, OBSERVATION._replace(retired=["a", "other"], may_move=False)),
    ],
    ids=["listed by its owner", "missing, by an answer that moves nothing", "another is retired", "retired, likewise"],
)
def test_what_another_account_owns_is_claimed(owner: str, values: dict[str, Any], observation: Observation) -> None:
    before = row_of(item(), account=owner, **values)
    decision = decide_listed(before, Item(told(item(name="n")), 0), observation)

    assert (decision.is_claim, decision.row is before, decision.events) == (True, True, ())


@pytest.mark.parametrize("owner", ["a", "other"])
@pytest.mark.parametrize("is_missing", [True, False], ids=["missing", "its owner is retired"])
def test_what_is_free_is_taken_over(owner: str, *, is_missing: bool) -> None:
    before = row_of(item(), account=owner, missing_since=FIRST if is_missing else None)
    observation = OBSERVATION._replace(retired=[] if is_missing else [owner])
    decision = decide_listed(before, Item(told(item()), 0), observation)

    changes = {event.transition: dict(event.changes) for event in decision.events}
    assert changes.pop(Transition.CHANGED) == {"account": (owner, "default")}
    assert changes == ({Transition.REAPPEARED: {"missing": (True, False)}} if is_missing else {})
    assert (decision.is_claim, decision.row.account) == (False, "default")


def test_what_its_owner_misses_comes_back_with_who_claims_it() -> None:
    before = row_of(item(), missing_since=FIRST)
    decision = decide_absent(before, OBSERVATION, "other")

    assert [event.transition for event in decision.events] == [Transition.REAPPEARED, Transition.CHANGED]
    assert decision.row == before._replace(account="other", changed_at=NOW, missing_since=None)


@pytest.mark.parametrize("deleted", [True, False])
def test_what_its_owner_lists_no_more_is_the_claimants(*, deleted: bool) -> None:
    before = row_of(item(deleted=deleted))
    decision = decide_absent(before, OBSERVATION, "other")

    event = Event(Transition.CHANGED, NOW, TimeSource.OBSERVED, {"account": ("default", "other")})
    assert decision.events == (event,)
    assert decision.row == before._replace(account="other", changed_at=NOW)
    assert decision.previous_observed_at == FIRST


def test_what_returns_was_missing_and_is_not_any_more() -> None:
    assert {Transition.REAPPEARED: {"missing": (True, False)}} == moved(row_of(item(), missing_since=FIRST), item())


@pytest.mark.parametrize(("deleted", "transition"), [(False, Transition.VANISHED), (True, Transition.PURGED)])
def test_what_is_absent_is_missing_from_now_on(*, deleted: bool, transition: Transition) -> None:
    row = row_of(item(deleted=deleted), renewed_at=FIRST)

    decision = decide_absent(row, OBSERVATION)

    assert (Event(transition, NOW, TimeSource.OBSERVED, {"missing": (False, True)}),) == decision.events
    assert row._replace(changed_at=NOW, missing_since=NOW) == decision.row
    assert (row.instance.id_instance, FIRST) == (decision.id_instance, decision.previous_observed_at)


@pytest.mark.parametrize(
    ("late", "source"),
    [(-1, TimeSource.UPSTREAM), (0, TimeSource.UPSTREAM), (1, TimeSource.OBSERVED), (None, TimeSource.OBSERVED)],
)
def test_a_stated_time_is_believed_up_to_the_moment_of_the_answer(late: int | None, source: TimeSource) -> None:
    stated = None if late is None else NOW + timedelta(seconds=late)
    instance = told(item(deleted=True, isExpired=True))._replace(
        time_created=stated, time_deleted=stated, expiration_date=stated
    )
    occurred_at = stated if stated is not None and source is TimeSource.UPSTREAM else NOW

    new = decide_listed(None, Item(instance, 0), OBSERVATION).events
    listed = decide_listed(row_of(item(timeCreated=None))._replace(instance=instance._replace(deleted=False, is_expired=False)), Item(instance, 0), OBSERVATION).events  # fmt: skip

    words = [Transition.CREATED, Transition.EXPIRED, Transition.DELETED]
    assert [(word, occurred_at, source, {}) for word in words] == list(new)
    assert [(word, occurred_at, source) for word in words[1:]] == [event[:3] for event in listed]


def test_each_time_is_that_of_its_own_event() -> None:
    instance = told(
        item(isExpired=True, deleted=True, timeCreated="2026-01-01T00:00:00", expirationDate="2026-02-01T00:00:00", timeDeleted="2026-03-01T00:00:00")
    )  # fmt: skip

    assert [at("2026-01-01T00:00:00"), at("2026-02-01T00:00:00"), at("2026-03-01T00:00:00")] == [
        event.occurred_at for event in decide_listed(None, Item(instance, 0), OBSERVATION).events
    ]
    assert [at("2026-02-01T00:00:00"), at("2026-03-01T00:00:00")] == [
        event.occurred_at
        for event in decide_listed(
            row_of(item(timeCreated="2026-01-01T00:00:00")), Item(instance, 0), OBSERVATION
        ).events
    ]


def test_what_is_seen_is_the_observations_own_time() -> None:
    events = decide_listed(
        row_of(paid(deleted=True, isExpired=True), missing_since=FIRST),
        Item(told(paid(name="n", apiTokenInstance=api_token(2))), 0),
        OBSERVATION,
    ).events

    assert [
        (word, NOW, TimeSource.OBSERVED)
        for word in (
            Transition.REAPPEARED, Transition.RESTORED, Transition.RENEWED, Transition.CHANGED, Transition.TOKEN_ROTATED,
        )
    ] == [event[:3] for event in events]  # fmt: skip


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (paid(name="n", deleted=True), [Transition.CHANGED, Transition.DELETED]),
        (paid(name="n", deleted=True, isExpired=True), [Transition.CHANGED, Transition.EXPIRED, Transition.DELETED]),
        (
            paid(name="n", deleted=True, isExpired=True, apiTokenInstance=api_token(2)),
            [Transition.CHANGED, Transition.TOKEN_ROTATED, Transition.EXPIRED, Transition.DELETED],
        ),
    ],
)
def test_what_happens_at_once_is_told_in_the_order_of_the_contract(
    after: dict[str, Any], expected: list[Transition]
) -> None:
    assert expected == list(moved(row_of(paid()), after))


def test_a_first_sight_is_a_row_that_begins_now() -> None:
    instance = told(item())

    decision = decide_listed(None, Item(instance, 0), OBSERVATION)

    assert (instance.id_instance, MirrorRow("default", instance, NOW, NOW, None, None), None) == (
        decision.id_instance,
        decision.row,
        decision.previous_observed_at,
    )


@pytest.mark.parametrize(
    ("date", "renewed_at"), [(LATER, NOW), (DATE, FIRST), (EARLIER, FIRST), (None, FIRST)]
)  # fmt: skip
def test_a_row_is_written_as_listed_and_says_when_its_date_last_moved_on(
    date: str | None, renewed_at: datetime
) -> None:
    before = row_of(item(), account="other", renewed_at=FIRST, missing_since=FIRST)
    instance = told(item(name="n", expirationDate=date))

    decision = decide_listed(before, Item(instance, 0), OBSERVATION)

    assert MirrorRow("default", instance, FIRST, NOW, renewed_at, None) == decision.row
    assert (instance.id_instance, OBSERVATION.previous_observed_at["other"]) == (
        decision.id_instance,
        decision.previous_observed_at,
    )


@pytest.mark.parametrize(
    ("is_partner", "tariff", "expected"),
    [
        (True, None, True),
        (True, "BUSINESS", True),
        (False, "PARTNER_23", False),
        (None, "PARTNER", True),
        (None, "PARTNER_23", True),
        (None, "OLD_PARTNER", False),
        (None, "BUSINESS", False),
        (None, "", False),
        (None, None, False),
    ],
)
def test_partners_renew_themselves(*, is_partner: bool | None, tariff: str | None, expected: bool) -> None:
    assert expected is is_auto_renewing(is_partner, tariff)


@pytest.mark.parametrize(
    ("age", "deleted", "is_expired"),
    [
        (GRACE - timedelta(seconds=1), False, False),
        (GRACE, False, True),
        (GRACE + timedelta(seconds=1), False, True),
        (GRACE - timedelta(seconds=1), True, True),
        (timedelta(seconds=-1), False, False),
        (None, False, True),
    ],
    ids=["just within", "to the moment", "after", "deleted", "created after the answer", "created nobody knows when"],
)
def test_within_the_grace_a_live_instance_is_not_expired(
    *, age: timedelta | None, deleted: bool, is_expired: bool
) -> None:
    said = told(item())._replace(time_created=None if age is None else START - age, deleted=deleted, is_expired=True)

    assert said._replace(is_expired=is_expired) == settle(said, START, GRACE)
    assert said._replace(is_expired=False) == settle(said._replace(is_expired=False), START, GRACE)


def test_what_is_listed_as_it_was_decides_nothing() -> None:
    before = row_of(item())

    decision = decide_listed(before, Item(told(item()), 0), OBSERVATION)

    assert decision.row is before
    assert decision.events == ()


def test_a_token_that_is_not_told_leaves_the_one_that_is_known() -> None:
    before = row_of(item(apiTokenInstance=ONE))

    renamed = decide_listed(before, Item(told(item(apiTokenInstance=None, name="n")), 0), OBSERVATION)
    as_before = decide_listed(before, Item(told(item(apiTokenInstance="*" * 50)), 0), OBSERVATION)
    learnt = decide_listed(row_of(item(apiTokenInstance=None)), Item(told(item(apiTokenInstance=ONE)), 0), OBSERVATION)

    assert fingerprint(ONE) == renamed.row.instance.token_fingerprint == learnt.row.instance.token_fingerprint
    assert as_before.row is before
    assert () == learnt.events


@pytest.mark.parametrize(
    ("late", "keys", "is_expired"),
    [
        (timedelta(), {}, False),
        (GRACE - timedelta(seconds=1), {}, False),
        (GRACE, {}, True),
        (timedelta(seconds=-1), {}, True),
        (timedelta(), {"isPartner": False}, True),
        (timedelta(), {"isPartner": None, "tariff": "BUSINESS"}, True),
        (timedelta(), {"isPartner": None}, False),
        (timedelta(), {"deleted": True}, True),
    ],
    ids=["at once", "just within", "after", "before its date", "paid by term", "by its tariff", "partner", "deleted"],
)
def test_a_roll_that_comes_late_is_no_expiry(*, late: timedelta, keys: dict[str, Any], is_expired: bool) -> None:
    """The upstream moves the dates of those that renew themselves at 00:00, which may take it minutes."""
    said = told(item(**keys))._replace(is_expired=True, expiration_date=NOW - late)

    assert is_expired == settle(said, NOW, GRACE).is_expired


def test_what_expired_before_its_date_is_not_renewed_when_the_date_comes() -> None:
    before = row_of(item(isExpired=True))
    said = before.instance._replace(expiration_date=NOW)

    decision = decide_listed(before._replace(instance=said), Item(said, 0), OBSERVATION)

    assert decision.row.instance.is_expired
    assert () == decision.events


MISSED = {"missing_since": FIRST}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (row_of(item()), item(), ()),
        (row_of(item()), item(expirationDate=LATER), ("expiration_date", "changed_at", "renewed_at")),
        (row_of(item()), item(name="new", tariff="B"), ("name", "tariff", "changed_at")),
        (row_of(item(), **MISSED), item(), ("changed_at", "missing_since")),
        (row_of(item(), account="other", **MISSED), item(), ("account", "changed_at", "missing_since")),
    ],
)
def test_the_columns_in_which_a_row_differs_are_named(
    before: MirrorRow, after: dict[str, Any], expected: tuple[str, ...]
) -> None:
    decision = decide_listed(before, Item(told(after), 0), OBSERVATION)

    assert (expected, bool(expected)) == (decision.differing, decision.differs)


@pytest.mark.parametrize(
    ("claimant", "expected"), [(None, ("changed_at", "missing_since")), ("other", ("account", "changed_at"))]
)
def test_the_columns_in_which_an_absent_one_differs_are_named(claimant: str | None, expected: tuple[str, ...]) -> None:
    decision = decide_absent(row_of(item()), OBSERVATION, claimant)

    assert (expected, True) == (decision.differing, decision.differs)
