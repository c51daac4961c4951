"""What docs/operating.md says of a deployment, held against the files of deploy/: ports, names, paths, units, ways."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fault_server as fault
import pytest
import yaml
from builders import item
from conftest import CHECKOUT, RunSyncer
from fault_server import FaultServer
from mirror import Mirror
from test_daemon import StartDaemon, ended, start_daemon  # noqa: F401 - a fixture
from waiting import wait_for

from syncer import __version__
from syncer.settings.config import read_secret_file
from syncer.storage.database import parse_database_url
from syncer.storage.sqlite_file import sqlite_path

DEPLOY = CHECKOUT / "deploy"
DOCUMENT = (CHECKOUT / "docs/operating.md").read_text("utf-8")
CODES = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", DOCUMENT) + [
    line.partition(" #")[0].strip()
    for block in re.findall(r"^```sh.*?\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


def paragraph(beginning: str) -> str:
    """The document from these words to the next bold beginning or heading."""
    found = re.search(re.escape(beginning) + r".*?(?=^\*\*|^## |\Z)", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert found, f"the document has no {beginning}"
    return found[0]


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text("utf-8")))


def composed(*names: str) -> dict[str, Any]:
    """Files of Compose, one upon the other as it reads them: lists grow, words are replaced."""
    whole: dict[str, Any] = {"services": {}, "secrets": {}}
    for name in names:
        (document,) = documents(name)
        for part, entries in whole.items():
            for key, entry in document.get(part, {}).items():
                known = entries.setdefault(key, {})
                for word, value in entry.items():
                    grows = isinstance(value, list) and word != "command"
                    known[word] = known.get(word, []) + value if grows else value
    return whole


def of_kind(kind: str, *names: str) -> dict[str, Any]:
    (found,) = [one for name in names for one in documents(name) if one["kind"] == kind]
    return found


def unit(name: str) -> dict[str, list[str]]:
    """Keys of a unit with their values in order; an empty one begins anew."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", (DEPLOY / name).read_text("utf-8"), re.MULTILINE):
        found[key] = [*found.get(key, []), value] if value else []
    return found


# Compose


@pytest.mark.parametrize("command", [code for code in CODES if code.startswith("docker compose ")])
def test_a_command_of_compose_names_files_and_services_that_are_there(command: str) -> None:
    words = shlex.split(command.partition(" > ")[0])[2:]
    files = []
    while words[0] == "-f":
        files.append(words[1])
        words = words[2:]
    services = composed(*(file.removeprefix("deploy/") for file in files))["services"]
    verb, named = words[0], [word for word in words[1:] if not word.startswith("-")]

    assert verb in {"up", "exec", "logs", "restart"}
    assert all((CHECKOUT / file).is_file() for file in files)
    assert named[:1] == [] if verb == "up" else named[0] in services


def test_grafana_is_where_it_is_told_and_its_password_is_in_that_file() -> None:
    told = paragraph("After `up -d`")
    whole = composed("compose.yaml")
    grafana = whole["services"]["grafana"]
    variables = grafana["environment"]
    secret = Path(variables["GF_SECURITY_ADMIN_PASSWORD__FILE"]).name
    port = urlsplit(re.search(r"Grafana is at (http://\S+),", told)[1])  # type: ignore[index]  # else the test fails

    assert f"{port.hostname}:{port.port}:3000" in grafana["ports"]
    assert "its user is `admin`" in told
    assert "GF_SECURITY_ADMIN_USER" not in variables, "admin is Grafana's own default"
    assert secret in grafana["secrets"]
    assert whole["secrets"][secret]["file"] == f"./secrets/{secret}"
    assert f"`sudo cat deploy/secrets/{secret}`" in told


