"""`syncer token`: the one output that shows a secret, and how little it takes to get none."""

import subprocess
import sys
from pathlib import Path

import fault_server as fault
import pytest
from builders import item
from canary import api_token
from conftest import RunSyncer
from fault_server import FaultServer
from sqlalchemy import text

from syncer.storage import database

KEY, OTHER = "11" * 32, "22" * 32
ONE, MASKED = 710300733103, 710300733104


@pytest.fixture
def env(run_syncer: RunSyncer, database_url: str) -> dict[str, str]:
    env = {"SYNCER_DATABASE_URL": database_url}
    with FaultServer([fault.json_list([item(ONE), item(MASKED, apiTokenInstance="********************")])]) as server:
        done = run_syncer("sync", env=env | {"SYNCER_API_URL": server.url, "SYNCER_TOKEN_KEY": KEY})
    assert done.returncode == 0, done.stderr
    return env


def test_a_token_is_printed_alone_to_who_has_the_key(
    syncer_environment: dict[str, str], env: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "syncer", "token", str(ONE)], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=syncer_environment | env | {"SYNCER_TOKEN_KEY": KEY, "SYNCER_LOG_LEVEL": "debug"},
    )  # fmt: skip

    assert (0, f"{api_token(ONE)}\n") == (done.returncode, done.stdout)
    assert api_token(ONE) not in done.stderr


@pytest.mark.parametrize(
    ("id_instance", "key", "words"),
    [
        (ONE, None, "token: no key is set; set SYNCER_TOKEN_KEY_FILE"),
        (ONE, OTHER, f"SYNCER_TOKEN_KEY: the token of {ONE} is kept under another key"),
        (MASKED, KEY, f"token: none is kept of {MASKED}"),
        (710300733109, KEY, f"token: no instance 710300733109 was ever seen; did you mean {ONE}"),
    ],
    ids=["no key", "another key", "a masked token", "no such instance"],
)
def test_without_it_one_line_says_why(
    run_syncer: RunSyncer, env: dict[str, str], id_instance: int, key: str | None, words: str
) -> None:
    done = run_syncer("token", str(id_instance), env=env | ({"SYNCER_TOKEN_KEY": key} if key else {}))

    assert (2, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))
    assert words in done.stderr


def test_a_row_that_was_moved_to_another_instance_opens_for_nobody(run_syncer: RunSyncer, env: dict[str, str]) -> None:
    engine = database.open_engine(database.parse_database_url(env["SYNCER_DATABASE_URL"]))
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE instance_tokens SET id_instance = {MASKED} WHERE id_instance = {ONE}"))
    engine.dispose()

    done = run_syncer("token", str(MASKED), env=env | {"SYNCER_TOKEN_KEY": KEY})

    assert (8, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))
    assert f"opening the token of {MASKED}: its row in instance_tokens was changed" in done.stderr
