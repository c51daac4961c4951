"""`syncer run` as an operator meets it: the first run at once, then the schedule, and a clean stop."""

import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import fault_server as fault
import psycopg
import pytest
from builders import item
from canary import PARTNER_TOKEN, find_secrets
from conftest import RunSyncer
from fault_server import FaultServer
from postgres import Postgres
from psycopg import sql
from sqlalchemy import inspect, text
from sqlalchemy.engine import make_url
from waiting import HANG_SECONDS, SOON_SECONDS, wait_for

from syncer.answer.values import fingerprint
from syncer.daemon.loop import GRACE_SECONDS
from syncer.storage import database
from syncer.storage.lease import LEASE, SILENCE

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
    """Of every run, in order; none where the daemon is about to make the database."""
    engine = database.open_engine(database.parse_database_url(database_url))
    if engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists():
        return []
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("sync_runs"):
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_status_names_the_daemon_and_its_next_run_until_it_ends(
    start_daemon: StartDaemon, run_syncer: RunSyncer, database_url: str, number: int
) -> None:
    """Whatever the shell's own settings say, in which the schedule is another one."""
    env = {"SYNCER_DATABASE_URL": database_url, "SYNCER_SCHEDULE": "7d"}
    run_syncer("db", "upgrade", env=env)
    with FaultServer([fault.json_list([item(1)])]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=database_url, SCHEDULE="3h")
        wait_for(lambda: "ok" in statuses(database_url))
        wait_for(lambda: "next run in" in run_syncer("status", env=env).stdout)
        shown = run_syncer("status", env=env).stdout
        process.send_signal(number)
        process.communicate(timeout=HANG_SECONDS)

    expected = rf"^daemon {re.escape(socket.gethostname())}:{process.pid}, beat \d+ s ago, next run in 2 h$"
    assert re.search(expected, shown, re.MULTILINE), shown
    assert "no daemon is running" in run_syncer("status", env=env).stdout.splitlines()


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


def test_an_upstream_that_asks_to_wait_is_asked_by_no_daemon_before(
    start_daemon: StartDaemon, run_syncer: RunSyncer, database_url: str
) -> None:
    """`Retry-After` binds the schedule, of a daemon that starts anew too; a person may ask at once."""
    with FaultServer([fault.respond(429, headers={"Retry-After": "3600"})]) as server:
        settings = {"API_URL": server.url, "DATABASE_URL": database_url, "SCHEDULE": "1s"}
        for _ in range(2):
            process = start_daemon(**settings)
            read_until(process, "daemon_started")
            wait_for(lambda: "failed" in statuses(database_url))
            time.sleep(3)
            process.send_signal(signal.SIGTERM)
            assert ended(process)[0] == 0
        assert (len(server.requests), statuses(database_url)) == (1, ["failed"])

        asked = run_syncer("sync", env={f"SYNCER_{name}": value for name, value in settings.items()})

    assert (asked.returncode, len(server.requests)) == (3, 2)


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_met_a_run_under_way_goes_on_with_its_schedule_once_that_has_ended(
    start_daemon: StartDaemon, run_syncer: RunSyncer, database_url: str, number: int
) -> None:
    """Not when the lease would have ended that it met; and what is said of its next run is so."""
    env = {"SYNCER_DATABASE_URL": database_url}
    run_syncer("db", "upgrade", env=env)
    with FaultServer([fault.silence, fault.json_list([item(1)])]) as server:
        settings = {"API_URL": server.url, "DATABASE_URL": database_url, "SCHEDULE": "3s"}
        first = start_daemon(**settings)
        wait_for(lambda: server.requests)
        second = start_daemon(LOG_LEVEL="debug", **settings)
        read_until(second, "run_skipped")
        first.send_signal(number)
        first.communicate(timeout=HANG_SECONDS)
        ended_at = time.monotonic()
        wait_for(lambda: len(server.requests) > 1)
        waited = time.monotonic() - ended_at
        wait_for(lambda: f":{second.pid}, beat" in run_syncer("status", env=env).stdout)
        shown = run_syncer("status", env=env).stdout
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=HANG_SECONDS)

    assert waited < LEASE.total_seconds() / 2
    assert re.search(rf":{second.pid}, beat \d+ s ago, next run (now|in [1-3] s)$", shown, re.MULTILINE), shown


