"""Receivers as an operator meets them: the daemon tells them, commands show whether it arrives, nothing shows an address."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fault_server as fault
import pytest
from builders import body, item
from canary import find_secrets
from conftest import CHECKOUT, RunSyncer
from fault_server import Connection, FaultServer
from mirror import Mirror, give_version
from receiving import SECRET, Behaviour, ReceivingServer, receiving
from standardwebhooks import Webhook
from waiting import HANG_SECONDS, wait_for

from syncer.storage import schema
from syncer.storage.tables import receivers

CANARY = "c4n4ry-of-the-address"
Listing = list[dict[str, object]]
LISTINGS: tuple[Listing, ...] = (
    [item(1, name="one"), item(2)],
    [item(1, name="one", deleted=True), item(2)],
    [item(1, name="one", deleted=True), item(2, isExpired=True)],
)


@pytest.fixture
def server() -> Iterator[ReceivingServer]:
    with receiving() as made:
        yield made


@pytest.fixture
def settings(tmp_path: Path, server: ReceivingServer) -> Path:
    """A folder with the settings of two receivers; the second one hangs."""
    for name, text in (("url.secret", server.url), ("bot.secret", f"{server.url}/sendMessage?chat_id=-1")):
        (tmp_path / name).write_text(text)
    (tmp_path / "key.secret").write_text(SECRET)
    for path in tmp_path.glob("*.secret"):
        path.chmod(0o600)
    (tmp_path / "syncer.toml").write_text(
        '[receivers.crm]\nurl_file = "url.secret"\nsecret_file = "key.secret"\n'
        '[receivers.bot]\nurl_file = "bot.secret"\nformat = "telegram"\n'
    )
    return tmp_path


@pytest.fixture
def run_daemon(
    settings: Path, syncer_environment: dict[str, str], database_url: str
) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `syncer run` there; its log goes to a file, which is searched for secrets at the end."""
    started: list[subprocess.Popen[str]] = []
    logs = [settings / f"daemon-{number}.log" for number in range(3)]

    def start(api: FaultServer) -> "subprocess.Popen[str]":
        environment = syncer_environment | {
            "SYNCER_API_URL": api.url, "SYNCER_DATABASE_URL": database_url, "SYNCER_SCHEDULE": "1s",
            "SYNCER_LOG_LEVEL": "debug",
        }  # fmt: skip
        with logs[len(started)].open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "syncer", "run"], env=environment, cwd=settings, stderr=log, text=True
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        assert process.wait(HANG_SECONDS) == 0
    for log in logs[: len(started)]:
        text = log.read_text()
        assert "traceback" not in text
        assert CANARY not in text
        assert SECRET.removeprefix("whsec_") not in text


class Estate:
    """An upstream whose list is what a test says."""

    def __init__(self) -> None:
        self.items = LISTINGS[0]

    def answer(self, connection: Connection) -> None:
        fault.respond(200, body(self.items))(connection)


def listed(run_syncer: RunSyncer, env: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run_syncer("receivers", "list", "--json", env=env).stdout)["receivers"]
    return found


def is_begun(run_syncer: RunSyncer, env: dict[str, str]) -> bool:
    """Whether an answer was accepted, and both receivers are there."""
    return (
        run_syncer("status", env=env).returncode == 0
        and run_syncer("receivers", "list", env=env).stdout.count(" ok ") == 2
    )


@pytest.fixture
def estate() -> Estate:
    return Estate()


@pytest.fixture
def api(estate: Estate) -> Iterator[FaultServer]:
    with FaultServer([estate.answer]) as server:
        yield server


def test_the_daemon_tells_what_happened_and_the_commands_whether_it_arrived(
    server: ReceivingServer,
    api: FaultServer,
    estate: Estate,
    run_daemon: Callable[..., object],
    run_syncer: RunSyncer,
    database_url: str,
) -> None:
    run_daemon(api)
    env = {"SYNCER_DATABASE_URL": database_url}
    wait_for(lambda: is_begun(run_syncer, env))

    estate.items = LISTINGS[1]
    wait_for(lambda: all(one["delivered_at"] for one in listed(run_syncer, env)))
    crm = [got for got in server.got if "webhook-id" in got.headers]
    bot = [got for got in server.got if "webhook-id" not in got.headers]

    assert Webhook(SECRET).verify(crm[0].body, crm[0].headers)["type"] == "instance.deleted"
    assert bot[0].json["text"].startswith("Deleted: “one” (1, WhatsApp")
    assert "-1" == bot[0].json["chat_id"]
    assert bot[0].path.endswith("/sendMessage")
    assert [] == find_secrets(b"".join(got.body for got in server.got))

    server.always = Behaviour(410)
    estate.items = LISTINGS[2]
    wait_for(lambda: run_syncer("receivers", "list", env=env).stdout.count("stopped") == 2)
    shown = listed(run_syncer, env)
    told = run_syncer("status", env=env).stdout
    server.always = Behaviour()
    resumed = run_syncer("receivers", "resume", "crm", env=env)
    wait_for(lambda: sum("webhook-id" in got.headers for got in server.got) == 3)

    assert [("crm", "stopped", 1), ("bot", "stopped", 1)] == [
        (one["receiver"], one["state"], one["behind"]) for one in shown
    ]
    assert "crm answered that it wants no more (HTTP 410); to go on, run: syncer receivers resume crm" in told
    assert "receiver crm is tried again now" in resumed.stdout
    assert CANARY not in told + repr(shown)
    sent = [got.id for got in server.got if "webhook-id" in got.headers]
    assert 2 == len(set(sent))
    assert sent[-1] == sent[-2]  # the 410 was to the message that came again


