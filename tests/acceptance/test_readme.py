"""What the README shows is what happens."""

import re
import sqlite3
from pathlib import Path

import pytest
from conftest import CHECKOUT, RunSyncer

README = (CHECKOUT / "README.md").read_text("utf-8")


def test_the_queries_answer_what_the_readme_shows(run_syncer: RunSyncer, tmp_path: Path) -> None:
    assert run_syncer("demo").returncode == 0
    shown = re.findall(r"```sql\n(.*?)```\n```\n(.*?)```", README, re.DOTALL)
    connection = sqlite3.connect(tmp_path / "demo.db")

    answered = [
        (query, "".join("|".join(map(str, row)) + "\n" for row in connection.execute(query)))
        for query, _answer in shown
    ]
    connection.close()

    assert len(shown) == 2
    assert shown == answered


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"`?syncer ([a-z-]+)", README)) - {"mirrors", "polls", "does", "calls"})
)
def test_every_command_that_the_readme_names_is_there(run_syncer: RunSyncer, command: str) -> None:
    assert run_syncer(command, "--help").returncode == 0