def test_a_crash_loop_polls_once_a_minute_at_most(start_daemon: StartDaemon, database_url: str) -> None:
    began = time.monotonic()
    with FaultServer([fault.json_list([item(1)])]) as server:
        for _restart in range(5):
            process = start_daemon(API_URL=server.url, DATABASE_URL=database_url, SCHEDULE="1h", LOG_LEVEL="debug")
            follow(process, lambda line: line.get("action") in {"run_skipped", "run_finished"})
            process.kill()
            process.communicate()

        assert 1 <= len(server.requests) <= 1 + (time.monotonic() - began) / SILENCE.total_seconds()


def test_a_daemon_that_is_started_again_runs_at_once(start_daemon: StartDaemon, database_url: str) -> None:
    """Also within the interval of its last run, as after a change of its settings."""
    with FaultServer([fault.json_list([item(1)])]) as server:
        for runs in (1, 2, 3):
            process = start_daemon(API_URL=server.url, DATABASE_URL=database_url, SCHEDULE="1d")
            read_until(process, "run_finished")
            process.send_signal(signal.SIGTERM)
            assert ended(process)[0] == 0
            assert runs == len(server.requests) == len(statuses(database_url))


def test_a_daemon_that_starts_beside_one_that_lives_waits_for_its_time(
    start_daemon: StartDaemon, database_url: str
) -> None:
    with FaultServer([fault.json_list([item(1)])]) as server:
        settings = {"API_URL": server.url, "DATABASE_URL": database_url, "SCHEDULE": "1d", "LOG_LEVEL": "debug"}
        first = start_daemon(**settings)
        read_until(first, "run_finished")
        second = start_daemon(**settings)
        read_until(second, "run_skipped")
        for process in (first, second):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=HANG_SECONDS)

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


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    made = tmp_path / "vol"
    made.mkdir()
    return made


def test_a_database_that_goes_away_is_not_begun_anew_and_the_daemon_heals(
    start_daemon: StartDaemon, run_syncer: RunSyncer, volume: Path
) -> None:
    """As where a volume is unmounted: what is left is an empty folder."""
    url, away = f"sqlite:///{volume}/syncer.db", volume.with_name("vol.gone")
    run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": url})
    with FaultServer([fault.json_list([item(1)])]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=url, SCHEDULE="1s", LISTEN=f"127.0.0.1:{free_port()}")
        wait_for(lambda: "ok" in statuses(url))
        volume.rename(away)
        volume.mkdir()
        asked = len(server.requests)
        lines = follow(process, lambda line: line["action"] == "run_not_started")
        left = list(volume.iterdir())
        volume.rmdir()
        away.rename(volume)
        before = len(statuses(url))
        wait_for(lambda: len(statuses(url)) > before)
        process.send_signal(signal.SIGTERM)
        exit_code, _seconds, actions = ended(process)

    assert (lines[-1]["error_kind"], exit_code) == ("database", 0)
    assert "there is no such file" in lines[-1]["error"]
    assert left == []
    assert asked
    assert "database_created" not in {*actions, *(line["action"] for line in lines)}
    assert statuses(url).count("ok") == 1


def test_a_database_that_has_become_empty_fails_the_run(
    start_daemon: StartDaemon, run_syncer: RunSyncer, database_url: str
) -> None:
    run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": database_url})
    with FaultServer([fault.json_list([item(1)])]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=database_url, SCHEDULE="1s")
        wait_for(lambda: "ok" in statuses(database_url))
        empty(database_url)
        lines = follow(process, lambda line: line["action"] == "run_not_started")
        process.send_signal(signal.SIGTERM)
        ended(process)

    assert lines[-1]["error_kind"] == "database"
    assert "it has no syncer tables yet" in lines[-1]["error"]
    assert statuses(database_url) == []


