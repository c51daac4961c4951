"""Whatever the upstream or the network does to a run: its exit code, its row, its data, and the run after it.

Each row is one run of production in a process, against a real server on loopback that misbehaves below HTTP.
"""

import gc
import json
import shutil
import ssl
import subprocess
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import fault_server as fault
import pytest
from builders import body, item
from canary import PARTNER_TOKEN
from deployment import Deployment
from fault_server import Behaviour, Connection, FaultServer
from mirror import Mirror

from syncer.scrub import REMOVED
from syncer.storage.tables import instances, rejected_items
from syncer.upstream import client

pytestmark = pytest.mark.usefixtures("short_pauses")

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - syncing to a disk tells nothing here
SHORT = timedelta(seconds=0.25)
Behaviours = Callable[[bytes], Sequence[Behaviour]]


class Row(NamedTuple):
    """A fault made of a whole list, and what becomes of the run that meets it; the last behaviour stays."""

    behaviours: Behaviours
    exit_code: int
    kind: str | None
    http_status: int | None


def fails(behaviour: Behaviour, exit_code: int, kind: str, http_status: int | None = None) -> Row:
    return Row(lambda _whole: [behaviour], exit_code, kind, http_status)


def spoils(spoil: Callable[[bytes], Behaviour], exit_code: int, kind: str, http_status: int | None = None) -> Row:
    return Row(lambda whole: [spoil(whole)], exit_code, kind, http_status)


def passes(*behaviours: Behaviour, last: Callable[[bytes], Behaviour] = lambda whole: fault.respond(200, whole)) -> Row:
    return Row(lambda whole: [*behaviours, last(whole)], 0, None, 200)


def holding(value: bytes) -> Callable[[bytes], Behaviour]:
    """The list with one more value, spelt as it is."""
    return lambda whole: fault.respond(200, whole[:-2] + b', "x": ' + value + b"}]")


def echoed(status: int) -> Behaviour:
    """What a server says of a path that it does not know: the path, which holds the token."""
    return fault.respond(status, f'{{"path": "/partner/getInstances/{PARTNER_TOKEN}"}}'.encode())


