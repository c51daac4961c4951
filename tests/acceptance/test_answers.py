"""What people ask of the mirror, asked of the real program on both databases."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fault_server as fault
import psycopg
import pyarrow.parquet
import pytest
from builders import item, paid
from conftest import RunSyncer
from fault_server import FaultServer
from mirror import Mirror, account
from psycopg import sql
from sqlalchemy import text

from syncer.storage import grants
from syncer.storage.tables import metadata

Answers = dict[str, Any]


def local(moment: datetime) -> str:
    """A moment as the upstream writes it."""
    return (moment + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%S")


def real_now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the views' clock is the database's


@pytest.fixture
def estate(mirror: Mirror) -> Mirror:
    """Ten days of polls: one instance stays, one is deleted, one expires and is paid, one is renamed and moves tariff."""
    start = real_now() - timedelta(days=10)
    mirror.now = start
    items = {
        1: item(1, timeCreated=local(start - timedelta(days=5))),
        2: item(2, timeCreated=local(start - timedelta(days=5)), name="=cmd|' /C calc'!A0"),
        3: paid(3, timeCreated=local(start - timedelta(days=5)), expirationDate=local(start + timedelta(days=1))),
        4: item(4, timeCreated=local(start - timedelta(days=5)), name="old <b>name</b>"),
    }
    mirror.observe(items.values(), after=timedelta())
    items[3] |= {"isExpired": True}
    mirror.observe(items.values(), after=timedelta(days=2))
    items[3] |= {"isExpired": False, "expirationDate": local(start + timedelta(days=40))}
    items[2] |= {"deleted": True, "timeDeleted": local(start + timedelta(days=3))}
    items[4] |= {"name": "new <b>name</b>", "tariff": "PARTNER_24"}
    mirror.observe(items.values(), after=timedelta(days=2))
    mirror.observe(items.values(), after=timedelta(days=6) - timedelta(minutes=1))
    return mirror


@pytest.fixture
def env(estate: Mirror) -> dict[str, str]:
    return {"SYNCER_DATABASE_URL": estate.engine.url.render_as_string(hide_password=False)}


def query(mirror: Mirror, statement: str) -> list[tuple[Any, ...]]:
    with mirror.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def test_explain_tells_the_life_of_an_instance_with_its_sources(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    done = run_syncer("explain", "3", env=env)
    story = done.stdout

    assert 0 == done.returncode, done.stderr
    for words in (
        "It was created.",
        "the upstream's own time; seen by run 1",
        "It expired.",
        "seen by run 2",
        "It was paid for again, until",
    ):
        assert words in story
    assert story.index("It was created") < story.index("It expired") < story.index("It was paid for again")
    told = json.loads(run_syncer("explain", "4", "--json", env=env).stdout)
    assert ["created", "changed"] == [event["transition"] for event in told["history"]]
    assert "    the tariff: PARTNER_23 → PARTNER_24" in told["story"]


def test_explain_suggests_the_id_that_was_meant(run_syncer: RunSyncer, estate: Mirror, env: dict[str, str]) -> None:
    estate.observe([item(710300104729)], of=account("other"))
    done = run_syncer("explain", "71030010472", env=env)

    assert (2, "") == (done.returncode, done.stdout)
    assert "syncer: explain: no instance 71030010472 was ever seen; did you mean 710300104729?\n" == done.stderr


def test_rates_price_the_bill_from_their_day(run_syncer: RunSyncer, estate: Mirror, env: dict[str, str]) -> None:
    this_month = (real_now() + timedelta(hours=3)).strftime("%Y-%m")
    for arguments in (
        ("PARTNER_23", "2.50", "rub", "--from", "2020-01-01"),
        ("PARTNER_24", "1,5", "RUB", "--from", "2020-01-01"),
    ):
        done = run_syncer("rates", "set", *arguments, env=env)
        assert 0 == done.returncode, done.stderr
    listed = json.loads(run_syncer("rates", "list", "--json", env=env).stdout)
    bill = json.loads(run_syncer("bill", this_month, "--json", env=env).stdout)
    expected = query(
        estate, f"SELECT tariff, instance_days FROM bi_billing_monthly WHERE month = '{this_month}' ORDER BY tariff"
    )

    assert [("PARTNER_23", "RUB", "2.500000"), ("PARTNER_24", "RUB", "1.500000")] == [
        (rate["tariff"], rate["currency"], rate["daily_rate"]) for rate in listed["rates"]
    ]
    assert ["BUSINESS"] == listed["without_rate"]
    assert expected == [(line["tariff"], line["days"]) for line in bill["lines"]]
    prices = {"PARTNER_23": 2.5, "PARTNER_24": 1.5}
    assert [prices[tariff] * days if tariff in prices else None for tariff, days in expected] == [
        None if line["amount"] is None else float(line["amount"]) for line in bill["lines"]
    ]
    # two auto-renewing and one paid instance live
    assert {"RUB": (2, 4.0), None: (1, None)} == {
        total["currency"]: (total["days"], total["amount"] and float(total["amount"]))
        for total in bill["tonight"]["totals"]
    }
    nights = sum(total["days"] for total in bill["forecast"]) - sum(days for _, days in expected)
    assert 0 == nights % 3
    shown = run_syncer("bill", this_month, env=env).stdout
    assert "forecast to the month's end" in shown
    assert "no price" in shown


@pytest.mark.parametrize("mirror", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("bill", "2026-13"), "MONTH: '2026-13' is no month"),
        (("bill", "2199-12"), "has not begun"),
        (("bill", "2200-01"), "MONTH: 2200-01 lies before 2010 or after 2199"),
        (("bill", "2009-12"), "MONTH: 2009-12 lies before 2010"),
        (("bill", "0001-01"), "MONTH: 0001-01 lies before 2010"),
        (("report", "0001-02", "--customer", "Kot"), "MONTH: 0001-02 lies before 2010"),
        (("bill", "november"), "is no month"),
        (("rates", "set", "A", "x", "RUB"), "RATE: 'x' is no price"),
        (("rates", "set", "A", "-1", "RUB"), "No such option"),
        (("rates", "set", "A", "1", "roubles"), "CURRENCY: 'roubles'"),
        (("rates", "set", "A", "1", "RUB", "--from", "1.11.2026"), "--from: '1.11.2026' is no day"),
        (("diff", "now", "2026-01-01"), "lies after"),
        (("diff", "someday"), "'someday' is no time"),
        (("status", "--as-of", "2999-01-01"), "has not come yet"),
        (("export", "bi_dayly"), "did you mean bi_daily?"),
        (("export", "instances"), "there is no view"),
        (("export", "bi_daily", "--format", "xls"), "--format: 'xls' is none of csv, jsonl, parquet, xlsx"),
        (("export", "bi_daily", "--format", "jsonl", "--for", "excel"), "--for excel: it reads csv and xlsx, not jsonl"),
        (("export", "bi_daily", "--account", "defalt"), "did you mean default?"),
        (("diff", "yesterday", "--account", "defalt"), "did you mean default?"),
        (("status", "--account", "defalt"), "did you mean default?"),
        (("status", "--as-of", "yesterday", "--account", "defalt"), "did you mean default?"),
        (("find", "a", "--account", "defalt"), "did you mean default?"),
        (("find", " "), "find: TEXT is empty"),
        (("export", "bi_daily", "-o", "x.xls"), "the ending of x.xls is none of csv, jsonl, parquet, xlsx; name the format"),
        (("export", "bi_daily", "-o", "/nowhere/x.csv"), "writing /nowhere/x.csv: No such file"),
        (("export", "bi_daily", "-o", "."), "writing .: it names no file"),
        (("report", "--html", ""), "writing .: it names no file"),
        (("report", "--account", "defalt"), "did you mean default?"),
        (("bill", "2026-01", "--invoice", "/nowhere.csv"), "--invoice: reading /nowhere.csv"),
        (("bill", "2026-01", "--days-column", "x"), "belong to --invoice"),
    ],
)  # fmt: skip
def test_a_wrong_question_is_answered_in_one_line(
    run_syncer: RunSyncer, env: dict[str, str], arguments: tuple[str, ...], complaint: str
) -> None:
    done = run_syncer(*arguments, env=env)

    assert (2, "") == (done.returncode, done.stdout)
    assert 1 == done.stderr.count("\n")
    assert complaint in done.stderr


def test_an_invoice_is_compared_instance_by_instance(
    run_syncer: RunSyncer, env: dict[str, str], tmp_path: Path
) -> None:
    month = (real_now() + timedelta(hours=3)).replace(day=1)
    ours = json.loads(run_syncer("bill", f"{month:%Y-%m}", "--json", env=env).stdout)
    run_syncer("rates", "set", "PARTNER_23", "2", "RUB", "--from", "2020-01-01", env=env)
    invoice = tmp_path / "invoice.csv"
    invoice.write_text("\ufeffidInstance;Дни;Сумма\n1;1000;2 000,00\n777;3;6,00\n", "utf-8")
    done = run_syncer("bill", f"{month:%Y-%m}", "--invoice", str(invoice), "--json", env=env)
    found = {(one["kind"], one["key"]) for one in json.loads(done.stdout)["invoice"]["differences"]}

    assert 1 == done.returncode
    assert {("only_invoiced", "777"), ("days", "1")} < found
    assert {("only_seen", "3"), ("only_seen", "4")} < found

    charged = {
        str(one["key"]): one["our_days"] for one in json.loads(done.stdout)["invoice"]["differences"] if one["our_days"]
    }
    assert sum(line["days"] for line in ours["lines"]) == sum(charged.values())
    invoice.write_text("id,days\n" + "".join(f"{key},{days}\n" for key, days in charged.items()))
    agreed = run_syncer("bill", f"{month:%Y-%m}", "--invoice", str(invoice), env=env)
    assert 0 == agreed.returncode
    assert "the invoice agrees" in agreed.stdout
    by_tariff = tmp_path / "tariffs.csv"
    by_tariff.write_text("plan name,quantity\nPARTNER_99,4\n")
    told = run_syncer("bill", f"{month:%Y-%m}", "--invoice", str(by_tariff), "--tariff-column", "plan name", env=env)
    assert 1 == told.returncode
    assert "they bill, and we do not see: 1" in told.stdout
    assert "we see, and they do not bill: 3" in told.stdout


@pytest.mark.parametrize("mirror", ["sqlite"], indirect=True)
def test_a_bill_of_many_instances_shows_the_first_and_counts_the_others(run_syncer: RunSyncer, mirror: Mirror) -> None:
    """A table of a hundred thousand lines would take a minute, and nobody reads it."""
    mirror.now = real_now() - timedelta(hours=1)
    mirror.observe([item(number) for number in range(1, 203)])
    env = {"SYNCER_DATABASE_URL": mirror.engine.url.render_as_string(hide_password=False)}
    shown = run_syncer("bill", "--by", "instance", env=env).stdout

    assert "… and 2 more; --json shows all\n" in shown
    assert 202 == len(json.loads(run_syncer("bill", "--by", "instance", "--json", env=env).stdout)["lines"])


def test_the_estate_of_a_past_moment_and_what_changed_since(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    then = (real_now() - timedelta(days=8, hours=-1)).isoformat()
    past = json.loads(run_syncer("status", "--as-of", then, "--json", env=env).stdout)
    change = json.loads(run_syncer("diff", then, "now", "--json", env=env).stdout)

    assert {"active": 3, "expired": 1, "deleted": 0, "vanished": 0, "purged": 0} == past["totals"]
    assert {2: ["status"], 3: ["status", "expiration_date"], 4: ["name", "tariff"]} == {
        row["id_instance"]: list(row["fields"]) for row in change["changes"]
    }
    assert {"changed": 1, "deleted": 1, "renewed": 1} == change["transitions"]
    assert "active -> deleted" in run_syncer("diff", then, "now", env=env).stdout
    early = run_syncer("status", "--as-of", (real_now() - timedelta(days=12)).isoformat(), env=env)
    assert "careful: syncer saw its first answer" in early.stdout
    assert "4 active" in early.stdout


@pytest.mark.parametrize("mirror", ["postgresql"], indirect=True)
def test_postgresql_has_a_function_for_a_past_moment(estate: Mirror) -> None:
    """SQLite has no functions of its own; docs/bi.md shows the pattern."""
    moment = (real_now() - timedelta(days=8)).isoformat()

    assert [(3,)] == query(
        estate, f"SELECT count(*) FROM estate_as_of('{moment}') WHERE NOT deleted AND NOT is_expired"
    )


def test_exports_hold_every_row_and_no_formula(run_syncer: RunSyncer, env: dict[str, str], tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run_syncer("export", "bi_instances", env=env).stdout)))
    files = {ending: tmp_path / f"x.{ending}" for ending in ("csv", "jsonl", "parquet")}
    for ending, path in files.items():
        done = run_syncer("export", "bi_instances", "-o", str(path), env=env)
        assert f"4 rows of bi_instances are in {path}\n" == done.stdout
        assert [] == list(tmp_path.glob(f".x.{ending}*"))
    lines = [json.loads(line) for line in files["jsonl"].read_text().splitlines()]
    table = pyarrow.parquet.read_table(files["parquet"]).to_pylist()

    assert ["1", "2", "3", "4"] == sorted(row["id_instance"] for row in rows)
    assert "'=cmd|' /C calc'!A0" == next(row["name"] for row in rows if row["id_instance"] == "2")
    assert rows == list(csv.DictReader(io.StringIO(files["csv"].read_text("utf-8"))))
    by_id = {row["id_instance"]: row for row in lines}
    assert "=cmd|' /C calc'!A0" == by_id[2]["name"]
    for row in table:
        assert by_id[row["id_instance"]]["name"] == row["name"]
        assert by_id[row["id_instance"]]["time_created"] == row["time_created"].isoformat().replace("+00:00", "Z")
        assert by_id[row["id_instance"]]["is_partner"] is row["is_partner"]


def test_every_view_exports_in_every_format(
    run_syncer: RunSyncer, estate: Mirror, env: dict[str, str], tmp_path: Path
) -> None:
    run_syncer("rates", "set", "PARTNER_23", "1.1", "RUB", "--from", "2020-01-01", env=env)
    from syncer.views.catalogue import VIEWS

    for view in VIEWS:
        (count,) = query(estate, f"SELECT count(*) FROM {view}")[0]
        path = tmp_path / f"{view}.parquet"
        done = run_syncer("export", view, "-o", str(path), env=env)
        assert 0 == done.returncode, done.stderr
        assert count == pyarrow.parquet.read_metadata(path).num_rows


def test_a_reader_may_read_the_views_and_nothing_secret(
    run_syncer: RunSyncer, estate: Mirror, env: dict[str, str]
) -> None:
    if estate.engine.dialect.name != "postgresql":
        done = run_syncer("db", "grant-reader", "bi", env=env)
        assert (2, True) == (done.returncode, "SQLite has no roles" in done.stderr)
        return
    url = env["SYNCER_DATABASE_URL"].replace("+psycopg", "")
    role = f"Reader {estate.engine.url.database}"
    missing = run_syncer("db", "grant-reader", role, env=env)
    assert (2, True) == (missing.returncode, "there is no role" in missing.stderr)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        try:
            done = run_syncer("db", "grant-reader", role, env=env)
            assert 0 == done.returncode, done.stderr
            owner.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            readable, refused = set(), set()
            names = owner.execute(
                "SELECT table_name FROM information_schema.tables UNION SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
            ).fetchall()
            for (name,) in names:
                if owner.execute(
                    "SELECT 1 FROM pg_class WHERE relname = %s AND relnamespace = 'public'::regnamespace", (name,)
                ).fetchone():
                    try:
                        owner.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))).fetchall()
                        readable.add(name)
                    except psycopg.errors.InsufficientPrivilege:
                        refused.add(name)
            assert {
                "instance_tokens",
                "attention_told",
                "leases",
                "held_sets",
                "held_answers",
                "approvals",
                "syncer_version",
            } | {
                "instances",
                "accounts",
                "claims",
            } == refused
            for table, hidden in (("instances", "token_fingerprint"), ("accounts", "hash_seed")):
                columns = [one.name for one in metadata.tables[table].columns if one.name not in grants.HIDDEN_COLUMNS]
                owner.execute(
                    sql.SQL("SELECT {} FROM {}").format(
                        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table)
                    )
                )
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    owner.execute(sql.SQL("SELECT {} FROM {}").format(sql.Identifier(hidden), sql.Identifier(table)))
            assert "careful: like everybody" in done.stdout
            assert "REVOKE TEMPORARY ON DATABASE" in done.stdout
            assert {
                "instance_history",
                "sync_runs",
                "tariff_rates",
                "rejected_items",
                "bi_daily",
                "sync_status",
            } < readable
            assert owner.execute("SELECT count(*) FROM estate_as_of(now())").fetchone() == (4,)
            for statement in (
                "DELETE FROM instances",
                "INSERT INTO tariff_rates VALUES ('x', 'RUB', 1, '2020-01-01')",
                "CREATE TABLE mine (x int)",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    owner.execute(statement)
        finally:
            owner.execute("RESET ROLE")
            owner.execute(sql.SQL("DROP OWNED BY {0}").format(sql.Identifier(role)))
            owner.execute(sql.SQL("DROP ROLE {0}").format(sql.Identifier(role)))


def test_the_report_shows_the_figures_of_the_views(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    found = json.loads(run_syncer("report", "--json", env=env).stdout)
    shown = run_syncer("report", env=env).stdout

    assert {"live": 3, "active": 3, "expired": 0, "deleted": 1, "vanished": 0, "purged": 0} == found["totals"]
    assert {"active": 3, "expired": 0, "deleted": 1, "vanished": 0} == {
        word: n for word, n in found["statuses_by_week"][-1].items() if word != "week"
    }
    assert {"period": "last 30 days", "new": 4, "deleted": 1, "net": 3} in found["periods"]
    assert [("whatsapp", "BUSINESS", 1), ("whatsapp", "PARTNER_23", 1), ("whatsapp", "PARTNER_24", 1)] == [
        (row["type_instance"], row["tariff"], row["live"]) for row in found["kinds"]
    ]
    assert sum(row["created"] for row in found["moves_by_week"]) == 4
    assert "3 live" in shown
    assert "instances deleted more than three months before are unknown" in shown


def test_a_blind_gap_is_told_in_the_report(run_syncer: RunSyncer, mirror: Mirror) -> None:
    mirror.now = real_now() - timedelta(days=100)
    mirror.observe([item(1)])
    mirror.observe([item(1)], after=timedelta(days=90))
    env = {"SYNCER_DATABASE_URL": mirror.engine.url.render_as_string(hide_password=False)}

    assert "saw nothing for more than 80 days before run 2" in run_syncer("report", env=env).stdout


def test_a_creation_in_the_year_2_is_a_rejected_item_and_the_report_ends(run_syncer: RunSyncer, mirror: Mirror) -> None:
    mirror.now = real_now() - timedelta(hours=1)
    report = mirror.observe([item(1), item(2, timeCreated="0002-01-01T00:00:00")])
    env = {"SYNCER_DATABASE_URL": mirror.engine.url.render_as_string(hide_password=False)}
    done = run_syncer("report", "--json", env=env)

    assert (1, 1) == (report.created, report.rejected)
    assert 0 == done.returncode, done.stderr
    assert 1 == json.loads(done.stdout)["totals"]["live"]


def test_lists_stand_in_the_same_order_on_both_databases(run_syncer: RunSyncer, mirror: Mirror) -> None:
    """What has no tariff or type stands last."""
    mirror.now = real_now() - timedelta(hours=1)
    mirror.observe(
        [
            item(1, tariff=None),
            item(2, tariff="b"),
            item(3, tariff="B"),
            item(4, tariff="b", typeInstance=None),
            item(5, tariff="Б"),
            item(6, tariff=""),
        ]
    )
    env = {"SYNCER_DATABASE_URL": mirror.engine.url.render_as_string(hide_password=False)}

    def told(*arguments: str) -> dict[str, Any]:
        done = run_syncer(*arguments, "--json", env=env)
        assert 0 == done.returncode, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    assert [("", 1), ("B", 1), ("b", 1), ("b", None), ("Б", 1), (None, 1)] == [
        (line["tariff"], line["type_instance"] and 1) for line in told("bill")["lines"]
    ]
    assert [1, 2, 3, 4, 5, 6] == [line["id_instance"] for line in told("bill", "--by", "instance")["lines"]]
    assert ["", "B", "b", "Б", None, "b"] == [
        row["tariff"] for row in told("status", "--as-of", real_now().isoformat())["estate"]
    ]
    assert ["", "B", "b", "Б", None, "b"] == [row["tariff"] for row in told("report")["kinds"]]


MOVES = "\x9b\x1b\u202e"


@pytest.mark.parametrize(
    "command",
    [
        ("history", "--json"), ("history",), ("plan", "--json"), ("plan",), ("report", "--json"), ("report",),
        ("explain", "1", "--json"), ("explain", "1"), ("rates", "list"), ("rates", "list", "--json"), ("status",),
        ("export", "bi_instances", "--format", "csv"), ("export", "bi_instances", "--format", "jsonl"),
        ("rates", "set", f"a{MOVES}", "1", "RUB"), ("bill", "2026-11"),
    ],
)  # fmt: skip
def test_no_name_moves_the_cursor_of_a_terminal(
    syncer_environment: dict[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Neither on a terminal nor in a pipe that may end in one; what goes to a file is another test's."""
    mirror = Mirror(f"sqlite:///{tmp_path}/syncer.db")
    mirror.observe([item(1, name=f"a{MOVES}b", tariff=f"t{MOVES}")])
    with FaultServer([fault.json_list([item(1, name=f"c{MOVES}d", tariff=f"t{MOVES}")])]) as server:
        terminal, inside = pty.openpty()
        done = subprocess.Popen(
            [sys.executable, "-m", "syncer", *command],
            env=syncer_environment | {"SYNCER_API_URL": server.url, "TERM": "dumb", "NO_COLOR": "1"},
            cwd=tmp_path, stdout=inside, stderr=subprocess.PIPE,
        )  # fmt: skip
        os.close(inside)
        printed = b""
        with suppress(OSError):  # the other end is closed
            while piece := os.read(terminal, 65536):
                printed += piece
        os.close(terminal)
        errors = done.communicate()[1].decode()

    assert done.returncode in {0, 3}, errors  # 3: the status of an old estate
    assert printed
    assert not set(MOVES) & set(printed.decode())
