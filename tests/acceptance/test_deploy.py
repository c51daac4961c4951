"""What deploy/ and the documents name is there: settings, commands, metrics, roles, rights."""

import os
import re
import shutil
import stat
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from builders import item
from canary import DATABASE_PASSWORD
from conftest import CHECKOUT, RunSyncer
from loading import load
from mirror import START, Mirror
from postgres import Postgres

from syncer import __version__
from syncer.cli.main import cli
from syncer.daemon.metrics import Metrics
from syncer.settings.declared import SETTINGS
from syncer.storage import database, epoch, sqlite_file
from syncer.storage.tables import syncer_epoch
from syncer.views.estate import AccountStatus
from syncer.views.receivers import ReceiverStatus

DEPLOY = CHECKOUT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and "secrets" not in path.parts)
KNOWN_VARIABLES = {setting.variable for setting in SETTINGS.values()}


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(DEPLOY)) for path in FILES])
def test_every_setting_is_one_that_exists(path: Path) -> None:
    assert set() == set(re.findall(r"SYNCER_[A-Z_]+", path.read_text("utf-8"))) - KNOWN_VARIABLES


COMMANDS = [
    *re.findall(
        r"^ExecStart=\S+/syncer (.*)$", "".join(p.read_text() for p in (DEPLOY / "systemd").glob("*")), re.MULTILINE
    ),
    *(
        " ".join(re.findall(r'"([^"]+)"', found))
        for name in ("compose.yaml", "kubernetes/deployment.yaml", "kubernetes/cronjob.yaml", "Dockerfile")
        for found in re.findall(
            r"^ *(?:command:|args:|CMD) (\[.*\])$", (DEPLOY / name).read_text("utf-8"), re.MULTILINE
        )
        if "urllib" not in found
    ),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_that_exists(command: str) -> None:
    found = cli
    words = command.split()
    while words and hasattr(found, "commands"):
        found = found.commands[words.pop(0)]  # type: ignore[assignment]  # a group until its last word

    assert len(words) == sum(1 for one in found.params if one.param_type_name == "argument" and one.required)


def test_compose_gives_grafana_what_its_files_ask_for() -> None:
    compose = (DEPLOY / "compose.yaml").read_text("utf-8")
    grafana = compose[compose.index("\n  grafana:") : compose.index("\n  prometheus:")]
    asked = "".join(path.read_text("utf-8") for path in (DEPLOY / "grafana" / "provisioning").rglob("*.yaml"))
    secrets, folders = re.findall(r"__file\{/run/secrets/(\w+)\}", asked), re.findall(r"path: (/[\w/]+)", asked)

    assert (len(secrets), len(folders)) == (1, 1)
    assert re.search(rf"secrets: \[.*\b{secrets[0]}\b.*\]", grafana)
    assert f":{folders[0]}:ro" in grafana
    assert "user: reader\n" in asked


def test_commands_were_found_in_every_kind_of_file() -> None:
    assert {"run", "sync", "db upgrade", "db grant-reader reader"} == set(COMMANDS)


def test_every_image_of_ours_is_of_this_version() -> None:
    text = "".join(path.read_text("utf-8") for path in FILES)

    assert {__version__} == set(re.findall(r"\bsyncer:([0-9]+\.[\w.]*)", text))


def test_the_alerts_ask_for_metrics_and_words_that_exist() -> None:
    metrics = Metrics(["north"])
    status = AccountStatus(
        **dict.fromkeys(AccountStatus.__annotations__) | {"account": "north", "data_as_of": START, "listed": 1, "live": 1, "expired": 0, "deleted": 0}
    )  # fmt: skip
    receivers = [ReceiverStatus("crm", "standard", "failing", behind=1, failing_since=START)]
    shown = metrics.text([status], START, receivers=receivers).decode()
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8")

    asked = set(
        re.findall(r"syncer_[a-z_]+", " ".join(re.findall(r"expr: (?:>-)?(.*?)\n +(?:for|labels):", rules, re.DOTALL)))
    )
    labels = {(name, word) for name, words in re.findall(r'(\w+)=~?"([a-z_|]+)"', rules) for word in words.split("|")}

    assert asked
    assert set() == asked - set(re.findall(r"^(syncer_[a-z_]+)", shown, re.MULTILINE))
    assert set() == labels - {("job", "syncer")} - set(re.findall(r'(\w+)="([a-z_]+)"', shown))


@pytest.fixture
def secrets_folder(tmp_path: Path) -> Path:
    """What make-secrets writes."""
    if os.getuid() != 0:
        pytest.skip("only root may give files to the containers' users")
    token = tmp_path / "token.secret"
    token.write_text("gac.not-a-canary\n")
    folder = tmp_path / "secrets"
    for _again in range(2):
        subprocess.run(
            [DEPLOY / "make-secrets", token], env=os.environ | {"SECRETS_FOLDER": str(folder)}, check=True, capture_output=True
        )  # fmt: skip
    return folder


def test_each_secret_can_be_read_by_its_own_container_alone(secrets_folder: Path) -> None:
    compose = (DEPLOY / "compose.yaml").read_text("utf-8")
    found = {path.name: path.stat() for path in secrets_folder.iterdir()}

    assert set(re.findall(r"file: ./secrets/(\w+)", compose)) == set(found)
    assert {0o400} == {stat.S_IMODE(one.st_mode) for one in found.values()}
    assert {"partner_token": 10001, "database_url": 10001, "grafana_password": 472, "grafana_reader_password": 472} == {
        name: one.st_uid for name, one in found.items() if one.st_uid != 999
    }
    assert (secrets_folder / "syncer_password").read_text() in (secrets_folder / "database_url").read_text()
    assert (secrets_folder / "reader_password").read_text() == (secrets_folder / "grafana_reader_password").read_text()


@pytest.fixture
def roles(postgres: Postgres, secrets_folder: Path) -> Iterator[str]:
    """The roles and the database that compose's PostgreSQL begins with; gives the URL of role syncer."""
    assert postgres.bin
    admin = urlsplit(postgres.admin_url)
    environment = {
        "PATH": f"{postgres.bin}:{os.environ['PATH']}", "PGHOST": "127.0.0.1", "PGPORT": str(admin.port),
        "SECRETS_FOLDER": str(secrets_folder),
    }  # fmt: skip
    subprocess.run([DEPLOY / "postgres" / "roles.sh"], env=environment, check=True, capture_output=True, text=True)
    url = (secrets_folder / "database_url").read_text().replace("@postgres/", f"@127.0.0.1:{admin.port}/")
    yield url
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE syncer WITH (FORCE)")
        connection.execute("DROP ROLE syncer, reader")


def test_composes_roles_let_syncer_write_and_the_reader_see_the_views_alone(
    run_syncer: RunSyncer, roles: str, tmp_path: Path
) -> None:
    (tmp_path / "url.secret").write_text(roles + "\n")
    (tmp_path / "url.secret").chmod(0o400)
    for command in (["db", "upgrade"], ["db", "grant-reader", "reader"]):
        done = run_syncer(*command, env={"SYNCER_DATABASE_URL_FILE": str(tmp_path / "url.secret")})
        assert done.returncode == 0, done.stderr

    with psycopg.connect(roles.replace("//syncer", "//reader")) as connection:
        assert connection.execute("SELECT count(*) FROM bi_instances").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM instance_tokens")


def make_secrets(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [DEPLOY / "make-secrets", *arguments], env=os.environ | {"SECRETS_FOLDER": str(folder)},
        check=True, capture_output=True, text=True,
    )  # fmt: skip


def test_a_new_token_takes_the_place_of_the_old_one_in_the_file_that_is_mounted(
    secrets_folder: Path, tmp_path: Path
) -> None:
    before = {path.name: (path.read_text(), path.stat().st_ino) for path in secrets_folder.iterdir()}
    (tmp_path / "token.secret").write_text("gac.another-that-is-none\n")
    done = make_secrets(secrets_folder, str(tmp_path / "token.secret"))
    after = {path.name: (path.read_text(), path.stat().st_ino) for path in secrets_folder.iterdir()}

    assert "partner_token was replaced" in done.stdout
    assert after.pop("partner_token") == ("gac.another-that-is-none\n", before.pop("partner_token")[1])
    assert after == before
    assert "replaced" not in make_secrets(secrets_folder, str(tmp_path / "token.secret")).stdout


def accounts_of(document: str, secrets: dict[str, Path]) -> dict[str, str]:
    """Names and tokens of the accounts that a file of settings has, its secrets being elsewhere."""
    for place, path in secrets.items():
        document = document.replace(f'"{place}', f'"{path}/')
    folder = next(iter(secrets.values()))
    (folder / "syncer.toml").write_text(document)
    settings = load({}, {}, folder / "syncer.toml", folder)
    return {account.name: account.read_token() for account in settings.accounts}


ACCOUNTS = DEPLOY / "accounts"


@pytest.mark.parametrize("kind", ["compose", "systemd", "kubernetes"])
def test_the_examples_of_several_accounts_read_the_secrets_that_they_mount(kind: str, tmp_path: Path) -> None:
    if kind == "compose":
        document = (ACCOUNTS / "compose.toml").read_text("utf-8")
        override = (ACCOUNTS / "compose.yaml").read_text("utf-8")
        place, named = "/run/secrets/", set(re.findall(r"file: ./secrets/(\w+)", override))
        assert "./accounts/compose.toml:/etc/syncer/syncer.toml:ro" in override
        assert f"secrets: [{', '.join(sorted(named))}]" in override
    elif kind == "systemd":
        document = (ACCOUNTS / "systemd.toml").read_text("utf-8")
        unit = (ACCOUNTS / "systemd.conf").read_text("utf-8")
        place, named = "/run/credentials/syncer.service/", set(re.findall(r"LoadCredential=(\w+):", unit))
    else:
        text = (ACCOUNTS / "kubernetes.yaml").read_text("utf-8")
        document = textwrap.dedent(text.partition("syncer.toml: |\n")[2])
        place, named = "/run/secrets/syncer/", set(re.findall(r"--from-file=(partner_token_\w+)", text))
    for name in named:
        (tmp_path / name).write_text(f"gac.{name}")
        (tmp_path / name).chmod(0o600)

    assert accounts_of(document, {place: tmp_path}) == {
        name.removeprefix("partner_token_"): f"gac.{name}" for name in named
    }
    assert named == {"partner_token_north", "partner_token_south"}


def test_the_examples_of_several_accounts_start_what_exists() -> None:
    started = [path.read_text("utf-8") for path in (ACCOUNTS / "compose.yaml", ACCOUNTS / "kubernetes-patch.yaml")]

    assert all('["run", "--config", "/etc/syncer/syncer.toml"]' in text for text in started)
    assert "/syncer run --config /etc/syncer/syncer.toml" in (ACCOUNTS / "systemd.conf").read_text("utf-8")
    (config_flag,) = [one for one in cli.commands["run"].params if one.name == "config_file"]
    assert config_flag.opts == ["--config"]


def test_several_accounts_get_their_secrets(secrets_folder: Path, tmp_path: Path) -> None:
    for name in ("north", "south"):
        (tmp_path / f"{name}.secret").write_text(f"gac.of-{name}-not-a-canary")
    make_secrets(
        secrets_folder, str(tmp_path / "token.secret"), *(f"{name}={tmp_path}/{name}.secret" for name in ("north", "south"))
    )  # fmt: skip

    for name in ("north", "south"):
        made = secrets_folder / f"partner_token_{name}"
        assert (made.read_text(), made.stat().st_uid) == (f"gac.of-{name}-not-a-canary", 10001)


@pytest.fixture
def backup_environment(postgres: Postgres) -> dict[str, str]:
    return os.environ | {"PATH": f"{postgres.bin}{os.pathsep}{os.environ['PATH']}"}


def test_a_backup_can_be_restored_and_the_oldest_ones_go(
    mirror: Mirror, postgres: Postgres, backup_environment: dict[str, str], tmp_path: Path
) -> None:
    mirror.observe([item(1), item(2)])
    with database.writing(mirror.engine, "beginning an epoch") as connection:
        epoch.begin(connection)
    folder, is_sqlite = tmp_path / "backups", mirror.engine.dialect.name == "sqlite"
    if is_sqlite and shutil.which("sqlite3") is None:
        pytest.skip("no sqlite3 program on this machine")
    folder.mkdir()
    ending = "db" if is_sqlite else "dump"
    for day in range(1, 5):
        (folder / f"syncer-2026010{day}T000000Z.{ending}").touch()
    source = str(sqlite_file.sqlite_path(mirror.engine.url)) if is_sqlite else str(tmp_path / "url.secret")
    if not is_sqlite:
        url = mirror.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        (tmp_path / "url.secret").write_text(url)
    done = subprocess.run(
        [DEPLOY / "backup", source, folder, "3"], env=backup_environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    left = sorted(path.name for path in folder.iterdir())
    (newest,) = [path for path in folder.iterdir() if not path.name.startswith("syncer-202601")]
    if is_sqlite:
        url = f"sqlite:///{newest}"
    else:
        url = postgres.create_database()
        subprocess.run(
            [postgres.bin / "pg_restore", "--exit-on-error", "--no-owner", f"--dbname={url}", newest], check=True
        )  # fmt: skip
    restored = Mirror(url)
    try:
        assert (done.returncode, done.stderr) == (0, "")
        assert left[:2] == [f"syncer-20260103T000000Z.{ending}", f"syncer-20260104T000000Z.{ending}"]
        assert len(left) == 3
        assert stat.S_IMODE(newest.stat().st_mode) == 0o600
        assert restored.history() == mirror.history()
        assert (1, 0) == (len(mirror.rows(syncer_epoch)), len(restored.rows(syncer_epoch)))
        assert restored.observe([item(1), item(2)]).status == "unchanged"
    finally:
        restored.engine.dispose()
        if not is_sqlite:
            postgres.drop_database(url)


def test_no_password_is_among_the_arguments_of_a_backup(tmp_path: Path) -> None:
    (tmp_path / "pg_dump").write_text(
        '#!/bin/sh\necho "$@" > "$0.told"; echo "$PGPASSWORD" > "$0.secret"\ntouch "${3#--file=}"\n'
    )
    (tmp_path / "pg_restore").write_text("#!/bin/sh\n")
    for program in ("pg_dump", "pg_restore"):
        (tmp_path / program).chmod(0o755)
    url = f"postgresql+psycopg://syncer:{quote(DATABASE_PASSWORD, safe='')}@host:5433/db"
    subprocess.run(
        [DEPLOY / "backup", url, tmp_path / "backups"], env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True
    )  # fmt: skip

    assert (tmp_path / "pg_dump.told").read_text().split()[-1] == "--dbname=postgresql://syncer@host:5433/db"
    assert (tmp_path / "pg_dump.secret").read_text() == f"{DATABASE_PASSWORD}\n"
