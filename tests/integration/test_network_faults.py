"""Faults below and around HTTP that `test_upstream.py` does not have: TLS, proxies, a black hole, a wrong length."""

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fault_server as fault
import pytest
from builders import body, item
from fault_server import FaultServer
from test_upstream import LIST, NOW, failure, fetch

from syncer.answer.item import Decoder
from syncer.answer.reader import read_body
from syncer.errors import AnswerUnusable, UpstreamRefused, UpstreamUnreachable
from syncer.scrub import Scrubber
from syncer.upstream import client

pytestmark = pytest.mark.usefixtures("short_pauses")


def test_a_body_longer_than_its_length_is_no_whole_list() -> None:
    with FaultServer([fault.respond(200, LIST, length=len(LIST) - 20)]) as server:
        answer = fetch(server)

    with pytest.raises(AnswerUnusable, match="not whole JSON"):
        read_body(answer.body, Decoder(NOW - NOW, Scrubber([])))


def test_a_black_hole_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TRIES", 1)
    with fault.black_hole() as url:
        error = failure(url, UpstreamUnreachable, timeout=0.4)

    assert error.kind in {"timeout", "network"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate that nobody signed, for another host than the one that is called."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=elsewhere.invalid",
         "-addext", "subjectAltName=DNS:elsewhere.invalid", "-keyout", str(path), "-out", str(path.with_name("certificate.pem"))],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + path.with_name("certificate.pem").read_bytes())
    return path


@pytest.fixture
def tls(certificate: Path) -> Iterator[FaultServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FaultServer([fault.respond(200, LIST)], tls=context) as server:
        yield server


def test_a_certificate_that_nobody_signed_is_not_trusted(tls: FaultServer) -> None:
    failure(tls, UpstreamUnreachable)

    assert tls.requests == []


def test_a_certificate_of_another_host_is_not_trusted(
    tls: FaultServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("certificate.pem")))
    failure(tls, UpstreamUnreachable)

    assert tls.requests == []


def test_a_redirect_from_https_to_http_is_not_followed() -> None:
    with FaultServer([fault.respond(200, LIST)]) as elsewhere:
        address = elsewhere.url.replace("127.0.0.1", "localhost")
        with FaultServer([fault.redirect_to(f"{address}/partner/getInstances/x")]) as server:
            failure(server, UpstreamRefused)

    assert elsewhere.connections == 0


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxy_variables_do_not_send_a_loopback_call_elsewhere(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """The token is in the path, so a call in plain text must go nowhere but to the loopback address it was meant for."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        FaultServer([fault.respond(200, body([item(77)]))]) as proxy,
        FaultServer([fault.respond(200, LIST)]) as server,
    ):
        monkeypatch.setenv(variable, proxy.url)
        answer = fetch(server)

    assert (answer[:2], proxy.connections) == ((LIST, 200), 0)
