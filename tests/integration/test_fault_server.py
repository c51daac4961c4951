"""The server that fails on purpose: what a plain client sees of each behaviour, byte by byte."""

import gzip
import http.client
import json
import socket
import threading
import time
import zlib

import fault_server as fault
import pytest
from builders import body, item
from fault_server import Behaviour, FaultServer
from waiting import HANG_SECONDS, SOON_SECONDS

LIST = body([item(1), item(2)])


def connect(server: FaultServer) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    client = socket.create_connection((host, int(port)), timeout=HANG_SECONDS)
    client.sendall(b"GET /partner/getInstances/t HTTP/1.1\r\nHost: h\r\nX-Asked: yes\r\n\r\n")
    return client


def everything(behaviour: Behaviour, most: int = 2**22) -> tuple[bytes, bool]:
    """All that is sent, up to a limit, and whether the end was a reset."""
    received = b""
    with FaultServer([behaviour]) as server, connect(server) as client:
        while len(received) < most:
            try:
                data = client.recv(65536)
            except ConnectionResetError:
                return received, True
            if not data:
                break
            received += data
    return received, False


def answer(behaviour: Behaviour) -> http.client.HTTPResponse:
    with FaultServer([behaviour]) as server:
        client = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=HANG_SECONDS)
        client.request("GET", "/")
        return client.getresponse()


def whole_body(behaviour: Behaviour) -> bytes:
    with FaultServer([behaviour]) as server:
        client = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=HANG_SECONDS)
        client.request("GET", "/")
        return client.getresponse().read()


def test_behaviours_answer_in_turn_and_the_last_one_repeats() -> None:
    statuses = []
    with FaultServer([fault.respond(503), fault.respond(429), fault.json_list([])]) as server:
        for _ in range(4):
            client = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=HANG_SECONDS)
            client.request("GET", "/")
            statuses.append(client.getresponse().status)
            client.close()

    assert statuses == [503, 429, 200, 200]


def test_requests_are_kept_with_their_headers_and_times() -> None:
    before = time.monotonic()
    with FaultServer([fault.json_list([])]) as server, connect(server) as client:
        client.recv(65536)

    (request,) = server.requests
    assert ("GET", "/partner/getInstances/t") == (request.method, request.target)
    assert {"host": "h", "x-asked": "yes"} == request.headers
    assert before <= request.at <= time.monotonic()


def test_an_answer_has_the_status_headers_and_body_that_it_is_given() -> None:
    got = answer(fault.respond(466, b"quota", {"Retry-After": "7"}, content_type="text/plain"))

    assert (466, "7", "text/plain", "5") == (
        got.status,
        got.headers["Retry-After"],
        got.headers["Content-Type"],
        got.headers["Content-Length"],
    )


def test_a_list_comes_as_json() -> None:
    assert [item(1)] == json.loads(whole_body(fault.json_list([item(1)])))


def test_a_redirect_names_its_aim() -> None:
    got = answer(fault.redirect_to("http://127.0.0.1:9/there", 307))

    assert (307, "http://127.0.0.1:9/there") == (got.status, got.headers["Location"])


def test_a_body_shorter_than_its_length_is_incomplete() -> None:
    with pytest.raises(http.client.IncompleteRead):
        whole_body(fault.respond(200, LIST, length=len(LIST) + 1))


def test_a_body_longer_than_its_length_is_sent_to_its_end() -> None:
    sent, _reset = everything(fault.respond(200, LIST, length=2))

    assert b"Content-Length: 2\r\n" in sent
    assert sent.endswith(LIST)


def test_a_chunked_body_is_whole() -> None:
    assert whole_body(fault.chunked(LIST)) == LIST


def test_a_chunked_body_without_its_end_is_incomplete() -> None:
    with pytest.raises(http.client.IncompleteRead):
        whole_body(fault.chunked(LIST, ends=False))


def test_a_bad_chunk_size_is_no_number() -> None:
    with pytest.raises(http.client.IncompleteRead):
        whole_body(fault.bad_chunk_size)


def test_a_compressed_body_inflates_to_the_list() -> None:
    got = whole_body(fault.compressed(LIST))

    assert gzip.decompress(got) == LIST


def test_a_truncated_gzip_body_is_complete_http_and_incomplete_gzip() -> None:
    inflater = zlib.decompressobj(wbits=31)
    inflater.decompress(whole_body(fault.compressed(LIST, cut=8)))

    assert not inflater.eof


def test_an_encoding_can_be_one_that_nobody_asked_for() -> None:
    assert answer(fault.compressed(LIST, encoding="br")).headers["Content-Encoding"] == "br"


def test_a_bomb_is_small_on_the_wire_and_large_inflated() -> None:
    packed = whole_body(fault.gzip_bomb)

    assert len(packed) < 200_000
    assert len(gzip.decompress(packed)) == 100_000_000


def test_a_body_without_length_ends_with_the_connection() -> None:
    assert whole_body(fault.without_length(LIST)) == LIST


@pytest.mark.parametrize(
    ("behaviour", "sent", "reset"),
    [
        (fault.reset_before_answer, b"", True),
        (fault.close_without_answer, b"", False),
        (fault.not_http, b"SSH-2.0-OpenSSH_9.2p1\r\n", False),
    ],
    ids=["reset", "closed", "not HTTP"],
)
def test_an_answer_that_is_none(behaviour: Behaviour, sent: bytes, reset: bool) -> None:
    assert (sent, reset) == everything(behaviour)


def test_a_reset_amid_the_body_comes_after_half_of_it() -> None:
    sent, reset = everything(fault.reset_amid_body(LIST))

    assert reset
    assert sent.endswith(b"\r\n\r\n" + LIST[: len(LIST) // 2])


@pytest.mark.parametrize("behaviour", [fault.endless_body, fault.endless_headers], ids=["body", "headers"])
def test_an_endless_answer_goes_on_past_any_limit(behaviour: Behaviour) -> None:
    sent, _reset = everything(behaviour, most=2**22)

    assert len(sent) >= 2**22


@pytest.mark.parametrize("behaviour", [fault.drip_headers, fault.drip_body], ids=["headers", "body"])
def test_a_dripped_answer_comes_in_single_bytes_and_pauses(behaviour: Behaviour) -> None:
    with FaultServer([behaviour]) as server, connect(server) as client:
        began = time.monotonic()
        pieces = [client.recv(65536) for _ in range(5)]

    assert [1, 1, 1] == [len(piece) for piece in pieces[2:]]
    assert time.monotonic() - began > 0.1


NEVER_ENDING = {
    "silence": fault.silence,
    "drip_headers": fault.drip_headers,
    "drip_body": fault.drip_body,
    "endless_headers": fault.endless_headers,
    "endless_body": fault.endless_body,
    "nothing was asked": None,
}


@pytest.mark.parametrize("name", NEVER_ENDING)
def test_what_never_ends_by_itself_ends_with_the_server_though_the_client_stays(name: str) -> None:
    threads = threading.active_count()
    behaviour = NEVER_ENDING[name]
    with FaultServer([behaviour or fault.silence]) as server:
        if behaviour:
            client = connect(server)
        else:
            host, _, port = server.url.removeprefix("http://").partition(":")
            client = socket.create_connection((host, int(port)), timeout=HANG_SECONDS)
        while (behaviour and not server.requests) or not server.connections:
            time.sleep(0.001)
        began = time.monotonic()
    took = time.monotonic() - began

    assert took < SOON_SECONDS
    assert threads == threading.active_count()
    client.close()
