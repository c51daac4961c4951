"""What the README shows is what happens."""

import re
import sqlite3
from pathlib import Path

import pytest
from conftest import CHECKOUT, RunSyncer

READMES = ("README.md", "README.ru.md")


@pytest.mark.parametrize("readme", READMES)
def test_the_queries_answer_what_the_readme_shows(run_syncer: RunSyncer, tmp_path: Path, readme: str) -> None:
    assert run_syncer("demo").returncode == 0
    text = (CHECKOUT / readme).read_text("utf-8")
    shown = re.findall(r"```sql\n(.*?)```\n```\n(.*?)```", text, re.DOTALL)
    connection = sqlite3.connect(tmp_path / "demo.db")

    answered = [
        (query, "".join("|".join(map(str, row)) + "\n" for row in connection.execute(query)))
        for query, _answer in shown
    ]
    connection.close()

    assert len(shown) == 2
    assert shown == answered


@pytest.mark.parametrize("readme", READMES)
def test_the_pictures_are_there_and_light(readme: str) -> None:
    pictures = [
        CHECKOUT / path for path in re.findall(r"!\[[^]]+\]\(([^)]+)\)", (CHECKOUT / readme).read_text("utf-8"))
    ]

    assert pictures
    assert [] == [path for path in pictures if not 0 < path.stat().st_size < 200_000]
