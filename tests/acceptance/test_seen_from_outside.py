"""The daemon as its surroundings see it: health, metrics, pings, systemd, several accounts."""

import json
import re
import signal
import socket
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import fault_server as fault
import pytest
from builders import item
from canary import PARTNER_TOKEN, find_secrets
from conftest import RunSyncer
from fault_server import FaultServer
from test_daemon import StartDaemon, ended, start_daemon
from waiting import HANG_SECONDS, wait_for

__all__ = ["start_daemon"]  # a fixture


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def status_of(url: str) -> int:
    try:
        with urlopen(url, timeout=HANG_SECONDS) as response:  # noqa: S310 - loopback
            status: int = response.status
            return status
    except HTTPError as error:
        with error:
            return error.code
    except URLError:
        return 0


COUNTED = re.compile(r'^syncer_runs_total{account="default",error_kind="",status="ok"} ([1-9]\d*)\.0$', re.MULTILINE)


def metrics_of(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=HANG_SECONDS) as response:
        text: str = response.read().decode()
        return text


def test_health_metrics_pings_and_systemd(start_daemon: StartDaemon, database_url: str, tmp_path: Path) -> None:
    port = free_port()
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(str(tmp_path / "notify"))
    systemd.settimeout(HANG_SECONDS)
    with FaultServer([fault.json_list([item(1)])]) as upstream, FaultServer([fault.respond(200)]) as switch:
        process = start_daemon(
            API_URL=upstream.url, DATABASE_URL=database_url, SCHEDULE="1s", LISTEN=f"127.0.0.1:{port}",
            PING_URL=f"{switch.url}/uuid", also={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"},
        )  # fmt: skip
        ready = systemd.recv(200)
        wait_for(lambda: status_of(f"http://127.0.0.1:{port}/readyz") == 200)
        alive = status_of(f"http://127.0.0.1:{port}/healthz")
        watchdog = systemd.recv(200)
        # A run is counted when it is over, which is after its answer was committed and its end was pinged.
        wait_for(lambda: COUNTED.search(metrics_of(port)) is not None)
        metrics = metrics_of(port)
        process.send_signal(signal.SIGTERM)
        exit_code = ended(process)[0]
    systemd.close()

    assert (0, 200) == (exit_code, alive)
    assert ready.startswith(b"READY=1\nSTATUS=")
    assert b"WATCHDOG=1" == watchdog
    assert ["/uuid/start", "/uuid"] == [request.target for request in switch.requests[:2]]
    counted = COUNTED.search(metrics)
    assert counted is not None
    assert 1 <= int(counted[1]) <= len(upstream.requests)
    assert 'syncer_live{account="default"} 1.0' in metrics
    assert [] == find_secrets(metrics.encode())


def test_a_failing_run_is_pinged_as_failed_and_not_ready(start_daemon: StartDaemon, sqlite_url: str) -> None:
    port = free_port()
    with FaultServer([fault.respond(401)]) as upstream, FaultServer([fault.respond(200)]) as switch:
        process = start_daemon(
            API_URL=upstream.url, DATABASE_URL=sqlite_url, LISTEN=f"127.0.0.1:{port}", PING_URL=switch.url
        )
        wait_for(lambda: len(switch.requests) >= 2)
        ready = status_of(f"http://127.0.0.1:{port}/readyz")
        process.send_signal(signal.SIGTERM)
        ended(process)

    assert 503 == ready
    assert ["/start", "/fail"] == [request.target for request in switch.requests]


def test_a_port_that_is_taken_is_told_before_any_request(run_syncer: RunSyncer) -> None:
    with FaultServer([fault.json_list([])]) as upstream, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_syncer("run", env={"SYNCER_API_URL": upstream.url, "SYNCER_LISTEN": f"127.0.0.1:{port}"})

        assert 0 == upstream.connections
    assert (2, 1) == (done.returncode, len(done.stderr.strip().splitlines()))
    assert "SYNCER_LISTEN" in done.stderr


def test_accounts_run_side_by_side_and_one_that_fails_stops_no_other(
    start_daemon: StartDaemon, run_syncer: RunSyncer, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "north.secret").write_text(PARTNER_TOKEN)
    (tmp_path / "north.secret").chmod(0o600)
    with (
        FaultServer([fault.json_list([item(1)])]) as north,
        FaultServer([fault.respond(401)]) as south,
        FaultServer([fault.silence]) as west,
    ):
        (tmp_path / "syncer.toml").write_text(
            f"""
            schedule = "1s"
            [accounts.west]
            token_env = "WEST"
            api_url = "{west.url}"
            [accounts.south]
            token_env = "SOUTH"
            api_url = "{south.url}"
            [accounts.north]
            token_file = "{tmp_path}/north.secret"
            api_url = "{north.url}"
            """
        )
        tokens = {"SOUTH": "gac.south", "WEST": "gac.west"}
        process = start_daemon(DATABASE_URL=database_url, also=tokens)
        settings = tokens | {"SYNCER_DATABASE_URL": database_url}
        wait_for(lambda: len(north.requests) >= 3 and len(south.requests) >= 3)
        process.send_signal(signal.SIGTERM)
        assert 0 == ended(process)[0]
        status = run_syncer("status", "--json", env=settings)
        both = run_syncer("sync", "--json", "--timeout", "1s", "--account", "south", env=settings)

    accepted = {
        account["account"]: account["data_as_of"] is not None for account in json.loads(status.stdout)["accounts"]
    }
    assert accepted == {"north": True, "south": False, "west": False}
    assert status.returncode == 3
    assert 4 == both.returncode
    assert 1 == west.connections


def test_a_rotated_token_file_needs_no_restart(start_daemon: StartDaemon, sqlite_url: str, tmp_path: Path) -> None:
    token = tmp_path / "token.secret"
    token.write_text("gac.first")
    token.chmod(0o600)
    with FaultServer([fault.json_list([item(1)])]) as upstream:
        process = start_daemon(
            API_URL=upstream.url,
            DATABASE_URL=sqlite_url,
            SCHEDULE="1s",
            PARTNER_TOKEN="",
            PARTNER_TOKEN_FILE=str(token),
        )
        wait_for(lambda: upstream.requests)
        token.write_text("gac.second")
        wait_for(lambda: upstream.requests[-1].target.endswith("gac.second"))
        process.send_signal(signal.SIGTERM)
        assert 0 == ended(process)[0]


@pytest.mark.parametrize("command", ["doctor", "probe"])
def test_doctor_and_probe_show_no_name_and_no_secret(run_syncer: RunSyncer, database_url: str, command: str) -> None:
    with FaultServer([fault.json_list([item(1, name="Иванов"), item(2, deleted=True)])]) as upstream:
        settings = {"SYNCER_API_URL": upstream.url, "SYNCER_DATABASE_URL": database_url}
        run_syncer("db", "upgrade", env=settings)
        shown = run_syncer(command, env=settings)
        document = run_syncer(command, "--json", env=settings)

    assert (0, 0) == (shown.returncode, document.returncode), shown.stdout + shown.stderr
    assert "Иванов" not in shown.stdout + document.stdout
    assert json.loads(document.stdout)


def test_probe_shows_an_error_object_and_ends_with_its_code(run_syncer: RunSyncer) -> None:
    refusal = fault.respond(200, b'{"code":401,"description":"Unauthorized"}')
    with FaultServer([refusal]) as upstream:
        done = run_syncer("probe", env={"SYNCER_API_URL": upstream.url})

    assert done.returncode == 4
    assert "code" in done.stdout
    assert "check the partner token" in done.stderr


def test_probe_goes_on_after_an_account_that_fails(run_syncer: RunSyncer, tmp_path: Path) -> None:
    with FaultServer([fault.respond(400, b"no")]) as refusing, FaultServer([fault.json_list([item(1)])]) as upstream:
        (tmp_path / "syncer.toml").write_text(
            f'[accounts.one]\ntoken_env = "ONE"\napi_url = "{refusing.url}"\n'
            f'[accounts.two]\ntoken_env = "TWO"\napi_url = "{upstream.url}"\n'
        )
        done = run_syncer("probe", "--json", env={"ONE": PARTNER_TOKEN, "TWO": f"{PARTNER_TOKEN}2"})

    probes = json.loads(done.stdout)["probes"]
    assert (4, ["one", "two"]) == (done.returncode, [probe["account"] for probe in probes])
    assert done.stderr.startswith("syncer: one: calling the upstream: it answered HTTP 400")
    assert ("refused", True) == (probes[0]["error_kind"], "keys" in probes[1])


def test_doctor_tells_of_each_further_try(run_syncer: RunSyncer) -> None:
    """Where the upstream is silent, they take minutes."""
    with FaultServer([fault.respond(503), fault.json_list([item(1)])]) as upstream:
        done = run_syncer("doctor", env={"SYNCER_API_URL": upstream.url})

    assert ["fetch_retried"] == [json.loads(line)["action"] for line in done.stderr.splitlines()]
