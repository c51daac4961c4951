"""One message on the wire: what a person is told where it does not arrive, and that nothing shows where it went."""

import logging
import ssl
import subprocess
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import fault_server as fault
import pytest
from fault_server import FaultServer
from receiving import Behaviour, receiving

from syncer.errors import FetchStopped
from syncer.post import client
from syncer.post.client import Letter, post
from syncer.receivers.outcome import Reply
from syncer.receivers.receiver import Address

CANARY = "c4n4ry-of-the-address-0123456789"
NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine that nobody signed, with its key beside it."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/here.key", "-out", f"{folder}/here.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "here.pem"


def tls_server(certificate: Path) -> FaultServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return FaultServer([take], tls=context)


def take(connection: fault.Connection) -> None:
    """Read the body too: who hangs up with it unread resets the connection."""
    connection.client.settimeout(0.5)
    with suppress(TimeoutError):
        connection.client.recv(65536)
    fault.respond(204)(connection)


def posted(url: str) -> Reply:
    letter = Letter(Address(f"{url}/{CANARY}"), {"webhook-id": "e_1"}, b"{}", "crm")
    return post(letter, threading.Event(), lambda: NOW)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://no-such-host.invalid", "its name is not found"),
        ("http://127.0.0.1:9", "it refuses connections"),
        ("http://127.0.0.1:0", "it cannot be connected to"),
    ],
)
def test_what_cannot_be_reached_is_told_without_its_address(
    url: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    reply = posted(url)

    assert reply.status is None
    assert said == reply.words or (said, reply.words) == ("it cannot be connected to", "it refuses connections")
    assert CANARY not in caplog.text


def test_a_certificate_that_is_not_trusted_is_told_and_nothing_is_sent(certificate: Path) -> None:
    with tls_server(certificate) as server:
        reply = posted(server.url)

    assert Reply(None, "its certificate is not trusted") == reply
    assert [] == server.requests


def test_a_certificate_that_is_trusted_is_good(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the one above fails for its reason."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with tls_server(certificate) as server:
        url = server.url
        assert Reply(204) == posted(url)

    (request,) = server.requests
    assert ("POST", f"/{CANARY}") == (request.method, request.target)
    assert url.removeprefix("https://") == request.headers["host"]


def test_an_address_is_in_no_log_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receiving(Behaviour(500, body=f"no: /hook/{CANARY}".encode())) as server:
        reply = posted(server.url.rpartition("/hook")[0])

    assert Reply(500, "no: /hook/[removed]") == reply
    assert "POST http://receiver/crm" in caplog.text
    assert CANARY not in caplog.text


def test_a_proxy_of_the_environment_is_followed_and_told_where_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer([fault.respond(502)]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        reply = posted("https://crm.example.invalid")

    assert Reply(None, "the proxy does not let it through") == reply
    assert ("CONNECT", "crm.example.invalid:443") == (proxy.requests[0].method, proxy.requests[0].target)


def test_certificates_that_cannot_be_read_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))

    assert "the certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be read" == posted("https://127.0.0.1:9").words


def test_a_proxy_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")

    assert posted("https://crm.example.invalid").words.startswith("HTTPS_PROXY: syncer goes through proxies of http://")


def test_a_message_is_given_up_when_the_daemon_stops() -> None:
    stop = threading.Event()
    with receiving(Behaviour(fault="hang")) as server:
        server.on_message = lambda _got: stop.set()
        letter = Letter(Address(server.url), {}, b"{}", "crm")
        with pytest.raises(FetchStopped):
            post(letter, stop, lambda: NOW)


def test_only_the_beginning_of_a_refusal_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "WHOLE_SECONDS", 5.0)
    with receiving(Behaviour(500, body=b"out of order " * 10**6)) as server:
        reply = posted(server.url)

    assert reply.words.startswith("out of order")
    assert 120 >= len(reply.words)


@pytest.mark.parametrize(
    ("header", "seconds"), [("120", 120.0), ("Thu, 26 Nov 2026 09:00:30 GMT", 30.0), ("soon", None), ("-1", None)]
)
def test_how_long_to_wait_is_taken_in_either_form(header: str, seconds: float | None) -> None:
    with receiving(Behaviour(429, {"Retry-After": header})) as server:
        assert seconds == posted(server.url).retry_after_seconds