def test_a_daemon_whose_database_is_missing_lives_says_so_and_heals(
    start_daemon: StartDaemon, run_syncer: RunSyncer, volume: Path
) -> None:
    url, port = f"sqlite:///{volume}/syncer.db", free_port()
    run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": url})
    away = volume.rename(volume.with_name("vol.gone"))

    def ready() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                return answer.status, ""
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    with FaultServer([fault.json_list([item(1)])]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=url, SCHEDULE="1s", LISTEN=f"127.0.0.1:{port}")
        lines = follow(process, lambda line: line["action"] == "run_not_started")
        unready = ready()
        away.rename(volume)
        wait_for(lambda: ready()[0] == 200)
        process.send_signal(signal.SIGTERM)
        exit_code, _seconds, _actions = ended(process)

    assert lines[-1]["error_kind"] == "database"
    assert unready[0] == 503
    assert "there is no such file" in unready[1]
    assert exit_code == 0


def test_a_database_that_was_missing_at_the_start_is_not_begun_anew_later(
    start_daemon: StartDaemon, run_syncer: RunSyncer, volume: Path
) -> None:
    """Its folder comes back empty: the volume is still not mounted."""
    url = f"sqlite:///{volume}/syncer.db"
    run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": url})
    away = volume.rename(volume.with_name("vol.gone"))
    with FaultServer([fault.json_list([item(1)])]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=url, SCHEDULE="1s")
        follow(process, lambda line: line["action"] == "run_not_started")
        volume.mkdir()
        for _ in range(2):
            lines = follow(process, lambda line: line["action"] in {"run_not_started", "run_finished"})
            assert lines[-1]["action"] == "run_not_started"
        left = list(volume.iterdir())
        volume.rmdir()
        away.rename(volume)
        wait_for(lambda: "ok" in statuses(url))
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0

    assert left == []


def test_a_database_that_comes_up_empty_after_the_start_waits_for_a_person_and_for_no_restart(
    start_daemon: StartDaemon, run_syncer: RunSyncer, postgres: Postgres
) -> None:
    """Nobody can tell a new server from the wrong one."""
    url = postgres.create_database()
    postgres.drop_database(url)
    name = url.rpartition("/")[2]
    with FaultServer([fault.json_list([item(1)])]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=url, SCHEDULE="1s")
        away = follow(process, lambda line: line["action"] == "run_not_started")[-1]
        with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        empty = follow(process, lambda line: line.get("error", "") != away["error"])[-1]
        run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": url})
        wait_for(lambda: "ok" in statuses(url))
        process.send_signal(signal.SIGTERM)
        exit_code = ended(process)[0]
    postgres.drop_database(url)

    assert "does not exist" in away["error"]
    assert "it has no syncer tables yet; run: syncer db upgrade" in empty["error"]
    assert exit_code == 0


def test_the_end_of_its_terminal_ends_a_daemon_cleanly(
    syncer_environment: dict[str, str], tmp_path: Path, run_syncer: RunSyncer
) -> None:
    run_syncer("db", "upgrade")
    with FaultServer([fault.json_list([item(1)])]) as server:
        terminal, inside = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "syncer", "run"],
            env=syncer_environment | {"SYNCER_API_URL": server.url}, cwd=tmp_path, stdin=inside,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: "ok" in statuses(f"sqlite:///{tmp_path}/syncer.db"))
        process.send_signal(signal.SIGHUP)
        exit_code, _seconds, actions = ended(process)
        os.close(terminal)
        os.close(inside)

    assert exit_code == 0
    assert actions[-1] == "daemon_stopped"