@pytest.fixture
def born(settings: Path) -> None:
    """One receiver, of what is created."""
    (settings / "syncer.toml").write_text(
        '[receivers.crm]\nurl_file = "url.secret"\nsecret_file = "key.secret"\ntransitions = ["created"]\n'
    )


@pytest.mark.usefixtures("born")
def test_a_new_receiver_of_an_empty_database_is_told_of_its_first_answer(
    server: ReceivingServer, estate: Estate, run_daemon: Callable[..., object], database_url: str
) -> None:
    mirror = Mirror(database_url)
    begun: list[list[int]] = []

    def answer(connection: Connection) -> None:
        begun.append([row["last_history_id"] for row in mirror.rows(receivers)])
        estate.answer(connection)

    with FaultServer([answer]) as api:
        run_daemon(api)
        wait_for(lambda: len(server.got) == 2 or len(begun) == 5)

    assert [0] == begun[0]  # however soon the upstream answers
    assert [1, 2] == [got.json["data"]["id_instance"] for got in server.got]
    mirror.engine.dispose()


@pytest.mark.usefixtures("born")
def test_where_the_database_could_not_be_opened_at_the_start_a_receiver_is_told_of_the_first_answer_too(
    server: ReceivingServer,
    api: FaultServer,
    run_daemon: Callable[..., object],
    settings: Path,
    database_url: str,
) -> None:
    mirror = Mirror(database_url)
    give_version(mirror, "9999")

    run_daemon(api)
    wait_for(lambda: "newer than this syncer" in (settings / "daemon-0.log").read_text())
    give_version(mirror, schema.head())

    wait_for(lambda: len(server.got) == 2)
    assert [1, 2] == [got.json["data"]["id_instance"] for got in server.got]
    mirror.engine.dispose()


@pytest.mark.usefixtures("born")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_that_is_put_back_between_two_daemons_gives_no_id_twice(
    server: ReceivingServer, api: FaultServer, estate: Estate, run_daemon: Callable[..., Any], database_url: str
) -> None:
    """By a plain copy, into the very file that it was, which no place tells from the one before."""
    file = Path(database_url.removeprefix("sqlite:///"))
    backup = file.with_name("backup.db")

    def told_by_a_daemon(many: int) -> None:
        daemon = run_daemon(api)
        wait_for(lambda: len(server.got) == many)
        daemon.terminate()
        assert daemon.wait(HANG_SECONDS) == 0

    told_by_a_daemon(2)
    shutil.copy(file, backup)
    estate.items = [*LISTINGS[0], item(3)]
    told_by_a_daemon(3)
    shutil.copy(backup, file)
    estate.items = [*LISTINGS[0], item(4)]
    told_by_a_daemon(4)

    assert [1, 2, 3, 4] == [got.json["data"]["id_instance"] for got in server.got]
    assert [1, 2, 3, 3] == [got.json["data"]["id"] for got in server.got]
    assert 4 == len(set(server.ids))


