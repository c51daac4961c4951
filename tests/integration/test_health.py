"""The small server beside the daemon, over real sockets."""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from loading import load
from mirror import Mirror
from sqlalchemy import insert, update
from waiting import HANG_SECONDS, SOON_SECONDS

from syncer.daemon import health
from syncer.daemon.leased_runs import Runs
from syncer.daemon.metrics import Metrics
from syncer.daemon.unattended import unready
from syncer.errors import ConfigurationError
from syncer.storage.tables import accounts
from syncer.views.estate import AccountStatus

MOMENT = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROBE_SECONDS = 4  # what deploy/ gives a probe
FLOOD = """
import socket, sys, threading, time

port, clients, reading = int(sys.argv[1]), int(sys.argv[2]), bool(sys.argv[3])

def ask():
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
                if reading:
                    while client.recv(65536):
                        pass
                else:
                    time.sleep(60)
        except OSError:
            pass

for _ in range(clients):
    threading.Thread(target=ask, daemon=True).start()
time.sleep(0.5)
print("flooding", flush=True)
sys.stdin.read()
"""


class State:
    """What the server is told."""

    alive = True
    reasons: tuple[str, ...] = ()


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def url(state: State) -> Iterator[str]:
    with health.serve(
        ("127.0.0.1", 0),
        is_alive=lambda: state.alive,
        readiness=lambda: list(state.reasons),
        metrics=lambda: b"syncer_x 1\n",
    ) as (host, port):
        yield f"http://{host}:{port}"


def get(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urlopen(Request(url, method=method), timeout=HANG_SECONDS) as response:  # noqa: S310 - loopback
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_tells_life_readiness_and_metrics(url: str) -> None:
    assert [(200, "ok\n"), (200, "ok\n"), (200, "syncer_x 1\n")] == [
        get(f"{url}{path}") for path in ("/healthz", "/readyz", "/metrics?x=1")
    ]


def test_a_scheduler_that_does_not_tick_is_not_alive(url: str, state: State) -> None:
    state.alive = False

    assert 503 == get(f"{url}/healthz")[0]


def test_what_is_not_ready_says_why(url: str, state: State) -> None:
    state.reasons = ("account a: stale", "account b: never")

    assert (503, "account a: stale\naccount b: never\n") == get(f"{url}/readyz")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/healthz/x", 404),
        ("POST", "/healthz", 405),
        ("DELETE", "/metrics", 405),
        ("HEAD", "/healthz", 200),
        ("HEAD", "/", 404),
    ],
)
def test_nothing_else_is_served(url: str, method: str, path: str, status: int) -> None:
    assert status == get(f"{url}{path}", method)[0]


def test_a_silent_client_holds_nobody_up(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(20)]
    began = time.monotonic()

    assert 200 == get(f"{url}/healthz")[0]
    assert time.monotonic() - began < SOON_SECONDS
    for client in silent:
        client.close()


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(
                ConfigurationError, match=f"SYNCER_LISTEN: listening on 127.0.0.1:{port}: Address already in use"
            ),
            health.serve(("127.0.0.1", port), is_alive=lambda: True, readiness=list, metrics=bytes),
        ):
            pass


def serve_here(host: str = "127.0.0.1", **told: object) -> AbstractContextManager[tuple[str, int]]:
    functions = {"is_alive": lambda: True, "readiness": list, "metrics": bytes} | told
    return health.serve((host, 0), **functions)  # type: ignore[arg-type]


def test_ipv6_is_served() -> None:
    with serve_here("::1") as (host, port):
        assert (200, "ok\n") == get(f"http://[{host}]:{port}/healthz")


def test_a_head_has_no_body(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=HANG_SECONDS) as client:
        client.sendall(b"HEAD /metrics HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as answer:
            text = answer.read()

    assert text.endswith(b"\r\nContent-Length: 11\r\n\r\n")


def test_a_client_that_drips_is_cut_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REQUEST_SECONDS", 0.5)
    with serve_here() as address, socket.create_connection(address) as client:
        client.settimeout(0.1)
        began = time.monotonic()
        ended = False
        while not ended and time.monotonic() - began < SOON_SECONDS:
            try:
                client.send(b"G")
                ended = client.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True

    assert ended


def test_more_clients_than_there_is_room_for_wait_until_the_silent_ones_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "MOST_CLIENTS", 3)
    monkeypatch.setattr(health, "REQUEST_SECONDS", 0.5)
    with serve_here() as address:
        silent = [socket.create_connection(address, timeout=HANG_SECONDS) for _ in range(3)]
        served = get(f"http://{address[0]}:{address[1]}/healthz")
        cut = silent[0].recv(1)
        for client in silent:
            client.close()

    assert ((200, "ok\n"), b"") == (served, cut)


