"""What lies between syncer and its upstream: proxies, certificates, and encodings that browsers take (CONTRACT 5)."""

import gzip
import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import fault_server as fault
import pytest
from builders import body, item
from canary import PARTNER_TOKEN
from conftest import RunSyncer
from fault_server import FaultServer

from syncer.errors import AnswerUnusable, ConfigurationError, UpstreamUnreachable
from syncer.scrub import Scrubber
from syncer.upstream import client
from syncer.upstream.proxy import check_certificates, proxy_for

LIST = body([item(1), item(2)])
API = "https://api.example.invalid"
VARIABLES = [name for one in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY") for name in (one, one.lower())]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def fetch(server: FaultServer) -> bytes:
    upstream = client.Upstream(server.url, PARTNER_TOKEN, 5, 2**20, Scrubber([PARTNER_TOKEN]))
    return client.fetch(upstream, stop=threading.Event(), clock=lambda: datetime(2026, 11, 1, tzinfo=UTC)).body


@pytest.mark.parametrize("filling", [b"\0", b"\0" * 5000, b"\r\n", b"\n", b"\0\r\n\0"])
@pytest.mark.parametrize("pieces", [1, 40])
def test_what_fills_up_behind_a_gzip_stream_is_left_out(filling: bytes, pieces: int) -> None:
    packed = gzip.compress(LIST) + filling
    size = max(1, len(packed) // pieces)

    def answer(connection: fault.Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
        for at in range(0, len(packed), size):
            connection.send(packed[at : at + size])

    with FaultServer([answer]) as server:
        assert fetch(server) == LIST


def test_members_with_filling_between_them_are_one_body() -> None:
    packed = gzip.compress(LIST[:9]) + b"\0\0" + gzip.compress(LIST[9:]) + b"\r\n"
    with FaultServer([fault.respond(200, packed, {"Content-Encoding": "gzip"})]) as server:
        assert fetch(server) == LIST


@pytest.mark.usefixtures("short_pauses")
def test_other_bytes_behind_a_gzip_stream_are_garbled() -> None:
    answer = fault.respond(200, gzip.compress(LIST) + b"xyz", {"Content-Encoding": "gzip"})
    with FaultServer([answer]) as server, pytest.raises(UpstreamUnreachable, match="garbled"):
        fetch(server)


@pytest.mark.parametrize("encoding", ["", "identity", "none", "utf-8", "UTF-8", " , none", "identity, utf-8"])
def test_an_encoding_that_is_none_is_taken(encoding: str) -> None:
    with FaultServer([fault.respond(200, LIST, {"Content-Encoding": encoding})]) as server:
        assert fetch(server) == LIST


@pytest.mark.parametrize("encoding", ["gzip, identity", "identity, gzip", "utf-8, x-gzip", "GZIP,", "none,gzip"])
def test_gzip_beside_an_encoding_that_is_none_is_taken(encoding: str) -> None:
    with FaultServer([fault.compressed(LIST, encoding=encoding)]) as server:
        assert fetch(server) == LIST


# None of the canaries: the library's own trace, which pytest hears unscrubbed, has the headers as they came.
IN_A_HEADER = "gac." + "0f1e2d3c4b5a" * 4


@pytest.mark.parametrize(
    "encoding", ["br", "gzip, br", "gzip, gzip", "deflate", f"x{IN_A_HEADER}", f"xx{IN_A_HEADER[:30]}"]
)
def test_another_encoding_is_refused_and_its_name_scrubbed_before_it_is_cut(encoding: str) -> None:
    answer = fault.compressed(LIST, encoding=encoding)
    with FaultServer([answer]) as server, pytest.raises(AnswerUnusable, match="which was not asked for") as told:
        fetch(server)

    assert IN_A_HEADER[4:16] not in str(told.value)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("proxy.corp:3128", "http://proxy.corp:3128"),
        ("http://proxy.corp:3128", "http://proxy.corp:3128"),
        ("https://proxy.corp", "https://proxy.corp"),
        ("user:pass@proxy.corp:3128", "http://user:pass@proxy.corp:3128"),
        ("", None),
    ],
)
def test_a_proxy_is_read_as_curl_reads_it(
    variable: str, text: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)

    assert proxy == proxy_for(API)
    assert proxy_for("http://127.0.0.1:1") is None


def test_an_address_that_no_proxy_names_goes_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.corp:3128")
    monkeypatch.setenv("NO_PROXY", "example.invalid")

    assert proxy_for(API) is None


REFUSED = {
    "socks": ({"HTTPS_PROXY": "socks5://u:c0ffee+pass@proxy.corp:1080"}, "HTTPS_PROXY: syncer goes through proxies of http"),
    "socks for all": ({"ALL_PROXY": "socks5h://proxy.corp:1080"}, "ALL_PROXY: syncer goes through proxies of http"),
    "no address": ({"HTTPS_PROXY": "http://"}, "HTTPS_PROXY: it is no address of a proxy"),
    "no port": ({"HTTPS_PROXY": "proxy.corp:none"}, "HTTPS_PROXY: it is no address of a proxy"),
    "an unescaped sign": ({"HTTPS_PROXY": "u:c0ffee+pass@s3cret@proxy.corp:1"}, "an @ in a password is written %40"),
    "white space": ({"HTTPS_PROXY": "proxy corp:1"}, "HTTPS_PROXY: it is no address of a proxy"),
    "no certificates": ({"SSL_CERT_FILE": "/nonexistent.pem"}, "SSL_CERT_FILE: there is no such file"),
    "no folder of certificates": ({"SSL_CERT_DIR": "/nonexistent"}, "SSL_CERT_DIR: there is no such file or folder"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_environment_says_of_the_way_is_checked_before_a_run(
    run_syncer: RunSyncer, tmp_path: Path, case: str
) -> None:
    environment, words = REFUSED[case]
    done = run_syncer("sync", env=environment | {"SYNCER_API_URL": API})
    advice = run_syncer("doctor", "--json", env=environment | {"SYNCER_API_URL": API})

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert words in done.stderr
    found = {one["check"]: one for one in json.loads(advice.stdout)["findings"]}
    assert found["upstream.environment"]["level"] == "error"
    assert advice.returncode == 2
    assert not (tmp_path / "syncer.db").exists()
    for secret in ("c0ffee+pass", "s3cret"):
        assert secret not in done.stderr + advice.stdout + advice.stderr


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_fails_is_named_without_its_password(run_syncer: RunSyncer, scheme: str) -> None:
    done = run_syncer(
        "sync",
        env={"SYNCER_API_URL": API, "HTTPS_PROXY": f"{scheme}://user:c0ffee+pass@127.0.0.1:9", "SYNCER_TIMEOUT": "1s"},
    )

    assert done.returncode == 3
    assert "by way of the environment's proxy 127.0.0.1:9" in done.stdout
    assert "c0ffee+pass" not in done.stdout + done.stderr
    assert "user" not in done.stdout + done.stderr


def test_a_file_without_a_certificate_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pem").write_text("none")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "x.pem"))

    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        check_certificates(API)
    check_certificates("http://127.0.0.1:1")


@pytest.mark.usefixtures("short_pauses")
def test_certificates_that_vanish_later_fail_the_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    upstream = client.Upstream(API, PARTNER_TOKEN, 5, 2**20, Scrubber([PARTNER_TOKEN]))

    with pytest.raises(UpstreamUnreachable, match="certificates of SSL_CERT_FILE"):
        client.fetch(upstream, stop=threading.Event(), clock=lambda: datetime(2026, 11, 1, tzinfo=UTC))
