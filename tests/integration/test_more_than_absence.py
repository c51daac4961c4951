"""CONTRACT 5 and 6: answers that other mirrors take for the truth, each as it was reported; on both databases."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from builders import ABSENT, body, item
from mirror import START, Mirror, account, serving

from syncer.model import RunResult, RunStatus
from syncer.storage import database
from syncer.storage.tables import approvals, held_answers, instance_history, instances
from syncer.views.approvals import read_held_for, read_waiting
from syncer.views.catalogue import read, upstream_evidence
from syncer.views.verify import verify

MIDNIGHT = START.replace(hour=21)  # 00:00 at UTC+3


@pytest.fixture(autouse=True)
def every_promise_holds(mirror: Mirror) -> Any:
    yield
    assert [one.check.name for one in verify(mirror.engine).outcomes if one.broken] == []


def estate(n: int = 40, **values: Any) -> list[dict[str, Any]]:
    return [item(key, **values) for key in range(1, n + 1)]


def answered(
    mirror: Mirror,
    items: list[Any],
    *,
    after: timedelta = timedelta(minutes=5),
    dated: datetime | None = None,
    clock_ahead: timedelta = timedelta(),
    headers: Mapping[str, str] | None = None,
) -> RunResult:
    """A run whose answer has a `Date`: the true time, unless another is given."""
    true = mirror.now + after
    told = {"date": format_datetime(dated or true, usegmt=True), **(headers or {})}
    fetch = serving(body(items), headers=told, arrived_at=true + clock_ahead)
    report = mirror.observe([], after=after + clock_ahead, fetch=fetch)
    mirror.now = true
    return report


def nothing_was_written(mirror: Mirror, words: int) -> bool:
    return len(mirror.rows(instance_history)) == words


# --- clocks and caches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [timedelta(days=30), timedelta(days=-30), timedelta(minutes=5, seconds=2)], ids=str)
def test_a_clock_that_is_wrong_writes_no_history(mirror: Mirror, ahead: timedelta) -> None:
    answered(mirror, estate())
    before = mirror.rows(instances)

    report = answered(mirror, estate(deleted=True), clock_ahead=ahead)

    assert (report.status, report.exit_code) == (RunStatus.FAILED, 9)
    assert (mirror.runs()[-1]["error_kind"], mirror.rows(instances)) == ("clock", before)
    assert nothing_was_written(mirror, 40)


def test_what_an_answer_was_dated_is_kept(mirror: Mirror) -> None:
    answered(mirror, estate())
    mirror.observe(estate())

    assert [run["answered_at"] for run in mirror.runs()] == [START + timedelta(minutes=5), None]


@pytest.mark.parametrize(
    ("dated", "headers", "kind"),
    [
        (timedelta(minutes=-6, seconds=-1), {}, "stale"),
        (timedelta(minutes=-6), {}, "clock"),
        (timedelta(), {"age": "600"}, "stale"),
        (timedelta(), {"age": "300"}, None),
    ],
)
def test_an_answer_from_before_the_last_one_is_not_taken(
    mirror: Mirror, dated: timedelta, headers: dict[str, str], kind: str | None
) -> None:
    """The last answer was five minutes before this one."""
    answered(mirror, estate())

    report = answered(mirror, estate(name="old"), dated=mirror.now + timedelta(minutes=5) + dated, headers=headers)

    assert kind == mirror.runs()[-1]["error_kind"]
    assert report.exit_code == {"stale": 5, "clock": 9, None: 0}[kind]
    assert nothing_was_written(mirror, 80 if kind is None else 40)


def test_yesterdays_list_without_a_date_is_known_by_its_expiration_dates(mirror: Mirror) -> None:
    yesterday = estate(expirationDate="2026-11-02T00:00:00")
    mirror.observe(yesterday)
    mirror.observe(estate(expirationDate="2026-11-03T00:00:00"), after=timedelta(days=1))
    before = mirror.rows(instances)

    report = mirror.observe(yesterday)

    assert (report.status, report.exit_code) == (RunStatus.HELD, 6)
    assert "moved back" in str(report.error)
    assert mirror.rows(instances) == before


# --- parts of a list -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [{"link": '<https://x/?page=2>; rel="next"'}, {"x-total-count": "41"}, {"content-range": "items 0-39/40"}],
    ids=["Link", "X-Total-Count", "Content-Range"],
)
@pytest.mark.parametrize("items", [estate(38), estate()], ids=["differs", "recognised"])
def test_a_list_that_calls_itself_a_part_is_none(mirror: Mirror, headers: dict[str, str], items: list[Any]) -> None:
    answered(mirror, estate())

    report = answered(mirror, items, headers=headers)

    assert (report.exit_code, mirror.runs()[-1]["error_kind"]) == (5, "partial")
    assert nothing_was_written(mirror, 40)


def test_a_total_that_counts_what_is_listed_twice_is_right(mirror: Mirror) -> None:
    twice = [*estate(), *estate(3)]
    for _ in range(2):
        assert answered(mirror, twice, headers={"x-total-count": "43"}).exit_code == 0
    assert answered(mirror, twice, headers={"x-total-count": "44"}).exit_code == 5


# --- what is declared at once --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason", "what"),
    [
        ({"deleted": True, "timeDeleted": "2026-11-01T23:59:00"}, "flipped", "deleted"),
        ({"isExpired": True}, "flipped", "expired"),
        ({"tariff": ABSENT, "isPartner": ABSENT}, "stripped", ""),
        ({"timeCreated": "2026-06-03T15:39:44"}, "shifted", "-3:00:00"),
        ({"expirationDate": "2026-11-01T00:00:00"}, "older", ""),
    ],
    ids=["deleted across midnight", "expired", "without tariff", "born three hours earlier", "older"],
)
def test_what_is_declared_of_everything_at_once_is_held(
    mirror: Mirror, values: dict[str, Any], reason: str, what: str
) -> None:
    as_before, otherwise = (
        estate(expirationDate="2026-11-03T00:00:00"),
        estate(**{"expirationDate": "2026-11-03T00:00:00"} | values),
    )
    mirror.now = MIDNIGHT - timedelta(minutes=7)
    mirror.observe(as_before)
    for _ in range(2):
        report = mirror.observe(otherwise)
        assert (report.status, report.exit_code) == (RunStatus.HELD, 6)
        assert mirror.observe(as_before).status is RunStatus.UNCHANGED
    assert nothing_was_written(mirror, 40)

    report = mirror.observe(otherwise)
    assert report.id is not None
    with database.reading(mirror.engine, "reading what was held") as connection:
        (held_for,) = read_held_for(connection, report.id)
    assert (held_for.reason, held_for.what, len(held_for.instances)) == (reason, what, 40)
    assert held_for.instances[0] == (1, "client", "active")
    mirror.approve(report.id)
    with database.reading(mirror.engine, "reading what waits") as connection:
        (waiting,) = read_waiting(connection)
    assert (waiting["id"], waiting["reasons"]) == (report.id, {f"{reason} {what}".rstrip(): 40})
    assert mirror.observe(otherwise).status is RunStatus.OK
    with database.reading(mirror.engine, "reading what waits") as connection:
        assert read_waiting(connection) == []


def test_an_answer_that_is_taken_back_while_it_is_written_leaves_nothing(mirror: Mirror) -> None:
    """Held by what was decided, the answer had been written in part; the next one is judged before."""
    mirror.observe(estate())
    before = {table.name: mirror.rows(table) for table in (instances, instance_history)}

    for _ in range(2):
        assert mirror.observe([*estate(deleted=True), item(99)]).status is RunStatus.HELD

    assert before == {table.name: mirror.rows(table) for table in (instances, instance_history)}
    assert len(mirror.rows(held_answers)) == 2


# --- approvals -----------------------------------------------------------------------------------------------------------


FOREIGN = [*(item(key) for key in range(1000, 1500)), {"name": "no id", "deleted": False, "isExpired": False}]


@pytest.mark.parametrize("lost", [estate()[4:], []], ids=["an approved loss", "an approved empty answer"])
def test_an_approval_lets_no_foreign_answer_pass(mirror: Mirror, lost: list[Any]) -> None:
    mirror.observe(estate())
    mirror.approve(mirror.observe(lost).id)

    assert mirror.observe(FOREIGN).status is RunStatus.HELD
    assert nothing_was_written(mirror, 40)
    assert mirror.observe(lost).status is RunStatus.OK


def test_an_approval_ends_with_the_next_accepted_answer(mirror: Mirror) -> None:
    mirror.observe(estate())
    mirror.approve(mirror.observe(estate(deleted=True)).id)
    mirror.observe(estate())

    assert mirror.observe(estate(deleted=True)).status is RunStatus.HELD
    assert [row["closed_by_run_id"] for row in mirror.rows(approvals)] == [3]


# --- warnings ------------------------------------------------------------------------------------------------------------


def test_a_change_of_one_column_of_many_is_said(mirror: Mirror) -> None:
    mirror.observe(estate())
    mirror.observe(estate(tariff="PARTNER_30"))
    mirror.observe(estate(tariff="PARTNER_30"))

    assert [run["warning"] for run in mirror.runs()] == [None, "mass_change", None]


def births(mirror: Mirror, offset: timedelta, n: int, of: Any) -> list[str | None]:
    """Polls every five minutes; between two of them an instance is born, by the upstream's clock of this offset."""
    items = estate(5)
    answered_warnings = []
    mirror.observe(items, of=of)
    for number in range(n):
        born = mirror.now + timedelta(minutes=1 + number) + offset
        items = [*items, item(100 + number, timeCreated=f"{born:%Y-%m-%dT%H:%M:%S}")]
        told = {"date": format_datetime(mirror.now + timedelta(minutes=5), usegmt=True)}
        fetch = serving(body(items), headers=told, arrived_at=mirror.now + timedelta(minutes=5))
        mirror.observe([], fetch=fetch, of=of)
        answered_warnings.append(mirror.runs()[-1]["warning"])
    return answered_warnings