def test_sighup_makes_a_daemon_keep_tokens_under_the_key_that_its_file_has_now(
    start_daemon: StartDaemon, run_syncer: RunSyncer, sqlite_url: str, tmp_path: Path
) -> None:
    run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": sqlite_url})
    old, new = "0f" * 32, "3c" * 32
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(old)

    def kept_under() -> str | None:
        engine = database.open_engine(database.parse_database_url(sqlite_url))
        with database.reading(engine, "reading the tokens") as connection:
            found: str | None = connection.scalar(text("SELECT max(key_fingerprint) FROM instance_tokens"))
        engine.dispose()
        return found

    with FaultServer([fault.json_list([item(1)])]) as server:
        settings = {"API_URL": server.url, "DATABASE_URL": sqlite_url, "SCHEDULE": "1s"}
        process = start_daemon(TOKEN_KEY_FILE=str(key), **settings)
        wait_for(lambda: kept_under() == fingerprint(old))
        key.write_text(new)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: kept_under() == fingerprint(new))
        key.write_text("no key")
        process.send_signal(signal.SIGHUP)
        lines = follow(process, lambda line: line["action"] == "secret_unreadable")
        assert "no key of 32 bytes" in lines[-1]["error"]
        process.send_signal(signal.SIGTERM)
        exit_code, _seconds, _actions = ended(process)

    assert exit_code == 0
    assert kept_under() == fingerprint(new)


def test_without_a_terminal_sighup_makes_a_daemon_read_its_secrets_anew(
    start_daemon: StartDaemon, run_syncer: RunSyncer, sqlite_url: str, tmp_path: Path
) -> None:
    run_syncer("db", "upgrade", env={"SYNCER_DATABASE_URL": sqlite_url})
    with FaultServer([fault.json_list([item(1)])]) as server:
        token = tmp_path / "token"
        token.touch(mode=0o600)
        token.write_text(PARTNER_TOKEN)
        settings = {"API_URL": server.url, "DATABASE_URL": sqlite_url, "SCHEDULE": "1h"}
        process = start_daemon(PARTNER_TOKEN="", PARTNER_TOKEN_FILE=str(token), **settings)
        wait_for(lambda: "ok" in statuses(sqlite_url))
        token.unlink()
        process.send_signal(signal.SIGHUP)
        lines = follow(process, lambda line: line["action"] == "secret_unreadable")
        assert "secrets_reread" in {line["action"] for line in lines}
        process.send_signal(signal.SIGTERM)
        exit_code, _seconds, actions = ended(process)

    assert (exit_code, actions[-1]) == (0, "daemon_stopped")


def test_a_password_that_was_rotated_in_its_file_needs_no_restart(
    start_daemon: StartDaemon, postgresql_url: str, tmp_path: Path
) -> None:
    """The server of the tests asks for no password, so a role that is renamed stands for one."""
    name = make_url(postgresql_url).database
    file = tmp_path / "url.secret"

    def write(role: str) -> None:
        file.write_text(make_url(postgresql_url).set(username=role).render_as_string(hide_password=False))
        file.chmod(0o600)

    with psycopg.connect(postgresql_url, autocommit=True) as owner, FaultServer([fault.json_list([item(1)])]) as server:
        owner.execute(f"CREATE ROLE old_{name} LOGIN; GRANT ALL ON SCHEMA public TO old_{name}")
        write(f"old_{name}")
        process = start_daemon(API_URL=server.url, SCHEDULE="1s", also={"SYNCER_DATABASE_URL_FILE": str(file)})
        try:
            wait_for(lambda: "ok" in statuses(postgresql_url))
            owner.execute(f"ALTER ROLE old_{name} RENAME TO new_{name}")
            write(f"new_{name}")
            owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [f"new_{name}"])
            before = len(statuses(postgresql_url))
            wait_for(lambda: len(statuses(postgresql_url)) > before + 1)
            process.send_signal(signal.SIGTERM)
            exit_code, _seconds, _actions = ended(process)
        finally:
            owner.execute(f"REASSIGN OWNED BY new_{name} TO postgres; DROP OWNED BY new_{name}; DROP ROLE new_{name}")

    assert exit_code == 0