def test_a_receiver_that_hangs_holds_up_neither_runs_nor_others(
    server: ReceivingServer,
    api: FaultServer,
    estate: Estate,
    run_daemon: Callable[..., object],
    run_syncer: RunSyncer,
    database_url: str,
) -> None:
    run_daemon(api)
    env = {"SYNCER_DATABASE_URL": database_url}
    wait_for(lambda: is_begun(run_syncer, env))
    server.decide = lambda got: Behaviour() if "webhook-id" in got.headers else Behaviour(fault="hang")
    begun = len(api.requests)

    estate.items = LISTINGS[1]
    wait_for(lambda: any("webhook-id" not in got.headers for got in server.got))
    estate.items = LISTINGS[2]
    wait_for(lambda: sum("webhook-id" in got.headers for got in server.got) == 2)

    assert 1 == sum("webhook-id" not in got.headers for got in server.got)  # still waited for
    assert len(api.requests) > begun


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_daemons_share_a_receiver_and_tell_it_each_event_once_and_in_order(
    server: ReceivingServer,
    api: FaultServer,
    estate: Estate,
    run_daemon: Callable[..., object],
    run_syncer: RunSyncer,
    database_url: str,
) -> None:
    for _ in range(3):
        run_daemon(api)
    env = {"SYNCER_DATABASE_URL": database_url}
    wait_for(lambda: is_begun(run_syncer, env))

    for deleted in range(1, 5):
        estate.items = [item(key, deleted=key <= deleted) for key in range(1, 6)]
        wait_for(lambda: sum("webhook-id" in got.headers for got in server.got) >= deleted)  # noqa: B023 - asked at once

    told = [got for got in server.got if "webhook-id" in got.headers]
    assert [1, 2, 3, 4] == [got.json["data"]["id_instance"] for got in told]
    assert sorted(int(got.id.partition("_")[2]) for got in told) == [int(got.id.partition("_")[2]) for got in told]
    assert 1 == len({got.id.partition("_")[0] for got in told})


def test_a_test_is_marked_as_one_and_tells_what_is_wrong(
    settings: Path, server: ReceivingServer, run_syncer: RunSyncer
) -> None:
    del settings
    run_syncer("db", "upgrade")

    good = run_syncer("receivers", "test", "crm")
    server.always = Behaviour(404, body=f"no such hook: {server.url}".encode())
    refused = run_syncer("receivers", "test", "crm")
    unknown = run_syncer("receivers", "test", "cmr")

    assert good.stdout.startswith("receiver crm took the test: HTTP 200, id ")
    assert f"_test_{server.got[0].id.rpartition('_')[2]}\n" in good.stdout
    assert {"type": "test", "data": {"test": True}}.items() <= server.got[0].json.items()
    assert (
        "syncer: testing receiver 'crm': it answered HTTP 404: no such hook: [removed]; check the receiver"
        in refused.stderr
    )
    assert (3, 2) == (refused.returncode, unknown.returncode)
    assert "there is no receiver 'cmr' in the settings; did you mean crm?" in unknown.stderr
    assert CANARY not in good.stdout + refused.stderr


def test_a_path_of_plain_words_is_not_shown_where_a_server_repeats_it(
    settings: Path, server: ReceivingServer, run_syncer: RunSyncer
) -> None:
    asked = "/hook/SuperSecretPath?key=shortkey"
    (settings / "url.secret").write_text(server.url.partition("/hook")[0] + asked)
    server.always = Behaviour(404, {"Content-Location": asked}, f"Cannot POST {asked}".encode())
    run_syncer("db", "upgrade")

    refused = run_syncer("receivers", "test", "crm", "--log-level", "debug")

    assert "content-location" in refused.stderr.lower()
    assert "it answered HTTP 404: Cannot POST [removed]; check" in refused.stderr
    assert not re.search("SuperSecret|shortkey", refused.stdout + refused.stderr)


def test_syncer_sync_sends_nothing(
    settings: Path, server: ReceivingServer, api: FaultServer, estate: Estate, run_syncer: RunSyncer
) -> None:
    del settings
    for estate.items in LISTINGS:
        assert 0 == run_syncer("sync", env={"SYNCER_API_URL": api.url}).returncode

    assert [] == server.got
    assert "crm is started by the daemon, at the present: syncer run" in run_syncer("receivers", "list").stdout


def test_the_example_of_a_receiver_takes_each_event_once_and_refuses_what_is_not_signed(
    settings: Path, run_syncer: RunSyncer
) -> None:
    port = _free_port()
    environment = {"PATH": os.environ["PATH"], "SYNCER_SECRET": SECRET}
    receiver = subprocess.Popen(
        [sys.executable, CHECKOUT / "examples/receiver.py", str(port)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )  # fmt: skip
    try:
        (settings / "url.secret").write_text(f"http://127.0.0.1:{port}/")
        run_syncer("db", "upgrade")
        wait_for(lambda: run_syncer("receivers", "test", "crm").returncode == 0)
        (settings / "key.secret").write_text("whsec_" + "QQ" * 22)

        refused = run_syncer("receivers", "test", "crm")

        assert receiver.stdout is not None
        assert "test None None\n" == receiver.stdout.readline()
        assert re.search("it answered HTTP 401", refused.stderr)
    finally:
        receiver.kill()
        receiver.communicate()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
