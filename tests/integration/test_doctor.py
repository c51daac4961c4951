"""The doctor against real upstreams that fail, and real databases that lack something: each cause under its own name."""

import hashlib
import json
import os
import secrets
import socket
import sqlite3
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fault_server as fault
import psycopg
import pytest
from builders import body, item
from canary import DATABASE_PASSWORD, PARTNER_TOKEN, api_token, find_secrets
from conftest import RunSyncer
from fault_server import Behaviour, FaultServer
from loading import load
from mirror import Mirror
from psycopg import sql
from receiving import SECRET
from sqlalchemy import insert, text, update

from syncer.doctor import checks, server_checks, sqlite_checks
from syncer.doctor.consultation import Consultation
from syncer.doctor.finding import Finding, Level
from syncer.scrub import Scrubber
from syncer.storage import database, database_errors, receivers, schema
from syncer.storage.lease import LEASE
from syncer.storage.tables import accounts, leases, sync_runs
from syncer.upstream import client
from syncer.words.language import Language

pytestmark = pytest.mark.usefixtures("short_pauses")

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIST = body([item()])


def good(date: datetime = NOW) -> Behaviour:
    return fault.respond(200, LIST, {"Date": format_datetime(date, usegmt=True)})


@pytest.fixture
def api() -> Iterator[FaultServer]:
    """An upstream without fault."""
    with FaultServer([good()]) as server:
        yield server


Consult = Callable[..., list[Finding]]


@pytest.fixture
def consult(tmp_path: Path) -> Consult:
    """Every finding of these settings; none may hold a secret, and what needs doing must say so."""

    def consult(
        api_url: str,
        database_url: str,
        *,
        environment: dict[str, str] | None = None,
        now: datetime | None = NOW,
        toml: str | None = None,
    ) -> list[Finding]:
        variables = {
            "SYNCER_API_URL": api_url,
            "SYNCER_DATABASE_URL": database_url,
            "SYNCER_TIMEOUT": "2s",
        } | ({"SYNCER_PARTNER_TOKEN": PARTNER_TOKEN} if environment is None else environment)
        if toml is not None:
            (tmp_path / "syncer.toml").write_text(toml)
        settings = load({}, variables, None, tmp_path)
        engine = database.open_engine(settings.database_url)
        try:
            findings = list(
                checks.findings_of(
                    Consultation(
                        settings,
                        settings.accounts,
                        Scrubber(settings.secrets()),
                        clock=lambda: now or datetime.now(UTC),  # noqa: TID251 - PostgreSQL has its own clock
                        stop=threading.Event(),
                    ),
                    engine,
                    checks.secret_files({}, variables, None, tmp_path),
                )
            )
        finally:
            engine.dispose()
        told = (
            repr(findings)
            + repr(checks.document(findings))
            + repr([checks.lines(Language.EN, one) for one in findings])
        )
        assert find_secrets(told.encode()) == []
        assert [] == [one for one in findings if bool(one.remedy) == (one.level is Level.OK)]
        assert [] == [one for one in findings if "\n" in one.message + one.remedy]
        return findings

    return consult


def problems(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(one.check, str(one.level)) for one in findings if one.level is not Level.OK]


def the(findings: Sequence[Finding], check: str, level: Level) -> Finding:
    (found,) = [one for one in findings if (one.check, one.level) == (check, level)]
    return found


def levels(findings: Sequence[Finding], check: str) -> list[str]:
    return [str(one.level) for one in findings if one.check == check]


# All is well


def test_where_all_is_well_nothing_needs_doing(consult: Consult, upgraded: str) -> None:
    now = datetime.now(UTC)  # noqa: TID251 - PostgreSQL's own clock is compared
    with FaultServer([good(now)]) as server:
        findings = consult(server.url, upgraded, now=now)

    assert [] == problems(findings)
    assert 0 == checks.exit_code(findings)
    assert {
        "configuration.settings",
        "configuration.token",
        "upstream.connect",
        "upstream.credentials",
        "upstream.answer",
        "upstream.clock",
        "database.connection",
        "database.schema",
        "database.writable",
        "database.runs",
    } <= {one.check for one in findings}
    assert 1 == len(server.requests)


def test_nothing_is_written(consult: Consult, api: FaultServer, sqlite_url: str, tmp_path: Path) -> None:
    mirror = Mirror(sqlite_url)
    mirror.observe([item()])
    mirror.engine.dispose()

    def state() -> dict[str, tuple[str, int, int]]:
        return {
            path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode, path.stat().st_mtime_ns)
            for path in tmp_path.iterdir()
            if path.name != "everything.log"
        }

    before = state()
    consult(api.url, sqlite_url)

    assert before == state()


def test_a_missing_sqlite_file_stays_missing(
    consult: Consult, api: FaultServer, sqlite_url: str, tmp_path: Path
) -> None:
    findings = consult(api.url, sqlite_url)

    assert [("database.schema", "warning")] == problems(findings)
    assert [] == list(tmp_path.iterdir())


def test_nothing_is_written_into_postgresql(consult: Consult, api: FaultServer, postgresql_url: str) -> None:
    consult(api.url, postgresql_url)

    with psycopg.connect(postgresql_url) as connection:
        assert (
            []
            == connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchall()
        )