def drip_slowly(connection: Connection) -> None:
    """A whole head, then a byte a second."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        connection.send(b" ")
        connection.pause(1)


ROWS: dict[str, Row] = {
    # connections and bodies
    "silence": fails(fault.silence, 3, "timeout"),
    "one byte a second": fails(drip_slowly, 3, "timeout", 200),
    "slow headers": fails(fault.drip_headers, 3, "timeout"),
    "slow body": fails(fault.drip_body, 3, "timeout", 200),
    "reset before the answer": fails(fault.reset_before_answer, 3, "network"),
    "reset amid the body": spoils(fault.reset_amid_body, 3, "network", 200),
    "close without answer": fails(fault.close_without_answer, 3, "network"),
    "body shorter than Content-Length": spoils(lambda whole: fault.respond(200, whole[:-20], length=len(whole)), 3, "network", 200),
    "body longer than Content-Length": spoils(lambda whole: fault.respond(200, whole, length=len(whole) - 20), 5, "not_a_list", 200),
    "chunked without end": spoils(lambda whole: fault.chunked(whole, ends=False), 3, "network", 200),
    "bad chunk size": fails(fault.bad_chunk_size, 3, "network", 200),
    "endless headers": fails(fault.endless_headers, 3, "network"),
    "not HTTP at all": fails(fault.not_http, 3, "network"),
    "endless body": fails(fault.endless_body, 5, "too_large", 200),
    "gzip bomb": fails(fault.gzip_bomb, 5, "too_large", 200),
    "truncated gzip": spoils(lambda whole: fault.compressed(whole, cut=9), 3, "network", 200),
    "gzip that is none": spoils(lambda whole: fault.respond(200, whole, {"Content-Encoding": "gzip"}), 3, "network", 200),
    "unknown Content-Encoding": spoils(lambda whole: fault.compressed(whole, encoding="br"), 5, "not_a_list", 200),
    "chunked": passes(last=fault.chunked),
    "gzip": passes(last=fault.compressed),
    "until the connection closes": passes(last=fault.without_length),
    # statuses
    "204": fails(fault.respond(204), 5, "not_a_list", 204),
    "206": spoils(lambda whole: fault.respond(206, whole), 5, "not_a_list", 206),
    "304": fails(fault.respond(304), 5, "not_a_list", 304),
    "400 text": fails(fault.respond(400, b"Bad Request", content_type="text/plain"), 4, "refused", 400),
    "401": fails(echoed(401), 4, "refused", 401),
    "403": fails(echoed(403), 4, "refused", 403),
    "404": fails(echoed(404), 4, "refused", 404),
    "429 with seconds": passes(fault.respond(429, headers={"Retry-After": "0"})),
    "429 with a date": passes(fault.respond(429, headers={"Retry-After": "Sun, 01 Nov 2026 12:00:00 GMT"})),
    "429 with garbage": fails(fault.respond(429, headers={"Retry-After": "soon"}), 3, "rate_limited", 429),
    "429 with 10^9 seconds": fails(fault.respond(429, headers={"Retry-After": "1000000000"}), 3, "rate_limited", 429),
    "466": fails(fault.respond(466), 3, "server_error", 466),
    "499": fails(fault.respond(499), 3, "server_error", 499),
    "500": fails(echoed(500), 3, "server_error", 500),
    "502": fails(fault.respond(502, b"<html></html>", content_type="text/html"), 3, "server_error", 502),
    "503": fails(fault.respond(503), 3, "server_error", 503),
    "504": fails(fault.respond(504), 3, "server_error", 504),
    "fail, fail, succeed": passes(fault.respond(503), fault.reset_before_answer),
    # documents
    "HTML with 200": fails(fault.respond(200, b"<html></html>", content_type="text/html"), 5, "not_a_list", 200),
    "error object with 200": fails(fault.respond(200, b'{"code":401,"description":"Unauthorized"}'), 4, "refused", 200),
    "another error object with 200": fails(fault.respond(200, b'{"code":500,"description":"Oops"}'), 5, "not_a_list", 200),
    "nothing with 200": fails(fault.respond(200, b""), 5, "not_a_list", 200),
    "a whole list and more": spoils(lambda whole: fault.respond(200, whole + b"]"), 5, "not_a_list", 200),
    "UTF-16": spoils(lambda whole: fault.respond(200, whole.decode().encode("utf-16")), 5, "not_a_list", 200),
    "BOM": passes(last=lambda whole: fault.respond(200, b"\xef\xbb\xbf" + whole)),
    "NaN": spoils(holding(b"NaN"), 5, "not_a_list", 200),
    "Infinity": spoils(holding(b"-Infinity"), 5, "not_a_list", 200),
    "100,000 brackets": fails(fault.respond(200, b"[" * 100_000), 5, "not_a_list", 200),
    "100,000 brackets that close": fails(fault.respond(200, b"[" * 100_000 + b"]" * 100_000), 5, "not_a_list", 200),
    "5,000-digit integer": passes(last=holding(b"9" * 5000)),
    "1e400": passes(last=holding(b"1e400")),
    "an empty list": fails(fault.respond(200, b"[]"), 6, "held", 200),
    "another account's list": fails(fault.json_list([item(77)]), 6, "held", 200),
    "a list of bad items": fails(fault.json_list([{"idInstance": number} for number in range(1, 6)]), 5, "too_many_rejects", 200),
}  # fmt: skip


class Estate(Deployment):
    """Five instances in a mirror that all tests of a worker share; each step renames one and deletes or restores one."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__(mirror)
        self.step = 0
        self._seen = 0
        self.arrives(self.answer())

    def answer(self) -> bytes:
        deleted = self.step % 2 == 1
        return body([item(1, name=f"step {self.step}"), item(2, deleted=deleted), item(3), item(4), item(5)])

    def arrives(self, whole: bytes) -> None:
        with FaultServer([fault.respond(200, whole)]) as server:
            report = self.sync(server.url)
        assert report.error is None
        self._seen = len(self.mirror.history())

    def assert_moved(self) -> None:
        """Exactly the difference between two steps was recorded, and every promise holds."""
        moves = self.moves(since=self._seen)
        assert moves == [(1, "changed"), (2, "deleted" if self.step % 2 else "restored")]
        assert self.broken_promises() == []
        self._seen += len(moves)

    def assert_made_good(self, before: list[Any]) -> None:
        """Nothing was changed by the last run; the next one records exactly what is different."""
        assert before == self.tables()
        with FaultServer([fault.respond(200, self.answer())]) as server:
            assert self.sync(server.url).exit_code == 0
        self.assert_moved()

    def assert_unreachable(self, url: str) -> None:
        """A run that reaches no upstream is told as such and changes nothing."""
        self.step += 1
        before = self.tables()
        report = self.sync(url, timeout=SHORT)

        assert (report.exit_code, report.status) == (3, "failed")
        assert self.mirror.runs()[-1]["error_kind"] in {"network", "timeout"}
        self.assert_made_good(before)


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Estate]:
    """On SQLite, in memory: what happens before an answer is there knows no database."""
    kept = tmp_path_factory.mktemp("estate") / "syncer.db"
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        shutil.copy(sqlite_template, f"{folder}/syncer.db")
        mirror = Mirror(f"sqlite:///{folder}/syncer.db")
        yield Estate(mirror)
        mirror.engine.dispose()
        shutil.copy(f"{folder}/syncer.db", kept)  # to be searched for secrets with all the rest


