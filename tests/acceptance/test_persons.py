"""Syncer as a person meets it: mistyped words, narrow terminals, pipes, other character sets, full disks."""

import codecs
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import click
import fault_server as fault
import pytest
from builders import item, paid
from canary import api_token
from click.testing import CliRunner
from conftest import RunSyncer
from fault_server import FaultServer
from mirror import Mirror

from syncer.cli.main import cli

KAZAKH = 310002932412
RENAMED = 710300733103


@pytest.fixture
def env(tmp_path: Path, sqlite_template: Path) -> dict[str, str]:
    """A mirror whose names are Russian, Kazakh and emoji."""
    shutil.copy(sqlite_template, tmp_path / "lived.db")
    mirror = Mirror(f"sqlite:///{tmp_path}/lived.db")
    mirror.observe([item(KAZAKH, name="Қазақ Әлемі"), item(RENAMED, name="Пекарня №7 🥐"), paid(3, name="café")])
    mirror.observe(
        [
            item(KAZAKH, name="Қазақ Әлемі", apiTokenInstance=api_token(KAZAKH, 1)),
            item(RENAMED, name="Алатау"),
            paid(3, deleted=True),
        ]
    )
    mirror.engine.dispose()
    return {"SYNCER_DATABASE_URL": f"sqlite:///{tmp_path}/lived.db"}


MISTYPED: dict[str, tuple[list[str], dict[str, str], str]] = {
    "a command of a group": (["db", "upgrad"], {}, "did you mean 'upgrade'?"),
    "a flag": (["sync", "--acount", "x"], {}, "'--account'"),
    "a variable": (["status"], {"SYNCER_SHEDULE": "5m"}, "SYNCER_SHEDULE: there is no such setting; did you mean SYNCER_SCHEDULE?"),
    "a variable of a secret": (["status"], {"SYNCER_PARTNER_TOKN": "gac.x"}, "did you mean SYNCER_PARTNER_TOKEN?"),
    "an account to read": (["history", "--account", "defualt"], {}, "the database knows no account 'defualt'; did you mean default?"),
    "an id to explain": (["explain", "710300733104"], {}, "explain: no instance 710300733104 was ever seen; did you mean 710300733103?"),
    "an id of no history": (["history", "710300733104"], {}, "history: no instance 710300733104 was ever seen; did you mean 710300733103?"),
    "a flag before its command": (["--database-url=x", "status"], {}, "--database-url belongs behind the command, as in: syncer COMMAND"),
    "a mistyped flag before its command": (["--databse-url", "x", "status"], {}, "--database-url belongs behind the command"),
    "a command's own flag before it": (["--json", "status"], {}, "--json belongs behind the command, as in: syncer COMMAND --json"),
    "a flag before the command of a group": (["rates", "--json", "list"], {}, "as in: syncer rates COMMAND --json"),
    "a command of a group alone": (["upgrade"], {}, "There is no command 'upgrade'; did you mean 'db upgrade'?"),
    "an invoice": (["bill", "2026-11", "--invoice", "nope.csv"], {}, "reading nope.csv: No such file or directory; correct the path"),
    "a month": (["bill", "11.2026"], {}, "'11.2026' is no month such as 20"),
    "a view": (["export", "bi_instnces"], {}, "there is no view 'bi_instnces'; did you mean bi_instances?"),
    "a scenario": (["fake-api", "--scenario", "qiet"], {}, "did you mean quiet?"),
    "no id": (["explain", "Пекарня"], {}, "'Пекарня' is no instance's id such as 1101000001"),
    "a transition": (["history", "--transition", "deletd"], {}, "'deletd' is not one of 'created'"),
    "a revision": (["db", "downgrade", "1"], {}, "there is no revision '1'; known are: 0001"),
    "a run": (["approve", "999"], {}, "there is no such run; held runs are shown by: syncer status"),
    "a file of settings": (["status", "--config", "nope.toml"], {}, "reading nope.toml: No such file or directory; correct the path"),
    "a file of a secret": (["sync", "--partner-token-file", "nope"], {"SYNCER_PARTNER_TOKEN": ""}, "correct the path"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "more", "words"), MISTYPED.values(), ids=MISTYPED)
def test_what_was_mistyped_is_told_in_one_line_with_what_was_meant(
    run_syncer: RunSyncer, env: dict[str, str], arguments: list[str], more: dict[str, str], words: str
) -> None:
    done = run_syncer(*arguments, env=env | more)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_mistyped_key_of_the_file_is_told(run_syncer: RunSyncer, tmp_path: Path) -> None:
    (tmp_path / "syncer.toml").write_text('shedule = "5m"\n')

    assert "there is no such setting; did you mean schedule?" in run_syncer("status").stderr


