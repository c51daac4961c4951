"""What deploy/ and the documents name is there: settings, commands, metrics, roles, rights."""

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from conftest import CHECKOUT, RunSyncer
from mirror import START
from postgres import Postgres

from syncer import __version__
from syncer.cli.main import cli
from syncer.daemon.metrics import Metrics
from syncer.settings.declared import SETTINGS
from syncer.views.estate import AccountStatus

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
    shown = metrics.text([status], START).decode()
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
