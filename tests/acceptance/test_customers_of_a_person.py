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
    assert "careful: 1 of the instances were never listed: 9\n" in done.stdout
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
    assert "~ 1 b from 2026-10-01: customer a -> b, daily price none -> 5, currency none -> RUB" in held.stdout
    assert ["a", "a", "a"] == [row["customer"] for row in before]
    assert 0 == meant.returncode
    assert [(1, "b", "5.000000")] == [(row["id_instance"], row["customer"], row["daily_price"]) for row in after]


def test_lines_that_overlap_change_nothing(run_syncer: RunSyncer, env: dict[str, str], tmp_path: Path) -> None:
    file = write(tmp_path, "1;a;2026-10-01;;;", "1;b;2026-10-15;;;")

    refused = run_syncer("customers", "load", file, env=env)

    assert 2 == refused.returncode
    assert "list.csv: lines 2 and 3 both have instance 1 on a day" in refused.stderr
    assert "no customers are known" in run_syncer("customers", "list", env=env).stdout