def test_a_mistyped_tariff_is_told_and_kept_all_the_same(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    """An instance may come to have it tomorrow."""
    done = run_syncer("rates", "set", "PARTNER_32", "1", "USD", env=env)

    assert (0, "careful: no live instance has the tariff PARTNER_32; did you mean PARTNER_23?") == (
        done.returncode, done.stdout.splitlines()[-1],
    )  # fmt: skip
    assert "PARTNER_32" in run_syncer("rates", "list", env=env).stdout


GROUPS = {"": cli, **{name: one for name, one in cli.commands.items() if isinstance(one, click.Group)}}


@pytest.mark.parametrize("group", GROUPS)
def test_the_list_of_commands_cuts_no_sentence(group: str) -> None:
    shown = CliRunner().invoke(GROUPS[group], ["--help"]).output

    assert "Commands:" in shown
    assert "..." not in shown.partition("Commands:")[2]


def test_variables_of_others_are_left_alone_and_doctor_tells_of_them(
    run_syncer: RunSyncer, env: dict[str, str]
) -> None:
    """Kubernetes gives every container variables that are named after its services."""
    env = env | {"SYNCER_SERVICE_HOST": "10.0.0.1", "SYNCER_PORT_9464_TCP_PROTO": "tcp"}

    with FaultServer([fault.json_list([item(KAZAKH)])]) as server:
        found = json.loads(run_syncer("doctor", "--json", env=env | {"SYNCER_API_URL": server.url}).stdout)

    assert [one["message"].split()[3] for one in found["findings"] if one["check"] == "configuration.variables"] == [
        "SYNCER_PORT_9464_TCP_PROTO,", "SYNCER_SERVICE_HOST,",
    ]  # fmt: skip


def test_an_account_may_keep_its_token_in_a_variable_of_any_name(run_syncer: RunSyncer, tmp_path: Path) -> None:
    (tmp_path / "syncer.toml").write_text('[accounts.north]\ntoken_env = "SYNCER_PARTNER_TOKEN_2"\n')

    assert run_syncer("db", "current", env={"SYNCER_PARTNER_TOKEN_2": "gac.x"}).returncode == 0
    assert run_syncer("db", "current", env={"SYNCER_PARTNER_TOKEN_3": "gac.x"}).returncode == 2


def test_no_arguments_at_all_show_the_help(run_syncer: RunSyncer) -> None:
    done = run_syncer()

    assert (done.returncode, done.stderr.startswith("Usage: syncer [OPTIONS]")) == (2, True)


READERS = ["history", "report", "explain 310002932412", "export bi_instances"]


@pytest.mark.parametrize(
    ("encoding", "command"),
    [*(("ascii", command) for command in READERS), ("cp1251", "history")],
)
def test_a_locale_that_cannot_show_a_name_ends_no_command(
    syncer_environment: dict[str, str], env: dict[str, str], tmp_path: Path, command: str, encoding: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "syncer", *command.split()], cwd=tmp_path, capture_output=True, check=False,
        env=syncer_environment | env | {"PYTHONIOENCODING": encoding},
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, b"")
    codecs.decode(done.stdout, "utf-8" if "export" in command else encoding)


@pytest.mark.parametrize("encoding", ["ascii"])
def test_json_keeps_every_name_in_any_locale(run_syncer: RunSyncer, env: dict[str, str], encoding: str) -> None:
    plain = json.loads(run_syncer("history", "--json", env=env).stdout)

    assert plain == json.loads(run_syncer("history", "--json", env=env | {"PYTHONIOENCODING": encoding}).stdout)