def test_the_document_is_that_of_the_contract(consult: Consult, api: FaultServer, sqlite_url: str) -> None:
    document = checks.document(consult(api.url, sqlite_url))

    assert ["findings"] == list(document)
    assert {("check", "level", "message", "remedy", "question")} == {tuple(one) for one in document["findings"]}
    assert {"ok", "warning"} == {one["level"] for one in document["findings"]}


def test_a_finding_for_a_person_has_its_remedy_below() -> None:
    assert ["warning database.disk: full", "        -> free some"] == checks.lines(
        Language.EN, Finding("database.disk", Level.WARNING, "full", "free some")
    )


def test_the_exit_code_is_that_of_the_first_error() -> None:
    warning = Finding("a", Level.WARNING, "m", "r", 2)

    assert 4 == checks.exit_code(
        [warning, Finding("b", Level.ERROR, "m", "r", 4), Finding("c", Level.ERROR, "m", "r", 8)]
    )
    assert 0 == checks.exit_code([warning])


# Configuration


@pytest.mark.parametrize(
    ("mode", "level", "code"),
    [(0o600, "ok", 0), (0o400, "ok", 0), (0o640, "warning", 0), (0o620, "warning", 0), (0o644, "error", 2), (0o602, "error", 2)],
    ids=["owner", "owner, read", "group reads", "group writes", "everybody reads", "everybody writes"],
)  # fmt: skip
def test_the_mode_of_a_token_file_is_judged(
    consult: Consult, api: FaultServer, mode: int, level: str, code: int, tmp_path: Path, sqlite_url: str
) -> None:
    file = tmp_path / "token.secret"
    file.write_text(PARTNER_TOKEN)
    file.chmod(mode)
    findings = consult(api.url, sqlite_url, environment={"SYNCER_PARTNER_TOKEN_FILE": str(file)})

    assert [level] == levels(findings, "configuration.secret_file")
    assert code == checks.exit_code(findings)
    if level != "ok":
        assert f"run: chmod 600 {file}" == the(findings, "configuration.secret_file", Level(level)).remedy


def test_a_world_readable_token_file_is_one_error_and_the_upstream_is_not_asked(
    consult: Consult, api: FaultServer, tmp_path: Path, sqlite_url: str
) -> None:
    file = tmp_path / "token.secret"
    file.write_text(PARTNER_TOKEN)
    file.chmod(0o644)
    findings = consult(api.url, sqlite_url, environment={"SYNCER_PARTNER_TOKEN_FILE": str(file)})

    assert ["configuration.secret_file"] == [one.check for one in findings if one.level is Level.ERROR]
    assert "there is no token to ask with" in the(findings, "upstream.answer", Level.WARNING).message
    assert [] == api.requests


def test_a_missing_token_is_a_configuration_error_that_names_the_setting(
    consult: Consult, api: FaultServer, sqlite_url: str
) -> None:
    findings = consult(api.url, sqlite_url, environment={})

    assert "SYNCER_PARTNER_TOKEN" in the(findings, "configuration.token", Level.ERROR).message
    assert 2 == checks.exit_code(findings)


def test_a_missing_token_file_is_named(consult: Consult, api: FaultServer, sqlite_url: str, tmp_path: Path) -> None:
    findings = consult(api.url, sqlite_url, environment={"SYNCER_PARTNER_TOKEN_FILE": str(tmp_path / "gone")})

    assert str(tmp_path / "gone") in the(findings, "configuration.secret_file", Level.ERROR).message
    assert 2 == checks.exit_code(findings)


def test_accounts_with_the_same_token_are_told(consult: Consult, api: FaultServer, sqlite_url: str) -> None:
    toml = '[accounts.a]\ntoken_env = "TOKEN_A"\n[accounts.b]\ntoken_env = "TOKEN_B"\n'
    findings = consult(api.url, sqlite_url, environment={"TOKEN_A": PARTNER_TOKEN, "TOKEN_B": PARTNER_TOKEN}, toml=toml)

    assert "account 'b' has the same token as account 'a'" == the(findings, "configuration.token", Level.ERROR).message


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ('schedule = "1m"', []),
        ('database_url = "sqlite:///x.db"', []),
        ('partner_token = "gac.x"', ["--config"]),
        ('database_url = "postgresql://u:secret@h/d"', ["--config"]),
        ('partner_token_file = "t"', ["partner_token_file in syncer.toml"]),
        ('[accounts.a]\ntoken_file = "t"', ["token_file in [accounts.a]"]),
    ],
)
def test_every_file_that_holds_a_secret_is_found(toml: str, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "syncer.toml").write_text(toml)
    found = checks.secret_files({"partner_token_file": "f"}, {"SYNCER_TOKEN_KEY_FILE": "k"}, None, tmp_path)

    assert {"--partner-token-file", "SYNCER_TOKEN_KEY_FILE", *expected} == {one.setting for one in found}
    assert all(one.path.is_absolute() for one in found)


# Upstream