@pytest.mark.parametrize("name", ROWS)
def test_a_run_that_meets_a_fault_ends_as_it_should_and_the_next_makes_it_good(
    estate: Estate, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ROWS[name]
    if row.kind == "timeout":
        monkeypatch.setattr(client, "TRIES", 2)
    estate.step += 1
    before = estate.tables()
    with FaultServer(row.behaviours(estate.answer())) as server:
        report = estate.sync(server.url, timeout=SHORT if row.kind == "timeout" else timedelta(5), max_body=2**20)

    run = estate.mirror.runs()[-1]
    assert (report.exit_code, run["error_kind"], run["http_status"]) == (row.exit_code, row.kind, row.http_status)
    assert run["status"] == {0: "ok", 6: "held"}.get(row.exit_code, "failed")
    assert run["error"] == (str(report.error) if report.error else None)
    assert "\n" not in str(report.error)
    if row.exit_code:
        estate.assert_made_good(before)
    else:
        estate.assert_moved()


def test_a_name_that_does_not_resolve_costs_that_run_alone(estate: Estate) -> None:
    estate.assert_unreachable("https://no-such-host.invalid")


def test_a_port_that_refuses_costs_that_run_alone(estate: Estate) -> None:
    with FaultServer([fault.silence]) as server:
        url = server.url

    estate.assert_unreachable(url)


def test_a_black_hole_costs_that_run_alone(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TRIES", 1)
    with fault.black_hole() as url:
        estate.assert_unreachable(url)


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (fault.respond(400, b"no", {"Date": "Sun, 01 Nov 2026 12:00:00 GMT"}), 400),
        (fault.respond(429, b"", {"Date": "Sun, 01 Nov 2026 12:00:00 GMT", "Retry-After": "999"}), 429),
        (fault.respond(206, b"[]", {"Date": "Sun, 01 Nov 2026 12:00:00 GMT"}), 206),
        (fault.respond(200, b"[]", {"Date": "Sun, 01 Nov 2026 12:00:00 GMT", "Content-Encoding": "br"}), 200),
        (fault.respond(200, b" " * 2**21, {"Date": "Sun, 01 Nov 2026 12:00:00 GMT"}), 200),
    ],
)
def test_a_failed_run_keeps_the_status_and_the_date_of_its_answer(
    estate: Estate, behaviour: Behaviour, status: int
) -> None:
    with FaultServer([behaviour]) as server:
        estate.sync(server.url, max_body=2**20)

    run = estate.mirror.runs()[-1]
    assert (run["status"], run["http_status"], run["answered_at"]) == (
        "failed",
        status,
        datetime(2026, 11, 1, 12, tzinfo=UTC),
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_leads_nowhere(estate: Estate, scheme: str) -> None:
    estate.step += 1
    before = estate.tables()
    with FaultServer([fault.respond(200, estate.answer())]) as elsewhere:
        address = elsewhere.url.replace("http", scheme, 1).replace("127.0.0.1", "localhost")
        with FaultServer([fault.redirect_to(f"{address}/partner/getInstances/x")]) as server:
            report = estate.sync(server.url)

    assert (report.exit_code, estate.mirror.runs()[-1]["error_kind"]) == (4, "redirected")
    assert (len(server.requests), elsewhere.connections) == (1, 0)
    estate.assert_made_good(before)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys with certificates that nobody signed: one for this machine, one for another host."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, host in (("here", "IP:127.0.0.1"), ("elsewhere", "DNS:elsewhere.invalid")):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
             "-subj", f"/CN={name}", "-addext", f"subjectAltName={host}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
    return folder


def tls_server(folder: Path, name: str, behaviour: Behaviour) -> FaultServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return FaultServer([behaviour], tls=context)


@pytest.mark.parametrize(
    ("name", "trusted"), [("here", None), ("elsewhere", "elsewhere")], ids=["self-signed", "wrong host"]
)
def test_a_certificate_that_cannot_be_trusted_costs_that_run_alone(
    estate: Estate, certificates: Path, name: str, trusted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / f"{trusted}.pem"))
    with tls_server(certificates, name, fault.json_list([item(77)])) as server:
        estate.assert_unreachable(server.url)

    assert server.requests == []


