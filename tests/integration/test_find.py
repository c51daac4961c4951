"""Instances by a part of their name, id or customer, and what is of one account alone, on both databases."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from builders import item, paid
from mirror import Mirror, account
from sqlalchemy import insert

from syncer.storage import database
from syncer.storage.tables import customers
from syncer.views import export, past
from syncer.views.catalogue import VIEWS
from syncer.views.find import read_found

TAXI, BAKERY, CAFE = 710300733103, 310002932412, 3


@pytest.fixture
def lived(mirror: Mirror) -> Mirror:
    mirror.observe(
        [
            item(BAKERY, name="ПЕКАРНЯ «Ёж»", typeInstance="v3"),
            item(TAXI, name="Такси Алматы"),
            paid(CAFE, name="Cafe\u0301"),
            item(7, name=None),
        ]
    )
    mirror.observe(
        [
            item(BAKERY, name="ПЕКАРНЯ «Ёж»", typeInstance="v3", deleted=True),
            item(TAXI, name="Такси Алматы"),
            paid(CAFE, name="Cafe\u0301"),
            item(7, name=None),
        ]
    )
    return mirror


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ("такси", [TAXI]), ("ТАКСИ", [TAXI]), ("пекарня", [BAKERY]), ("еж", [BAKERY]), ("ёЖ", [BAKERY]), ("café", [CAFE]),
        ("1030", [TAXI]), ("3", [CAFE, TAXI, BAKERY]), ("%", []), ("_", []), ("none", []),
    ],
)  # fmt: skip
def test_a_part_of_a_name_or_id_finds_an_instance_whatever_its_case(lived: Mirror, wanted: str, ids: list[int]) -> None:
    """Those that live come first: the bakery is deleted."""
    with database.reading(lived.engine, "looking for instances") as connection:
        assert ids == [one["id_instance"] for one in read_found(connection, wanted)]


@pytest.mark.parametrize(("wanted", "ids"), [("acme", [CAFE, BAKERY]), ("ООО «Рога", [7]), ("beta", [CAFE])])
def test_a_part_of_a_customer_finds_what_is_and_was_theirs(lived: Mirror, wanted: str, ids: list[int]) -> None:
    with lived.engine.begin() as connection:
        connection.execute(
            insert(customers),
            [
                {"id_instance": BAKERY, "customer": "ACME", "valid_from": date(2026, 11, 1)},
                {"id_instance": CAFE, "customer": "Acme", "valid_from": date(2026, 11, 1)},
                {"id_instance": CAFE, "customer": "Beta", "valid_from": date(2026, 12, 1)},
                {"id_instance": 7, "customer": "ООО «Рога и копыта»", "valid_from": date(2026, 11, 1)},
                {"id_instance": 8, "customer": "Acme", "valid_from": date(2026, 11, 1)},
            ],
        )
    with database.reading(lived.engine, "looking for instances") as connection:
        found = {one["id_instance"]: one["customer"] for one in read_found(connection, wanted)}

    assert ids == list(found)
    last = {BAKERY: "ACME", CAFE: "Beta", 7: "ООО «Рога и копыта»"}
    assert found == {key: last[key] for key in ids}


def test_what_is_found_has_its_status(lived: Mirror) -> None:
    with database.reading(lived.engine, "looking for instances") as connection:
        (bakery,) = read_found(connection, "пекарня")

    assert ("deleted", "default", "v3") == (bakery["status"], bakery["account"], bakery["type_instance"])


@pytest.fixture
def two_accounts(mirror: Mirror) -> Mirror:
    """Of the north one instance goes to the south, another one is deleted; the south has one of its own."""
    north, south = account("north"), account("south")
    for of, items in (
        (north, [item(1), item(2), item(3)]),
        (south, [item(4)]),
        (south, [item(4, name="n"), item(1)]),
        (north, [item(2, deleted=True), item(3)]),
    ):
        mirror.observe(items, of=of)
    return mirror


def changed(mirror: Mirror, name: str | None) -> dict[str, Any]:
    with database.reading(mirror.engine, "reading the past") as connection:
        return past.difference(connection, mirror.now - timedelta(minutes=6), mirror.now, name)


def test_the_difference_of_an_account_has_what_came_to_it_and_what_went(two_accounts: Mirror) -> None:
    ids = {
        name: [change["id_instance"] for change in changed(two_accounts, name)["changes"]]
        for name in (None, "north", "south")
    }

    assert {None: [1, 2, 4], "north": [1, 2], "south": [1, 4]} == ids
    assert {"deleted": 1} == changed(two_accounts, "north")["transitions"]
    assert [2, 1] == [changed(two_accounts, name)["totals"]["active"][1] for name in ("south", "north")]


def test_the_estate_at_a_moment_may_be_that_of_one_account(two_accounts: Mirror) -> None:
    with database.reading(two_accounts.engine, "reading the past") as connection:
        found = past.estate_at(connection, datetime(2027, 1, 1, tzinfo=UTC), "south")

    assert {"south"} == {row["account"] for row in found["estate"]}
    assert 2 == found["totals"]["active"]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_may_be_written_of_one_account(two_accounts: Mirror, view: str) -> None:
    with database.reading(two_accounts.engine, "reading the view") as connection:
        rows = [row for batch in export.batches(connection, VIEWS[view], "north") for row in batch]
        of_all = [row for batch in export.batches(connection, VIEWS[view]) for row in batch]

    assert sorted(map(str, (row for row in of_all if row["account"] == "north"))) == sorted(map(str, rows))
