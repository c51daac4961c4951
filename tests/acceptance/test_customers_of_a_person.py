"""`syncer customers`, as its user meets it."""

import json
from pathlib import Path

import pytest
from builders import paid
from conftest import RunSyncer
from mirror import Mirror

LIST = "инстанс;клиент;с;по;цена;валюта\n{rows}"


@pytest.fixture
def env(mirror: Mirror) -> dict[str, str]:
    mirror.observe([paid(1), paid(2)])
    return {"SYNCER_DATABASE_URL": mirror.engine.url.render_as_string(hide_password=False)}


def write(folder: Path, *rows: str) -> str:
    (folder / "list.csv").write_text(LIST.format(rows="\n".join(rows)), "utf-8-sig")
    return "list.csv"


def test_a_list_is_shown_loaded_and_listed(run_syncer: RunSyncer, env: dict[str, str], tmp_path: Path) -> None:
    file = write(
        tmp_path, "1;Ёлка;01.10.2026;;33,333333;RUB", "2;Nord;2026-10-01;31.10.2026;;", "9;Nord;2026-11-01;;1;USD"
    )

    tried = run_syncer("customers", "load", file, "--dry-run", env=env)
    nothing = json.loads(run_syncer("customers", "list", "--json", env=env).stdout)
    done = run_syncer("customers", "load", file, env=env)
    again = run_syncer("customers", "load", file, env=env)
    listed = json.loads(run_syncer("customers", "list", "--json", env=env).stdout)
    shown = run_syncer("customers", "list", env=env).stdout

    assert [0, 0, 0] == [one.returncode for one in (tried, done, again)], tried.stderr + done.stderr + again.stderr
    assert "+ 1 Ёлка from 2026-10-01 on, 33.333333 RUB a day\n" in tried.stdout
    assert "3 added, 0 changed, 0 removed, 0 as they were; nothing was written\n" in tried.stdout
    assert "careful: 1 of the instances was never listed: 9\n" in done.stdout
    assert {"customers": []} == nothing
    assert again.stdout.startswith("0 added, 0 changed, 0 removed, 3 as they were\n")
    assert [
        [1, "Ёлка", "2026-10-01", None, "33.333333", "RUB"],
        [2, "Nord", "2026-10-01", "2026-10-31", None, None],
        [9, "Nord", "2026-11-01", None, "1.000000", "USD"],
    ] == [list(row.values()) for row in listed["customers"]]
    assert "33.333333" in shown
    assert "not sold" in shown


def test_a_list_that_lacks_most_is_held_until_yes(run_syncer: RunSyncer, env: dict[str, str], tmp_path: Path) -> None:
    run_syncer("customers", "load", write(tmp_path, *(f"{n};a;2026-10-01;;;" for n in (1, 2, 3))), env=env)
    file = write(tmp_path, "1;b;2026-10-01;;5;RUB")

    held = run_syncer("customers", "load", file, env=env)
    before = json.loads(run_syncer("customers", "list", "--json", env=env).stdout)["customers"]
    meant = run_syncer("customers", "load", file, "--yes", env=env)
    after = json.loads(run_syncer("customers", "list", "--json", env=env).stdout)["customers"]

    assert 6 == held.returncode
    assert "would drop 2 of 3 rows; if that is meant, add --yes" in held.stderr
    assert "~ 1 b from 2026-10-01: customer a -> b, price of a day none -> 5, currency none -> RUB" in held.stdout
    assert ["a", "a", "a"] == [row["customer"] for row in before]
    assert 0 == meant.returncode
    assert [(1, "b", "5.000000")] == [(row["id_instance"], row["customer"], row["daily_price"]) for row in after]


def test_lines_that_overlap_change_nothing(run_syncer: RunSyncer, env: dict[str, str], tmp_path: Path) -> None:
    file = write(tmp_path, "1;a;2026-10-01;;;", "1;b;2026-10-15;;;")

    refused = run_syncer("customers", "load", file, env=env)

    assert 2 == refused.returncode
    assert "list.csv: lines 2 and 3 both have instance 1 on a day" in refused.stderr
    assert "no customers are known" in run_syncer("customers", "list", env=env).stdout


def test_the_bill_of_customers_shows_cost_beside_price(
    run_syncer: RunSyncer, env: dict[str, str], tmp_path: Path
) -> None:
    run_syncer("rates", "set", "BUSINESS", "2", "RUB", "--from", "2020-01-01", env=env)
    run_syncer("customers", "load", write(tmp_path, "1;Ёлка;2020-01-01;;5;RUB"), env=env)

    shown = run_syncer("bill", "--by", "customer", env=env)
    document = json.loads(run_syncer("bill", "--by", "customer", "--json", env=env).stdout)

    assert 0 == shown.returncode, shown.stderr
    (own, nobodys) = document["lines"]
    assert ("Ёлка", None) == (own["customer"], nobodys["customer"])
    assert f"{own['days'] * 3:,.2f} RUB" in shown.stdout
    assert "nobody" in shown.stdout
    assert str(own["days"] + nobodys["days"]) in shown.stdout.partition("in all: ")[2]


def test_a_statement_is_written_as_one_page(run_syncer: RunSyncer, env: dict[str, str], tmp_path: Path) -> None:
    run_syncer("customers", "load", write(tmp_path, "1;Ёлка;2020-01-01;;5;RUB", "2;Nord;2020-01-01;;7;RUB"), env=env)

    written = run_syncer("report", "--customer", "Ёлка", "--html", "page.html", "--lang", "ru", env=env)
    document = json.loads(run_syncer("report", "--customer", "Ёлка", "--json", env=env).stdout)
    shown = run_syncer("report", "--customer", "Ёлка", env=env).stdout
    wrong = run_syncer("report", "--customer", "Елка", env=env)
    no_customer = run_syncer("report", "2026-10", env=env)

    assert "счёт клиенту: page.html\n" == written.stdout, written.stderr
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "Ёлка" in page
    assert "Nord" not in page
    (line,) = document["lines"]
    assert (1, "5", line["days"] * 5) == (line["id_instance"], line["daily_price"], int(line["amount"]))
    assert f"in all: {line['days'] * 5:,.2f} RUB\n" in shown
    assert (2, 2) == (wrong.returncode, no_customer.returncode)
    assert "did you mean Ёлка?" in wrong.stderr
    assert "add --customer NAME" in no_customer.stderr
