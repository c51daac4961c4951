"""The real program against a real server, as its user meets it: results, exit codes, one clear line (CONTRACT 2)."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fault_server as fault
import pytest
from builders import item, paid
from canary import WEIRD_PARTNER_TOKEN, find_secrets
from conftest import RunSyncer
from fault_server import Behaviour, FaultServer
from mirror import Mirror
from sqlalchemy import text
from waiting import HANG_SECONDS

from syncer.demo.demo import QUERIES
from syncer.storage import database


@pytest.fixture
def env(database_url: str) -> dict[str, str]:
    return {"SYNCER_DATABASE_URL": database_url}


def rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    engine = database.open_engine(database.parse_database_url(database_url))
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


def test_sync_gives_an_empty_database_the_schema_and_the_mirror(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    with FaultServer([fault.json_list([item(1), paid(2, isExpired=True)])]) as server:
        done = run_syncer("sync", "--json", env=env | {"SYNCER_API_URL": server.url})

    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert run == {
        "id": 1, "account": "default", "status": "ok", "listed": 2, "created": 2, "updated": 0,
        "transitions": {"created": 2, "expired": 1}, "rejected": 0, "error_kind": None, "error": None,
    }  # fmt: skip
    assert [json.loads(line)["action"] for line in done.stderr.strip().splitlines()] == [
        "database_created",
        "run_finished",
    ]
    assert rows(env["SYNCER_DATABASE_URL"], "SELECT id_instance FROM instances ORDER BY 1") == [(1,), (2,)]


FAILURES: dict[str, tuple[Behaviour, int, str]] = {
    "a wrong token, HTTP 400": (fault.respond(400, b"Bad Request", content_type="text/plain"), 4, "refused"),
    "a wrong token, HTTP 200": (fault.respond(200, b'{"code":401,"description":"Unauthorized"}'), 4, "refused"),
    "a redirect": (fault.redirect_to("https://elsewhere.invalid/"), 4, "redirected"),
    "HTML": (fault.respond(200, b"<html></html>", content_type="text/html"), 5, "not_a_list"),
    "null": (fault.respond(200, b"null"), 5, "not_a_list"),
    "half a list": (fault.respond(200, b'[{"idInstance":1'), 5, "not_a_list"),
    "an empty list": (fault.json_list([]), 6, "held"),
    "another account's list": (fault.json_list([item(77)]), 6, "held"),
    "too long a Retry-After": (fault.respond(503, headers={"Retry-After": "9999"}), 3, "server_error"),
}


@pytest.mark.parametrize(("behaviour", "exit_code", "kind"), FAILURES.values(), ids=FAILURES)
def test_a_bad_answer_has_its_exit_code_its_row_and_changes_nothing(
    run_syncer: RunSyncer, env: dict[str, str], behaviour: Behaviour, exit_code: int, kind: str
) -> None:
    url = env["SYNCER_DATABASE_URL"]
    with FaultServer([fault.json_list([item(1), item(2)]), behaviour]) as server:
        run_syncer("sync", env=env | {"SYNCER_API_URL": server.url})
        before = rows(url, "SELECT * FROM instances"), rows(url, "SELECT * FROM instance_history")

        done = run_syncer("sync", "--json", env=env | {"SYNCER_API_URL": server.url})

    (run,) = json.loads(done.stdout)["runs"]
    assert (exit_code, kind) == (done.returncode, run["error_kind"])
    assert before == (rows(url, "SELECT * FROM instances"), rows(url, "SELECT * FROM instance_history"))
    assert [(kind, run["error"])] == rows(url, "SELECT error_kind, error FROM sync_runs WHERE id = 2")
    assert "\n" not in run["error"]
    assert "Traceback" not in done.stderr


def test_an_unreachable_upstream_is_exit_code_3(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    done = run_syncer("sync", env=env | {"SYNCER_API_URL": "http://127.0.0.1:9"})

    assert done.returncode == 3
    assert "Connection refused (4 of 4 tries)" in done.stdout


def test_plan_shows_the_change_and_writes_nothing(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    url = env["SYNCER_DATABASE_URL"]
    with FaultServer([fault.json_list([item(1)]), fault.json_list([item(1, name="n"), item(2)])]) as server:
        env = env | {"SYNCER_API_URL": server.url}
        run_syncer("sync", env=env)
        before = [
            rows(url, f"SELECT * FROM {table}") for table in ("instances", "instance_history", "sync_runs", "accounts")
        ]

        shown = run_syncer("plan", env=env)
        document = run_syncer("plan", "--json", env=env)

    assert shown.returncode == 0
    assert "    name: client -> n" in shown.stdout
    (plan,) = json.loads(document.stdout)["plans"]
    changes = {change["id_instance"]: (change["transitions"], change["fields"]) for change in plan["changes"]}
    assert changes == {2: (["created"], {}), 1: (["changed"], {"name": ["client", "n"]})}
    assert before == [
        rows(url, f"SELECT * FROM {table}") for table in ("instances", "instance_history", "sync_runs", "accounts")
    ]


def test_plan_creates_no_database(run_syncer: RunSyncer, tmp_path: Path) -> None:
    with FaultServer([fault.json_list([item(1)])]) as server:
        done = run_syncer("plan", env={"SYNCER_API_URL": server.url})

    assert (done.returncode, list(tmp_path.iterdir())) == (0, [])


def test_approve_lets_the_held_change_through(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    with FaultServer(
        [fault.json_list([item(number) for number in range(1, 10)]), fault.json_list([item(1)])]
    ) as server:
        env = env | {"SYNCER_API_URL": server.url}
        run_syncer("sync", env=env)
        held = run_syncer("sync", env=env)
        shown = run_syncer("status", env=env)
        planned = run_syncer("plan", env=env)
        approved = run_syncer("approve", "2", env=env)
        again = run_syncer("approve", "2", env=env)
        passed = run_syncer("sync", "--json", env=env)

    assert [done.returncode for done in (held, planned, approved, again, passed)] == [6, 6, 0, 0, 0]
    assert "syncer approve 2" in held.stdout
    assert "syncer approve 2" in shown.stdout
    assert json.loads(passed.stdout)["runs"][0]["transitions"] == {"vanished": 8}


def test_history_and_status_show_what_happened(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    with FaultServer(
        [fault.json_list([item(1), item(2)]), fault.json_list([item(1, deleted=True), item(2, name="Ёж")])]
    ) as server:
        env = env | {"SYNCER_API_URL": server.url}
        run_syncer("sync", env=env)
        run_syncer("sync", env=env)

    def words(*arguments: str) -> list[str]:
        done = run_syncer("history", *arguments, "--json", env=env)
        return [event["transition"] for event in json.loads(done.stdout)["history"]]

    assert words() == ["created", "created", "deleted", "changed"]
    assert words("1") == ["created", "deleted"]
    assert words("--transition", "deleted", "--account", "default") == ["deleted"]
    assert words("--limit", "1") == ["changed"]
    assert words("--since", "2999-01-01") == []
    assert len(words("--until", "2999-01-01T00:00:00+03:00")) == 4
    assert "name client → Ёж" in run_syncer("history", "2", env=env).stdout

    status = run_syncer("status", "--json", env=env)
    (account,) = json.loads(status.stdout)["accounts"]
    assert (
        status.returncode,
        account["state"],
        account["live"],
        account["deleted"],
        account["listed"],
    ) == (0, "ok", 1, 1, 2)


USAGE: dict[str, tuple[list[str], dict[str, str], int, str]] = {
    "no token": (["sync"], {"SYNCER_PARTNER_TOKEN": ""}, 2, "SYNCER_PARTNER_TOKEN: no partner token is set"),
    "an unknown command": (["snyc"], {}, 2, "did you mean 'sync'?"),
    "an unknown flag": (["sync", "--jsn"], {}, 2, "--json"),
    "a wrong flag": (["sync", "--timeout", "soon"], {}, 2, "--timeout: 'soon' is no duration"),
    "an unknown account": (["sync", "--account", "defualt"], {}, 2, "did you mean default?"),
    "no such run": (["approve", "x"], {}, 2, "'x' is no run's number such as 12; held runs are shown by: syncer status"),
    "no such time": (["history", "--since", "monday"], {}, 2, "--since: 'monday' is no time such as"),
    "an id beyond all ids": (["history", str(2**63)], {}, 2, "is no instance's id such as"),
    "a time before all time": (["history", "--since", "0001-01-01T00:00:00+03:00"], {}, 2, "is no time such as"),
    "no such transition": (["history", "--transition", "gone"], {}, 2, "'gone' is not one of"),
    "no database yet": (["status"], {}, 8, "/syncer.db: there is no such file, so no syncer tables yet; run: syncer db upgrade"),
    "migration switched off": (["sync"], {"SYNCER_AUTO_MIGRATE": "false"}, 8, "run: syncer db upgrade"),
    "no such folder": (["db", "upgrade"], {"SYNCER_DATABASE_URL": "sqlite:////nowhere/x.db"}, 8, "create the folder"),
    "a file's name beyond the system's limit": (["status"], {"SYNCER_DATABASE_URL": f"sqlite:///{'x' * 300}.db"}, 8, "File name too long"),
    "no server": (["db", "upgrade"], {"SYNCER_DATABASE_URL": "postgresql://u:pw@127.0.0.1:9/d"}, 8, "is it running"),
    "no such scenario": (["fake-api", "--scenario", "demmo"], {}, 2, "demo"),
    "a public address": (["fake-api", "--host", "0.0.0.0"], {}, 2, "loopback"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "env", "exit_code", "words"), USAGE.values(), ids=USAGE)
def test_an_error_of_the_user_is_one_line_with_its_remedy(
    run_syncer: RunSyncer, arguments: list[str], env: dict[str, str], exit_code: int, words: str
) -> None:
    done = run_syncer(*arguments, env=env)

    said = done.stderr + done.stdout
    assert exit_code == done.returncode, said
    assert words in said
    assert "Traceback" not in said
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["sync", "doctor"])
def test_a_file_that_cannot_even_be_looked_for_is_told_in_words(run_syncer: RunSyncer, command: str) -> None:
    done = run_syncer(
        command, env={"SYNCER_DATABASE_URL": f"sqlite:///{'x' * 300}.db", "SYNCER_API_URL": "http://127.0.0.1:9"}
    )

    assert "File name too long" in done.stdout
    assert "let syncer's user into the folder, or correct SYNCER_DATABASE_URL" in done.stdout.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_database_is_left_alone(run_syncer: RunSyncer, tmp_path: Path) -> None:
    (tmp_path / "syncer.db").write_bytes(b"my thesis, chapter one" * 100)

    done = run_syncer("sync", env={"SYNCER_API_URL": "http://127.0.0.1:9"})

    assert (done.returncode, "no SQLite database" in done.stdout) == (8, True)
    assert (tmp_path / "syncer.db").read_bytes().startswith(b"my thesis")


def test_upgrading_a_file_that_is_no_database_ends_in_words(run_syncer: RunSyncer, tmp_path: Path) -> None:
    (tmp_path / "syncer.db").write_bytes(b"my thesis, chapter one" * 100)

    done = run_syncer("db", "upgrade")

    assert done.returncode == 8
    assert "no SQLite database" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_locked_ends_in_words(
    run_syncer: RunSyncer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_syncer("db", "upgrade")
    monkeypatch.setattr(database, "LOCK_TIMEOUT_SECONDS", 0.2)
    engine = database.open_engine(database.parse_database_url(f"sqlite:///{tmp_path}/syncer.db"))
    blocker = sqlite3.connect(tmp_path / "syncer.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    with (
        pytest.raises(database.DatabaseFailed, match="another program has held its lock"),
        database.writing(engine, "x"),
    ):
        pass
    blocker.close()


@pytest.mark.parametrize("command", [["sync"], ["plan"], ["sync", "--log-level", "debug", "--log-format", "console"]])
def test_no_secret_is_printed_whatever_the_upstream_answers(run_syncer: RunSyncer, command: list[str]) -> None:
    echo = f'{{"statusCode":500,"path":"/partner/getInstances/{WEIRD_PARTNER_TOKEN}"}}'.encode()
    for behaviour in (
        fault.respond(404, echo),
        fault.respond(200, echo),
        fault.json_list([item(1), "x", {"apiTokenInstance": 5}]),
    ):
        with FaultServer([behaviour]) as server:
            done = run_syncer(*command, env={"SYNCER_API_URL": server.url, "SYNCER_PARTNER_TOKEN": WEIRD_PARTNER_TOKEN})

        assert find_secrets((done.stdout + done.stderr).encode()) == []


def test_tokens_are_kept_encrypted_when_a_key_is_set(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    url = env["SYNCER_DATABASE_URL"]
    stored = []
    with FaultServer([fault.json_list([item(1), item(2)])]) as server:
        env = env | {"SYNCER_API_URL": server.url}
        for key in (None, "11" * 32, "11" * 32, "22" * 32):
            assert run_syncer("sync", env=env | ({"SYNCER_TOKEN_KEY": key} if key else {})).returncode == 0
            stored.append(rows(url, "SELECT id_instance, ciphertext FROM instance_tokens ORDER BY 1"))

    without, first, same, rotated = stored
    assert (without, [row[0] for row in first], [row[0] for row in rotated]) == ([], [1, 2], [1, 2])
    assert first == same
    assert first != rotated


def test_db_commands_tell_the_version(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    before = run_syncer("db", "current", env=env)
    missing = run_syncer("db", "check", env=env)
    run_syncer("db", "upgrade", env=env)
    after = run_syncer("db", "current", env=env)
    good = run_syncer("db", "check", env=env)

    assert before.stdout.startswith("none")
    assert [missing.returncode, good.returncode] == [8, 0]
    assert after.stdout.split()[0] == after.stdout.split()[-1].rstrip(")")


def test_a_pipe_that_closes_early_is_no_error(syncer_environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m syncer --help | true; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", env=syncer_environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def fake_api(syncer_environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """The fake API as a user starts it; gives the two settings that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "syncer", "fake-api", "--scenario", "quiet", "--port", "0"],
        env=syncer_environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    printed = [process.stdout.readline() for _ in range(2)]
    yield dict(line.removeprefix("export ").split("   #")[0].strip().split("=", 1) for line in printed)
    process.terminate()
    process.wait()
    process.stdout.close()