@pytest.mark.parametrize(
    ("offset", "suggested"), [(0, "+00:00"), (3, None), (5, "+05:00"), (-3.5, "-03:30"), (5.75, "+05:45")]
)
def test_births_name_the_offset_of_the_upstreams_times(mirror: Mirror, offset: float, suggested: str | None) -> None:
    answered(mirror, estate(5))

    said = births(mirror, timedelta(hours=offset), 4, account())

    assert said == [None, None, "zone", "zone"] if suggested else [None] * 4
    with database.reading(mirror.engine, "reading the evidence") as connection:
        (evidence,) = read(connection, upstream_evidence.select())
    assert (evidence["births"], evidence["outside"]) == (4, 4 if suggested else 0)
    assert (evidence["offset_configured"], evidence["offset_suggested"]) == ("+03:00", suggested)


def test_an_offset_is_weighed_anew_when_the_upstream_puts_its_times_right(mirror: Mirror) -> None:
    """Nothing is born meanwhile: what its births said was of dates that have changed."""
    answered(mirror, estate(5))
    births(mirror, timedelta(hours=5), 3, account())
    assert mirror.runs()[-1]["warning"] == "zone"
    right = [
        item(row["id_instance"], timeCreated=f"{row['time_created'] + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}")
        for row in mirror.rows(instances)
    ]

    mirror.approve(answered(mirror, right).id)
    assert answered(mirror, right).status is RunStatus.OK

    assert mirror.runs()[-1]["warning"] is None
    with database.reading(mirror.engine, "reading the evidence") as connection:
        (evidence,) = read(connection, upstream_evidence.select())
    assert (evidence["outside"], evidence["offset_suggested"]) == (0, None)
