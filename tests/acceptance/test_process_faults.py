"""What the operating system does to a run: limits, closed channels, signals, a process number of 1."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import fault_server as fault
import pytest
from builders import item
from canary import find_secrets
from conftest import RunSyncer
from fault_server import FaultServer
from waiting import HANG_SECONDS, SOON_SECONDS, wait_for

from syncer.storage import database
from syncer.views import verify

COMMAND = [sys.executable, "-m", "syncer"]


@pytest.fixture
def environment(syncer_environment: dict[str, str], sqlite_url: str, run_syncer: RunSyncer) -> dict[str, str]:
    """An SQLite mirror with three instances, as it is named to the program."""
    made = syncer_environment | {"SYNCER_DATABASE_URL": sqlite_url}
    with FaultServer([fault.json_list([item(number) for number in range(1, 4)])]) as server:
        assert run_syncer("sync", env=made | {"SYNCER_API_URL": server.url}).returncode == 0
    return made


def words(environment: dict[str, str]) -> list[str]:
    with closing(sqlite3.connect(environment["SYNCER_DATABASE_URL"].removeprefix("sqlite:///"))) as connection:
        return [word for (word,) in connection.execute("SELECT transition FROM instance_history ORDER BY id")]


def promises_hold(environment: dict[str, str]) -> bool:
    engine = database.open_engine(database.parse_database_url(environment["SYNCER_DATABASE_URL"]))
    return verify.verify(engine).holds


def sync_under(
    environment: dict[str, str], tmp_path: Path, before_start: Callable[[], None], items: list[object]
) -> "subprocess.CompletedProcess[str]":
    with FaultServer([fault.json_list(items)]) as server:
        done = subprocess.run(
            [*COMMAND, "sync"], env=environment | {"SYNCER_API_URL": server.url}, cwd=tmp_path, capture_output=True,
            text=True, timeout=HANG_SECONDS, check=False, preexec_fn=before_start,
        )  # fmt: skip
    assert find_secrets((done.stdout + done.stderr).encode()) == []
    return done


LARGE = [item(number) for number in range(1, 4)] + [item(number, name="x" * 1000) for number in range(10, 2010)]


def test_a_disk_that_fills_up_amid_the_write_changes_nothing(
    environment: dict[str, str], tmp_path: Path, run_syncer: RunSyncer
) -> None:
    """The limit on the size of a file stands for the end of the disk."""
    size = (tmp_path / "syncer.db").stat().st_size + 300_000

    done = sync_under(environment, tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)), LARGE)

    assert done.returncode == 8, done.stderr
    assert "disk" in done.stderr
    assert "Traceback" not in done.stderr
    assert words(environment) == ["created"] * 3
    assert promises_hold(environment)
    with FaultServer([fault.json_list(LARGE)]) as server:
        again = run_syncer("sync", env=environment | {"SYNCER_API_URL": server.url})
    assert again.returncode == 0, again.stderr
    assert words(environment) == ["created"] * 2003


def test_a_process_without_descriptors_ends_in_words(environment: dict[str, str], tmp_path: Path) -> None:
    """So few that the program starts, and then not enough for the database or the network."""
    ends = set()
    for limit in (5, 7):
        done = sync_under(
            environment, tmp_path, lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)), [item(1)]
        )  # fmt: skip
        ends.add(done.returncode)
        assert promises_hold(environment)
    assert ends & {3, 8}, "no limit was low enough to matter"
    assert words(environment)[:3] == ["created"] * 3


def test_a_process_without_memory_changes_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    room = 250 * 2**20
    big = [item(number, name="y" * 60_000) for number in range(1, 2500)]

    done = sync_under(environment, tmp_path, lambda: resource.setrlimit(resource.RLIMIT_AS, (room, room)), big)

    assert done.returncode != 0
    assert words(environment) == ["created"] * 3
    assert promises_hold(environment)


@pytest.mark.parametrize("channel", ["full", "closed"])
def test_a_log_that_cannot_be_written_costs_no_run(environment: dict[str, str], tmp_path: Path, channel: str) -> None:
    changed = [item(1, name="renamed"), item(2), item(3)]
    with FaultServer([fault.json_list(changed)]) as server, Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "sync"], env=environment | {"SYNCER_API_URL": server.url}, cwd=tmp_path, timeout=HANG_SECONDS, check=False,
            stdout=subprocess.PIPE, stderr=full if channel == "full" else None,
            preexec_fn=None if channel == "full" else lambda: os.close(2),
        )  # fmt: skip

    assert done.returncode == 0
    assert words(environment) == ["created"] * 3 + ["changed"]
    assert promises_hold(environment)


Unread = Callable[..., int]


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def run_unread(request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path) -> Unread:
    """Runs the program with a standard output, or both channels, that nobody will ever read; gives its exit code."""

    def run(*arguments: str, env: dict[str, str], with_errors: bool = False) -> int:
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*COMMAND, *arguments], env=environment | {"PYTHONUNBUFFERED": request.param} | env, cwd=tmp_path,
            stdout=writing, stderr=subprocess.STDOUT if with_errors else subprocess.PIPE, timeout=HANG_SECONDS, check=False,
        )  # fmt: skip
        os.close(writing)
        assert b"Traceback" not in (done.stderr or b"")
        return done.returncode

    return run


def test_every_account_is_run_though_nobody_reads_the_results(
    run_unread: Unread, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "syncer.toml").write_text('[accounts.a]\ntoken_env = "A"\n[accounts.b]\ntoken_env = "B"\n')
    tokens = {"A": "gac." + "a" * 40, "B": "gac." + "b" * 40, "SYNCER_LOG_LEVEL": "error"}
    answers = [fault.json_list([item(10)]), fault.json_list([item(20)]), fault.respond(500, b"")]
    with FaultServer(answers) as server:
        code = run_unread("sync", env=tokens | {"SYNCER_API_URL": server.url})

    assert code == 0
    assert words(environment) == ["created"] * 5


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("sync", 4), ("plan --json", 4), ("probe", 4), ("doctor", 4), ("status", 3), ("verify", 1),
        ("bill --invoice invoice.csv", 1), ("history", 0), ("export bi_instances", 0),
    ],
)  # fmt: skip
def test_a_reader_that_has_gone_changes_no_exit_code(
    run_unread: Unread, tmp_path: Path, command: str, expected: int
) -> None:
    (tmp_path / "invoice.csv").write_text("id,days\n777,3\n")
    with closing(sqlite3.connect(tmp_path / "syncer.db")) as connection, connection:
        connection.execute("UPDATE instances SET name = 'forged'")
        connection.execute("UPDATE accounts SET last_accepted_at = '2026-01-01 00:00:00.000000'")
    with FaultServer([fault.respond(400, b"Bad Request")]) as server:
        code = run_unread(*command.split(), env={"SYNCER_API_URL": server.url})

    assert code == expected


def test_a_copy_is_whole_though_nobody_reads_how_far_it_is(run_unread: Unread, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/other.db"

    assert run_unread("db", "copy", "--to", target, env={}, with_errors=True) == 0
    assert words({"SYNCER_DATABASE_URL": target}) == ["created"] * 3


def test_an_interrupt_given_twice_ends_the_run_and_changes_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    with FaultServer([fault.silence]) as server:
        process = subprocess.Popen(
            [*COMMAND, "run"], env=environment | {"SYNCER_API_URL": server.url, "SYNCER_SCHEDULE": "1s"}, cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )  # fmt: skip
        wait_for(lambda: server.requests)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=HANG_SECONDS)

    assert process.returncode in {0, 130}, told
    assert time.monotonic() - began < SOON_SECONDS
    assert "Traceback" not in told
    assert find_secrets(told.encode()) == []
    assert words(environment) == ["created"] * 3
    assert promises_hold(environment)


def can_be_first_process() -> bool:
    unshare = shutil.which("unshare")
    return (
        unshare is not None
        and subprocess.run([unshare, "-p", "-f", "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not can_be_first_process(), reason="this user may not make a process namespace")
def test_as_the_first_process_of_a_container_it_runs_and_stops(environment: dict[str, str], tmp_path: Path) -> None:
    """A process of number 1 gets no signal that it has no handler for."""
    changed = [item(1, name="renamed"), item(2), item(3)]
    with FaultServer([fault.json_list(changed), fault.silence]) as server:
        process = subprocess.Popen(
            ["unshare", "-p", "-f", "--kill-child", *COMMAND, "run"],
            env=environment | {"SYNCER_API_URL": server.url, "SYNCER_SCHEDULE": "1s"}, cwd=tmp_path,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: len(server.requests) == 2)
        child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        os.kill(child, signal.SIGTERM)
        _, told = process.communicate(timeout=HANG_SECONDS)

    assert process.returncode == 0, told
    assert words(environment) == ["created"] * 3 + ["changed"]
    assert promises_hold(environment)