def test_the_fake_api_serves_what_sync_reads(run_syncer: RunSyncer, fake_api: dict[str, str]) -> None:
    done = run_syncer("sync", "--json", env=fake_api)

    assert (done.returncode, json.loads(done.stdout)["runs"][0]["status"]) == (0, "ok")


def test_a_poll_loads_nothing_that_it_has_no_use_for(run_syncer: RunSyncer, fake_api: dict[str, str]) -> None:
    """httpx's own command line alone would load rich and pygments into every poll by cron."""
    run_syncer("sync", env=fake_api)

    done = run_syncer("sync", env=fake_api | {"PYTHONPROFILEIMPORTTIME": "1"})

    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"httpx", "sqlalchemy"} <= loaded
    assert set() == loaded & {
        "alembic",
        "apscheduler",
        "cryptography",
        "jinja2",
        "prometheus_client",
        "pygments",
        "rich",
    }


def test_the_demo_ends_in_sql_that_answers_and_in_a_page(run_syncer: RunSyncer, tmp_path: Path) -> None:
    for _twice in range(2):
        done = run_syncer("demo", "--lang", "ru")

        assert done.returncode == 0, done.stderr
        for words in (
            "Инстансы по статусам",
            "История",
            "Запуски",
            "restored",
            "purged",
            "syncer approve",
            "Unauthorized",
            "SELECT messenger, tariff, COUNT(*) AS live",
        ):
            assert words in done.stdout
    page = tmp_path / "demo.html"
    assert [f"  {page}", f"  {page.as_uri()}"] == done.stdout.splitlines()[-2:]
    assert '<html lang="ru">' in page.read_text("utf-8")
    with sqlite3.connect(tmp_path / "demo.db") as connection:
        answers = [connection.execute(query).fetchall() for query in QUERIES.values()]
    connection.close()
    assert all(answers)
    assert all(str(answer[0][0]) in done.stdout for answer in answers)