def test_a_certificate_that_is_trusted_and_of_this_host_is_good(
    estate: Estate, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the two above fail for their reason."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "here.pem"))
    estate.step += 1
    with tls_server(certificates, "here", fault.respond(200, estate.answer())) as server:
        assert estate.sync(server.url).exit_code == 0
    estate.assert_moved()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_sees_no_token(
    estate: Estate, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls over TLS may go through a proxy, which learns the host's name alone; this one refuses."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FaultServer([fault.respond(502)]) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        report = estate.sync("https://api.example.invalid", timeout=SHORT)
        asked = {(request.method, request.target) for request in proxy.requests}

    assert report.exit_code == 3
    assert asked <= {("CONNECT", "api.example.invalid:443")}
    assert asked


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_call_in_plain_text_goes_through_no_proxy(
    estate: Estate, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    estate.step += 1
    with FaultServer([fault.json_list([item(77)])]) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        with FaultServer([fault.respond(200, estate.answer())]) as server:
            report = estate.sync(server.url)

    assert (report.exit_code, proxy.connections) == (0, 0)
    estate.assert_moved()


HOSTILE = [
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "half \ud83e", "\ufeff", "\ufffe\uffff", "\u202e", "é", "e\u0301", "İ", "ß", "𝒳",
    "\x7f\x1b[31m", "'; DROP TABLE instances; --", "%s%n{0}{}", "$1 $$ :name ?", "\\", '"', "\\u0041", "\r\n\t\v\u2028", "NaN", "null",
    "true", "0", "-0", "1e400", "0001-01-01T00:00:00", "\U0010ffff", "x" * 60_000, "١٢٣", "<script>alert(1)</script>", "=1+1", "../../etc/passwd",
]  # fmt: skip


def stored(text: str) -> str:
    """What neither database can hold is replaced, all else is byte for byte what was sent."""
    return "".join("\ufffd" if letter == "\x00" or 0xD800 <= ord(letter) < 0xE000 else letter for letter in text)


def test_hostile_strings_are_stored_to_the_byte_and_alike_on_both_databases(mirror: Mirror) -> None:
    items = [
        item(number, name=text, tariff=text[:100], x={text: [text]}) for number, text in enumerate(HOSTILE, start=1)
    ]
    with FaultServer([fault.respond(200, body(items))]) as server:
        first, second = Deployment(mirror).sync(server.url), Deployment(mirror).sync(server.url)

    rows = mirror.rows(instances)
    assert (first.created, first.rejected, second.status) == (len(HOSTILE), 0, "unchanged")
    assert [row["name"] for row in rows] == [stored(text) for text in HOSTILE]
    assert [row["tariff"] for row in rows] == [stored(text[:100]) for text in HOSTILE]
    assert [json.loads(row["extra"])["x"] for row in rows] == [
        {stored(text): REMOVED if "passwd" in text else [stored(text)]}  # a key that names a secret
        for text in HOSTILE
    ]
    assert Deployment(mirror).broken_promises() == []


def test_a_string_that_is_too_long_is_rejected_alike_on_both_databases(mirror: Mirror) -> None:
    with FaultServer([fault.json_list([item(1), item(2, name="x" * 65_537)])]) as server:
        report = Deployment(mirror).sync(server.url)

    (reject,) = mirror.rows(rejected_items)
    assert (report.created, report.rejected, reject["id_instance"]) == (1, 1, 2)
    assert "name is longer than" in reject["reason"]


def test_a_failed_run_keeps_nothing_of_its_answer(mirror: Mirror) -> None:
    """Errors and the frames that they came through refer to one another; a daemon would keep answers for hours."""
    answer = body(item(number) for number in range(2_000))
    half = fault.respond(200, answer[: len(answer) // 2])
    deployment = Deployment(mirror)
    with FaultServer([half]) as server:
        deployment.sync(server.url)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            before, _peak = tracemalloc.get_traced_memory()
            reports = [deployment.sync(server.url) for _ in range(5)]
            after, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()

    assert {"not_a_list"} == {report.error.kind for report in reports if report.error}
    assert after - before < len(answer)
