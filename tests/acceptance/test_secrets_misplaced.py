"""A secret that was given where something else belongs is called what it looks like, and never shown (CONTRACT 1)."""

import base64
from pathlib import Path

import pytest
from canary import DATABASE_PASSWORD, PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, api_token
from conftest import RunSyncer

KEY = base64.b64encode(bytes(range(1, 252, 8))).decode()  # 32 bytes, as openssl writes them
URL = f"postgresql://syncer:{DATABASE_PASSWORD}@127.0.0.1:9/syncer"
BOT = "123456789:AAHsecretsecretsecretsecretsecret12"
SLACK = "hooks.slack.com/services/T0AAAA/B0BBBB/ZzSecretZzSecretZzSecret"
SHORT_KEY = base64.b64encode(bytes(range(3, 240, 10))).decode()  # 24 bytes
NONE = {"SYNCER_PARTNER_TOKEN": ""}
HOOK = "https://hooks.example/services/c0ffee+hook"
RECEIVER = '[receivers.a]\nformat = "slack"\n'

PLACES: dict[str, tuple[list[str], dict[str, str], str]] = {
    "a token for its file": (["sync"], NONE | {"SYNCER_PARTNER_TOKEN_FILE": PARTNER_TOKEN}, ""),
    "a weird token for its file": (["sync"], NONE | {"SYNCER_PARTNER_TOKEN_FILE": WEIRD_PARTNER_TOKEN}, ""),
    "a token for its file, to the doctor": (["doctor"], NONE | {"SYNCER_PARTNER_TOKEN_FILE": PARTNER_TOKEN}, ""),
    "a token for its file's flag": (["sync", "--partner-token-file", PARTNER_TOKEN], NONE, ""),
    "a token behind its file's flag": (["sync", f"--partner-token-file={WEIRD_PARTNER_TOKEN}"], NONE, ""),
    "a token for token_file": (["sync"], NONE, f'[accounts.a]\ntoken_file = "{WEIRD_PARTNER_TOKEN}"'),
    "a token for token_file, to the doctor": (["doctor"], NONE, f'[accounts.a]\ntoken_file = "{WEIRD_PARTNER_TOKEN}"'),
    "a token for token_env": (["sync"], NONE, f'[accounts.a]\ntoken_env = "{WEIRD_PARTNER_TOKEN}"'),
    "a token for an account's name": (["sync"], {"SYNCER_ACCOUNT": WEIRD_PARTNER_TOKEN}, ""),
    "a token for an account's table": (["sync"], {}, f'[accounts."{WEIRD_PARTNER_TOKEN}"]\ntoken_env = "X"'),
    "a token for a setting's name": (["sync"], {}, f'"{WEIRD_PARTNER_TOKEN}" = "x"'),
    "a token for a schedule": (["sync"], {"SYNCER_SCHEDULE": PARTNER_TOKEN}, ""),
    "a weird token for a schedule": (["sync"], {"SYNCER_SCHEDULE": WEIRD_PARTNER_TOKEN}, ""),
    "a token in a schedule": (["sync"], {"SYNCER_SCHEDULE": f"{WEIRD_PARTNER_TOKEN} * * * *"}, ""),
    "a token for a time zone": (["sync"], {"SYNCER_TIMEZONE": WEIRD_PARTNER_TOKEN}, ""),
    "a token for a command": ([WEIRD_PARTNER_TOKEN], {}, ""),
    "a token for a flag": (["sync", f"--{PARTNER_TOKEN}"], {}, ""),
    "a token for a run": (["approve", WEIRD_PARTNER_TOKEN], {}, ""),
    "a token for a time": (["history", "--since", WEIRD_PARTNER_TOKEN], {}, ""),
    "a token for an account": (["sync", "--account", WEIRD_PARTNER_TOKEN], {}, ""),
    "a token for the file of settings": (["sync", "--config", WEIRD_PARTNER_TOKEN], {}, ""),
    "a token for a listening address": (["sync"], {"SYNCER_LISTEN": WEIRD_PARTNER_TOKEN}, ""),
    "an instance's token for its id": (["explain", api_token(1)], {}, ""),
    "a key for its file": (["sync"], {"SYNCER_TOKEN_KEY_FILE": KEY}, ""),
    "a key for its file, to the doctor": (["doctor"], {"SYNCER_TOKEN_KEY_FILE": KEY}, ""),
    "a key in hex for its file": (["sync"], {"SYNCER_TOKEN_KEY_FILE": base64.b64decode(KEY).hex()}, ""),
    "a database's URL for its file": (["sync"], {"SYNCER_DATABASE_URL_FILE": URL}, ""),
    "a database's URL for its file's flag": (["sync", "--database-url-file", URL], {}, ""),
    "a database's URL for a command": ([URL], {}, ""),
    "a receiver's address for its file": (["receivers", "test", "a"], {}, f'{RECEIVER}url_file = "{HOOK}"'),
    "a receiver's address for its file, to the doctor": (["doctor"], {}, f'{RECEIVER}url_file = "{HOOK}"'),
    "a receiver's address for its variable": (["receivers", "test", "a"], {}, f'{RECEIVER}url_env = "{HOOK}"'),
    "a token for the demo's file": (["demo", "--database", WEIRD_PARTNER_TOKEN], {}, ""),
    "a bot's token for its file": (["receivers", "test", "a"], {}, f'{RECEIVER}url_file = "{BOT}"'),
    "a bot's token for its variable": (["receivers", "test", "a"], {}, f'{RECEIVER}url_env = "{BOT}"'),
    "a bot's address for its variable": (["receivers", "test", "a"], {}, f'{RECEIVER}url_env = "api.telegram.org/bot{BOT}/x"'),
    "a chat's address for its file": (["receivers", "test", "a"], {}, f'{RECEIVER}url_file = "{SLACK}"'),
    "a receiver's secret for its file": (["receivers", "test", "a"], {"U": HOOK}, f'[receivers.a]\nurl_env = "U"\nsecret_file = "{SHORT_KEY}"'),
    "a receiver's address for a transition": (["receivers", "test", "a"], {"U": HOOK}, f'{RECEIVER}url_env = "U"\ntransitions = ["{HOOK}"]'),
    "a receiver's address for its account": (["receivers", "test", "a"], {"U": HOOK}, f'{RECEIVER}url_env = "U"\naccounts = ["{HOOK}"]'),
    "a receiver's address for its digest": (["receivers", "test", "a"], {"U": HOOK}, f'{RECEIVER}url_env = "U"\ndigest = "{HOOK}"'),
    "a receiver's address for a key": (["receivers", "test", "a"], {"U": HOOK}, f'{RECEIVER}url_env = "U"\n"{HOOK}" = 1'),
    "a receiver's address for its table": (["receivers", "test", "a"], {}, f'[receivers."{HOOK}"]\nurl_env = "U"\nx = 1'),
    "a token for a receiver's table": (["sync"], {}, f'[receivers."{PARTNER_TOKEN}"]\nurl_env = "U"'),
    "a receiver's address for an account's table": (["sync"], {}, f'[accounts."{HOOK}"]\ntoken_env = "X"\nx = 1'),
    "a receiver's address for a schedule": (["sync"], {"SYNCER_SCHEDULE": HOOK}, ""),
    "a receiver's address for an account": (["sync", "--account", HOOK], {}, ""),
    "a receiver's address for a receiver": (["receivers", "test", HOOK], {}, ""),
    "a bot's token for a receiver": (["receivers", "test", BOT], {}, ""),
    "a receiver's secret for a receiver": (["receivers", "test", SHORT_KEY], {}, ""),
    "a database's URL behind a folder": (["sync"], {"SYNCER_DATABASE_URL_FILE": f"/nonexist/{URL}"}, ""),
    "a database's URL behind a folder, by a flag": (["sync", "--database-url-file", f"/nonexist/{URL}"], NONE, ""),
    "a receiver's secret behind dashes": (["sync", f"--{SHORT_KEY}"], {}, ""),
    "a database's URL behind dashes": (["sync", f"--{URL}?sslmode=require"], {}, ""),
    "a database's URL behind that of a file": (["sync", "--database-url", f"sqlite:////nonexist/{URL}"], {}, ""),
    "a database's URL behind that of a file, by a variable": (["sync"], {"SYNCER_DATABASE_URL": f"sqlite:////nonexist/{URL}"}, ""),
    "a database's URL for the demo's file": (["demo", "--database", URL], {}, ""),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_in_the_wrong_place_is_not_shown(run_syncer: RunSyncer, tmp_path: Path, place: str) -> None:
    arguments, environment, document = PLACES[place]
    if document:
        (tmp_path / "syncer.toml").write_text(document)
    done = run_syncer(*arguments, env=environment)  # which looks for the canaries
    (tmp_path / "syncer.toml").unlink(missing_ok=True)

    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert len(done.stderr.strip().splitlines()) <= 1
    for secret in (
        KEY,
        base64.b64decode(KEY).hex(),
        "c0ffee+pass",
        "c0ffee%2Bpass",
        "c0ffee+hook",
        "tök?en",
        "ry+t",
        SHORT_KEY,
        "AAHsecret",
        "ZzSecret",
        "c0ffee",
    ):
        assert secret not in said
    assert "what looks like a token" in said or "no such setting" in said or "host:port" in said


def test_an_account_is_not_renamed_to_a_secret(run_syncer: RunSyncer) -> None:
    run_syncer("db", "upgrade")
    done = run_syncer("accounts", "rename", "default", PARTNER_TOKEN)

    assert done.returncode == 2
    assert "NEW: it is what looks like a token; give what belongs there" in done.stderr


@pytest.mark.parametrize("secret", [PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, URL], ids=["token", "weird token", "URL"])
@pytest.mark.parametrize("command", [["report", "--html"], ["export", "bi_daily", "--format", "csv", "--output"]])
def test_no_file_is_written_under_a_secrets_name(
    run_syncer: RunSyncer, tmp_path: Path, command: list[str], secret: str
) -> None:
    run_syncer("db", "upgrade")
    before = sorted(tmp_path.rglob("*"))
    done = run_syncer(*command, secret)

    assert done.returncode == 2
    assert "it is what looks like a token; name a file" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_there_is_no_secret(run_syncer: RunSyncer, tmp_path: Path) -> None:
    """As those of containers are, that are named by 64 hex digits."""
    folder = tmp_path / ("5a" * 32)
    folder.mkdir()
    run_syncer("db", "upgrade")

    assert run_syncer("report", "--html", str(folder / "report.html")).returncode == 0
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@s3cret-rest@127.0.0.1:9/db",
        "postgresql://u:hunter2@s3cret/rest@127.0.0.1:9/db",
        "postgresql+psycopg://u:hunter2@@s3cret@127.0.0.1:9/db",
    ],
)
def test_a_password_with_an_unescaped_sign_is_not_shown(run_syncer: RunSyncer, url: str) -> None:
    for environment in ({"SYNCER_DATABASE_URL": url}, {}):
        done = run_syncer("db", "current", *(() if environment else ("--database-url", url)), env=environment)

        assert done.returncode == 2, done.stderr
        assert "write %40" in done.stderr
        assert "s3cret" not in done.stderr
        assert "hunter2" not in done.stderr
