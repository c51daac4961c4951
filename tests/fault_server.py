"""A real HTTP server on loopback that answers as it is told, below HTTP where the faults live."""

import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, NamedTuple, Self


class Request(NamedTuple):
    """What a client asked for."""

    method: str
    target: str
    headers: Mapping[str, str]
    at: float


class Connection:
    """One accepted connection; `send` ends quietly when the client or the server has gone."""

    def __init__(self, client: socket.socket, closing: threading.Event) -> None:
        self.client = client
        self.closing = closing

    def send(self, data: bytes) -> None:
        self.client.sendall(data)

    def pause(self, seconds: float) -> None:
        if self.closing.wait(seconds):
            raise ConnectionAbortedError

    def wait_until_closed(self) -> None:
        """Stay silent until the client hangs up or the server closes."""
        self.client.settimeout(0.05)
        while not self.closing.is_set():
            try:
                if not self.client.recv(65536):
                    return
            except TimeoutError:
                continue

    def reset(self) -> None:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()


Behaviour = Callable[[Connection], None]


class FaultServer:
    """Answers each request by the next behaviour; the last one repeats."""

    def __init__(self, behaviours: Sequence[Behaviour], *, tls: ssl.SSLContext | None = None) -> None:
        self._behaviours = list(behaviours)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._clients: set[socket.socket] = set()
        self.requests: list[Request] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._in_thread(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        with suppress(OSError):  # some systems refuse; the thread looks by itself then
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with suppress(OSError):  # gone already
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)

    def _in_thread(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _address = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            client.settimeout(10)
            self.connections += 1
            self._in_thread(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            with self._lock:
                self._clients.add(client)
            if self._closing.is_set():
                return
            head = b""
            while b"\r\n\r\n" not in head:
                received = client.recv(65536)
                if not received:
                    return
                head += received
            line, *headers = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
            method, target, _version = line.split(" ")
            named = {name.lower(): value.strip() for name, _, value in (header.partition(":") for header in headers)}
            with self._lock:
                behaviour = self._behaviours[min(len(self.requests), len(self._behaviours) - 1)]
                self.requests.append(Request(method, target, named, time.monotonic()))
            behaviour(Connection(client, self._closing))
        except OSError:
            return
        finally:
            with self._lock:
                self._clients.discard(client)
            client.close()


def respond(
    status: int = 200,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    content_type: str = "application/json",
    length: int | None = None,
) -> Behaviour:
    """A whole answer; `length` overrides the Content-Length that is told."""

    def behave(connection: Connection) -> None:
        connection.send(
            _head(
                status,
                {
                    "Content-Type": content_type,
                    "Content-Length": str(len(body) if length is None else length),
                    **(headers or {}),
                },
            )
        )
        connection.send(body)

    return behave


def json_list(items: Sequence[Any], **headers: str) -> Behaviour:
    """The list as the upstream sends it."""
    return respond(200, json.dumps(items).encode(), headers)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Words", *(f"{name}: {value}" for name, value in headers.items()), "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def silence(connection: Connection) -> None:
    """Never a byte."""
    connection.wait_until_closed()


def drip_headers(connection: Connection) -> None:
    """A header byte every twentieth of a second."""
    for byte in _head(200, {"Content-Length": "2", "X-Padding": "x" * 10_000}):
        connection.send(bytes([byte]))
        connection.pause(0.05)


def drip_body(connection: Connection) -> None:
    """A body byte every twentieth of a second."""
    connection.send(_head(200, {"Content-Length": "10000"}))
    while True:
        connection.send(b" ")
        connection.pause(0.05)


def reset_before_answer(connection: Connection) -> None:
    """RST instead of an answer."""
    connection.reset()


def reset_amid_body(body: bytes) -> Behaviour:
    """RST in the middle of the body."""

    def behave(connection: Connection) -> None:
        connection.send(_head(200, {"Content-Length": str(len(body))}) + body[: len(body) // 2])
        connection.pause(0.1)
        connection.reset()

    return behave


def close_without_answer(connection: Connection) -> None:
    """FIN instead of an answer."""
    connection.client.close()


def chunked(body: bytes, *, ends: bool = True) -> Behaviour:
    """A chunked body; without its end the connection closes after the data."""

    def behave(connection: Connection) -> None:
        connection.send(_head(200, {"Transfer-Encoding": "chunked"}) + f"{len(body):x}\r\n".encode() + body + b"\r\n")
        if ends:
            connection.send(b"0\r\n\r\n")

    return behave


def bad_chunk_size(connection: Connection) -> None:
    """A chunk size that is no number."""
    connection.send(_head(200, {"Transfer-Encoding": "chunked"}) + b"zz\r\n[]\r\n0\r\n\r\n")


def endless_headers(connection: Connection) -> None:
    """Headers that never end."""
    connection.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.send(b"X-More: " + b"x" * 1000 + b"\r\n")


def not_http(connection: Connection) -> None:
    """Another protocol altogether."""
    connection.send(b"SSH-2.0-OpenSSH_9.2p1\r\n")


def without_length(body: bytes) -> Behaviour:
    """A body that ends where the connection does."""

    def behave(connection: Connection) -> None:
        connection.send(_head(200, {"Content-Type": "application/json"}) + body)

    return behave


def compressed(body: bytes, *, encoding: str = "gzip", cut: int = 0) -> Behaviour:
    """A gzip body under any name, `cut` bytes short of its end."""
    packed = gzip.compress(body)
    return respond(200, packed[: len(packed) - cut], {"Content-Encoding": encoding})


def gzip_bomb(connection: Connection) -> None:
    """A small body that inflates to 100 MB of spaces."""
    compressed(b" " * 100_000_000)(connection)


def endless_body(connection: Connection) -> None:
    """A body without end."""
    connection.send(_head(200, {}))
    while True:
        connection.send(b" " * 65536)


def redirect_to(address: str, status: int = 302) -> Behaviour:
    """A redirect, with a body as servers send one."""
    return respond(status, b"<html>moved</html>", {"Location": address}, content_type="text/html")


@contextmanager
def black_hole() -> Iterator[str]:
    """The address of a listener whose queue is full: nothing answers a connection, not even to refuse it."""
    with ExitStack() as open_sockets:
        hole = open_sockets.enter_context(socket.socket())
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(4):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(hole.getsockname())
        yield f"http://127.0.0.1:{hole.getsockname()[1]}"
