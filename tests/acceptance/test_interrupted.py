"""Ctrl-C at any moment: never a traceback, and one word at most."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import fault_server as fault
import pytest
from builders import item
from conftest import CHECKOUT
from fault_server import FaultServer
from mirror import Mirror
from waiting import HANG_SECONDS, wait_for

STOPPED = {130, -signal.SIGINT}  # a shell shows 130 of either; Python itself chooses the second at times
TOLD = {"", "syncer: stopped\n", "\nsyncer: stopped\n"}  # at most, perhaps after the end of the line of ^C
LOADED = ["click", "syncer.errors", "syncer.cli.command", "syncer.cli.questions", "sqlalchemy.engine", "sqlalchemy",
          "syncer.storage.tables", "syncer.storage.schema", "syncer.views.catalogue", "syncer.terminal.render"]  # fmt: skip


@pytest.fixture
def env(syncer_environment: dict[str, str], tmp_path: Path, sqlite_template: Path) -> dict[str, str]:
    shutil.copy(sqlite_template, tmp_path / "lived.db")
    mirror = Mirror(f"sqlite:///{tmp_path}/lived.db")
    mirror.observe([item(number) for number in range(1, 2000)])
    mirror.engine.dispose()
    return syncer_environment | {"SYNCER_DATABASE_URL": f"sqlite:///{tmp_path}/lived.db"}


@pytest.mark.parametrize("loaded", LOADED)
def test_while_the_program_is_loaded(env: dict[str, str], tmp_path: Path, loaded: str) -> None:
    """Python names each module when it is there; the signal comes right then."""
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "syncer", "history"],
        env=env, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        name = re.compile(rf"\| +{re.escape(loaded)}$")
        for line in process.stderr:
            if name.search(line.rstrip("\n")):
                process.send_signal(signal.SIGINT)
                break
        else:
            pytest.fail(f"it never loaded {loaded}")
        rest = process.stderr.read()
    said = "".join(f"{line}\n" for line in rest.splitlines() if "import time:" not in line)

    assert process.returncode in STOPPED
    assert said in TOLD


def test_nothing_is_loaded_before_interrupts_are_minded(env: dict[str, str], tmp_path: Path) -> None:
    """Until then Python itself answers Ctrl-C, with a traceback."""
    code = "import sys; before = {*sys.modules}; import syncer.__main__; print(*sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {[str(CHECKOUT)]}; {code}"],
                          env=env, cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip

    assert ("syncer syncer.__main__\n", "") == (done.stdout, done.stderr)


def test_while_it_fetches(env: dict[str, str], tmp_path: Path) -> None:
    with FaultServer([fault.silence]) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "syncer", "sync"],
            env=env | {"SYNCER_API_URL": server.url}, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: server.requests)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=HANG_SECONDS)

    assert (130, "", "\nsyncer: stopped\n") == (process.returncode, out, errors)


@pytest.mark.parametrize("command", ["history", "export bi_instances", "report", "find a"])
@pytest.mark.parametrize("milliseconds", [0, 20, 60])
def test_while_it_prints_and_ends(env: dict[str, str], tmp_path: Path, command: str, milliseconds: int) -> None:
    """From its first output on, so that the last of these come after its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "syncer", *command.split()],
        env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.read(1)
    threading.Event().wait(milliseconds / 1000)
    process.send_signal(signal.SIGINT)
    _out, errors = process.communicate(timeout=HANG_SECONDS)

    assert errors in TOLD
    assert process.returncode in {0, *STOPPED}


def test_twice_in_a_row(env: dict[str, str], tmp_path: Path) -> None:
    with FaultServer([fault.silence]) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "syncer", "sync"],
            env=env | {"SYNCER_API_URL": server.url}, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: server.requests)
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=HANG_SECONDS)

    assert out == ""
    assert errors in TOLD
    assert process.returncode in STOPPED


@pytest.mark.parametrize("answer", [fault.respond(401), fault.json_list([item(1)])], ids=["an error", "a result"])
def test_a_terminal_is_told_of_a_run_once(
    syncer_environment: dict[str, str], tmp_path: Path, answer: fault.Behaviour
) -> None:
    with FaultServer([answer]) as server:
        ours, theirs = pty.openpty()
        environment = syncer_environment | {
            "SYNCER_API_URL": server.url,
            "SYNCER_DATABASE_URL": f"sqlite:///{tmp_path}/x.db",
        }
        with subprocess.Popen(
            [sys.executable, "-m", "syncer", "sync"], env=environment, cwd=tmp_path, stdout=theirs, stderr=theirs
        ):
            os.close(theirs)
            told = b""
            with suppress(OSError):  # the other end is closed
                while piece := os.read(ours, 65536):
                    told += piece
        os.close(ours)

    words = told.decode()
    assert 1 == len(re.findall("it answered|1 listed", words)), words
    assert "run finished" not in words
    assert "run not accepted" not in words
