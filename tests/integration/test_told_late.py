"""Lives in which figures once contradicted one another: told late, interrupted, corrected. Times are UTC unless said."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import paid
from mirror import Mirror, account
from sqlalchemy import text
from told_lives import NONE, local

from syncer.views import bill, figures, past

ALL = "100%"


def at(day: str) -> datetime:
    """`MM-DD` or `MM-DD HH:MM` of 2026."""
    return datetime.fromisoformat(f"2026-{day}").replace(tzinfo=UTC)


def told(day: str) -> str:
    return local(at(day))


def one(id_instance: int = 2, **keys: Any) -> dict[str, Any]:
    return paid(id_instance, **{"timeCreated": told("10-01"), "expirationDate": told("12-31")} | keys)


def show(mirror: Mirror, *answers: tuple[str, list[dict[str, Any]]], of: str = "default") -> None:
    for day, items in answers:
        mirror.now = at(day)
        report = mirror.observe(items, after=timedelta(), of=account(of, tolerated=ALL))
        assert report.error is None


def query(mirror: Mirror, sql: str) -> list[tuple[Any, ...]]:
    with mirror.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def live_on(mirror: Mirror, day: str) -> dict[str, int]:
    """Live instances at a day's end by tariff, by `bi_daily`."""
    found = query(mirror, f"SELECT tariff, SUM(live) FROM bi_daily WHERE day = '2026-{day}' GROUP BY tariff")
    return {tariff: n for tariff, n in found if n}


def as_of(mirror: Mirror, day: str) -> dict[str, Any]:
    with mirror.engine.connect() as connection:
        return past.estate_at(connection, at(day))


def totals(mirror: Mirror, day: str) -> dict[str, int]:
    return {word: n for word, n in as_of(mirror, day)["totals"].items() if n}


def churn(mirror: Mirror, month: str) -> dict[str, Any]:
    with mirror.engine.connect() as connection:
        row = connection.execute(text(f"SELECT * FROM bi_churn_monthly WHERE month = '{month}'")).one()
    found = dict(row._mapping)
    assert found["closing"] == (
        found["opening"] + found["created"] + found["returned"] + found["moved"] - found["deleted"] - found["vanished"]
    )
    return found


def test_a_deletion_stands_until_the_restore_whatever_the_restore_tells_of_an_expiry(mirror: Mirror) -> None:
    show(
        mirror,
        ("11-01", [one(1), one(2)]),
        ("11-03", [one(1), one(2, deleted=True, timeDeleted=told("11-02"))]),
        ("11-20", [one(1), one(2, isExpired=True, expirationDate=told("11-05"))]),
    )
    with mirror.engine.connect() as connection:
        report = figures.read_figures(connection, at("11-10"), None)

    assert {"active": 1, "deleted": 1} == totals(mirror, "11-10")
    assert {"active": 1, "expired": 1} == totals(mirror, "11-20")
    assert {"BUSINESS": 1} == live_on(mirror, "11-10")
    weeks = {row["week"]: row["deleted"] for row in report["statuses_by_week"]}
    assert 1 == weeks[date(2026, 11, 9)]


def test_what_was_absent_and_comes_back_expired_was_there_all_along(mirror: Mirror) -> None:
    show(
        mirror,
        ("11-01", [one(1), one(2)]),
        ("11-03", [one(1)]),
        ("11-20", [one(1), one(2, isExpired=True, expirationDate=told("11-05"))]),
    )
    with mirror.engine.connect() as connection:
        changes = past.difference(connection, at("11-04"), at("11-10"))["changes"]

    assert {"active": 1, "expired": 1} == totals(mirror, "11-10")
    assert {"active": 2} == totals(mirror, "11-04")
    assert [["active", "expired"]] == [change["fields"]["status"] for change in changes]
    assert {"BUSINESS": 2} == live_on(mirror, "11-10")


def test_a_deletion_before_an_expiry_and_a_renewal_ends_every_figure(mirror: Mirror) -> None:
    born = {"timeCreated": told("03-06 05:00")}
    show(
        mirror,
        ("03-06 12:00", [one(1), one(2, **born)]),
        ("03-10", [one(1), one(2, isExpired=True, expirationDate=told("03-10"), **born)]),
        ("03-24", [one(1), one(2, **born)]),
        ("04-19", [one(1), one(2, deleted=True, timeDeleted=told("03-06 10:00"), **born)]),
    )

    assert {"deleted": 1, "active": 1} == totals(mirror, "03-20")
    assert [(1,)] == query(mirror, "SELECT billable_days FROM bi_instances WHERE id_instance = 2")
    assert {"BUSINESS": 1} == live_on(mirror, "03-07")