def test_the_demos_data_is_fresh(run_syncer: RunSyncer, tmp_path: Path) -> None:
    """A page that begins with a warning is none to show."""
    run_syncer("demo")
    (demo,) = json.loads(run_syncer("status", "--json", "--database-url", "sqlite:///demo.db").stdout)["accounts"]

    assert 'class="warning"' not in (tmp_path / "demo.html").read_text("utf-8")
    assert demo["age_seconds"] < HANG_SECONDS


@pytest.mark.parametrize("language", ["de", "ru_RU"])
def test_the_demo_refuses_a_language_that_it_does_not_speak(run_syncer: RunSyncer, language: str) -> None:
    done = run_syncer("demo", "--lang", language)

    assert (done.returncode, done.stderr) == (2, "syncer: SYNCER_LANG: it is none of en, ru\n")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("thesis.txt", "demo: thesis.txt is there, and no demo made it; name another file: --database FILE"),
        ("syncer.db", "demo: syncer.db is there, and no demo made it"),
        ("folder", "demo: folder is there, and no demo made it"),
        ("nowhere/x.db", "demo: there is no folder nowhere; create it, or name another file"),
        ("", "demo: . is there, and no demo made it"),
        ("mine.db", "demo: mine.html is there, and no demo made it; name another file: --database FILE"),
        ("new.html", "demo: new.html is where the page goes; name a file such as demo.db: --database FILE"),
    ],
)
def test_the_demo_replaces_nothing_but_a_demo(
    run_syncer: RunSyncer, tmp_path: Path, sqlite_template: Path, place: str, words: str
) -> None:
    """A mirror's history cannot be fetched again."""
    (tmp_path / "thesis.txt").write_text("chapter one")
    (tmp_path / "mine.html").write_text("<p>chapter two</p>")
    (tmp_path / "folder").mkdir()
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    Mirror(f"sqlite:///{tmp_path}/syncer.db").observe([item(1)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    done = run_syncer("demo", "--database", place)

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert words in done.stderr
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


@pytest.fixture
def of_two(run_syncer: RunSyncer, env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Settings of two accounts, `a` and `b`, of which `a` alone was ever fetched."""
    (tmp_path / "syncer.toml").write_text('[accounts.a]\ntoken_env = "A"\n[accounts.b]\ntoken_env = "B"\n')
    made = env | {"A": "gac." + "a" * 40, "B": "gac." + "b" * 40}
    with FaultServer([fault.json_list([item(1)])]) as server:
        assert run_syncer("sync", "--account", "a", env=made | {"SYNCER_API_URL": server.url}).returncode == 0
    return made


def test_an_account_that_was_never_fetched_is_not_fresh(run_syncer: RunSyncer, of_two: dict[str, str]) -> None:
    shown, document = run_syncer("status", env=of_two), run_syncer("status", "--json", env=of_two)
    of_it = run_syncer("status", "--account", "b", env=of_two)
    of_other = run_syncer("status", "--account", "a", env=of_two)
    run_syncer("accounts", "retire", "a", env=of_two)
    beside_retired = run_syncer("status", env=of_two)

    assert [3, 3, 3, 0, 3] == [one.returncode for one in (shown, document, of_it, of_other, beside_retired)]
    assert {"a": "ok", "b": "never"} == {
        one["account"]: one["state"] for one in json.loads(document.stdout)["accounts"]
    }
    assert ["never" in one.stdout for one in (shown, of_it, of_other, beside_retired)] == [True, True, False, True]


@pytest.mark.parametrize(
    "command", ["history", "report", "find 1", "diff 7d", "status --as-of yesterday", "export bi_daily", "bill"]
)
def test_an_account_that_was_never_fetched_has_an_empty_past(
    run_syncer: RunSyncer, of_two: dict[str, str], command: str
) -> None:
    done, unknown = (run_syncer(*command.split(), "--account", name, env=of_two) for name in ("b", "nobody"))

    assert (done.returncode, unknown.returncode) == (0, 2), done.stderr
    assert "the database knows no account 'nobody'" in unknown.stderr
    assert ("no answer of b was accepted yet" in done.stdout) == (command == "bill")


def test_a_machine_on_which_nobody_named_an_account_expects_none(
    run_syncer: RunSyncer, of_two: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "syncer.toml").unlink()
    alone = of_two | {"SYNCER_PARTNER_TOKEN": ""}
    status = run_syncer("status", "--json", env=alone)
    named = run_syncer("status", "--json", env=alone | {"SYNCER_ACCOUNT": "c"})
    with_token = run_syncer("status", "--json", env=of_two)

    assert [0, 3, 0] == [status.returncode, named.returncode, with_token.returncode]
    assert [["a"], ["a", "c"], ["a"]] == [
        [one["account"] for one in json.loads(done.stdout)["accounts"]] for done in (status, named, with_token)
    ]
