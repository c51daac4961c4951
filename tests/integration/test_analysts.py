"""What docs/bi.md tells analysts, done with the real pandas, DuckDB and Datasette; `make analysts` installs them."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
import yaml
from builders import item, paid
from conftest import CHECKOUT
from mirror import Mirror
from waiting import HANG_SECONDS, wait_for

from syncer.views.catalogue import VIEWS

DOCUMENT = (CHECKOUT / "docs/bi.md").read_text("utf-8")
DESCRIBED = yaml.safe_load((CHECKOUT / "examples/datasette.yaml").read_text("utf-8"))["databases"]["syncer"]


def block(words: str) -> str:
    """The one block of the document that is marked so."""
    (found,) = re.findall(rf"^```{words}\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    return str(found)


def needs(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed; run: make analysts")


def observe(mirror: Mirror) -> None:
    mirror.observe([item(1), paid(2), item(3), item(310000418916, name="Ёлка; \"и\" 'Ко'")])
    mirror.observe([item(1), paid(2, isExpired=True), item(3, deleted=True), item(310000418916), item(5)])
    with mirror.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO tariff_rates (tariff, currency, daily_rate, valid_from) VALUES ('PARTNER_23', 'RUB', 12.34, '2026-01-01')"
        )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Path:
    """The folder of an analyst, who only reads: `syncer.db`, and the examples beside it."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(sqlite_template, folder / "syncer.db")
    (folder / "examples").symlink_to(CHECKOUT / "examples")
    mirror = Mirror(f"sqlite:///{folder}/syncer.db")
    observe(mirror)
    mirror.engine.dispose()
    return folder


Run = Callable[[str], str]


@pytest.fixture(scope="module")
def python(desk: Path) -> Run:
    """Runs a program at the desk, as an analyst whom a warning would disturb; gives what it prints."""

    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=desk, env={"PATH": os.environ["PATH"], "HOME": str(desk), "PYTHONPATH": str(CHECKOUT)},
            capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def rows(desk: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(desk / "syncer.db")) as connection:
        return connection.execute(statement).fetchall()


def test_pandas_reads_the_file_as_documented(python: Run) -> None:
    needs("pandas")
    shown = python(block("python sqlite"))

    assert "2026-11-01" in shown
    assert re.search(r"^2026-06 +1\.0", shown, re.MULTILINE)


def test_pandas_reads_every_view(python: Run) -> None:
    needs("pandas")
    program = (
        "import json, pandas, sqlite3\nmirror = sqlite3.connect('file:syncer.db?mode=ro', uri=True)\n"
        f"print(json.dumps({{view: list(pandas.read_sql('SELECT * FROM ' + view, mirror)) for view in {list(VIEWS)}}}))"
    )

    assert json.loads(python(program)) == {
        name: [str(one.name) for one in view.columns] for name, view in VIEWS.items()
    }


def test_pandas_reads_postgresql_as_documented(python: Run, postgresql_url: str) -> None:
    needs("pandas")
    mirror = Mirror(postgresql_url)
    observe(mirror)
    mirror.engine.dispose()
    url = mirror.engine.url.render_as_string(hide_password=False)
    program = block("python postgresql")
    documented = "postgresql+psycopg://bi:secret@localhost/syncer"

    assert documented in program
    assert re.search(r"whatsapp +BUSINESS +1\n +PARTNER_23 +3", python(program.replace(documented, url)))


@pytest.fixture(scope="module")
def extended(python: Run) -> Run:
    """With DuckDB's extension for SQLite, installed as documented for where it cannot be fetched."""
    needs("duckdb", "duckdb_extension_sqlite_scanner")
    python(block("python extension"))
    return python


def test_duckdb_reads_tables_and_views_as_documented(extended: Run) -> None:
    shown = extended(block("python duckdb"))

    assert re.search(r"2026-11 │ RUB +│ +\d+\.\d{6}", shown)
    assert re.search(r"│ created +│ +5 │", shown)


def test_duckdb_asks_sqlite_for_a_part_of_a_large_view(extended: Run) -> None:
    program = (
        "import duckdb\nmirror = duckdb.connect()\nmirror.execute(open('examples/duckdb.sql').read())\n"
        f"print(mirror.execute('''{block('sql duckdb')}''').fetchall())"
    )

    assert "Decimal('382.540000')" in extended(program)  # 31 days


Shown = dict[str, tuple[list[tuple[str, str]], int]]