def test_bi_tools_reach_postgresql_at_the_port_and_by_the_names_that_are_told() -> None:
    told = paragraph("After `up -d`")
    port, database, user, file = re.search(
        r"at port (\d+) with `-f deploy/compose.bi.yaml` added: database `(\w+)`, user `(\w+)`, its password by `sudo cat (\S+)`",
        told,
    ).groups()  # type: ignore[union-attr]  # else the test fails
    roles = (DEPLOY / "postgres/roles.sh").read_text("utf-8")
    whole = composed("compose.yaml", "compose.bi.yaml")
    password = Path(file).name

    assert "ports" not in composed("compose.yaml")["services"]["postgres"]
    assert whole["services"]["postgres"]["ports"] == [f"127.0.0.1:{port}:5432"]
    assert f"CREATE DATABASE {database} " in roles
    assert f"CREATE ROLE {user} LOGIN PASSWORD :'{password}'" in roles
    assert f'\\set {password} `cat "$SECRETS_FOLDER/{password}"`' in roles
    assert whole["services"]["rights"]["command"] == ["db", "grant-reader", user]
    assert whole["secrets"][password]["file"] == file.replace("deploy/", "./")


# systemd

SERVICES = ["systemd/syncer.service", "systemd/syncer-sync.service"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_reads_the_files_that_are_installed_and_runs_the_program_that_is_told(name: str) -> None:
    settings = unit(name)
    loaded = dict(one.split(":") for one in settings["LoadCredential"])
    variables = dict(one.split("=", 1) for one in settings["Environment"])
    told = paragraph("**systemd**")

    assert all(path in told for path in loaded.values())
    assert variables["SYNCER_PARTNER_TOKEN_FILE"] == "%d/partner_token"
    assert variables["SYNCER_DATABASE_URL_FILE"] == "%d/database_url"
    assert set(loaded) == {"partner_token", "database_url"}
    assert settings["EnvironmentFile"] == ["-/etc/syncer/environment"]
    assert "`/etc/syncer/environment`" in told
    assert settings["ExecStart"][0].split()[0] == "/opt/syncer/bin/syncer"
    assert "/opt/syncer/bin/pip install" in DOCUMENT


@pytest.mark.parametrize("name", SERVICES)
def test_without_a_file_of_the_url_the_mirror_is_where_it_is_told(name: str, tmp_path: Path) -> None:
    """systemd gives the word of SetCredential where the file of LoadCredential is missing, and ends the unit without."""
    settings = unit(name)
    (fallback,) = settings["SetCredential"]
    called, _, text = fallback.partition(":")
    (tmp_path / called).write_text(text)
    (tmp_path / called).chmod(0o400)
    url = parse_database_url(read_secret_file("SYNCER_DATABASE_URL_FILE", tmp_path / called))
    (folder,) = settings["StateDirectory"]
    (private,) = set(re.findall(r"/var/lib/private/\w+/\w+\.db", paragraph("**systemd**")))

    assert called == "database_url"
    assert (settings["DynamicUser"], settings["WorkingDirectory"]) == (["yes"], [f"%S/{folder}"])
    assert f"/var/lib/private/{folder}/{sqlite_path(url).relative_to(Path.cwd())}" == private
    assert f"SYNCER_DATABASE_URL=sqlite:///{private} " in paragraph("**systemd**")


@pytest.fixture
def installed(mirror: Mirror, tmp_path: Path) -> Path:
    """The file /etc/syncer/database_url of the machine, here."""
    file = tmp_path / "database_url.secret"
    file.write_text(mirror.engine.url.set(drivername=mirror.engine.dialect.name).render_as_string(hide_password=False))
    file.chmod(0o600)
    return file


def test_commands_find_the_mirror_of_the_unit_by_the_same_file(
    mirror: Mirror, installed: Path, run_syncer: RunSyncer
) -> None:
    """As they are told: `sudo env … syncer status`, `approve`, `history`; they need no token."""
    (command,) = re.findall(r"`sudo env (SYNCER_DATABASE_URL_FILE=\S+ \S+/syncer status)`", DOCUMENT)
    assignment, program, word = command.split()
    estate = [item(number) for number in range(1, 21)]
    mirror.observe(estate)
    held = mirror.observe([])
    (run,) = [row["id"] for row in mirror.runs() if row["status"] == "held"]
    environment = {assignment.partition("=")[0]: str(installed), "SYNCER_PARTNER_TOKEN": ""}

    status = run_syncer(word, env=environment)
    approved = run_syncer("approve", str(run), "--yes", env=environment)
    history = run_syncer("history", env=environment)

    assert (
        assignment
        == f"SYNCER_DATABASE_URL_FILE={dict(x.split(':') for x in unit(SERVICES[0])['LoadCredential'])['database_url']}"
    )
    assert program == unit(SERVICES[0])["ExecStart"][0].split()[0]
    assert held.status == "held"
    assert str(run) in status.stdout, status.stderr
    assert approved.returncode == 0, approved.stderr
    assert (history.returncode, history.stdout.count("created")) == (0, 20)
    assert mirror.observe([]).status == "ok"


@pytest.mark.parametrize("command", [code for code in CODES if "systemctl " in code and "timedatectl" not in code])
def test_systemctl_is_told_units_that_are_there(command: str) -> None:
    words = shlex.split(command)
    named = [word for word in words[words.index("systemctl") + 2 :] if not word.startswith("-")]

    assert words[words.index("systemctl") + 1] in {"daemon-reload", "enable", "restart"}
    for word in named:
        assert (DEPLOY / "systemd" / (word if "." in word else f"{word}.service")).is_file()


# Kubernetes

MANIFESTS = ["kubernetes/deployment.yaml", "kubernetes/cronjob.yaml"]


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each container of ours with its pod."""
    deployment = of_kind("Deployment", *MANIFESTS)["spec"]["template"]["spec"]
    job = of_kind("CronJob", *MANIFESTS)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    for pod in (deployment, job):
        (container,) = pod["containers"]
        yield container, pod


def test_the_image_that_is_pushed_is_the_one_that_is_built_and_asked_for() -> None:
    told = paragraph("**Kubernetes**")
    local, pushed = re.search(r"`docker tag (\S+) (\S+)`, `docker push \2`", told).groups()  # type: ignore[union-attr]
    built = re.search(r"`docker build -f deploy/Dockerfile -t (\S+) \.`", DOCUMENT)[1]  # type: ignore[index]

    assert local == built == f"syncer:{__version__}"
    assert pushed == f"REGISTRY/{local}"
    assert {container["image"] for container, _pod in containers()} == {local}


def test_the_secret_of_the_pods_is_made_as_told_and_is_no_subpath() -> None:
    made = [
        re.findall(r"--from-file=(\w+)", code)
        for code in CODES
        if code.startswith("kubectl create secret generic syncer ")
    ]
    patched = of_kind("ConfigMap", "accounts/kubernetes.yaml")["data"]["syncer.toml"]

    for container, pod in containers():
        (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
        files = {one["name"]: Path(one["value"]) for one in container["env"] if one["name"].endswith("_FILE")}
        assert "subPath" not in mount
        assert (mount["name"], volume["secret"]["secretName"]) == (volume["name"], "syncer")
        assert {path.parent for path in files.values()} == {Path(mount["mountPath"])}
        assert made[0] == [path.name for path in files.values()]
    assert ["partner_token", "database_url"] in made
    assert sorted(made[-1]) == sorted([*re.findall(r'"/run/secrets/syncer/(\w+)"', patched), "database_url"])
    assert "(a `subPath` mount would never see it)" in DOCUMENT


@pytest.mark.parametrize("command", [code for code in CODES if code.startswith("kubectl ")])
def test_kubectl_is_told_what_is_there(command: str) -> None:
    words = shlex.split(command)[1:]
    deployment = of_kind("Deployment", *MANIFESTS)["metadata"]["name"]
    patch = yaml.safe_load((DEPLOY / "accounts/kubernetes-patch.yaml").read_text("utf-8"))
    match words:
        case ["create", "secret", "generic", name, *_files]:
            assert name == "syncer"
        case ["apply", "-f", "-"]:
            assert "--dry-run=client -o yaml`, piped into `kubectl apply -f -`" in DOCUMENT
        case ["apply", "-f", path]:
            assert (CHECKOUT / path).is_file()
        case ["exec", target, "--", "syncer", "status"]:
            assert target == f"deploy/{deployment}"
        case ["patch", "deployment", name, "--patch-file", path]:
            assert (name, path) == (deployment, "deploy/accounts/kubernetes-patch.yaml")
            (patched,) = patch["spec"]["template"]["spec"]["containers"]
            assert patched["name"] in {container["name"] for container, _pod in containers()}
            (volume,) = patch["spec"]["template"]["spec"]["volumes"]
            assert volume["configMap"]["name"] == of_kind("ConfigMap", "accounts/kubernetes.yaml")["metadata"]["name"]
        case _:
            pytest.fail(f"nothing is known of: {command}")


def test_the_probes_and_the_service_ask_at_the_port_that_is_listened_on() -> None:
    (container, _pod), _job = containers()
    (port,) = {one["value"].rpartition(":")[2] for one in container["env"] if one["name"] == "SYNCER_LISTEN"}
    (named,) = container["ports"]

    assert (named["name"], str(named["containerPort"])) == ("http", port)
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/healthz"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert {one["targetPort"] for one in of_kind("Service", *MANIFESTS)["spec"]["ports"]} == {"http"}


# A new token


def row_of(deployment: str) -> str:
    section = DOCUMENT.partition("## A new token or password")[2].partition("\n## ")[0]
    return re.search(rf"^\| {deployment} \|.*$", section, re.MULTILINE)[0]  # type: ignore[index]  # else the test fails


def test_the_three_ways_of_a_new_token_name_what_each_deployment_reads() -> None:
    secrets = composed("compose.yaml", "accounts/compose.yaml")["secrets"]
    loaded = dict(one.split(":") for one in unit(SERVICES[0])["LoadCredential"])

    assert "`sudo deploy/make-secrets NEW-TOKEN-FILE`" in row_of("Compose")
    assert {"partner_token", "partner_token_north"} <= set(secrets), "of an account it is partner_token_NAME"
    assert all(set(secret) == {"file"} for secret in secrets.values()), "files are mounted as they are"
    assert f"`{loaded['partner_token']}`" in row_of("systemd")
    assert f"`{loaded['database_url']}`" in row_of("systemd")
    assert "`sudo systemctl restart syncer`" in row_of("systemd")
    assert "--from-file=partner_token --from-file=database_url" in row_of("Kubernetes")


@pytest.mark.parametrize("way", ["in place", "by another folder behind a link"])
def test_a_new_token_needs_no_restart_where_the_document_says_so(
    start_daemon: StartDaemon,  # noqa: F811 - the fixture
    sqlite_url: str,
    tmp_path: Path,
    way: str,
) -> None:
    """In place as make-secrets writes under Compose; a link to a folder is how Kubernetes replaces a secret's files."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "partner_token.secret").write_text(f"gac.{name}")
        (tmp_path / name / "partner_token.secret").chmod(0o440)
    (tmp_path / "..data").symlink_to("first")
    (tmp_path / "partner_token.secret").symlink_to("..data/partner_token.secret")
    with FaultServer([fault.json_list([item(1)])]) as upstream:
        process = start_daemon(
            API_URL=upstream.url, DATABASE_URL=sqlite_url, SCHEDULE="1s", PARTNER_TOKEN="",
            PARTNER_TOKEN_FILE=str(tmp_path / "partner_token.secret"),
        )  # fmt: skip
        wait_for(lambda: upstream.requests)
        assert upstream.requests[0].target.endswith("gac.first")
        if way == "in place":
            (tmp_path / "first/partner_token.secret").chmod(0o640)
            (tmp_path / "first/partner_token.secret").write_text("gac.second")
        else:
            (tmp_path / "..data_tmp").symlink_to("second")
            (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        wait_for(lambda: upstream.requests[-1].target.endswith("gac.second"))
        process.terminate()
        assert ended(process)[0] == 0
