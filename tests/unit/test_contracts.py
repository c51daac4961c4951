"""The contracts of imports are seen to fail: each is broken once in a copy of the tree."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "syncer", folder / "syncer", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(tree: Path) -> str:
    """What import-linter says of this tree."""
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], cwd=tree, env={"PYTHONPATH": str(tree)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def broken(tree: Path) -> list[str]:
    """The contracts that this tree breaks."""
    return [line.removesuffix(" BROKEN") for line in lint(tree).splitlines() if line.endswith(" BROKEN")]


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("upstream/client.py", "import sqlalchemy", "The fetcher knows no database"),
        ("upstream/client.py", "from syncer.storage import runs", "The fetcher knows no database"),
        ("storage/mirror.py", "import httpx", "What stores and shows knows no network"),
        ("views/verify.py", "from syncer.upstream import client", "What stores and shows knows no network"),
        ("answer/comparison.py", "import time", "What decides is pure"),
        ("answer/item.py", "import logging", "What decides is pure"),
        ("rules/guard.py", "import socket", "What decides is pure"),
        ("words/language.py", "import os", "What decides is pure"),
        ("words/catalogue.py", "from syncer import errors", "Imports point down"),
        ("rules/transitions.py", "from syncer.storage import rows", "What decides is pure"),
        ("rules/guard.py", "from syncer.cli import main", "Imports point down"),
        ("answer/known.py", "from syncer.rules import guard", "Imports point down"),
        ("storage/rows.py", "from syncer.views import verify", "Imports point down"),
        ("receivers/chat.py", "import httpx", "What decides is pure"),
        ("receivers/outcome.py", "from syncer.storage import receivers", "What decides is pure"),
        ("post/client.py", "from syncer.storage import receivers", "The fetcher knows no database"),
        ("storage/receivers.py", "from syncer.post import client", "What stores and shows knows no network"),
        ("daemon/loop.py", "from syncer.cli import main", "Imports point down"),
    ],
)
def test_an_import_that_a_contract_forbids_breaks_it(tree: Path, module: str, statement: str, contract: str) -> None:
    path = tree / "syncer" / module
    text = path.read_text("utf-8")
    path.write_text(f"{text}\n{statement}\n", "utf-8")
    try:
        assert contract in broken(tree)
    finally:
        path.write_text(text, "utf-8")


def test_the_tree_as_it_is_breaks_none(tree: Path) -> None:
    said = lint(tree)

    assert "4 kept, 0 broken" in said


def test_a_new_folder_needs_a_place_in_the_layers(tree: Path) -> None:
    folder = tree / "syncer" / "newcomer"
    folder.mkdir()
    (folder / "__init__.py").touch()
    try:
        assert "newcomer" in lint(tree)
    finally:
        shutil.rmtree(folder)
