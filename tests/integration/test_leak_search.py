"""The search for secrets at the end of a test run: a run that leaves one behind fails and says where."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from canary import find_secrets
from conftest import CHECKOUT

CLEAN = """
def test_clean(tmp_path):
    logging.getLogger("httpx").info("nothing to hide")
    (tmp_path / "token.secret").write_text(PARTNER_TOKEN)
"""

LEAKS = {
    "a log line of a library": (
        'def test_it(): logging.getLogger("httpx").debug("GET /%s", PARTNER_TOKEN)',
        "everything.log: partner token, raw",
    ),
    "a field of a log line": (
        'def test_it(): logging.getLogger("syncer.sync").info("x", extra={"fields": {"url": PARTNER_TOKEN}})',
        "everything.log: partner token, raw",
    ),
    "a traceback in a log": (
        """
def test_it():
    try: raise ValueError(api_token(1))
    except ValueError: logging.getLogger("sqlalchemy.pool").exception("failed")
""",
        "everything.log: instance token, raw",
    ),
    "printed": (
        "def test_it(): print(json.dumps(WEIRD_PARTNER_TOKEN).replace('/', chr(92) + '/'))",
        "Captured stdout call of test_leak.py::test_it: weird partner token, JSON-escaped",
    ),
    "on standard error, encoded": (
        "def test_it(): print(base64.b64encode(b':' + PARTNER_TOKEN.encode()), file=sys.stderr)",
        "Captured stderr call of test_leak.py::test_it: partner token, base64",
    ),
    "an SQLite file": (
        """
def test_it(tmp_path):
    connection = sqlite3.connect(tmp_path / "syncer.db")
    connection.executescript(f"CREATE TABLE t (x); INSERT INTO t VALUES ('{api_token(1)}')")
    connection.close()
""",
        "syncer.db: instance token, raw",
    ),
    "a long value that an SQLite file holds in two pages": (
        """
def test_it(tmp_path):
    connection = sqlite3.connect(tmp_path / "syncer.db")
    connection.executescript(f"CREATE TABLE t (x); INSERT INTO t VALUES ('{'x' * 9000}{api_token(1)}{'y' * 4048}')")
    connection.close()
""",
        "syncer.db: instance token, raw",
    ),
    "a PostgreSQL table": (
        """
def test_it(postgresql_url):
    with psycopg.connect(postgresql_url) as connection:
        connection.execute("CREATE TABLE t (x bytea)")
        connection.execute("INSERT INTO t VALUES (%s)", [api_token(1).encode()])
""",
        "the PostgreSQL database of test_leak.py::test_it: instance token, hex",
    ),
    "a muted logger": (
        'def test_it(): logging.getLogger("httpx").setLevel(logging.WARNING)',
        "a test muted these loggers",
    ),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Out of reach of the search at the end of this very run."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def run_tests(folder: Path, source: str, *options: str) -> "subprocess.CompletedProcess[str]":
    imports = "import base64, json, logging, sqlite3, sys\nimport psycopg\nfrom canary import *\n"
    (folder / "test_leak.py").write_text(imports + source)
    shutil.copy(CHECKOUT / "tests" / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", folder / "base", *options],
        env=kept | {"PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_clean_run_passes_and_a_file_named_secret_is_exempt(folder: Path) -> None:
    done = run_tests(folder, CLEAN)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("leak", LEAKS)
def test_a_run_that_leaves_a_secret_behind_fails_and_says_where(folder: Path, leak: str) -> None:
    source, place = LEAKS[leak]
    done = run_tests(folder, source)

    assert done.returncode == 1
    assert place in done.stdout


def test_a_leak_in_one_of_several_workers_fails_the_run(folder: Path) -> None:
    done = run_tests(folder, LEAKS["a log line of a library"][0] + "\n" + CLEAN, "-n", "2")

    assert done.returncode == 1
    assert "everything.log: partner token, raw" in done.stdout
    assert find_secrets(done.stderr.encode()) == []