def follow(process: "subprocess.Popen[str]", until: Callable[[dict[str, str]], bool]) -> list[dict[str, str]]:
    """The lines of its log, up to the first that is so."""
    assert process.stderr is not None
    lines: list[dict[str, str]] = []
    for line in process.stderr:
        lines.append(json.loads(line))
        if until(lines[-1]):
            return lines
    raise AssertionError(f"it ended before: {lines}")


def empty(database_url: str) -> None:
    """What is left where somebody made the database anew."""
    if database_url.startswith("sqlite"):
        for end in ("", "-wal", "-shm"):
            Path(f"{database_url.removeprefix('sqlite:///')}{end}").unlink(missing_ok=True)
        sqlite3.connect(database_url.removeprefix("sqlite:///")).close()
        Path(database_url.removeprefix("sqlite:///")).touch()
        return
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_three_accounts_are_kept_by_a_role_of_one_connection(
    start_daemon: StartDaemon, run_syncer: RunSyncer, postgresql_url: str, tmp_path: Path
) -> None:
    """The daemon's runs wait for one another; a `syncer sync` has the connection once the daemon has ended."""
    role = f"few_{make_url(postgresql_url).database}"
    (tmp_path / "syncer.toml").write_text(
        "".join(f'[accounts.a{number}]\ntoken_env = "TOKEN_{number}"\n' for number in range(3))
    )
    tokens = {f"TOKEN_{number}": f"gac.{number:046x}" for number in range(3)}
    url = make_url(postgresql_url).set(username=role).render_as_string(hide_password=False)
    ends = iter(range(1, 10))
    ended_runs = {"run_finished", "run_not_started"}
    with psycopg.connect(postgresql_url, autocommit=True) as owner, FaultServer([fault.json_list([item(1)])]) as server:
        owner.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1; GRANT ALL ON SCHEMA public TO {role}")
        try:
            process = start_daemon(
                API_URL=server.url, DATABASE_URL=url, SCHEDULE="1s", LISTEN="127.0.0.1:0", also=tokens
            )
            lines = follow(process, lambda line: line["action"] in ended_runs and next(ends) == 9)
            process.send_signal(signal.SIGTERM)
            exit_code, _seconds, actions = ended(process)
            done = run_syncer("sync", env={"SYNCER_API_URL": server.url, "SYNCER_DATABASE_URL": url} | tokens)
        finally:
            owner.execute(f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}")
    (tmp_path / "syncer.toml").unlink()

    assert [line for line in lines if "error" in line] == []
    assert (exit_code, actions[-1]) == (0, "daemon_stopped")
    assert (done.returncode, done.stdout.count("unchanged: ")) == (0, 3)


def test_two_hundred_accounts_start_at_once_without_an_error(
    start_daemon: StartDaemon, database_url: str, tmp_path: Path
) -> None:
    """They wait for one another's writing, on one file and on few connections."""
    accounts = 200
    (tmp_path / "syncer.toml").write_text(
        "".join(f'[accounts.a{number}]\ntoken_env = "TOKEN_{number}"\n' for number in range(accounts))
    )
    tokens = {f"TOKEN_{number}": f"gac.{number:046x}" for number in range(accounts)}
    with FaultServer([fault.json_list([item(1)])]) as server:
        process = start_daemon(API_URL=server.url, DATABASE_URL=database_url, SCHEDULE="1h", also=tokens)
        ends = iter(range(1, accounts + 1))
        ended_runs = {"run_finished", "run_not_started"}
        lines = follow(process, lambda line: line["action"] in ended_runs and next(ends) == accounts)
        process.send_signal(signal.SIGTERM)
        ended(process)
    (tmp_path / "syncer.toml").unlink()

    assert [line for line in lines if "error" in line] == []
    assert len(statuses(database_url)) == accounts
    assert set(statuses(database_url)) <= {"ok", "unchanged"}