TOKEN_IN_PATH = (
    f'{{"statusCode":500,"path":"/partner/getInstances/{PARTNER_TOKEN}","message":"{api_token(1)}"}}'.encode()
)
ANSWERS: dict[str, tuple[Behaviour, str, int, str]] = {
    "wrong token, HTTP 400": (fault.respond(400, b"Bad partner token"), "upstream.credentials", 4, "HTTP 400"),
    "wrong token, HTTP 401": (fault.respond(401), "upstream.credentials", 4, "HTTP 401"),
    "wrong token, HTTP 200": (fault.respond(200, b'{"code":401,"description":"Unauthorized"}'), "upstream.credentials", 4, "code 401"),
    "error object, HTTP 200": (fault.respond(200, b'{"code":404,"description":"Not found"}'), "upstream.answer", 5, "error object, code 404"),
    "error object with the token": (fault.respond(200, TOKEN_IN_PATH), "upstream.answer", 5, "error object, code 500"),
    "HTTP 404": (fault.respond(404), "upstream.address", 4, "HTTP 404"),
    "redirect": (fault.redirect_to("https://elsewhere.example/"), "upstream.address", 4, "redirects"),
    "null": (fault.respond(200, b"null"), "upstream.answer", 5, "null"),
    "HTML": (fault.respond(200, b"<html>log in</html>"), "upstream.answer", 5, "no JSON"),
    "half a list": (fault.respond(200, LIST[:-9]), "upstream.answer", 5, "not whole JSON"),
    "HTTP 429": (fault.respond(429), "upstream.available", 3, "HTTP 429"),
    "HTTP 503": (fault.respond(503), "upstream.available", 3, "HTTP 503"),
    "reset": (fault.reset_before_answer, "upstream.available", 3, "4 of 4 tries"),
    "no HTTP": (fault.not_http, "upstream.available", 3, "4 of 4 tries"),
}  # fmt: skip


@pytest.mark.parametrize(("behaviour", "check", "code", "words"), ANSWERS.values(), ids=ANSWERS)
def test_what_the_upstream_answers_is_told_apart(
    consult: Consult, behaviour: Behaviour, check: str, code: int, words: str, sqlite_url: str
) -> None:
    with FaultServer([behaviour]) as server:
        findings = consult(server.url, sqlite_url)

    (error,) = [one for one in findings if one.level is Level.ERROR]
    assert (check, code) == (error.check, checks.exit_code(findings))
    assert words in error.message
    assert "account 'default'" in error.message
    assert ["ok"] == levels(findings, "upstream.connect")


def test_remedies_differ_by_cause(consult: Consult, sqlite_url: str) -> None:
    remedies = set()
    for behaviour, check, _code, _words in ANSWERS.values():
        with FaultServer([behaviour]) as server:
            remedies.add((check, the(consult(server.url, sqlite_url), check, Level.ERROR).remedy))

    assert 6 == len(remedies), "credentials, address, answer, and three reasons to be unavailable"


