"""What lies in examples/ is loaded and run: settings, cron lines, queries, a script."""

import os
import re
import subprocess
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from conftest import CHECKOUT
from loading import load
from mirror import Mirror
from sqlalchemy import text
from test_documents import lived

from syncer.cli.main import cli
from syncer.rules.schedule import parse_schedule

__all__ = ["lived"]  # a fixture

EXAMPLES = CHECKOUT / "examples"
QUERIES = re.findall(r"^-- (.+\?)\n(.*?);$", (EXAMPLES / "bi.sql").read_text("utf-8"), re.MULTILINE | re.DOTALL)
LINES = [line for line in (EXAMPLES / "crontab").read_text("utf-8").splitlines() if not line.startswith("#")]


def test_the_settings_are_taken(tmp_path: Path) -> None:
    (tmp_path / "database_url").write_text("sqlite:///syncer.db")
    (tmp_path / "database_url").chmod(0o600)
    (tmp_path / "syncer.toml").write_text(
        (EXAMPLES / "syncer.toml")
        .read_text("utf-8")
        .replace("/etc/syncer/database_url", str(tmp_path / "database_url"))
    )

    settings = load({}, {}, None, tmp_path)

    assert ["retail", "agencies", "max"] == [account.name for account in settings.accounts]
    assert "https://7700.api.greenapi.com" == settings.accounts[2].api_url
    assert settings.accounts[0].schedule != settings.accounts[1].schedule
    assert ["standard", "telegram"] == [one.receiver.format for one in settings.receivers]


def test_there_are_cron_lines_and_queries() -> None:
    assert LINES
    assert QUERIES


@pytest.mark.parametrize("line", LINES)
def test_a_cron_line_fires_and_its_command_is_one_that_exists(line: str) -> None:
    *fields, command = line.split(maxsplit=5)
    name, *words = command.partition("&& syncer ")[2].partition(" 2>>")[0].split()

    parse_schedule(" ".join(fields), ZoneInfo("UTC"))
    flags = {flag for option in cli.commands[name].params for flag in option.opts}
    assert {word for word in words if word.startswith("--")} <= flags


@pytest.mark.parametrize(("question", "query"), QUERIES)
def test_a_query_answers_its_question_on_both_databases(lived: Mirror, question: str, query: str) -> None:
    with lived.engine.connect() as connection:
        assert connection.execute(text(query)).all(), question


def test_the_prices_are_set_and_billed(lived: Mirror, tmp_path: Path, syncer_environment: dict[str, str]) -> None:
    program = tmp_path / "syncer"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m syncer "$@"\n')
    program.chmod(0o755)
    url = lived.engine.url.render_as_string(hide_password=False)

    done = subprocess.run(
        ["sh", EXAMPLES / "rates.sh"],
        env=syncer_environment | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SYNCER_DATABASE_URL": url},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "PARTNER_23" in done.stdout


def test_every_example_is_in_the_list() -> None:
    listed = set(re.findall(r"\]\(([\w.]+)\)", (EXAMPLES / "README.md").read_text("utf-8")))

    assert {path.name for path in EXAMPLES.iterdir()} - {"README.md"} == listed


def test_every_hook_before_a_commit_is_a_program_of_our_own() -> None:
    hooks = re.findall(r"^ *entry: (\S+)", (CHECKOUT / ".pre-commit-config.yaml").read_text("utf-8"), re.MULTILINE)

    assert hooks
    assert [hook for hook in hooks if hook != "make" and not (CHECKOUT / hook).exists()] == []