@pytest.mark.parametrize("command", [*READERS, "export bi_instances --format xlsx", "--help"])
def test_a_reader_that_goes_early_is_no_error(
    syncer_environment: dict[str, str], env: dict[str, str], tmp_path: Path, command: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # nobody will ever read
    done = subprocess.run(
        [sys.executable, "-m", "syncer", *command.split()], cwd=tmp_path, check=False,
        env=syncer_environment | env, stdout=writing, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    "command",
    [
        "history",
        "history --json",
        "export bi_instances",
        "export bi_instances --format parquet",
        "export bi_instances --format xlsx",
    ],
)
def test_a_full_disk_is_told_in_one_line(
    syncer_environment: dict[str, str], env: dict[str, str], tmp_path: Path, command: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "syncer", *command.split()], cwd=tmp_path, check=False,
            env=syncer_environment | env, stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    assert (done.returncode, done.stderr) == (
        2, "syncer: writing the result: No space left on device; free some room, or write elsewhere\n",
    )  # fmt: skip


def on_a_terminal(arguments: list[str], env: dict[str, str], folder: Path, columns: int) -> str:
    """What the program writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "syncer", *arguments], cwd=folder, env=env, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        pieces = []
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux tells that the other side is closed
                piece = b""
            if not piece:
                break
            pieces.append(piece)
    os.close(ours)
    return b"".join(pieces).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [30, 80])
@pytest.mark.parametrize(
    ("command", "whole"),
    [
        ("history", {str(KAZAKH), str(RENAMED), "token_rotated", "2026-06-03T15:39:44Z"}),
        ("status", {"default", "2026-11-01T12:10:00Z", "transitions"}),
    ],
)
def test_a_narrow_terminal_breaks_no_id_time_or_word(
    syncer_environment: dict[str, str], env: dict[str, str], tmp_path: Path, command: str, whole: set[str], columns: int
) -> None:
    environment = syncer_environment | env | {"TERM": "xterm-256color"}

    shown = re.sub(r"\x1b\[[\d;]*m", "", on_a_terminal(command.split(), environment, tmp_path, columns))

    assert set() == whole - {word for word in whole if re.search(rf"(?<!\S){re.escape(word)}(?!\S)", shown)}
    assert max(len(line) for line in shown.splitlines()) <= columns


LONG = "Пекарня на углу улицы, в которой пекут хлеб " * 6


@pytest.fixture
def long_names(tmp_path: Path, sqlite_template: Path) -> dict[str, str]:
    """Names that no line has room for."""
    shutil.copy(sqlite_template, tmp_path / "long.db")
    mirror = Mirror(f"sqlite:///{tmp_path}/long.db")
    mirror.observe([item(KAZAKH, name=f"{LONG}!", typeInstance="v3", messenger="v3"), item(RENAMED, name=LONG)])
    mirror.observe([item(KAZAKH, name=f"{LONG}?"), item(RENAMED, name=LONG)])
    mirror.engine.dispose()
    return {"SYNCER_DATABASE_URL": f"sqlite:///{tmp_path}/long.db"}


@pytest.mark.parametrize(
    ("command", "records"),
    [("history", 3), ("find пекарня", 2), ("bill --by instance", 2), ("status --as-of 2026-11-02", 1)],
)
def test_a_record_is_one_line_in_a_pipe_however_long_it_is(
    run_syncer: RunSyncer, long_names: dict[str, str], command: str, records: int
) -> None:
    shown = run_syncer(*command.split(), env=long_names).stdout.splitlines()

    assert records == len([line for line in shown if re.search(r"PARTNER_23|created|changed", line)])
    if "as-of" not in command:
        assert max(map(len, shown)) > len(LONG)


@pytest.mark.parametrize("command", [f"explain {KAZAKH}", "diff 2026-11-01 2026-11-02"])
def test_a_long_line_on_a_terminal_is_broken_at_words(
    syncer_environment: dict[str, str], long_names: dict[str, str], tmp_path: Path, command: str
) -> None:
    shown = on_a_terminal(command.split(), syncer_environment | long_names, tmp_path, 60)
    shown = re.sub(r"\x1b\[[\d;]*m", "", shown)

    assert max(map(len, shown.splitlines())) <= 60
    known = {*LONG.split(), "“Пекарня", "хлеб", "!”", "?”", "!", "?"}
    cyrillic = {word for word in shown.split() if re.search("[а-я]", word)}
    assert cyrillic
    assert set() == cyrillic - known


def test_people_read_max_and_machines_the_upstreams_own_word(run_syncer: RunSyncer, long_names: dict[str, str]) -> None:
    people = ("history", f"explain {KAZAKH}", "diff 2026-11-01 2026-11-02", "report", "bill", "find пекарня")
    read = {command: run_syncer(*command.split(), env=long_names).stdout for command in people}
    read["status"] = run_syncer("status", "--as-of", "2026-11-01T12:06", env=long_names).stdout
    machines = (
        run_syncer("history", "--json", env=long_names).stdout,
        run_syncer("export", "instance_versions", env=long_names).stdout,
    )

    assert [] == [command for command, shown in read.items() if re.search(r"\bv3\b", shown)]
    assert {"history", f"explain {KAZAKH}", "status"} <= {name for name, shown in read.items() if "MAX" in shown}
    assert [(True, False)] * 2 == [("v3" in text, "MAX" in text) for text in machines]


def test_no_color_is_obeyed(syncer_environment: dict[str, str], env: dict[str, str], tmp_path: Path) -> None:
    """https://no-color.org: no colour, whatever the terminal can do."""
    environment = syncer_environment | env | {"TERM": "xterm-256color", "NO_COLOR": "1"}

    shown = "".join(
        on_a_terminal(command.split(), environment, tmp_path, 120) for command in ("history", "status", "report")
    )

    assert shown
    assert [] == re.findall(r"\x1b\[(?:3[0-7]|38|9[0-7]|4[0-7]|48|10[0-7])[;m]", shown)
