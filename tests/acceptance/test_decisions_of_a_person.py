"""What a person decides at a terminal or in a script: held answers are approved, accounts renamed and retired."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fault_server as fault
import pytest
from builders import item
from conftest import RunSyncer
from fault_server import FaultServer
from waiting import HANG_SECONDS

ESTATE = [item(key, name=f"client {key}") for key in range(1, 11)]
GONE = ESTATE[:4]


@pytest.fixture
def held(run_syncer: RunSyncer, database_url: str) -> Any:
    """A mirror whose second run is held, for six of ten; gives how to run a command on it."""
    with FaultServer([fault.json_list(ESTATE), fault.json_list(GONE)]) as server:
        environment = {"SYNCER_API_URL": server.url, "SYNCER_DATABASE_URL": database_url}

        def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
            return run_syncer(*arguments, env=environment)

        assert run("sync").returncode == 0
        assert run("sync").returncode == 6
        yield run


def at_a_terminal(environment: dict[str, str], folder: Path, *arguments: str, answer: str) -> tuple[int, str]:
    """The command as a person sees it, who answers its question."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "syncer", *arguments], env=environment, cwd=folder,
        stdin=follower, stdout=follower, stderr=follower, close_fds=True,
    )  # fmt: skip
    os.close(follower)
    shown, until = b"", time.monotonic() + HANG_SECONDS
    while time.monotonic() < until:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # it has ended
                break
            if not piece:
                break
            shown += piece
            if b"[y/N]" in shown and answer:
                os.write(leader, answer.encode())
                answer = ""
    os.close(leader)
    return process.wait(HANG_SECONDS), shown.decode()


def test_the_error_names_how_many_some_of_them_and_the_command(held: Callable[..., Any]) -> None:
    document = json.loads(held("status", "--json").stdout)

    (run,) = document["held"]
    assert run["approve"] == f"syncer approve {run['id']}"
    assert run["error"] == (
        "6 of 10 live instances are missing from the answer (5 “client 5”, 6 “client 6”, 7 “client 7”, 8 “client 8”, "
        f"9 “client 9” and 1 more); if that is right: syncer approve {run['id']}"
    )


def test_a_script_approves_without_being_asked_and_status_tells_what_waits(held: Callable[..., Any]) -> None:
    done = held("approve", "2")

    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "vanished: 6 instances")
    assert "client 5" not in done.stdout
    (waiting,) = json.loads(held("status", "--json").stdout)["approved"]
    assert (waiting["id"], waiting["reasons"]) == (2, {"vanished": 6})
    assert "run 2 is approved since" in held("status").stdout
    assert held("sync").returncode == 0
    assert json.loads(held("status", "--json").stdout)["approved"] == []


@pytest.mark.parametrize(("answer", "approved"), [("y\n", True), ("n\n", False)])
def test_a_terminal_shows_all_with_names_and_asks(
    held: Callable[..., Any],
    syncer_environment: dict[str, str],
    database_url: str,
    tmp_path: Path,
    answer: str,
    approved: bool,
) -> None:
    environment = syncer_environment | {"SYNCER_DATABASE_URL": database_url, "TERM": "xterm"}

    code, shown = at_a_terminal(environment, tmp_path, "approve", "2", answer=answer)

    assert code == 0
    assert all(f"client {key}" in shown for key in range(5, 11))
    assert bool(json.loads(held("status", "--json").stdout)["approved"]) is approved
    assert ("run 2 is approved" in shown) is approved


def test_a_terminal_does_not_ask_who_said_yes(
    held: Callable[..., Any], syncer_environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    environment = syncer_environment | {"SYNCER_DATABASE_URL": database_url, "TERM": "xterm"}

    code, shown = at_a_terminal(environment, tmp_path, "approve", "2", "--yes", answer="")

    assert (code, "[y/N]" in shown) == (0, False)
    assert json.loads(held("status", "--json").stdout)["approved"] != []


@pytest.mark.parametrize(("run", "told"), [("1", "it is not held but ok"), ("99", "there is no such run")])
def test_only_a_held_run_is_approved(held: Callable[..., Any], run: str, told: str) -> None:
    done = held("approve", run)

    assert (done.returncode, told in done.stderr) == (2, True)


def test_an_account_is_listed_renamed_and_retired(run_syncer: RunSyncer, database_url: str) -> None:
    with FaultServer([fault.json_list(ESTATE)]) as server:
        environment = {"SYNCER_API_URL": server.url, "SYNCER_DATABASE_URL": database_url, "SYNCER_ACCOUNT": "north"}
        assert run_syncer("sync", env=environment).returncode == 0
        renamed = run_syncer("accounts", "rename", "north", "south", env=environment)
        assert (renamed.returncode, renamed.stdout) == (0, "account north is called south now\n")
        environment["SYNCER_ACCOUNT"] = "south"
        assert json.loads(run_syncer("sync", "--json", env=environment).stdout)["runs"][0]["status"] == "unchanged"
        assert json.loads(run_syncer("history", "--json", env=environment).stdout)["history"][0]["account"] == "south"

    listed = json.loads(run_syncer("accounts", "list", "--json", env=environment).stdout)["accounts"]
    assert [(one["account"], one["live"], one["configured"]) for one in listed] == [("south", 10, True)]
    retired = run_syncer("accounts", "retire", "south", env=environment)
    assert "careful: it is still among the accounts of these settings" in retired.stdout
    shown = run_syncer("accounts", "list", env=environment | {"SYNCER_ACCOUNT": "other"})
    assert "retired" in shown.stdout


def test_a_retired_account_leaves_status_at_0(run_syncer: RunSyncer, database_url: str) -> None:
    environment = {"SYNCER_DATABASE_URL": database_url, "SYNCER_SCHEDULE": "1s"}
    for name in ("old", "new"):
        with FaultServer([fault.json_list([item(len(name) + ord(name[0]))])]) as server:
            poll = environment | {"SYNCER_API_URL": server.url, "SYNCER_ACCOUNT": name}
            poll["SYNCER_SCHEDULE"] = "1s" if name == "old" else "1h"
            assert run_syncer("sync", env=poll).returncode == 0
    time.sleep(4)
    assert run_syncer("status", env=environment).returncode == 3
    assert run_syncer("accounts", "retire", "old", env=environment).returncode == 0

    status = run_syncer("status", env=environment)

    assert (status.returncode, "retired" in status.stdout) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["accounts", "rename", "nobody", "x"], "there is no such account; did you mean"),
        (["accounts", "rename", "default", "a\x1bb"], "NEW: it is no name"),
        (["accounts", "retire", "defualt"], "did you mean default?"),
    ],
)
def test_a_name_that_is_wrong_is_one_line(held: Callable[..., Any], arguments: list[str], told: str) -> None:
    done = held(*arguments)

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert told in done.stderr or "known are: default" in done.stderr
