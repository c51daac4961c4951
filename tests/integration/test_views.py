"""The views of CONTRACT 7 on both databases, against figures worked out from the answers without SQL."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

import apsw
import pytest
from builders import item, paid
from figures_checks import play
from mirror import Mirror, account
from sqlalchemy import select, text

from syncer.errors import AnswerUnusable
from syncer.storage.sqlite_file import sqlite_path
from syncer.views import estate
from syncer.views.bill import charges_by_instance
from syncer.views.catalogue import VIEWS, read, sync_status

COLUMNS = {
    "bi_instances": "id_instance, account, name, type_instance, messenger, tariff, status, is_partner, is_free, time_created, time_deleted, expiration_date, days_to_expiration, age_days, billable_days, renewed_at, first_seen_at, last_seen_at, changed_at, missing_since, partner_user_uiid, customer",
    "instance_versions": "id_instance, account, name, type_instance, messenger, tariff, is_free, is_partner, time_deleted, deleted, expiration_date, is_expired, missing, valid_from, valid_to",
    "bi_daily": "day, account, type_instance, tariff, created, deleted, began, ended, live, billable",
    "bi_billing_monthly": "month, account, type_instance, tariff, instance_days, currency, amount, unpriced_days",
    "bi_costs_monthly": "month, account, id_instance, tariff, name, customer, instance_days, currency, amount, unpriced_days",
    "bi_customers_monthly": "month, account, customer, cost_currency, price_currency, instance_days, cost, price, margin",
    "bi_expiring": "id_instance, account, name, tariff, expiration_date, days_left",
    "bi_churn_monthly": "month, account, opening, created, returned, moved, deleted, vanished, closing, lost, churn_rate",
    "bi_cohorts": "cohort_month, age_months, account, size, alive, survival",
    "bi_transitions_daily": "day, account, transition, n",
    "bi_attention": "id_instance, account, name, reason, since, severity",
    "bi_leaks": "id_instance, account, name, customer, leak, since, days, cost",
    "sync_status": "account, state, data_as_of, age_seconds, last_run_at, last_status, consecutive_failures, last_error, listed, live, deleted, expired, warning",
}
UPSTREAM = "%Y-%m-%dT%H:%M:%S"


def local(moment: datetime) -> str:
    """A moment as the upstream writes it."""
    return (moment + timedelta(hours=3)).strftime(UPSTREAM)


def real_now() -> datetime:
    """The views' own clock is the database's."""
    return datetime.now(UTC)  # noqa: TID251


def today() -> date:
    return (real_now() + timedelta(hours=3)).date()


def query(mirror: Mirror, sql: str) -> list[dict[str, Any]]:
    with mirror.engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(sql))]


def as_day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def as_moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value.astimezone(UTC) if value is not None else None


@pytest.fixture
def recent(mirror: Mirror) -> Mirror:
    """A mirror whose first answer came 100 days ago."""
    mirror.now = real_now().replace(microsecond=0) - timedelta(days=100)
    return mirror


@pytest.mark.parametrize("view", COLUMNS)
def test_a_view_has_the_columns_of_the_contract_and_is_empty_at_first(mirror: Mirror, view: str) -> None:
    with mirror.engine.connect() as connection:
        result = connection.execute(text(f"SELECT * FROM {view}"))

        assert COLUMNS[view].split(", ") == list(result.keys())
        assert [] == result.all()


LATE_DELETIONS: dict[str, list[tuple[str, dict[str, Any] | None]]] = {
    "with another tariff": [("a", {}), ("a", {"tariff": "PARTNER_24"}), ("a", {"tariff": "PARTNER_24", "deleted": True})],
    "with another type": [("a", {}), ("a", {"typeInstance": "v3"}), ("a", {"typeInstance": "v3", "deleted": True})],
    "with two more tariffs": [("a", {}), ("a", {"tariff": "PARTNER_24"}), ("a", {}), ("a", {"deleted": True})],
    "not at all": [("a", {}), ("a", None), ("a", {"deleted": True})],
    "not at all, and again": [("a", {}), ("a", None), ("a", {}), ("a", {"deleted": True})],
    "in another account": [("a", {}), ("a", None), ("b", {}), ("b", {"deleted": True})],
}  # fmt: skip


@pytest.mark.parametrize("story", LATE_DELETIONS.values(), ids=LATE_DELETIONS)
def test_the_days_of_an_instance_end_at_its_deletion_however_it_was_seen_since(
    recent: Mirror, story: list[tuple[str, dict[str, Any] | None]]
) -> None:
    noon = recent.now.replace(hour=9, minute=0, second=0)
    created, deleted = noon - timedelta(days=5), noon - timedelta(days=3)
    for of, keys in story:
        listed = [paid(ord(of))]
        if keys is not None:
            told = local(deleted) if "deleted" in keys else "0001-01-01T00:00:00"
            listed.append(item(1, **{"timeCreated": local(created), "timeDeleted": told} | keys))
        assert recent.observe(listed, after=timedelta(hours=30), of=account(of, tolerated="100%")).error is None
    daily = query(recent, "SELECT * FROM bi_daily WHERE tariff <> 'BUSINESS' AND (live <> 0 OR billable <> 0)")
    figures = {
        as_day(row["day"]): (row["account"], row["type_instance"], row["tariff"], row["live"], row["billable"])
        for row in daily
    }
    first = (created + timedelta(hours=3)).date()
    before = ("a", "whatsapp", "PARTNER_23")

    assert {
        first: (*before, 1, 1),
        first + timedelta(days=1): (*before, 1, 1),
        first + timedelta(days=2): (*before, 0, 1),
    } == figures
    assert len(figures) == len(daily)
    assert [3, 3, 3] == [
        query(recent, "SELECT billable_days AS n FROM bi_instances WHERE id_instance = 1")[0]["n"],
        query(recent, "SELECT SUM(instance_days) AS n FROM bi_billing_monthly WHERE tariff <> 'BUSINESS'")[0]["n"],
        sum(charged(recent, month).get(1, 0) for month in {first.replace(day=1), deleted.date().replace(day=1)}),
    ]


def charged(mirror: Mirror, month: date) -> dict[int, int]:
    """The days of a month that `syncer bill --invoice` counts, by instance."""
    with mirror.engine.connect() as connection:
        charges = charges_by_instance(connection, month, None)
    return {int(key): charge.days for key, charge in charges.items()}


def test_an_instance_first_seen_deleted_was_alive_before(recent: Mirror) -> None:
    created, deleted = recent.now - timedelta(days=10), recent.now - timedelta(days=4)
    recent.observe([item(1, deleted=True, timeCreated=local(created), timeDeleted=local(deleted))])

    versions = query(recent, "SELECT deleted, valid_from, valid_to FROM instance_versions ORDER BY valid_from")

    assert [(False, created, deleted), (True, deleted, None)] == [
        (bool(row["deleted"]), as_moment(row["valid_from"]), as_moment(row["valid_to"])) for row in versions
    ]


def test_status_and_days_of_instances(recent: Mirror) -> None:
    now = real_now()
    items = [
        paid(1, timeCreated=local(now - timedelta(days=130)), expirationDate=local(now + timedelta(days=3))),
        paid(2, isExpired=True, expirationDate=local(now - timedelta(days=200))),
        item(
            3,
            deleted=True,
            timeDeleted=local(recent.now - timedelta(days=1)),
            timeCreated=local(recent.now - timedelta(days=2)),
        ),
        item(4),
        item(5, deleted=True, timeDeleted=local(recent.now - timedelta(days=1))),
    ]
    recent.observe(items)
    recent.observe([row for row in items if row["idInstance"] not in {4, 5}])
    found = {row["id_instance"]: row for row in query(recent, "SELECT * FROM bi_instances")}

    assert {1: "active", 2: "expired", 3: "deleted", 4: "vanished", 5: "purged"} == {
        key: row["status"] for key, row in found.items()
    }
    assert (3, 130) == (found[1]["days_to_expiration"], found[1]["age_days"])
    assert (1, 2) == (found[3]["age_days"], found[3]["billable_days"])
    assert {1: recent.now, 4: recent.now - timedelta(minutes=5)} == {
        key: as_moment(found[key]["last_seen_at"]) for key in (1, 4)
    }


def test_expiring_lists_what_does_not_renew_itself_soonest_first(recent: Mirror) -> None:
    now = real_now()
    recent.observe(
        [
            paid(1, expirationDate=local(now + timedelta(days=9))),
            paid(2, expirationDate=local(now + timedelta(days=2))),
            paid(3, expirationDate="0001-01-01T00:00:00"),
            item(4, expirationDate=local(now + timedelta(days=1))),
            item(5, isPartner=None, expirationDate=local(now + timedelta(days=1))),
            paid(6, deleted=True),
            paid(7, isPartner=None, tariff="partner", expirationDate=local(now + timedelta(days=30))),
            paid(8, isPartner=None, tariff=None, expirationDate=local(now + timedelta(days=31))),
        ]
    )

    assert [(2, 2), (1, 9), (7, 30), (8, 31), (3, None)] == [
        (row["id_instance"], row["days_left"]) for row in query(recent, "SELECT * FROM bi_expiring")
    ]


def test_attention_names_every_reason(mirror: Mirror) -> None:
    now = real_now().replace(microsecond=0)
    mirror.now = now - timedelta(days=3)
    soon, later = local(now + timedelta(days=5)), local(now + timedelta(days=50))
    items = [
        paid(1, isExpired=True, expirationDate=local(now - timedelta(days=9))),
        item(2, expirationDate=later),  # its date stays, so it is not renewed
        item(3, expirationDate=soon),
        paid(4, expirationDate=soon),
        paid(5, expirationDate=later),
        *(
            paid(key, expirationDate=later, deleted=True, timeCreated=local(born), timeDeleted=local(born + lived))
            for key, born, lived in (
                (6, now - timedelta(days=30), timedelta(days=1, seconds=-1)),
                (7, now - timedelta(days=30), timedelta(days=1)),
                (9, now - timedelta(days=32), timedelta(hours=1)),  # 30 days are over
            )
        ),
        paid(10, expirationDate=later, deleted=True, timeCreated=local(mirror.now - timedelta(hours=9))),
    ]
    mirror.now -= timedelta(days=31)
    mirror.observe([paid(11, expirationDate=later), *items[4:5]])
    mirror.observe(items[4:5])
    mirror.now += timedelta(days=31) - timedelta(minutes=15)
    mirror.observe([*items, paid(8, expirationDate=later)])
    mirror.now = now - timedelta(minutes=5)
    renewed = [row | {"expirationDate": later} if row["idInstance"] == 3 else row for row in items]
    mirror.observe(renewed)

    assert {
        (1, "expired_not_deleted", 1),
        (2, "not_renewed", 1),
        (4, "expiring_soon", 2),
        (6, "lived_under_a_day", 3),
        (8, "vanished", 3),
        (10, "lived_under_a_day", 3),
    } == {(row["id_instance"], row["reason"], row["severity"]) for row in query(mirror, "SELECT * FROM bi_attention")}
    since = {row["id_instance"]: as_moment(row["since"]) for row in query(mirror, "SELECT * FROM bi_attention")}
    assert now - timedelta(days=9) == since[1]
    assert now - timedelta(days=2) == since[4]
    assert now == since[8]


def test_the_latest_deletion_and_expiry_count_also_where_they_are_told_to_lie_before_an_earlier_one(
    mirror: Mirror,
) -> None:
    now = real_now().replace(microsecond=0)
    created, first, latest = (now - timedelta(days=days) for days in (40, 25, 31))
    mirror.now = now - timedelta(days=20)

    def lived(until: datetime | None) -> dict[str, Any]:
        over = {"isExpired": True, "expirationDate": local(until)} if until else {}
        return paid(1, timeCreated=local(created), **{"expirationDate": local(now + timedelta(days=90))} | over)

    def died(at: datetime | None) -> dict[str, Any]:
        over = {"deleted": True, "timeDeleted": local(at)} if at else {}
        return paid(2, timeCreated=local(created), **over)

    for moment in (first, None, latest):
        mirror.observe([lived(moment), died(moment)])
    attention = query(mirror, "SELECT since FROM bi_attention WHERE reason = 'expired_not_deleted'")

    assert [latest] == [as_moment(row["since"]) for row in attention]
    assert [9] == [row["age_days"] for row in query(mirror, "SELECT age_days FROM bi_instances WHERE id_instance = 2")]


@pytest.mark.parametrize("mirror", ["postgresql"], indirect=True)
def test_no_view_depends_on_the_time_zone_of_the_readers_session(mirror: Mirror) -> None:
    """Also where the clocks changed a few days ago, and will in a few days: days of 23 and of 25 hours."""
    now = real_now().replace(microsecond=0)
    back = (now - timedelta(days=4)).replace(hour=12)  # a day over the night in which they changed
    half = timedelta(minutes=30)
    mirror.now = now - timedelta(days=30, minutes=35)
    for gone, left in ((99001, [99002, 99003]), (99002, [99003])):  # an hour apart, about 30 days ago
        mirror.observe([item(key) for key in (gone, *left)], of=account(tolerated="100%"))
        mirror.observe([item(key) for key in left], of=account(tolerated="100%"))
        mirror.now += timedelta(minutes=55)
    mirror.now = now - timedelta(hours=1)
    soon = [
        paid(key, expirationDate=local(now + timedelta(days=7) + more)) for key, more in ((99004, half), (99005, -half))
    ]
    nearly_a_day = [
        item(key, deleted=True, timeCreated=local(back), timeDeleted=local(back + timedelta(days=1) + more))
        for key, more in ((99007, half), (99008, -half))
    ]
    mirror.observe([item(99003), *soon, *nearly_a_day])
    play(mirror, random.Random(0), 3)
    first, last = ((now + timedelta(days=days)).timetuple().tm_yday - 1 for days in (-3, 3))

    def read_in(zone: str) -> dict[str, set[Any]]:
        connection.exec_driver_sql(f"SET LOCAL TimeZone = '{zone}'")
        return {view: set(map(tuple, connection.exec_driver_sql(f"SELECT * FROM {view}"))) for view in COLUMNS}

    with mirror.engine.connect() as connection:  # one transaction, so that now() stands still
        expected = read_in("UTC")
        attention = {(row[0], row[3]) for row in expected["bi_attention"]}

        assert {(99002, "vanished"), (99005, "expiring_soon"), (99008, "lived_under_a_day")} <= attention
        assert not {(99001, "vanished"), (99004, "expiring_soon"), (99007, "lived_under_a_day")} & attention
        for zone in ("Europe/Berlin", "America/New_York", f"AAA0BBB,{first},{last}", f"AAA0BBB,{last},{first}"):
            assert expected == read_in(zone), zone


def statuses_now(mirror: Mirror) -> list[estate.AccountStatus]:
    with mirror.engine.connect() as connection:
        return estate.read_accounts(connection, real_now())


def test_sync_status_says_what_the_command_says(mirror: Mirror) -> None:
    """`syncer status` computes it with a clock of its own, so that time can be an argument."""

    def both() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        with mirror.engine.connect() as connection:
            statuses = estate.read_accounts(connection, real_now())
            told = [{**status._asdict()} for status in statuses]
            for row in told:
                del row["is_retired"], row["claimed"]
            for row in told:
                row.pop("is_fresh")
            seen = read(connection, select(sync_status).order_by(sync_status.c.account))
        for row in (*told, *seen):
            row["age_seconds"] = None if row["age_seconds"] is None else row["age_seconds"] // 10
        return told, seen

    def fail(_read: object) -> NoReturn:
        raise AnswerUnusable("no list")

    mirror.now = real_now()
    states = []
    for name, of in (("ok", "a"), ("held", "b"), ("failing", "c"), ("never", "d")):
        mirror.now = real_now()
        if name != "never":
            mirror.observe([item(ord(of) * 10 + n) for n in range(9)], after=timedelta(), of=account(of))
        if name == "held":
            mirror.observe([], after=timedelta(), of=account(of))
        if name in {"failing", "never"}:
            mirror.observe([], after=timedelta(), of=account(of), fetch=fail)
    mirror.now = real_now() - timedelta(hours=1)
    mirror.observe([item(1, deleted=True), paid(2, isExpired=True), item(3)], after=timedelta(), of=account("e"))
    mirror.now = real_now() - timedelta(hours=1)
    mirror.observe([item(4)], after=timedelta(), of=account("f"))
    mirror.observe([], after=timedelta(), of=account("f"))
    mirror.now = real_now() + timedelta(hours=1)
    mirror.observe([item(5)], after=timedelta(), of=account("g"))
    told, seen = both()
    states = [row["state"] for row in seen]

    assert ["ok", "held", "failing", "never", "stale", "held", "clock"] == states
    assert told == seen
    seen.pop()
    assert {"a": True, "b": True, "c": True, "d": False, "e": False, "f": False, "g": False} == {
        status.account: status.is_fresh for status in statuses_now(mirror)
    }
    seen.pop()
    assert {"listed": 3, "live": 2, "deleted": 1, "expired": 1} == {
        word: seen[-1][word] for word in ("listed", "live", "deleted", "expired")
    }


def test_no_instance_is_called_not_renewed_before_it_could_have_been_seen_to_be(mirror: Mirror) -> None:
    mirror.now = real_now()
    mirror.observe([item(1), item(2)], after=timedelta())

    assert [] == query(mirror, "SELECT * FROM bi_attention")


@pytest.mark.parametrize(
    ("renewed_at", "seen_at", "flagged"),
    [
        ("2026-11-10 21:01", "2026-11-11 21:03", False),  # three minutes after midnight nobody has been renewed yet
        ("2026-11-10 21:01", "2026-11-11 22:59", False),
        ("2026-11-10 21:01", "2026-11-11 23:00", True),
        ("2026-11-09 20:59", "2026-11-11 21:03", True),  # it was not at the midnight before either
        ("2026-11-11 21:04", "2026-11-11 23:30", False),
    ],
)
def test_not_renewed_is_judged_two_hours_after_midnight(
    mirror: Mirror, renewed_at: str, seen_at: str, flagged: bool
) -> None:
    mirror.now = datetime(2026, 11, 1, tzinfo=UTC)
    mirror.observe([item(1)], after=timedelta())
    for moment, day in ((renewed_at, "04"), (seen_at, "04")):
        mirror.now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        mirror.observe([item(1, expirationDate=f"2026-12-{day}T18:39:44")], after=timedelta())
    found = query(mirror, "SELECT id_instance FROM bi_attention WHERE reason = 'not_renewed'")

    assert ([{"id_instance": 1}] if flagged else []) == found


def test_transitions_are_counted_by_the_day_on_which_they_occurred(recent: Mirror) -> None:
    recent.observe([item(1, timeCreated="2026-01-01T23:59:59"), item(2, timeCreated="2026-01-02T00:00:00")])

    assert [("2026-01-01", 1), ("2026-01-02", 1)] == [
        (str(row["day"]), row["n"]) for row in query(recent, "SELECT * FROM bi_transitions_daily ORDER BY day")
    ]


def test_a_moment_just_before_midnight_is_not_rounded_into_the_next_day(recent: Mirror) -> None:
    recent.now = datetime(2026, 1, 1, 20, 59, 59, 999_999, tzinfo=UTC)
    recent.observe([item(1, timeCreated="0001-01-01T00:00:00")], after=timedelta())

    assert ["2026-01-01"] == [str(row["day"]) for row in query(recent, "SELECT * FROM bi_transitions_daily")]


DECLARED = {  # on SQLite, where days and moments are text, and amounts floats
    "bigint": {"INT", "INTEGER"},
    "integer": {"INT"},
    "boolean": {"BOOLEAN"},
    "text": {"TEXT"},
    "character varying": {"VARCHAR"},
    "date": {"DATE", "TEXT"},
    "timestamp with time zone": {"DATETIME", "TEXT"},
    "numeric": {"REAL"},
    "double precision": {"REAL"},
}


def test_each_column_of_a_view_has_the_declared_type_that_it_has_on_postgresql(
    sqlite_url: str, postgresql_url: str
) -> None:
    """By an SQLite of today, whatever Python comes with: before 3.41 a CAST of a view has no type."""
    of_postgresql, of_sqlite = Mirror(postgresql_url), Mirror(sqlite_url)
    types = {
        (row["table_name"], row["column_name"]): row["data_type"]
        for row in query(
            of_postgresql, "SELECT * FROM information_schema.columns WHERE table_schema = current_schema()"
        )
    }
    connection = apsw.Connection(str(sqlite_path(of_sqlite.engine.url)))
    declared = {
        (view, name): type_.partition("(")[0]
        for view in VIEWS
        for name, type_ in connection.execute(f"SELECT name, type FROM pragma_table_info('{view}')")
    }
    connection.close()
    for made in (of_postgresql, of_sqlite):
        made.engine.dispose()

    assert {key for key in types if key[0] in VIEWS} == declared.keys()
    assert {} == {key: one for key, one in declared.items() if one not in DECLARED[types[key]]}