def test_a_burst_of_clients_waits_for_nothing(url: str) -> None:
    """The library's queue of five makes about every seventh of them wait a second."""
    host, port = url.removeprefix("http://").split(":")
    began = time.monotonic()
    clients = [socket.create_connection((host, int(port))) for _ in range(100)]

    assert time.monotonic() - began < 8
    for client in clients:
        client.close()


def test_a_database_that_hangs_holds_no_life_sign_up_and_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "WORKERS", 1)
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.1)
    asked, release = threading.Event(), threading.Event()

    def hang() -> list[str]:
        asked.set()
        release.wait(HANG_SECONDS)
        return []

    with serve_here(readiness=hang) as (host, port):
        first = threading.Thread(target=get, args=(f"http://{host}:{port}/readyz",))
        first.start()
        assert asked.wait(HANG_SECONDS)
        second = get(f"http://{host}:{port}/metrics")
        alive = get(f"http://{host}:{port}/healthz")
        release.set()
        first.join()

    assert (503, 200) == (second[0], alive[0])
    assert second[1].startswith("busy")


def test_metrics_are_made_once_a_second_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", HANG_SECONDS)
    made: list[int] = []

    def metrics() -> bytes:
        made.append(1)
        return b"syncer_x %d\n" % len(made)

    with serve_here(metrics=metrics) as (host, port):
        read = {get(f"http://{host}:{port}/metrics") for _ in range(20)}
        monkeypatch.setattr(health, "FRESH_SECONDS", 0)
        later = get(f"http://{host}:{port}/metrics")

    assert {(200, "syncer_x 1\n")} == read
    assert (200, "syncer_x 2\n") == later


def exposition(accounts: int) -> Callable[[], bytes]:
    """What makes the metrics of so many accounts, as the daemon does."""
    statuses = [
        AccountStatus(
            account=f"account {number}",
            state="ok",
            data_as_of=MOMENT,
            age_seconds=0,
            last_run_at=MOMENT,
            last_status="ok",
            consecutive_failures=0,
            last_error=None,
            listed=500,
            live=400,
            deleted=100,
            expired=1,
            warning=None,
            is_fresh=True,
        )
        for number in range(accounts)
    ]
    metrics = Metrics(status.account for status in statuses)
    return lambda: metrics.text(statuses, MOMENT)


@pytest.mark.parametrize("reading", [True, False], ids=["that read", "that do not read what they asked for"])
def test_a_flood_of_metrics_holds_no_life_sign_up(reading: bool) -> None:
    """300 clients ask for the metrics of 200 accounts again and again, from another process."""
    metrics = exposition(200)
    threads = threading.active_count()
    with (
        serve_here(metrics=metrics) as (host, port),
        subprocess.Popen(
            [sys.executable, "-c", FLOOD, str(port), "300", "reading" if reading else ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as flood,
    ):
        assert flood.stdout is not None
        assert flood.stdin is not None
        flood.stdout.readline()
        answers, seconds = [], []
        for _probe in range(20):
            began = time.monotonic()
            answers.append(get(f"http://{host}:{port}/healthz"))
            seconds.append(time.monotonic() - began)
        most = threading.active_count() - threads
        flood.stdin.close()

    assert [(200, "ok\n")] * 20 == answers
    assert most <= 1 + health.WORKERS
    assert sorted(seconds)[10] < PROBE_SECONDS


def test_a_defect_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> list[str]:
        raise RuntimeError

    with serve_here(readiness=fail) as (host, port), caplog.at_level(logging.ERROR):
        status, text = get(f"http://{host}:{port}/readyz")

    assert (500, "a defect in syncer; its traceback is in the log\n") == (status, text)
    assert ["defect"] == [record.__dict__["fields"]["action"] for record in caplog.records]


@pytest.mark.parametrize(
    "host", ["a..b", "é" * 70, "a\0b", "192.0.2.1"], ids=["empty label", "long", "nul", "elsewhere"]
)
def test_an_address_that_cannot_be_had_names_its_setting(host: str) -> None:
    with pytest.raises(ConfigurationError, match="SYNCER_LISTEN: listening on"), serve_here(host):
        pass


def test_an_account_that_is_retired_is_not_waited_for(mirror: Mirror, tmp_path: Path) -> None:
    settings = load({}, {}, None, tmp_path)
    runs = Runs(settings, mirror.engine, settings.scrubber(), lambda: mirror.now)
    with mirror.engine.begin() as connection:
        connection.execute(insert(accounts).values(account="default"))
    before = unready(runs)
    with mirror.engine.begin() as connection:
        connection.execute(update(accounts).values(retired_at=mirror.now))

    assert (["account default: no answer was accepted yet"], []) == (before, unready(runs))
