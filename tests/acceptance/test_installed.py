"""The program as it is installed: quick help, its version, and completion in a real shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import RunSyncer

from syncer import __version__
from syncer.storage import schema

PROGRAM_FOLDER = Path(sys.executable).parent
SLOW_TO_IMPORT = {
    "alembic", "apscheduler", "asyncio", "cryptography", "http", "httpx", "jinja2", "msgspec", "prometheus_client", "psycopg",
    "rich", "sqlalchemy", "ssl",
}  # fmt: skip


@pytest.mark.parametrize("arguments", [["--help"], ["sync", "--help"], ["db", "--help"], ["help", "bill"]])
def test_help_imports_nothing_that_is_slow(syncer_environment: dict[str, str], arguments: list[str]) -> None:
    """Start-up is counted in modules: seconds would tell of the machine."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "syncer", *arguments],
        env=syncer_environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "click" in imported
    assert set() == imported & SLOW_TO_IMPORT


def test_the_version_names_the_schema_too(run_syncer: RunSyncer) -> None:
    assert f"syncer {__version__} (schema {schema.head()})\n" == run_syncer("--version").stdout


COMPLETIONS = {
    "a command": ("st", ["status"]),
    "a command of a group": ("db up", ["upgrade"]),
    "a flag": ("sync --sched", ["--schedule"]),
    "a word": ("history --transition van", ["vanished"]),
}


@pytest.mark.parametrize(("typed", "offered"), COMPLETIONS.values(), ids=COMPLETIONS)
def test_bash_completes(syncer_environment: dict[str, str], typed: str, offered: list[str]) -> None:
    script = f"""
        eval "$(_SYNCER_COMPLETE=bash_source syncer)"
        COMP_WORDS=(syncer {typed}); COMP_CWORD={len(typed.split())}
        _syncer_completion syncer
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = syncer_environment | {"PATH": f"{PROGRAM_FOLDER}{os.pathsep}{syncer_environment['PATH']}"}

    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)

    assert (done.stdout.split(), done.stderr) == (offered, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for_each_shell(run_syncer: RunSyncer, shell: str) -> None:
    assert "_syncer_completion" in run_syncer(env={"_SYNCER_COMPLETE": f"{shell}_source"}).stdout