@pytest.mark.parametrize("also_deleted", [False, True])
def test_what_is_told_late_counts_under_the_tariff_of_its_date(mirror: Mirror, also_deleted: bool) -> None:
    late = {"tariff": "DEVELOPER", "isExpired": True, "expirationDate": told("11-05")}
    if also_deleted:
        late |= {"deleted": True, "timeDeleted": told("11-10")}
    show(mirror, ("11-01", [one(1), one(2)]), ("11-20", [one(1), one(2, **late)]))
    estate = [(row["tariff"], row["status"], row["n"]) for row in as_of(mirror, "11-07")["estate"]]
    deleted = query(mirror, "SELECT day, tariff FROM bi_daily WHERE deleted > 0")

    assert [("BUSINESS", "active", 1), ("BUSINESS", "expired", 1)] == estate
    assert {"BUSINESS": 2} == live_on(mirror, "11-07")
    assert ([("2026-11-10", "BUSINESS")] if also_deleted else []) == [(str(day), tariff) for day, tariff in deleted]


def test_gaps_that_ended_are_no_churn(mirror: Mirror) -> None:
    everything = [one(key) for key in range(1, 21)]
    show(mirror, ("10-20", everything))
    for hour in range(6):
        show(mirror, (f"11-05 {hour:02}:10", everything[:18]), (f"11-05 {hour:02}:40", everything))
    november = churn(mirror, "2026-11")

    assert (20, 20, 0, 0, 0.0) == tuple(
        november[word] for word in ("opening", "closing", "vanished", "lost", "churn_rate")
    )


def test_one_that_was_missed_and_came_back_deleted_is_lost_once(mirror: Mirror) -> None:
    show(
        mirror,
        ("10-20", [one(1), one(2)]),
        ("11-05", [one(1)]),
        ("11-10", [one(1), one(2, deleted=True, timeDeleted=told("11-04"))]),
    )
    november = churn(mirror, "2026-11")

    assert (2, 1, 1, 0, 0.5) == tuple(
        november[word] for word in ("opening", "lost", "deleted", "vanished", "churn_rate")
    )


def test_a_restore_and_a_return_are_no_loss_and_the_row_adds_up(mirror: Mirror) -> None:
    """22 at the opening, of which 21 live at the end; 3 deleted, 1 restored and 1 created meanwhile."""
    everything = {key: one(key) for key in range(1, 23)}
    gone = {"deleted": True, "timeDeleted": told("11-04")}
    show(mirror, ("10-20", list(everything.values())))
    first = everything | {1: one(1, **gone), 2: one(2, **gone), 23: one(23, timeCreated=told("11-03"))}
    show(mirror, ("11-05", list(first.values())))
    second = first | {1: one(1)} | {23: one(23, timeCreated=told("11-03"), deleted=True, timeDeleted=told("11-06"))}
    without = {key: item for key, item in second.items() if key != 5}
    show(mirror, ("11-07", list(without.values())), ("11-08", list(second.values())))
    november = churn(mirror, "2026-11")

    assert {"opening": 22, "created": 1, "returned": 1, "deleted": 3, "vanished": 0, "closing": 21, "lost": 1} == {
        word: november[word] for word in ("opening", "created", "returned", "deleted", "vanished", "closing", "lost")
    }
    assert pytest.approx(1 / 22) == november["churn_rate"]


def test_a_gap_around_midnight_costs_no_day(mirror: Mirror) -> None:
    everything = [one(key) for key in range(1, 101)]
    show(mirror, ("11-05 12:00", everything), ("11-05 20:59", everything[:95]), ("11-05 21:10", everything))

    assert [(100,)] == query(mirror, "SELECT billable FROM bi_daily WHERE day = '2026-11-06'")


def set_rate(mirror: Mirror, tariff: str, rate: str, currency: str, since: str) -> None:
    with mirror.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO tariff_rates VALUES ('{tariff}', '{currency}', {rate}, '{since}')"))


def test_the_bill_of_all_accounts_is_the_sum_of_theirs(mirror: Mirror) -> None:
    show(mirror, ("10-02 06:00", [one(1, timeCreated=told("10-02 06:00"))]), of="a")
    show(mirror, ("10-15 06:00", [one(2, timeCreated=told("10-15 06:00"))]), of="b")
    set_rate(mirror, "BUSINESS", "10", "RUB", "2026-10-10")
    with mirror.engine.connect() as connection:
        bills = {of: bill.bill(connection, date(2026, 10, 1), at("11-20"), of) for of in (None, "a", "b")}

    assert [
        {"days": 39, "amount": Decimal(390), "currency": "RUB"},
        {"days": 8, "amount": None, "currency": None},
    ] == bills[None]["totals"]
    (line,) = bills[None]["lines"]
    assert (47, Decimal(390), 8) == (line["days"], line["amount"], line["unpriced_days"])
    assert [{"days": 17, "amount": Decimal(170), "currency": "RUB"}] == bills["b"]["totals"]


