"""`syncer run` as an operator meets it: the first run at once, then the schedule, and a clean stop."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fault_server as fault
import pytest
from builders import item
from canary import find_secrets
from conftest import RunSyncer
from fault_server import FaultServer
from sqlalchemy import inspect, text
from waiting import HANG_SECONDS, SOON_SECONDS, wait_for

from syncer.daemon.loop import GRACE_SECONDS
from syncer.storage import database
from syncer.storage.lease import LEASE

StartDaemon = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_daemon(syncer_environment: dict[str, str], tmp_path: Path) -> Iterator[StartDaemon]:
    """Starts `syncer run`; what is still there at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*, also: dict[str, str] | None = None, **settings: str) -> "subprocess.Popen[str]":
        environment = syncer_environment | {f"SYNCER_{name}": value for name, value in settings.items()} | (also or {})
        process = subprocess.Popen(
            [sys.executable, "-m", "syncer", "run"], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def statuses(database_url: str) -> list[str]:
    engine = database.open_engine(database.parse_database_url(database_url))
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("sync_runs"):  # the daemon is about to make it
                return []
            return list(connection.scalars(text("SELECT status FROM sync_runs ORDER BY id")))
    finally:
        engine.dispose()


def read_until(process: "subprocess.Popen[str]", action: str) -> None:
    """Its log, up to the line that tells of this action."""
    assert process.stderr is not None
    while f'"{action}"' not in (line := process.stderr.readline()):
        assert line, f"it ended and never said {action}"


def ended(process: "subprocess.Popen[str]") -> tuple[int, float, list[str]]:
    """Exit code, seconds it took, and the actions of its log."""
    began = time.monotonic()
    _out, log = process.communicate(timeout=HANG_SECONDS)
    assert find_secrets(log.encode()) == []
    return process.returncode, time.monotonic() - began, [json.loads(line)["action"] for line in log.splitlines()]


def test_it_runs_at_once_then_on_the_schedule(
    start_daemon: StartDaemon, run_syncer: RunSyncer, database_url: str
) -> None:
    run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": database_url})
    with FaultServer([fault.json_list([item(1)])]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=database_url, SCHEDULE="1s")
        wait_for(lambda: len(server.requests) >= 3)
        process.send_signal(signal.SIGTERM)
        exit_code, _seconds, actions = ended(process)

    gaps = [later.at - earlier.at for earlier, later in zip(server.requests, server.requests[1:], strict=False)]
    assert exit_code == 0
    assert all(0.5 < gap < 3 for gap in gaps)
    assert actions[:2] == ["daemon_started", "run_finished"]
    assert actions[-1] == "daemon_stopped"
    assert {"ok", "unchanged"} == set(statuses(database_url))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_daemon_stops_at_once(
    start_daemon: StartDaemon, run_syncer: RunSyncer, sqlite_url: str, number: int
) -> None:
    run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": sqlite_url})
    with FaultServer([fault.json_list([item(1)])]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=sqlite_url, SCHEDULE="1h")
        wait_for(lambda: "ok" in statuses(sqlite_url))
        process.send_signal(number)
        exit_code, seconds, _actions = ended(process)

    assert exit_code == 0
    assert seconds < GRACE_SECONDS


@pytest.mark.parametrize("behaviour", [fault.silence, fault.drip_body])
def test_a_run_that_is_fetching_is_given_up(
    start_daemon: StartDaemon, database_url: str, behaviour: fault.Behaviour
) -> None:
    with FaultServer([behaviour]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=database_url)
        wait_for(lambda: server.requests)
        process.send_signal(signal.SIGTERM)
        exit_code, seconds, _actions = ended(process)

    assert (exit_code, statuses(database_url)) == (0, ["abandoned"])
    assert seconds < GRACE_SECONDS


def test_a_failing_upstream_does_not_end_the_daemon(start_daemon: StartDaemon, sqlite_url: str) -> None:
    with FaultServer([fault.respond(401), fault.respond(200, b"null"), fault.json_list([item(1)])]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=sqlite_url, SCHEDULE="1s")
        wait_for(lambda: len(server.requests) >= 4)
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0

    assert statuses(sqlite_url)[:3] == ["failed", "failed", "ok"]


def test_a_dead_holder_is_replaced_within_the_time_of_its_lease(start_daemon: StartDaemon, database_url: str) -> None:
    with FaultServer([fault.silence, fault.json_list([item(1)])]) as server:
        killed = start_daemon(API_URL=server.url, DATABASE_URL=database_url, SCHEDULE="1s")
        wait_for(lambda: server.requests)
        killed.kill()
        killed.communicate()
        began = time.monotonic()
        process = start_daemon(API_URL=server.url, DATABASE_URL=database_url, SCHEDULE="1s")
        wait_for(lambda: "ok" in statuses(database_url))
        process.send_signal(signal.SIGTERM)
        ended(process)

    assert ["abandoned", "ok"] == statuses(database_url)[:2]
    assert time.monotonic() - began < LEASE.total_seconds() + SOON_SECONDS


def test_a_crash_loop_polls_no_faster_than_the_schedule(start_daemon: StartDaemon, sqlite_url: str) -> None:
    with FaultServer([fault.json_list([item(1)])]) as server:
        for restart in range(5):
            process = start_daemon(API_URL=server.url, DATABASE_URL=sqlite_url, SCHEDULE="1h", LOG_LEVEL="debug")
            read_until(process, "run_skipped" if restart else "run_finished")
            process.kill()
            process.communicate()

        assert 1 == len(server.requests)


def test_replicas_take_turns_and_a_manual_run_is_told_who_is_at_work(
    start_daemon: StartDaemon, run_syncer: RunSyncer, database_url: str
) -> None:
    run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": database_url})
    with FaultServer([fault.silence]) as server:
        for _replica in range(3):
            start_daemon(API_URL=server.url, DATABASE_URL=database_url, SCHEDULE="1s")
        wait_for(lambda: server.requests)
        manual = run_syncer("sync", "--json", env={"SYNCER_API_URL": server.url, "SYNCER_DATABASE_URL": database_url})

        assert 1 == server.connections
    assert (7, "under_way") == (manual.returncode, json.loads(manual.stdout)["runs"][0]["error_kind"])


def wait_for_a_writer(process: "subprocess.Popen[str]", sqlite_url: str) -> None:
    """Until the process has the database open for a while: reading takes milliseconds, what lasts waits for the lock."""
    path = sqlite_url.removeprefix("sqlite:///")
    looks = 0

    def has_it_open_still() -> bool:
        nonlocal looks
        opened = {str(file.readlink()) for file in Path(f"/proc/{process.pid}/fd").iterdir() if file.is_symlink()}
        looks = looks + 1 if path in opened else 0
        return looks == 20

    wait_for(has_it_open_still)


def test_a_run_that_is_writing_is_waited_for(start_daemon: StartDaemon, run_syncer: RunSyncer, sqlite_url: str) -> None:
    """Another program holds the write lock while the answer is there to be applied, and the stop comes meanwhile."""
    run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": sqlite_url})
    answered = threading.Event()

    def answer_late(connection: fault.Connection) -> None:
        answered.wait(HANG_SECONDS)
        fault.json_list([item(1)])(connection)

    with FaultServer([answer_late]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=sqlite_url, SCHEDULE="1h")
        wait_for(lambda: server.requests)
        blocker = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        answered.set()
        wait_for_a_writer(process, sqlite_url)
        process.send_signal(signal.SIGTERM)
        read_until(process, "daemon_stopping")
        still_there = process.poll() is None
        blocker.execute("ROLLBACK")
        blocker.close()
        exit_code, _seconds, actions = ended(process)

    assert still_there
    assert exit_code == 0
    assert "run_finished" in actions
    assert statuses(sqlite_url) == ["ok"]
