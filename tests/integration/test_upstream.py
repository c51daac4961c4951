"""The fetcher against a real server that fails in every way met so far (CONTRACT 5)."""

import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import unquote

import fault_server as fault
import pytest
from builders import body, item
from canary import PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, find_secrets
from fault_server import Behaviour, FaultServer
from waiting import SOON_SECONDS

from syncer.errors import AnswerUnusable, FetchStopped, SyncerError, UpstreamRefused, UpstreamUnreachable
from syncer.model import Answer
from syncer.scrub import Scrubber
from syncer.upstream import client

pytestmark = pytest.mark.usefixtures("short_pauses")

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIST = body([item()])


def fetch(
    server: FaultServer | str,
    *,
    token: str = PARTNER_TOKEN,
    timeout: float = 5,
    largest_body: int = 2**20,
    stop: threading.Event | None = None,
) -> Answer:
    url = server if isinstance(server, str) else server.url
    source = client.Upstream(url, token, timeout, largest_body, Scrubber([token]))
    return client.fetch(source, stop=stop or threading.Event(), clock=lambda: NOW, on_try=lambda _why: None)


def failure(server: FaultServer | str, kind: type[SyncerError], **values: object) -> SyncerError:
    with pytest.raises(kind) as raised:
        fetch(server, **values)  # type: ignore[arg-type]
    chain = f"{raised.value!r} {raised.value.__context__!r} {raised.value.__cause__!r}"
    assert find_secrets(chain.encode()) == []
    assert raised.value.__context__ is None
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    "behaviour",
    [
        fault.respond(200, LIST),
        fault.chunked(LIST),
        fault.without_length(LIST),
        fault.compressed(LIST),
        fault.compressed(LIST, encoding="X-GZIP"),
    ],
    ids=["with length", "chunked", "until close", "gzip", "x-gzip"],
)
def test_a_whole_list_arrives(behaviour: Behaviour) -> None:
    with FaultServer([behaviour]) as server:
        assert (LIST, 200) == fetch(server)[:2]


@pytest.mark.parametrize("token", [PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, "../../deleteInstanceAccount/x"])
def test_the_token_is_one_segment_of_the_fixed_path(token: str) -> None:
    with FaultServer([fault.respond(200, LIST)]) as server:
        fetch(server, token=token)

    (request,) = server.requests
    prefix, _, segment = request.target.rpartition("/")
    assert ("GET", "/partner/getInstances", token) == (request.method, prefix, unquote(segment))


TRANSIENT: dict[str, tuple[Behaviour, str]] = {
    "reset before the answer": (fault.reset_before_answer, "network"),
    "reset amid the body": (fault.reset_amid_body(LIST), "network"),
    "closed without an answer": (fault.close_without_answer, "network"),
    "body shorter than its length": (fault.respond(200, LIST[:-20], length=len(LIST)), "network"),
    "chunked without end": (fault.chunked(LIST, ends=False), "network"),
    "bad chunk size": (fault.bad_chunk_size, "network"),
    "endless headers": (fault.endless_headers, "network"),
    "not HTTP": (fault.not_http, "network"),
    "truncated gzip": (fault.compressed(LIST, cut=9), "network"),
    "garbled gzip": (fault.respond(200, LIST, {"Content-Encoding": "gzip"}), "network"),
    "429": (fault.respond(429), "rate_limited"),
    "429 with a garbled Retry-After": (fault.respond(429, headers={"Retry-After": "soon"}), "rate_limited"),
    "466": (fault.respond(466), "server_error"),
    "499": (fault.respond(499), "server_error"),
    "500": (fault.respond(500, b"oops " + PARTNER_TOKEN.encode()), "server_error"),
    "502": (fault.respond(502, b"<html>Bad Gateway</html>"), "server_error"),
    "503": (fault.respond(503), "server_error"),
    "504": (fault.respond(504), "server_error"),
}


@pytest.mark.parametrize(("behaviour", "kind"), TRANSIENT.values(), ids=TRANSIENT)
def test_a_transient_failure_is_tried_four_times(behaviour: Behaviour, kind: str) -> None:
    with FaultServer([behaviour]) as server:
        error = failure(server, UpstreamUnreachable)

    assert (kind, 4) == (error.kind, server.connections)


@pytest.mark.parametrize("behaviour", [behaviour for behaviour, _ in TRANSIENT.values()], ids=TRANSIENT)
def test_a_transient_failure_is_overcome(behaviour: Behaviour) -> None:
    with FaultServer([behaviour, behaviour, fault.respond(200, LIST)]) as server:
        assert (LIST, 200) == fetch(server)[:2]


FINAL: dict[str, tuple[Behaviour, type[SyncerError], str]] = {
    "400": (fault.respond(400, b"Bad Request"), UpstreamRefused, "refused"),
    "401": (fault.respond(401), UpstreamRefused, "refused"),
    "403": (fault.respond(403), UpstreamRefused, "refused"),
    "404": (
        fault.respond(404, f'{{"path":"/partner/getInstances/{PARTNER_TOKEN}"}}'.encode()),
        UpstreamRefused,
        "refused",
    ),
    "204": (fault.respond(204), AnswerUnusable, "not_a_list"),
    "206": (fault.respond(206, LIST), AnswerUnusable, "not_a_list"),
    "304": (fault.respond(304), AnswerUnusable, "not_a_list"),
    "an encoding that was not asked for": (fault.compressed(LIST, encoding="br"), AnswerUnusable, "not_a_list"),
    "a body over the limit": (fault.respond(200, b" " * (2**20 + 1)), AnswerUnusable, "too_large"),
    "an endless body": (fault.endless_body, AnswerUnusable, "too_large"),
    "a gzip bomb": (fault.gzip_bomb, AnswerUnusable, "too_large"),
}


