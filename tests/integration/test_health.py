"""The small server beside the daemon, over real sockets."""

import socket
import time
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from syncer import health
from syncer.errors import ConfigurationError


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
        with urlopen(Request(url, method=method), timeout=5) as response:  # noqa: S310 - loopback
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
    ("method", "path", "status"), [("GET", "/", 404), ("POST", "/healthz", 405), ("HEAD", "/healthz", 200)]
)
def test_nothing_else_is_served(url: str, method: str, path: str, status: int) -> None:
    assert status == get(f"{url}{path}", method)[0]


def test_a_silent_client_holds_nobody_up(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(20)]
    began = time.monotonic()

    assert 200 == get(f"{url}/healthz")[0]
    assert time.monotonic() - began < 2
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