def test_a_silent_upstream_is_unavailable(consult: Consult, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TRIES", 1)
    with FaultServer([fault.silence]) as server:
        findings = consult(server.url, sqlite_url)

    assert "SYNCER_TIMEOUT" in the(findings, "upstream.available", Level.ERROR).remedy


def test_a_name_that_does_not_resolve_is_told_before_anything_is_asked(
    consult: Consult, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    findings = consult("https://no-such-host.invalid", sqlite_url)

    assert "no-such-host.invalid" in the(findings, "upstream.dns", Level.ERROR).message
    assert (3, []) == (checks.exit_code(findings), levels(findings, "upstream.connect"))


def test_a_port_that_nobody_listens_on_is_told(consult: Consult, sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    findings = consult(f"http://127.0.0.1:{port}", sqlite_url)

    assert f"127.0.0.1 port {port}" in the(findings, "upstream.connect", Level.ERROR).message
    assert (3, []) == (checks.exit_code(findings), levels(findings, "upstream.available"))


@pytest.mark.parametrize(
    ("host", "check", "told"),
    [
        ("no-proxy.invalid:3128", "upstream.dns", "the name no-proxy.invalid of the proxy is not found"),
        ("127.0.0.1:9", "upstream.connect", "the environment's proxy 127.0.0.1 port 9 cannot be connected to"),
    ],
)
def test_a_proxy_that_is_not_there_is_told(
    consult: Consult, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, host: str, check: str, told: str
) -> None:
    monkeypatch.setenv("https_proxy", f"http://user:{DATABASE_PASSWORD}@{host}")
    monkeypatch.setenv("no_proxy", "")
    findings = consult("https://no-such-host.invalid", sqlite_url)

    assert told in the(findings, check, Level.ERROR).message
    assert "HTTPS_PROXY" in the(findings, check, Level.ERROR).remedy
    assert (3, []) == (checks.exit_code(findings), levels(findings, "upstream.available"))


def test_behind_a_proxy_the_name_of_the_upstream_is_not_asked_for(
    consult: Consult, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "")
    with FaultServer([fault.respond(503, b"no way")]) as proxy:
        place = proxy.url.removeprefix("http://")
        monkeypatch.setenv("https_proxy", f"http://user:{DATABASE_PASSWORD}@{place}")
        findings = consult("https://no-such-host.invalid", sqlite_url)

    assert levels(findings, "upstream.dns") == []
    assert "proxy 127.0.0.1 port" in the(findings, "upstream.connect", Level.OK).message
    failed = the(findings, "upstream.available", Level.ERROR)
    assert f"by way of the environment's proxy {place}" in failed.message
    assert "proxy" in failed.remedy


def test_a_certificate_that_is_not_trusted_is_told_apart(
    consult: Consult, sqlite_url: str, self_signed: ssl.SSLContext
) -> None:
    with FaultServer([good()], tls=self_signed) as server:
        findings = consult(server.url, sqlite_url)

    assert "SSL_CERT_FILE" in the(findings, "upstream.tls", Level.ERROR).remedy
    assert (3, ["ok"]) == (checks.exit_code(findings), levels(findings, "upstream.connect"))


def test_a_certificate_that_is_trusted_is_told(
    consult: Consult, sqlite_url: str, self_signed: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with FaultServer([good()], tls=self_signed) as server:
        findings = consult(server.url, sqlite_url)

    assert (["ok"], ["ok"]) == (levels(findings, "upstream.tls"), levels(findings, "upstream.credentials"))


@pytest.fixture
def self_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate that vouches for itself, good for 127.0.0.1."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    private_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2049, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private_key, hashes.SHA256())
    )
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = tmp_path / "key.pem"
    key_file.write_bytes(
        private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    return context


def test_rejected_items_are_a_warning(consult: Consult, sqlite_url: str) -> None:
    with FaultServer(
        [fault.json_list([item(1), item(2, deleted=None)], Date=format_datetime(NOW, usegmt=True))]
    ) as server:
        findings = consult(server.url, sqlite_url)

    assert (
        "2 items, 1 of which are rejected, the first because deleted is missing"
        in the(findings, "upstream.answer", Level.WARNING).message
    )


@pytest.mark.parametrize(
    ("skew", "level", "words"),
    [
        (timedelta(seconds=60), "ok", "agrees"),
        (timedelta(seconds=-60), "ok", "agrees"),
        (timedelta(seconds=61), "warning", "61 s ahead of the upstream's"),
        (timedelta(minutes=-5), "warning", "300 s behind the upstream's"),
        (timedelta(hours=-3), "error", "comparing clocks: this machine's clock says"),
    ],
)
def test_the_clock_is_compared_with_the_date_of_the_answer(
    consult: Consult, sqlite_url: str, skew: timedelta, level: str, words: str
) -> None:
    with FaultServer([good(NOW - skew)]) as server:
        findings = consult(server.url, sqlite_url)

    assert words in the(findings, "upstream.clock", Level(level)).message


@pytest.mark.parametrize("behaviour", [fault.respond(200, LIST), fault.respond(200, LIST, {"Date": "soon"})])
def test_without_a_date_the_clock_is_not_called_right(consult: Consult, behaviour: Behaviour, sqlite_url: str) -> None:
    with FaultServer([behaviour]) as server:
        assert ["warning"] == levels(consult(server.url, sqlite_url), "upstream.clock")


def test_the_clock_is_compared_also_when_the_token_is_wrong(consult: Consult, sqlite_url: str) -> None:
    with FaultServer([fault.respond(400, b"", {"Date": format_datetime(NOW, usegmt=True)})]) as server:
        assert ["ok"] == levels(consult(server.url, sqlite_url), "upstream.clock")


def test_each_account_is_asked_and_one_wrong_token_hides_no_other(consult: Consult, sqlite_url: str) -> None:
    toml = '[accounts.a]\ntoken_env = "TOKEN_A"\n[accounts.b]\ntoken_env = "TOKEN_B"\n'
    with FaultServer([fault.respond(401), good()]) as server:
        findings = consult(
            server.url, sqlite_url, environment={"TOKEN_A": PARTNER_TOKEN, "TOKEN_B": PARTNER_TOKEN[::-1]}, toml=toml
        )

    assert "account 'a'" in the(findings, "upstream.credentials", Level.ERROR).message
    assert "account 'b'" in the(findings, "upstream.credentials", Level.OK).message
    assert ["ok"] == levels(findings, "upstream.connect")


# The schema, on either database


@pytest.fixture
def upgraded(database_url: str) -> str:
    """A database with the current schema."""
    Mirror(database_url).engine.dispose()
    return database_url


@pytest.fixture
def upgraded_postgresql(postgresql_url: str) -> str:
    Mirror(postgresql_url).engine.dispose()
    return postgresql_url


def test_an_empty_database_is_told_with_the_command(consult: Consult, api: FaultServer, database_url: str) -> None:
    found = the(consult(api.url, database_url), "database.schema", Level.WARNING)

    assert "there are no syncer tables yet" in found.message
    assert "syncer db upgrade" in found.remedy


def test_an_empty_database_is_an_error_where_runs_may_not_migrate(
    consult: Consult, api: FaultServer, database_url: str
) -> None:
    findings = consult(
        api.url, database_url, environment={"SYNCER_PARTNER_TOKEN": PARTNER_TOKEN, "SYNCER_AUTO_MIGRATE": "false"}
    )

    assert "run: syncer db upgrade" == the(findings, "database.schema", Level.ERROR).remedy
    assert 8 == checks.exit_code(findings)


def test_an_older_schema_is_told_with_the_command(
    consult: Consult, api: FaultServer, upgraded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = schema.head()
    monkeypatch.setattr(schema, "revisions", lambda: [head, "9998"])
    findings = consult(api.url, upgraded)

    found = the(findings, "database.schema", Level.WARNING)
    assert f"the schema is at {head}, older than 9998, which this syncer works on" == found.message
    assert "run: syncer db upgrade (or let the first run do it)" == found.remedy


def test_a_newer_schema_is_refused(consult: Consult, api: FaultServer, upgraded: str) -> None:
    write(upgraded, "UPDATE syncer_version SET version_num = '9999'")
    findings = consult(api.url, upgraded)

    found = the(findings, "database.schema", Level.ERROR)
    assert "the schema is at 9999, newer than" in found.message
    assert f"syncer db downgrade {schema.head()}" in found.remedy
    assert 8 == checks.exit_code(findings)


def write(url: str, statement: Any, values: dict[str, Any] | None = None) -> None:
    engine = database.open_engine(database.parse_database_url(url))
    with database.writing(engine, "preparing the test") as connection:
        connection.execute(text(statement) if isinstance(statement, str) else statement, values or {})
    engine.dispose()


@pytest.fixture
def running_for(upgraded: str) -> Callable[[timedelta], str]:
    """A database with a run that is noted as running since then."""

    def note(age: timedelta) -> str:
        write(upgraded, insert(accounts), {"account": "default"})
        write(
            upgraded,
            insert(sync_runs),
            {"account": "default", "trigger": "schedule", "started_at": NOW - age, "status": "running"},
        )
        return upgraded

    return note


LONGEST = timedelta(seconds=2 * 4 + 60 * 3)  # timeout, tries, and the longest pauses that a Retry-After gets


def test_a_run_that_is_under_way_is_all_right(
    consult: Consult, api: FaultServer, running_for: Callable[[timedelta], str]
) -> None:
    found = the(consult(api.url, running_for(LONGEST)), "database.runs", Level.OK)

    assert "run 1 of account 'default' is noted as running for 3 minutes" in found.message


def test_a_run_that_has_been_running_for_too_long_was_killed(
    consult: Consult, api: FaultServer, running_for: Callable[[timedelta], str]
) -> None:
    found = the(consult(api.url, running_for(LONGEST + timedelta(seconds=1))), "database.runs", Level.WARNING)

    assert "its process was killed" in found.message
    assert "syncer sync" in found.remedy


def test_a_run_that_has_been_running_for_too_long_under_a_lease_hangs(
    consult: Consult, api: FaultServer, running_for: Callable[[timedelta], str]
) -> None:
    url = running_for(timedelta(hours=1))
    until = datetime.now(UTC) + LEASE / 2  # noqa: TID251 - it ends by the database's own clock
    write(
        url,
        insert(leases),
        {"account": "default", "holder": "machine:7:ab", "started_at": NOW, "beat_at": NOW, "expires_at": until},
    )

    assert "machine:7:ab is at it" in the(consult(api.url, url), "database.runs", Level.WARNING).message

    for over in (datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)):  # the clock was set back since
        write(url, update(leases).values(expires_at=over))

        assert "its process was killed" in the(consult(api.url, url), "database.runs", Level.WARNING).message


# SQLite


def make_read_only(file: Path) -> None:
    """Root may write any file: for it the format's own write version is what makes one read-only (SQLite, 1.3.3)."""
    if os.geteuid() == 0:
        with file.open("r+b") as opened:
            opened.seek(18)
            opened.write(b"\x03")
    file.chmod(0o400)


def test_a_read_only_file_is_told_apart(consult: Consult, api: FaultServer, sqlite_url: str, tmp_path: Path) -> None:
    Mirror(sqlite_url).engine.dispose()
    make_read_only(tmp_path / "syncer.db")
    findings = consult(api.url, sqlite_url)

    (error,) = [one for one in findings if one.level is Level.ERROR]
    assert "read-only" in error.message
    assert "writable for" in error.remedy
    assert error.check in {"database.file", "database.writable"}
    assert 8 == checks.exit_code(findings)


def test_a_directory_in_place_of_the_file_is_told(
    consult: Consult, api: FaultServer, tmp_path: Path, sqlite_url: str
) -> None:
    (tmp_path / "syncer.db").mkdir()
    findings = consult(api.url, sqlite_url)

    assert f"{tmp_path / 'syncer.db'} is no file" == the(findings, "database.file", Level.ERROR).message


def test_a_missing_folder_is_told(consult: Consult, api: FaultServer, tmp_path: Path) -> None:
    findings = consult(api.url, f"sqlite:///{tmp_path}/gone/syncer.db")

    assert f"there is no folder {tmp_path / 'gone'}" == the(findings, "database.file", Level.ERROR).message


def test_a_file_that_is_no_database_is_told(
    consult: Consult, api: FaultServer, tmp_path: Path, sqlite_url: str
) -> None:
    (tmp_path / "syncer.db").write_bytes(b"no database at all" * 100)
    (tmp_path / "syncer.db").chmod(0o600)
    findings = consult(api.url, sqlite_url)

    assert "the file is no SQLite database" in the(findings, "database.connection", Level.ERROR).message
    assert 8 == checks.exit_code(findings)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_database_that_others_may_read_is_a_warning(
    consult: Consult, api: FaultServer, sqlite_url: str, tmp_path: Path, mode: int
) -> None:
    Mirror(sqlite_url).engine.dispose()
    (tmp_path / "syncer.db").chmod(mode)
    findings = consult(api.url, sqlite_url)

    assert the(findings, "database.file", Level.WARNING).remedy.endswith(f"run: chmod 600 {tmp_path / 'syncer.db'}")


def test_little_room_is_a_warning(
    consult: Consult, api: FaultServer, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_checks, "SMALLEST_FREE_BYTES", 2**62)

    assert ["warning"] == levels(consult(api.url, sqlite_url), "database.disk")


def test_room_is_measured_by_the_size_of_the_file(
    consult: Consult, api: FaultServer, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Mirror(sqlite_url).engine.dispose()
    monkeypatch.setattr(sqlite_checks, "SMALLEST_FREE_BYTES", 0)

    assert ["ok"] == levels(consult(api.url, sqlite_url), "database.disk")

    monkeypatch.setattr(sqlite_checks, "FREE_PER_FILE", 2**50)

    assert ["warning"] == levels(consult(api.url, sqlite_url), "database.disk")


def test_a_file_without_write_ahead_log_is_a_warning(
    consult: Consult, api: FaultServer, sqlite_url: str, tmp_path: Path
) -> None:
    Mirror(sqlite_url).engine.dispose()
    with closing(sqlite3.connect(tmp_path / "syncer.db")) as connection:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    found = the(consult(api.url, sqlite_url), "database.wal", Level.WARNING)

    assert "the journal mode is delete" in found.message
    assert "the next run sets it to wal" in found.remedy


# PostgreSQL


@pytest.fixture
def role_url(postgresql_url: str) -> Iterator[str]:
    """The URL of a fresh role in a database whose tables another role owns; nothing is granted to it yet."""
    name, password = f"syncer_role_{secrets.token_hex(4)}", DATABASE_PASSWORD
    Mirror(postgresql_url).engine.dispose()
    identifier = sql.Identifier(name)
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(identifier, sql.Literal(password)))
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    address = urlsplit(postgresql_url)
    quoted = address.netloc.rpartition("@")[0].partition(":")[2] or "x"
    yield address._replace(netloc=f"{name}:{quoted}@{address.netloc.rpartition('@')[2]}").geturl()
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(identifier))
        connection.execute(sql.SQL("DROP ROLE {}").format(identifier))


def grant(admin_url: str, role_url: str, rights: str) -> None:
    role = sql.Identifier(urlsplit(role_url).username or "")
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("{} {{}}").format(sql.SQL(rights)).as_string().replace("{}", role.as_string()))  # type: ignore[arg-type]


RUNS_RIGHTS = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO"


def test_a_role_with_every_right_has_no_problem(consult: Consult, postgresql_url: str, role_url: str) -> None:
    grant(postgresql_url, role_url, RUNS_RIGHTS)
    now = datetime.now(UTC)  # noqa: TID251 - PostgreSQL's own clock is compared
    with FaultServer([good(now)]) as server:
        assert [] == problems(consult(server.url, role_url, now=now))


@pytest.mark.parametrize(
    ("revoked", "told"),
    [
        ("UPDATE ON instances", "UPDATE on instances"),
        ("INSERT ON instance_history", "INSERT on instance_history"),
        ("SELECT ON leases", "SELECT on leases"),
        ("SELECT, INSERT, UPDATE ON sync_runs", "SELECT, INSERT, UPDATE on sync_runs"),
        ("SELECT ON syncer_version", "SELECT on syncer_version"),
        ("DELETE ON claims", "DELETE on claims"),
    ],
)
def test_a_missing_grant_is_told_with_the_grant(
    consult: Consult, api: FaultServer, postgresql_url: str, role_url: str, revoked: str, told: str
) -> None:
    grant(postgresql_url, role_url, RUNS_RIGHTS)
    grant(postgresql_url, role_url, f"REVOKE {revoked} FROM")
    findings = consult(api.url, role_url)

    found = the(findings, "database.rights", Level.ERROR)
    assert told in found.message
    assert found.remedy.startswith(f"run as the owner: GRANT {revoked} TO")
    assert 8 == checks.exit_code(findings)
    grant(postgresql_url, role_url, found.remedy.removeprefix("run as the owner: ").rpartition(" TO ")[0] + " TO")

    assert [] == [one for one in consult(api.url, role_url) if one.level is Level.ERROR]


@pytest.mark.parametrize(
    ("revoked", "command"),
    [
        ("UPDATE ON instance_history", "accounts rename"),
        ("DELETE ON accounts", "accounts rename"),
        ("DELETE ON leases", "accounts rename"),
        ("DELETE ON tariff_rates", "rates remove"),
        ("DELETE ON customers", "customers load"),
    ],
)
def test_a_right_that_only_a_command_needs_is_told_with_the_command(
    consult: Consult, api: FaultServer, postgresql_url: str, role_url: str, revoked: str, command: str
) -> None:
    grant(postgresql_url, role_url, RUNS_RIGHTS)
    grant(postgresql_url, role_url, f"REVOKE {revoked} FROM")
    findings = consult(api.url, role_url)

    found = the(findings, "database.rights", Level.WARNING)
    assert ["ok", "warning"] == levels(findings, "database.rights"), "a run needs none of these"
    assert found.message.endswith(f"has no {revoked.replace(' ON ', ' on ')}, which `syncer {command}` needs")
    assert found.remedy.startswith(f"run as the owner: GRANT {revoked} TO")


def test_with_the_rights_that_doctor_asks_for_every_command_works(
    run_syncer: RunSyncer, postgresql_url: str, role_url: str, tmp_path: Path
) -> None:
    grant(postgresql_url, role_url, "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO")
    env = {"SYNCER_DATABASE_URL": role_url, "SYNCER_PARTNER_TOKEN": PARTNER_TOKEN}
    with FaultServer([fault.json_list([item(1)])]) as server:
        env["SYNCER_API_URL"] = server.url
        for finding in json.loads(run_syncer("doctor", "--json", env=env).stdout)["findings"]:
            if finding["check"] == "database.rights" and finding["remedy"]:
                grant(
                    postgresql_url,
                    role_url,
                    finding["remedy"].removeprefix("run as the owner: ").rpartition(" TO ")[0] + " TO",
                )
        done = [
            run_syncer("sync", env=env),
            run_syncer("rates", "set", "A", "1", "RUB", "--from", "2026-01-01", env=env),
        ]
        done += [run_syncer("rates", "remove", "A", "--from", "2026-01-01", env=env)]
        for lines in ("1,kot,2026-01-01\n2,kot,2026-01-01\n", "1,kot,2026-01-01\n"):
            (tmp_path / "customers.csv").write_text("id_instance,customer,valid_from\n" + lines)
            done.append(run_syncer("customers", "load", "customers.csv", "--yes", env=env))
        done.append(run_syncer("accounts", "rename", "default", "north", env=env))

    assert [""] * 6 == [one.stderr for one in done if one.returncode] + [""] * sum(not one.returncode for one in done)


def test_a_role_without_any_right_is_told_so_for_each_table(consult: Consult, api: FaultServer, role_url: str) -> None:
    errors = [one.message for one in consult(api.url, role_url) if one.level is Level.ERROR]

    assert any("SELECT, INSERT, UPDATE on instances" in message for message in errors)
    assert len(errors) > 10


def test_a_role_that_may_not_use_the_schema_is_told(
    consult: Consult, api: FaultServer, postgresql_url: str, role_url: str
) -> None:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    found = the(consult(api.url, role_url), "database.rights", Level.ERROR)

    assert "may use no schema" in found.message
    assert "GRANT USAGE" in found.remedy


def test_a_pending_upgrade_needs_create_and_ownership(
    consult: Consult, api: FaultServer, postgresql_url: str, role_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant(postgresql_url, role_url, RUNS_RIGHTS)
    head = schema.head()
    monkeypatch.setattr(schema, "revisions", lambda: [head, "9998"])
    messages = [
        one.message for one in consult(api.url, role_url) if (one.check, one.level) == ("database.rights", Level.ERROR)
    ]

    assert ["has no CREATE on public" in messages[0], "does not own accounts" in messages[1]] == [True, True]

    messages = [one.message for one in consult(api.url, postgresql_url) if one.level is Level.ERROR]

    assert [] == messages, "the owner may upgrade"


def test_an_empty_database_needs_create(consult: Consult, api: FaultServer, postgresql_url: str, role_url: str) -> None:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    findings = consult(api.url, role_url)

    assert "has no CREATE on public" in the(findings, "database.rights", Level.ERROR).message
    assert ["warning"] == levels(findings, "database.schema")


def test_a_read_only_server_is_told_apart(consult: Consult, api: FaultServer, postgresql_url: str) -> None:
    Mirror(postgresql_url).engine.dispose()
    name = urlsplit(postgresql_url).path.removeprefix("/")
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(sql.Identifier(name))
        )
    findings = consult(api.url, postgresql_url)

    assert "read-only" in the(findings, "database.writable", Level.ERROR).message
    assert 8 == checks.exit_code(findings)


def test_a_clock_that_differs_from_the_databases_is_a_warning(
    consult: Consult, api: FaultServer, postgresql_url: str
) -> None:
    assert "the database's" in the(consult(api.url, postgresql_url), "database.clock", Level.WARNING).message


def test_a_database_that_cannot_be_reached_is_told(consult: Consult, api: FaultServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    findings = consult(api.url, f"postgresql://user:c0ffee%2Bpass%25w0rd@127.0.0.1:{port}/syncer")

    assert "PostgreSQL cannot be reached" in the(findings, "database.connection", Level.ERROR).message
    assert 8 == checks.exit_code(findings)


def test_a_user_that_is_not_there_is_told(consult: Consult, api: FaultServer, postgresql_url: str) -> None:
    address = urlsplit(postgresql_url)
    host = address.netloc.rpartition("@")[2]
    findings = consult(api.url, address._replace(netloc=f"nobody:c0ffee%2Bpass%25w0rd@{host}").geturl())

    assert "check user and password" in the(findings, "database.connection", Level.ERROR).remedy


def test_a_database_that_is_not_there_is_told(consult: Consult, api: FaultServer, postgresql_url: str) -> None:
    findings = consult(api.url, urlsplit(postgresql_url)._replace(path="/no_such_database").geturl())

    assert "create the database" in the(findings, "database.connection", Level.ERROR).remedy


def test_a_database_of_others_is_told_with_what_to_do(consult: Consult, api: FaultServer, postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url) as connection:
        connection.execute("CREATE TABLE accounts (id int)")
    found = the(consult(api.url, postgresql_url), "database.schema", Level.ERROR)

    assert "has accounts already, of another program" in found.message
    assert (
        found.remedy
        == "give syncer a schema of its own: CREATE SCHEMA syncer, ALTER ROLE role SET search_path = syncer"
    )


def test_a_limit_of_connections_that_is_too_low_is_told(
    consult: Consult, api: FaultServer, upgraded_postgresql: str
) -> None:
    name = urlsplit(upgraded_postgresql).path.removeprefix("/")
    with psycopg.connect(upgraded_postgresql, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 2")
        try:
            toml = "".join(f'[accounts.a{n}]\ntoken_env = "T{n}"\n' for n in range(3))
            tokens = {f"T{n}": f"gac.{n}{'0' * 20}" for n in range(3)}
            found = the(
                consult(api.url, upgraded_postgresql, environment=tokens, toml=toml),
                "database.connections",
                Level.WARNING,
            )
        finally:
            owner.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")

    assert "the limit of connections is 2, and syncer makes up to 6 for 3 accounts" in found.message


def test_letters_and_connections_and_readers_are_fine_as_they_come(
    consult: Consult, api: FaultServer, upgraded_postgresql: str
) -> None:
    findings = consult(api.url, upgraded_postgresql)

    for check in ("database.encoding", "database.connections", "database.readers"):
        assert levels(findings, check) == ["ok"]


def test_a_transaction_that_is_open_for_long_is_told(
    consult: Consult, api: FaultServer, upgraded_postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(upgraded_postgresql) as reader:
        reader.execute("SELECT 1")
        fine = the(consult(api.url, upgraded_postgresql), "database.readers", Level.OK)
        monkeypatch.setattr(server_checks, "LONG_READING_SECONDS", 0)
        found = the(consult(api.url, upgraded_postgresql), "database.readers", Level.WARNING)

    assert "the oldest transaction is open for" in fine.message
    assert "a transaction has been open" in found.message


def test_a_server_of_another_language_is_told_from_none() -> None:
    """Its words are not known here; the advice of the error itself names all that may be the matter."""
    failed = 'connection to server at "127.0.0.1", port 5432 failed: ВАЖНО:  роль "u" не существует'

    assert server_checks.connection_remedy(failed) == ""
    assert "check user, password and database" in database_errors._explain_connection(failed)


RECEIVERS = """
[receivers.crm]
url_file = "FOLDER/url.secret"
secret_file = "FOLDER/key.secret"
[receivers.erp]
url_file = "FOLDER/url.secret"
secret_file = "FOLDER/key.secret"
[receivers.bot]
url_file = "FOLDER/missing"
format = "slack"
"""


def test_receivers_that_do_not_take_what_they_are_sent_are_told(
    consult: Consult, api: FaultServer, mirror: Mirror, tmp_path: Path
) -> None:
    for name, text_of, mode in (("url.secret", "https://crm.example/hook", 0o600), ("key.secret", SECRET, 0o640)):
        (tmp_path / name).write_text(text_of)
        (tmp_path / name).chmod(mode)
    mirror.observe([item()])
    with database.writing(mirror.engine, "failing") as connection:
        for name, problem, pause in (("crm", "it answered HTTP 410", None), ("erp", "it is down", timedelta(hours=1))):
            receivers.begin(connection, name)
            row = receivers.read(connection, name)
            assert row is not None
            held = receivers.acquire(connection, row, "holder")
            assert held is not None
            receivers.failed(connection, held, problem, pause)
    url = mirror.engine.url.set(drivername=mirror.engine.dialect.name).render_as_string(hide_password=False)

    found = consult(api.url, url, toml=RECEIVERS.replace("FOLDER", str(tmp_path)), now=None)

    bad = [one for one in found if one.check.startswith("receivers.") and one.level is not Level.OK]
    assert ["receivers.address", "receivers.delivery", "receivers.delivery"] == [one.check for one in bad]
    missing, stopped, failing = bad
    assert f"url_file in [receivers.bot]: reading the secret file {tmp_path}/missing: No such file" in missing.message
    assert stopped.message == "receiver 'crm' wants no more messages since it answered HTTP 410; 0 events wait"
    assert stopped.remedy == "correct the receiver, then run: syncer receivers resume crm"
    assert failing.message.startswith("receiver 'erp' takes nothing since ")
    assert failing.message.endswith(" UTC: it is down")
    files = [one.message for one in found if one.check == "configuration.secret_file" and one.level is not Level.OK]
    assert f"secret_file in [receivers.crm]: its group may read or write {tmp_path}/key.secret" in files
