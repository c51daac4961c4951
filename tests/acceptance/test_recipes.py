"""The recipes of docs/operating.md work, and every word of the documents that names something names what is there.

A block ```sh is a script: bash runs them in order, in one folder, with a mirror in it. Programs that manage other
machines are replaced by one that only checks that the files it is given are there. Queries: see test_documents.
"""

import ast
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from builders import item, paid
from conftest import CHECKOUT, RunSyncer
from loading import load
from memory import Memory
from mirror import Mirror
from postgres import Postgres
from waiting import HANG_SECONDS

from syncer import errors
from syncer.cli.main import cli
from syncer.daemon.metrics import FAILURES
from syncer.doctor.table import CHECKS
from syncer.model import MirrorRow, Transition
from syncer.rules.guard import HoldReason
from syncer.settings.declared import SETTINGS
from syncer.storage import database, epoch
from syncer.storage.tables import syncer_epoch
from syncer.views.catalogue import VIEWS

DOCUMENTS = [
    CHECKOUT / name for name in ("README.md", "README.ru.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
] + sorted((CHECKOUT / "docs").rglob("*.md")) + sorted((CHECKOUT / "examples").glob("*.md"))  # fmt: skip
OPERATING = ("docs/operating.md", "docs/ru/operating.md")
NOT_SETTINGS = {"SYNCER_TEST_PG_URL", "SYNCER_MODEL_EXAMPLES", "SYNCER_CORE_EXAMPLES"}
ELSEWHERE = ("docker", "kubectl", "systemctl", "make", "psql", "pipx", "uvx")
"""Not run: they manage what is not here, or begin the tests that are running."""
BLOCKS = re.compile(r"^```sh(?: (sqlite|postgresql))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)

STAND_IN = """#!/bin/bash
for word in "$@"; do
    case $word in deploy/* | */deploy/*) [ -e "$word" ] || { echo "there is no $word" >&2; exit 1; } ;; esac
done
"""
SUDO = """#!/bin/bash
# What belongs to root goes below the folder of the test.
words=()
for word in "$@"; do case $word in /etc/*) word=$PWD$word ;; esac; words+=("$word"); done
[ "${words[0]}" = install ] && mkdir -p "$PWD/etc/systemd/system"
exec "${words[@]}"
"""


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.fixture
def stage(tmp_path: Path, syncer_environment: dict[str, str], sqlite_template: Path) -> tuple[Path, dict[str, str]]:
    """A folder with deploy/ and a mirror, and an environment in which the programs are found."""
    folder, programs = tmp_path / "stage", tmp_path / "programs"
    for made in (folder, programs):
        made.mkdir()
    shutil.copytree(CHECKOUT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("secrets"))
    shutil.copy(sqlite_template, folder / "syncer.db")
    for program, text in {**dict.fromkeys(ELSEWHERE, STAND_IN), "sudo": SUDO}.items():
        (programs / program).write_text(text)
        (programs / program).chmod(0o755)
    (programs / "syncer").write_text(f'#!/bin/sh\nexec {sys.executable} -m syncer "$@"\n')
    (programs / "syncer").chmod(0o755)
    environment = syncer_environment | {"PATH": f"{programs}{os.pathsep}{syncer_environment['PATH']}"}
    environment |= {
        "SYNCER_API_URL": "http://127.0.0.1:9",
        "SYNCER_TIMEOUT": "1s",
        "SECRETS_FOLDER": str(tmp_path / "made.secret"),
    }
    del environment["SYNCER_PARTNER_TOKEN"]
    return folder, environment


def run(script: str, folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=HANG_SECONDS, check=False,
    )  # fmt: skip


needs_sqlite3 = pytest.mark.skipif(shutil.which("sqlite3") is None, reason="no sqlite3 program on this machine")


@needs_sqlite3
@pytest.mark.parametrize("operating", OPERATING)
def test_the_recipes_of_operating_work_on_sqlite(stage: tuple[Path, dict[str, str]], operating: str) -> None:
    folder, environment = stage
    if os.getuid() != 0:
        (folder / "deploy/make-secrets").write_text("#!/bin/sh\n")  # only root may give files away
    blocks = [
        text for dialect, text in BLOCKS.findall((CHECKOUT / operating).read_text("utf-8"))
        if dialect in {"", "sqlite"}
    ]  # fmt: skip

    done = run("".join(blocks), folder, environment)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "the schema is at" in done.stdout
    assert (folder / "etc/syncer/partner_token").stat().st_mode & 0o777 == 0o600


def without_epoch(connection: sqlite3.Connection) -> list[str]:
    return [line for line in connection.iterdump() if not line.startswith('INSERT INTO "syncer_epoch"')]


@needs_sqlite3
@pytest.mark.parametrize("operating", OPERATING)
def test_a_restored_file_is_the_one_that_was_saved(stage: tuple[Path, dict[str, str]], operating: str) -> None:
    folder, environment = stage
    save, restore = (
        text for dialect, text in BLOCKS.findall((CHECKOUT / operating).read_text("utf-8")) if dialect == "sqlite"
    )  # fmt: skip
    mirror = Mirror(f"sqlite:///{folder}/syncer.db")
    mirror.observe([{"idInstance": 1, "deleted": False, "isExpired": False}])
    with database.writing(mirror.engine, "beginning an epoch") as connection:
        begun = epoch.begin(connection)
    writer = mirror.engine.connect()  # the daemon goes on while the backup is made

    assert run(save, folder, environment).returncode == 0
    with sqlite3.connect(folder / "backup.db") as saved:
        before = without_epoch(saved)
    mirror.observe([{"idInstance": 1, "deleted": True, "isExpired": False}])
    writer.close()
    mirror.engine.dispose()
    done = run(restore, folder, environment)

    assert done.returncode == 0, done.stdout + done.stderr
    with sqlite3.connect(folder / "syncer.db") as restored:
        assert before == without_epoch(restored)
    assert (folder / "syncer.db").stat().st_mode & 0o777 == 0o600
    assert "careful: the file is without a write-ahead log, as after a restore" in done.stdout
    restored_mirror = Mirror(f"sqlite:///{folder}/syncer.db")
    with database.writing(restored_mirror.engine, "asking for the epoch") as connection:
        assert begun != epoch.current(connection)
    with closing(sqlite3.connect(folder / "syncer.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM instances").fetchall()
        result = restored_mirror.observe([{"idInstance": 1, "deleted": True, "isExpired": False}])
        reader.rollback()
        assert (result.error, reader.execute("PRAGMA journal_mode").fetchone()) == (None, ("wal",))
    restored_mirror.engine.dispose()


@pytest.mark.parametrize("operating", OPERATING)
@pytest.mark.parametrize("mirror", ["postgresql"], indirect=True)
def test_the_recipes_of_operating_restore_postgresql(
    stage: tuple[Path, dict[str, str]], mirror: Mirror, postgres: Postgres, operating: str
) -> None:
    folder, environment = stage
    mirror.observe([{"idInstance": 1, "deleted": False, "isExpired": False}])
    with database.writing(mirror.engine, "beginning an epoch") as connection:
        begun = epoch.begin(connection)
    with database.writing(mirror.engine, "asking for the epoch") as connection:
        assert begun == epoch.current(connection)
    empty = postgres.create_database()
    scripts = [
        text for dialect, text in BLOCKS.findall((CHECKOUT / operating).read_text("utf-8"))
        if dialect == "postgresql"
    ]  # fmt: skip
    url = mirror.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    done = run(
        "".join(scripts), folder,
        environment | {
            "PATH": f"{postgres.bin}{os.pathsep}{environment['PATH']}", "DATABASE": url, "EMPTY_DATABASE": empty,
        },
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    restored = Mirror(empty)
    try:
        assert mirror.history() == restored.history()
        assert mirror.runs() == restored.runs()
        assert [begun] == [row["epoch"] for row in restored.rows(syncer_epoch)]
        with database.writing(restored.engine, "asking for the epoch") as connection:
            assert begun != epoch.current(connection)
    finally:
        restored.engine.dispose()
        postgres.drop_database(empty)
    (folder / "syncer.dump").unlink()
    assert urlsplit(url).path != urlsplit(empty).path


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_setting_that_a_document_names_is_there(document: Path) -> None:
    named = set(re.findall(r"\bSYNCER_[A-Z_]*[A-Z]", document.read_text("utf-8")))

    assert set() == named - {setting.variable for setting in SETTINGS.values()} - NOT_SETTINGS


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_that_a_document_names_is_there(document: Path) -> None:
    """In code, `syncer WORD …` names a command, and `--flag` behind it one of its flags."""
    text = document.read_text("utf-8")
    codes = re.findall(r"^```sh.*?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) + re.findall(
        r"(?<!`)`([^`\n]+)`(?!`)", text
    )
    segments = [one for code in codes for one in re.split(r"[;|\n]|&&|(?:^|\s)#.*|\bexec syncer ", code)]
    named = [found[1] for one in segments if (found := re.fullmatch(r"(?:\w+=\S+ )*syncer ([a-z-].*)", one.strip()))]

    for line in named:
        command, words = cli, line.split()
        while words and hasattr(command, "commands") and words[0] in command.commands:
            command = command.commands[words.pop(0)]  # type: ignore[assignment]  # a group until its last word
        flags = {flag for option in command.params for flag in option.opts} | {"--help"}
        assert command is not cli or words[:1] in ([], ["--help"], ["--version"]), line
        assert set() == {word.partition("=")[0] for word in words if word.startswith("--")} - flags, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_and_target_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text("utf-8")
    paths = re.findall(r"`((?:docs|deploy|examples|tests|migrations|syncer|bench|\.ci)/[\w./-]*)`", text)
    targets = re.findall(r"\bmake ((?!sure|it\b|one\b)[a-z][a-z0-9-]+)`", text)
    links = re.findall(r"\]\(([^)#]+)\)", text)

    assert [] == [path for path in paths if "NAME" not in path and not (CHECKOUT / path).exists()]
    assert [] == [link for link in links if not link.startswith("http") and not (document.parent / link).exists()]
    known = set(re.findall(r"^([a-z0-9-]+):", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set() == set(targets) - known


def _is_error(one: object) -> bool:
    return isinstance(one, type) and issubclass(one, errors.SyncerError)


def kinds_in_the_code() -> set[tuple[int, str]]:
    """Every `error_kind` with its exit code: those of the classes, and those that are given where one is raised."""
    found = {(one.exit_code, one.kind) for one in vars(errors).values() if _is_error(one)}
    codes = {name: one.exit_code for name, one in vars(errors).items() if _is_error(one)}
    for path in (CHECKOUT / "syncer").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in codes:
                given = [word.value for word in call.keywords if word.arg == "kind"]
                found |= {(codes[call.func.id], one.value) for one in given if isinstance(one, ast.Constant)}
    return found | {(errors.UpstreamUnreachable.exit_code, kind) for kind in UNREACHABLE}


UNREACHABLE = ("network", "timeout", "rate_limited", "server_error")
"""Handed on by a function of `upstream.py`, which no search for calls finds; CONTRACT 2 lists them."""


def section_of(document: str, heading: str) -> str:
    """What stands under one heading of a document."""
    return (CHECKOUT / document).read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("operating", "heading"), list(zip(OPERATING, ("Held answers", "Задержанные ответы"), strict=True)), ids=OPERATING
)
def test_every_reason_to_hold_an_answer_has_its_row(operating: str, heading: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", section_of(operating, heading), re.MULTILINE)

    assert list(HoldReason) == rows


def test_every_status_and_state_has_its_row_in_russian() -> None:
    statuses = re.findall(r"^\| `(\w+)` ", section_of("docs/ru/operating.md", "Статус инстанса"), re.MULTILINE)
    states = re.findall(r"^\| `(\w+)` ", section_of("docs/ru/operating.md", "Состояние аккаунта"), re.MULTILINE)

    assert ["active", "expired", "deleted", "vanished", "purged"] == statuses
    assert ["never", "held", "clock", "stale", "failing", "ok"] == states


def test_every_view_has_its_question_in_russian() -> None:
    text = section_of("docs/ru/bi.md", "Какое представление на что отвечает")

    assert set(VIEWS) == set(re.findall(r"^\| .*? \| `(\w+)`", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("operating", "heading"), list(zip(OPERATING, ("Errors", "Коды возврата и ошибки"), strict=True)), ids=OPERATING
)
def test_every_kind_of_error_has_its_row_with_its_exit_code(operating: str, heading: str) -> None:
    section = section_of(operating, heading)
    told = [(int(code), kind) for code, kind in re.findall(r"^\| (\d) \| `(\w+)`", section, re.MULTILINE)]

    assert sorted(kinds_in_the_code()) == sorted(told)
    assert set() == set(FAILURES) - {kind for _code, kind in told}


def test_every_check_of_doctor_has_its_row() -> None:
    section = (
        (CHECKOUT / "docs/operating.md").read_text("utf-8").partition("## What doctor asks")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| (.*?) \| (\d) \|$", section, re.MULTILINE)

    assert rows == [(name, check.question, check.remedy, str(check.exit_code)) for name, check in CHECKS.items()]


def test_every_setting_has_its_row_with_its_default() -> None:
    section = (CHECKOUT / "docs/operating.md").read_text("utf-8").partition("## Settings")[2].partition("\n## ")[0]
    told = {
        name.lower(): default
        for names, default in re.findall(r"^\| (`SYNCER_.*?) \| (.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`SYNCER_(\w+)`", names)
    }
    defaults = {name: setting.default for name, setting in SETTINGS.items()}
    either = {name: default or defaults.get(name.removesuffix("_file")) for name, default in defaults.items()}

    assert told == {name: "–" if default is None else f"`{default}`" for name, default in either.items()}


def test_only_secrets_and_the_accounts_name_have_no_flag(run_syncer: RunSyncer) -> None:
    without = {name for name, setting in SETTINGS.items() if not setting.has_flag}
    shown = {line.split()[0]: line for line in run_syncer("help", "settings").stdout.splitlines() if line}

    assert {"partner_token", "token_key", "token_key_file", "account"} == without
    for name, setting in SETTINGS.items():
        line = shown[setting.variable]
        assert ("no flag" if name in without else f" {setting.flag} ") in line
        assert line.endswith(setting.meaning)
        assert f" {setting.default or setting.otherwise or 'none'} " in line
    assert "No such option" in run_syncer("sync", "--token-key", "x").stderr


def toml_blocks() -> list[object]:
    return [
        pytest.param(text, id=f"{document.name}-{number}")
        for document in DOCUMENTS
        for number, text in enumerate(re.findall(r"^```toml\n(.*?)^```$", document.read_text("utf-8"), re.DOTALL | re.MULTILINE))
    ]  # fmt: skip


@pytest.mark.parametrize("document", toml_blocks())
def test_a_documented_file_of_settings_is_taken(document: str, tmp_path: Path) -> None:
    (tmp_path / "syncer.toml").write_text(document)

    assert load({}, {}, None, tmp_path).accounts


def test_every_alert_has_its_row() -> None:
    alerts = re.findall(r"- alert: (\w+)", (CHECKOUT / "deploy/prometheus/alerts.yml").read_text("utf-8"))

    assert alerts == re.findall(
        r"^\| (Syncer\w+) \|", (CHECKOUT / "docs/operating.md").read_text("utf-8"), re.MULTILINE
    )


ARROWS = re.findall(
    r"^    (\S+) --> (\S+): (.*)$", (CHECKOUT / "docs/design.md").read_text("utf-8"), re.MULTILINE
)  # fmt: skip
"""From, to and the words of each arrow of the diagram of an instance's life."""


def test_the_diagram_of_an_instances_life_has_every_transition() -> None:
    assert {str(word) for word in Transition} == {word for *_ends, words in ARROWS for word in words.split(", ")}


STATES = {"live": {}, "expired": {"isExpired": True}, "deleted": {"deleted": True}}
MISSING = {"vanished", "purged"}


def state_of(row: MirrorRow) -> str:
    if row.missing_since is not None:
        return "purged" if row.instance.deleted else "vanished"
    return "deleted" if row.instance.deleted else "expired" if row.instance.is_expired else "live"


@pytest.mark.parametrize("to", [*STATES, None])
@pytest.mark.parametrize("was_missing", [False, True])
@pytest.mark.parametrize("start", [*STATES, "[*]"])
def test_every_step_that_the_code_makes_is_an_arrow_of_the_diagram(
    start: str, to: str | None, was_missing: bool
) -> None:
    """Several words of one observation are one walk over the arrows, in their stored order."""
    core = Memory()
    others = [item(number) for number in range(2, 60)]  # so that the guard lets one of them go missing

    def observe(*listed: dict[str, Any]) -> None:
        assert core.observe([*listed, *others], timedelta(hours=1)) == "accepted"

    observe(*([paid(1, **STATES[start])] if start != "[*]" else []))
    if was_missing:
        observe()
    begun = state_of(core.rows[1]) if 1 in core.rows else "[*]"
    seen = len(core.history)

    observe(*([paid(1, name="renamed", **STATES[to])] if to else []))

    places = {begun}
    for _id, word, *_rest in (event for event in core.history[seen:] if event[0] == 1):
        places = {there for here, there, words in ARROWS if here in places and str(word) in words.split(", ")}
    assert (state_of(core.rows[1]) if 1 in core.rows else "[*]") in places