def test_age_and_billable_days_begin_at_the_corrected_creation(mirror: Mirror) -> None:
    show(
        mirror,
        ("10-06", [one(2, timeCreated=told("10-05 06:00"))]),
        ("10-10", [one(2, timeCreated=told("10-02 06:00"))]),
        ("10-20", [one(2, timeCreated=told("10-02 06:00"), deleted=True, timeDeleted=told("10-12 06:00"))]),
    )

    assert [(10, 11)] == query(mirror, "SELECT age_days, billable_days FROM bi_instances")


def test_days_are_certain_where_the_answer_before_is_a_day_old_at_most(mirror: Mirror) -> None:
    show(
        mirror,
        ("10-10 23:58", [one(1), one(2), one(3), one(4)]),
        ("10-11 00:03", [one(2), one(3), one(4)]),
        ("10-12 00:03", [one(3), one(4)]),
        ("10-13 00:04", [one(4)]),
    )
    with mirror.engine.connect() as connection:
        uncertain = bill.bill(connection, date(2026, 10, 1), at("11-20"), None)["uncertain"]

    assert {"days": 1, "instances": [3]} == uncertain


def test_days_of_which_nobody_knows_are_told(mirror: Mirror) -> None:
    show(mirror, ("07-01 12:00", [one(1), one(2)]), ("10-15 12:00", [one(1)]))
    with mirror.engine.connect() as connection:
        months = {
            month: bill.bill(connection, date(2026, month, 1), at("11-20"), None)["uncertain"]
            for month in (7, 8, 10, 11)
        }
        gaps = bill.bill(connection, date(2026, 8, 1), at("11-20"), None)["blind_gaps"]

    assert {7: 30, 8: 31, 10: 15, 11: 0} == {month: uncertain["days"] for month, uncertain in months.items()}
    assert [2] == months[8]["instances"]
    assert [(at("07-01 12:00"), at("10-15 12:00"))] == [(gap["since"], gap["until"]) for gap in gaps]


def test_a_bill_by_instance_is_the_bill(mirror: Mirror) -> None:
    show(
        mirror,
        ("10-02 06:00", [one(1, name="a"), one(2)]),
        ("10-20 06:00", [one(1, name="b", tariff="DEVELOPER"), one(2)]),
        ("11-02 06:00", [one(1, name="c", tariff="DEVELOPER"), one(2)]),
    )
    set_rate(mirror, "BUSINESS", "0.333333", "RUB", "2026-10-10")
    with mirror.engine.connect() as connection:
        month = date(2026, 10, 1)
        whole = bill.bill(connection, month, at("11-20"), None)
        document = bill.bill(connection, month, at("11-20"), None, "instance")

    assert [(1, "b", "BUSINESS", 20), (1, "b", "DEVELOPER", 11), (2, "client", "BUSINESS", 31)] == [
        (line["id_instance"], line["name"], line["tariff"], line["days"]) for line in document["lines"]
    ]
    assert whole["totals"] == document["totals"]
    assert sum(line["amount"] or 0 for line in document["lines"]) == sum(line["amount"] or 0 for line in whole["lines"])


def test_what_has_no_tariff_stands_last(mirror: Mirror) -> None:
    show(mirror, ("11-01", [one(1, tariff=None), one(2, tariff="A"), one(3, tariff="b", typeInstance=None)]))
    with mirror.engine.connect() as connection:
        lines = bill.bill(connection, date(2026, 11, 1), at("11-20"), None)["lines"]

    assert ["A", "b", None] == [line["tariff"] for line in lines]
    assert ["A", None, "b"] == [row["tariff"] for row in as_of(mirror, "11-10")["estate"]]


def test_an_undated_deletion_of_a_short_life_is_paid_for_nothing_too(mirror: Mirror) -> None:
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the views' clock is the database's
    mirror.now = now - timedelta(hours=5)
    born = {"timeCreated": local(now - timedelta(hours=6))}
    mirror.observe([one(1), one(2, **born)], after=timedelta())
    mirror.observe([one(1), one(2, deleted=True, timeDeleted=NONE, **born)])

    assert [(2,)] == query(mirror, "SELECT id_instance FROM bi_attention WHERE reason = 'lived_under_a_day'")
