"""Signs of life: the dead-man's switch over HTTP, and systemd over its socket."""

import logging
import os
import socket
from pathlib import Path

import fault_server as fault
import pytest
from fault_server import Behaviour, FaultServer

from syncer import notify
from syncer.notify import Ping, systemd_notifier, watchdog_seconds


def test_a_ping_tells_of_start_success_and_failure() -> None:
    with FaultServer([fault.respond(200, b"OK")]) as server:
        ping = Ping(f"{server.url}/uuid/")
        ping.start()
        ping.success()
        ping.failure("held")

    assert ["/uuid/start", "/uuid", "/uuid/fail"] == [request.target for request in server.requests]


@pytest.mark.parametrize(
    "behaviour",
    [fault.silence, fault.respond(500), fault.not_http, fault.reset_before_answer, fault.close_without_answer],
)
def test_a_ping_that_fails_is_a_warning_without_its_address(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PING_SECONDS", 0.3)
    with FaultServer([behaviour]) as server, caplog.at_level(logging.WARNING):
        Ping(f"{server.url}/secret-uuid").success()

    (record,) = caplog.records
    assert "ping_failed" == record.__dict__["fields"]["action"]
    assert "secret-uuid" not in f"{record.getMessage()} {record.__dict__['fields']}"


def test_a_ping_is_not_redirected() -> None:
    with FaultServer([fault.respond(200)]) as elsewhere:
        with FaultServer([fault.redirect_to(elsewhere.url)]) as server:
            Ping(server.url).success()

        assert 0 == elsewhere.connections


def test_without_an_address_nothing_is_pinged() -> None:
    Ping(None).success()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, abstract: bool) -> None:
    name = f"@syncer-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if abstract else name)
        listener.settimeout(5)
        systemd_notifier({"NOTIFY_SOCKET": name})("READY=1")

        assert b"READY=1" == listener.recv(100)


@pytest.mark.parametrize(
    "environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"NOTIFY_SOCKET": "vsock:1"}]
)
def test_without_systemd_nobody_is_told(environment: dict[str, str]) -> None:
    systemd_notifier(environment)("READY=1")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_the_process_that_it_names(environment: dict[str, str], seconds: float | None) -> None:
    assert seconds == watchdog_seconds(environment)