@pytest.mark.parametrize(("behaviour", "error_class", "kind"), FINAL.values(), ids=FINAL)
def test_a_final_answer_is_not_tried_again(behaviour: Behaviour, error_class: type[SyncerError], kind: str) -> None:
    with FaultServer([behaviour]) as server:
        error = failure(server, error_class)

    assert (kind, 1) == (error.kind, len(server.requests))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with FaultServer([fault.respond(200, LIST)]) as elsewhere:
        with FaultServer([fault.respond(status, headers={"Location": f"{elsewhere.url}/"})]) as server:
            error = failure(server, UpstreamRefused)

        assert (error.kind, elsewhere.connections) == ("redirected", 0)


@pytest.mark.parametrize("behaviour", [fault.silence, fault.drip_headers, fault.drip_body])
def test_the_deadline_bounds_the_whole_exchange(behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TRIES", 1)
    began = time.monotonic()
    with FaultServer([behaviour]) as server:
        error = failure(server, UpstreamUnreachable, timeout=0.4)

    assert error.kind == "timeout"
    assert time.monotonic() - began < SOON_SECONDS


def test_what_is_done_with_an_answer_is_no_time_of_the_upstream() -> None:
    """The deadline is over long before it is read; the upstream had sent all of it at once."""

    def read_slowly(chunks: Iterable[bytes]) -> bytes:
        first = next(iter(chunks))
        time.sleep(0.6)
        return first + b"".join(chunks)

    with FaultServer([fault.chunked(LIST)]) as server:
        source = client.Upstream(server.url, PARTNER_TOKEN, 0.4, 2**20, Scrubber([PARTNER_TOKEN]))
        answer = client.fetch_into(source, read_slowly, stop=threading.Event(), clock=lambda: NOW)

    assert (answer.body, len(server.requests)) == (LIST, 1)


def test_an_answer_comes_with_its_headers_and_its_arrival_and_none_is_asked_of_a_cache() -> None:
    with FaultServer([fault.respond(200, LIST, {"X-Total-Count": "1"})]) as server:
        answer = fetch(server)

    assert (answer.headers["x-total-count"], answer.arrived_at) == ("1", NOW)
    assert {name.lower(): value for name, value in server.requests[0].headers.items()}["cache-control"] == "no-cache"


@pytest.mark.parametrize("header", ["1", format_datetime(NOW + timedelta(seconds=1), usegmt=True)])
def test_retry_after_is_honoured_in_both_its_forms(header: str) -> None:
    with FaultServer([fault.respond(429, headers={"Retry-After": header}), fault.respond(200, LIST)]) as server:
        fetch(server)

    first, second = server.requests
    assert second.at - first.at >= 0.95


@pytest.mark.parametrize(
    "header",
    ["soon", "-1", "Wed, 21 Oct 99999999999 07:28:00 GMT", "Mon, 01 Jan 2026 600:00:00 +9999996999999"],
)
def test_a_retry_after_that_is_garbled_says_nothing(header: str) -> None:
    assert client.retry_after_seconds(header, NOW) is None


@pytest.mark.parametrize("header", ["1000000000", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_retry_after_that_is_too_long_ends_the_tries(header: str) -> None:
    with FaultServer([fault.respond(503, headers={"Retry-After": header})]) as server:
        error = failure(server, UpstreamUnreachable)

    assert isinstance(error, UpstreamUnreachable)
    assert error.retry_after_seconds is not None
    assert error.retry_after_seconds > 3600

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "behaviour", [fault.silence, fault.drip_body, fault.respond(503, headers={"Retry-After": "30"})]
)
def test_a_stop_gives_the_fetch_up_at_once(behaviour: Behaviour) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with FaultServer([behaviour]) as server:
        failure(server, FetchStopped, timeout=30, stop=stop)

    assert time.monotonic() - began < 20


def test_a_host_that_does_not_resolve_is_unreachable() -> None:
    assert failure("https://no-such-host.invalid", UpstreamUnreachable).kind == "network"


def test_a_port_that_nobody_listens_on_is_unreachable() -> None:
    with FaultServer([fault.silence]) as server:
        url = server.url

    assert failure(url, UpstreamUnreachable).kind == "network"


def test_the_words_of_a_refusal_are_shown_without_the_token() -> None:
    said = b"no rights for token " + WEIRD_PARTNER_TOKEN.encode() + b"\x1b[31m"
    with FaultServer([fault.respond(400, said, content_type="text/plain")]) as server:
        error = failure(server, UpstreamRefused, token=WEIRD_PARTNER_TOKEN)

    assert "HTTP 400 'no rights for token [removed] [31m'" in str(error)