@pytest.fixture(scope="module")
def in_duckdb(extended: Run) -> Shown:
    """Of each view of the example: names and types of its columns, and how many rows it has."""
    program = (
        "import duckdb, json\nmirror = duckdb.connect()\nmirror.execute(open('examples/duckdb.sql').read())\nshown = {}\n"
        f"for view in {list(VIEWS)}:\n"
        "    found = mirror.execute('SELECT * FROM ' + view)\n"
        "    shown[view] = [(one[0], str(one[1])) for one in found.description], len(found.fetchall())\n"
        "print(json.dumps(shown))"
    )
    shown: Shown = json.loads(extended(program))
    return shown


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_the_duckdb_example_has_every_row_with_its_types(in_duckdb: Shown, desk: Path, view: str) -> None:
    described, count = in_duckdb[view]
    kinds = dict(described)

    assert [name for name, _kind in described] == [str(column.name) for column in VIEWS[view].columns]
    assert count == rows(desk, f"SELECT count(*) FROM {view}")[0][0]
    for expected, names in {
        "BIGINT": ("id_instance", "live", "n", "instance_days", "age_seconds"),
        "DECIMAL(18,6)": ("amount", "cost", "price", "margin"),
        "DATE": ("day",),
        "TIMESTAMP": ("time_created", "since", "data_as_of", "valid_from"),
        "BOOLEAN": ("is_free", "missing"),
        "DOUBLE": ("churn_rate", "survival"),
    }.items():
        assert {kinds[name] for name in names if name in kinds} <= {expected}


@pytest.fixture(scope="module")
def datasette(desk: Path) -> Iterator[str]:
    """The address of a Datasette that was started as documented."""
    with serving(desk) as address:
        yield address


@contextmanager
def serving(desk: Path, *settings: str) -> Iterator[str]:
    needs("datasette")
    command = block("sh datasette").strip()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", *shlex.split(command), *settings, "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with (desk / "datasette.log").open("w") as log:
        process = subprocess.Popen(
            words, cwd=desk, stdout=log, stderr=log, env={"PATH": os.environ["PATH"], "HOME": str(desk)}
        )
        try:
            wait_for(lambda: process.poll() is not None or answers(address))
            assert process.poll() is None, (desk / "datasette.log").read_text()
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(HANG_SECONDS)


def answers(address: str) -> bool:
    try:
        return get(f"{address}/-/versions.json")[0] == 200
    except URLError:
        return False


def get(address: str) -> tuple[int, str]:
    try:
        with urlopen(address, timeout=HANG_SECONDS) as answer:  # noqa: S310 - our own address
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_datasette_shows_the_views_and_few_tables(datasette: str) -> None:
    document = json.loads(get(f"{datasette}/syncer.json")[1])

    assert {one["name"] for one in document["views"]} == set(VIEWS)
    assert {one["name"] for one in document["tables"] if not one["hidden"]} == {
        "instance_history", "sync_runs", "customers", "tariff_rates",
    }  # fmt: skip


def test_datasette_tells_the_meaning_of_a_view_and_its_columns(datasette: str) -> None:
    status, page = get(f"{datasette}/syncer/bi_instances")

    assert status == 200
    assert "One row per instance that was ever seen." in page
    assert 'data-column-description="calendar days; negative once expired"' in page
    assert "310000418916" in page


def test_every_question_of_the_document_is_answered_by_datasette(datasette: str) -> None:
    answered = {name: get(f"{datasette}/syncer/{name}.json?_shape=objects") for name in DESCRIBED["queries"]}

    assert len(answered) > 15
    assert dict.fromkeys(answered, 200) == {name: status for name, (status, _text) in answered.items()}
    assert all(json.loads(text)["ok"] for _status, text in answered.values())


@pytest.mark.parametrize("table", ["instance_tokens", "instances", "accounts", "instance_lives", "leases"])
def test_datasette_shows_no_table_with_what_a_reader_is_not_given(datasette: str, table: str) -> None:
    assert get(f"{datasette}/syncer/{table}")[0] == 403


def test_datasette_takes_the_limits(datasette: str) -> None:
    settings = json.loads(get(f"{datasette}/-/settings.json")[1])

    assert (settings["sql_time_limit_ms"], settings["suggest_facets"]) == (20000, False)
    assert get(f"{datasette}/syncer?sql={quote('SELECT 1')}")[0] == 200


def test_datasette_for_others_shows_what_is_shown_and_no_more(desk: Path) -> None:
    name = next(iter(DESCRIBED["queries"]))
    with serving(desk, "--setting", "default_allow_sql", "off") as address:
        asked = get(f"{address}/syncer.json?sql={quote('SELECT * FROM instance_tokens')}")[0]
        shown = [get(f"{address}/syncer/{one}.json")[0] for one in ("bi_daily", name)]

    assert asked == 403
    assert shown == [200, 200]
