"""Signs of life: the dead-man's switch over HTTP, and systemd over its socket."""

import logging
import os
import socket
import threading
import time
from pathlib import Path

import fault_server as fault
import pytest
from fault_server import Behaviour, FaultServer
from waiting import HANG_SECONDS, SOON_SECONDS

from syncer.daemon import notify
from syncer.daemon.notify import Ping, systemd_notifier, watchdog_seconds


def test_a_ping_tells_of_start_success_and_failure() -> None:
    with FaultServer([fault.respond(200, b"OK")]) as server:
        ping = Ping(f"{server.url}/uuid/")
        ping.start()
        ping.success()
        ping.failure("held")

    assert ["/uuid/start", "/uuid", "/uuid/fail"] == [request.target for request in server.requests]


@pytest.mark.parametrize(
    "behaviour",
    [
        fault.silence,
        fault.respond(500),
        fault.not_http,
        fault.reset_before_answer,
        fault.close_without_answer,
        fault.drip_headers,
        fault.drip_body,
    ],
)
def test_a_ping_that_fails_is_a_warning_without_its_address(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PING_SECONDS", 0.3)
    with FaultServer([behaviour]) as server, caplog.at_level(logging.WARNING):
        began = time.monotonic()
        Ping(f"{server.url}/secret-uuid").success()
        took = time.monotonic() - began

    assert took < SOON_SECONDS
    (record,) = caplog.records
    assert "ping_failed" == record.__dict__["fields"]["action"]
    assert "secret-uuid" not in f"{record.getMessage()} {record.__dict__['fields']}"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_ping_goes_by_the_proxy_of_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As calls of the upstream do: a machine that has no other way out has none for its pings either."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with FaultServer([fault.respond(200, b"OK")]) as proxy:
        monkeypatch.setenv(variable.lower(), proxy.url.removeprefix("http://"))
        Ping("http://switch.invalid/uuid").success()

    assert ["http://switch.invalid/uuid"] == [request.target for request in proxy.requests]


@pytest.mark.parametrize("tail", ["/?k=v", "?k=v", "?k=v#part"])
def test_a_failure_is_never_told_as_a_success(tail: str) -> None:
    """A word put behind `#` would not be sent, and the bare address means success."""
    with FaultServer([fault.respond(200)]) as server:
        Ping(f"{server.url}/uuid{tail}").failure("held")

    assert ["/uuid/fail?k=v"] == [request.target for request in server.requests]


@pytest.mark.parametrize(
    "url", ["http://[::1/x", "http://u:secret-uuid@127.0.0.1/", "http://é/secret-uuid", "http://h:x/"]
)
def test_an_address_that_is_none_is_a_warning_too(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Ping(url).success()

    (record,) = caplog.records
    assert "secret-uuid" not in f"{record.getMessage()} {record.__dict__['fields']}"


def test_pings_that_are_given_up_do_not_pile_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PING_SECONDS", 0.2)
    monkeypatch.setattr(notify, "MOST_UNANSWERED", 2)
    with FaultServer([fault.drip_headers]) as server, caplog.at_level(logging.WARNING):
        ping = Ping(server.url)
        for _run in range(3):
            ping.success()

    assert ["timeout", "timeout", "too many unanswered"] == [
        record.__dict__["fields"]["problem"] for record in caplog.records
    ]


def test_a_ping_is_not_redirected() -> None:
    with FaultServer([fault.respond(200)]) as elsewhere:
        with FaultServer([fault.redirect_to(elsewhere.url)]) as server:
            Ping(server.url).success()

        assert 0 == elsewhere.connections


def test_without_an_address_nothing_is_pinged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Ping(None).success()

    assert caplog.records == []


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, abstract: bool) -> None:
    name = f"@syncer-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if abstract else name)
        listener.settimeout(HANG_SECONDS)
        systemd_notifier({"NOTIFY_SOCKET": name})("READY=1")

        assert b"READY=1" == listener.recv(100)


def test_systemd_that_does_not_read_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "NOTIFY_SECONDS", 0.05)
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name)
        tell = systemd_notifier({"NOTIFY_SOCKET": name})
        teller = threading.Thread(target=lambda: [tell("WATCHDOG=1") for _tick in range(40)], daemon=True)
        teller.start()
        teller.join(HANG_SECONDS)

        assert not teller.is_alive()


def test_a_socket_that_is_not_there_yet_stops_nobody(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    tell = systemd_notifier({"NOTIFY_SOCKET": name})
    tell("STATUS=to nobody")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name)
        tell("READY=1")

        assert b"READY=1" == listener.recv(100)


@pytest.mark.parametrize("name", ["vsock:1", "notify"])
def test_a_name_that_is_no_address_of_a_socket_is_not_followed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name)
        listener.settimeout(0)
        systemd_notifier({"NOTIFY_SOCKET": name})("READY=1")

        with pytest.raises(BlockingIOError):
            listener.recv(100)


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
    ],
)
def test_the_watchdog_is_for_the_process_that_it_names(environment: dict[str, str], seconds: float | None) -> None:
    assert seconds == watchdog_seconds(environment)
