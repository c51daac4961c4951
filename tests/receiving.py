"""A receiver on loopback that does to each message what a test has scripted, and remembers what it was sent."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXMgbG9uZw=="
OTHER_SECRET = "whsec_" + "YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLCAzNiBieXRlcw=="


class Got(NamedTuple):
    """One message as it arrived; headers by their names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Behaviour(NamedTuple):
    """What is done with a message: a status with headers and a body, or something worse."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    fault: str = ""  # hang, drip (headers), drip_body, cut (before the status), cut_body


TAKE = Behaviour()


class ReceivingServer:
    """Behaviours are used up one by one, then every message is taken."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.behaviours: list[Behaviour] = []
        self.always: Behaviour = TAKE
        self.on_message: Callable[[Got], None] = lambda _got: None
        self.decide: Callable[[Got], Behaviour] = self._next
        self.released = threading.Event()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:  # the sender has died
                    return
                got = Got(
                    self.path, {name.lower(): value for name, value in self.headers.items()}, body, time.monotonic()
                )
                with outer._lock:
                    outer.got.append(got)
                    behaviour = outer.decide(got)
                outer.on_message(got)
                with suppress(OSError):
                    outer._behave(self, behaviour)

            def log_message(self, *_arguments: object) -> None:
                """Nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_arguments: object) -> None:
                """A client that has gone is no event."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook/c4n4ry-of-the-address"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _next(self, _got: Got) -> Behaviour:
        return self.behaviours.pop(0) if self.behaviours else self.always

    def _behave(self, handler: BaseHTTPRequestHandler, behaviour: Behaviour) -> None:
        wire: socket.socket = handler.connection
        handler.close_connection = True
        if behaviour.fault == "hang":
            self.released.wait(60)
            return
        if behaviour.fault == "cut":
            wire.shutdown(socket.SHUT_RDWR)
            return
        if behaviour.fault == "drip":
            for byte in b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 100_000:
                wire.sendall(bytes([byte]))
                if self.released.wait(0.05):
                    return
        head = f"HTTP/1.1 {behaviour.status} Said\r\n"
        length = len(behaviour.body) + (10 if behaviour.fault else 0)
        for name, value in ({"Content-Length": str(length), **behaviour.headers}).items():
            head += f"{name}: {value}\r\n"
        wire.sendall(head.encode() + b"\r\n" + behaviour.body)
        if behaviour.fault == "drip_body":
            while not self.released.wait(0.05):
                wire.sendall(b"x")

    @property
    def ids(self) -> list[str]:
        return [got.id for got in self.got]

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiving(*behaviours: Behaviour, always: Behaviour = TAKE) -> Iterator[ReceivingServer]:
    """A receiver that does this, one after the other, and then always that."""
    server = ReceivingServer()
    server.behaviours, server.always = list(behaviours), always
    try:
        yield server
    finally:
        server.stop()


def answers(*statuses: int) -> Sequence[Behaviour]:
    """One behaviour for each status."""
    return [Behaviour(status) for status in statuses]
