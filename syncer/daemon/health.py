"""What the daemon shows from outside: `/healthz`, `/readyz` and `/metrics`, on a small HTTP server of its own.

One thread reads every request and answers `/healthz` itself, so that nothing else can hold a sign of life up; what
asks the database goes to a few workers. A client that is silent, or drips, costs a socket for a while and no thread.
"""

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import NamedTuple

from syncer.errors import ConfigurationError

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0  # how long a client may take over its whole request, and again over the reply
LONGEST_REQUEST = 8192  # bytes
MOST_CLIENTS = 512  # at once; further ones wait to be accepted
WORKERS = 4
PATIENCE_SECONDS = 2.0  # how long a request may wait for a worker
FRESH_SECONDS = 1.0  # how long the metrics stay as they were: any number of readers costs one making a second
TURN_SECONDS = 0.1
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"


class Reply(NamedTuple):
    """What a request is replied with."""

    status: int
    body: bytes
    content_type: str = TEXT_TYPE


BUSY = Reply(503, b"busy: earlier requests still wait for the database\n")


class _Client:
    """A connection: what of its request is there, until when it may take, and the worker that it waits for."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.request = b""
        self.until = time.monotonic() + REQUEST_SECONDS
        self.waiting: Future[None] | None = None

    def send(self, reply: Reply) -> None:
        """Reply and hang up; a client that has gone is no event."""
        lines = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            "Connection: close",
            f"Content-Type: {reply.content_type}",
            *(["Allow: GET, HEAD"] if reply.status == 405 else []),
            f"Content-Length: {len(reply.body)}",
        ]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        with suppress(OSError):
            self.connection.settimeout(REQUEST_SECONDS)
            self.connection.sendall(head if self.request.startswith(b"HEAD ") else head + reply.body)
            self.connection.shutdown(socket.SHUT_WR)
        self.connection.close()


class _Server:
    def __init__(
        self,
        listener: socket.socket,
        is_alive: Callable[[], bool],
        readiness: Callable[[], list[str]],
        metrics: Callable[[], bytes],
    ) -> None:
        self._listener = listener
        self._is_alive = is_alive
        self._asks: dict[str, Callable[[], Reply]] = {
            "/readyz": lambda: _ready(readiness()),
            "/metrics": lambda: Reply(200, metrics(), METRICS_TYPE),
        }
        self._clients: set[_Client] = set()
        self._selector = selectors.DefaultSelector()
        self._pool = ThreadPoolExecutor(WORKERS, "health")
        self._stop = threading.Event()

    def run(self) -> None:
        """Serve until `stop`."""
        is_accepting = False
        while not self._stop.is_set():
            if is_accepting != (len(self._clients) < MOST_CLIENTS):
                is_accepting = not is_accepting
                if is_accepting:
                    self._selector.register(self._listener, selectors.EVENT_READ)
                else:
                    self._selector.unregister(self._listener)
            for key, _ in self._selector.select(TURN_SECONDS):
                if isinstance(key.data, _Client):
                    self._read(key.data)
                else:
                    self._accept()
            self._end_late()

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        """After `run` has ended. A worker that hangs in the database is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for client in self._clients:
            client.connection.close()
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it has gone already, or there are no descriptors left
            connection, _address = self._listener.accept()
            connection.settimeout(0)
            client = _Client(connection)
            self._clients.add(client)
            self._selector.register(connection, selectors.EVENT_READ, client)

    def _read(self, client: _Client) -> None:
        try:
            received = client.connection.recv(LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        client.request += received
        is_whole = b"\r\n\r\n" in client.request or b"\n\n" in client.request
        if received and not is_whole and len(client.request) < LONGEST_REQUEST:
            return
        self._selector.unregister(client.connection)
        if is_whole:
            self._reply(client)
        else:
            self._clients.discard(client)
            client.connection.close()

    def _reply(self, client: _Client) -> None:
        method, _, target = client.request.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path = target.partition(" ")[0].partition("?")[0]
        if method in {"GET", "HEAD"} and path in self._asks:
            client.until = time.monotonic() + PATIENCE_SECONDS
            client.waiting = self._pool.submit(self._ask, client, path)
            return
        self._clients.discard(client)
        if method not in {"GET", "HEAD"}:
            client.send(Reply(405, b"this is not served\n"))
        elif path != "/healthz":
            client.send(Reply(404, b"there are /healthz, /readyz and /metrics\n"))
        elif self._is_alive():
            client.send(Reply(200, b"ok\n"))
        else:
            client.send(Reply(503, b"the scheduler does not tick\n"))

    def _ask(self, client: _Client, path: str) -> None:
        try:
            reply = self._asks[path]()
        except Exception:
            log.exception("defect", extra={"fields": {"action": "defect", "path": path}})
            reply = Reply(500, b"a defect in syncer; its traceback is in the log\n")
        client.send(reply)

    def _end_late(self) -> None:
        """Let go of those who have their reply, cut those who drip, and tell those whom no worker could take."""
        now = time.monotonic()
        for client in list(self._clients):
            if client.waiting is not None and client.waiting.done():
                self._clients.discard(client)
            elif client.until < now and client.waiting is None:
                self._clients.discard(client)
                self._selector.unregister(client.connection)
                client.connection.close()
            elif client.until < now and client.waiting is not None and client.waiting.cancel():
                self._clients.discard(client)
                client.send(BUSY)


def _ready(reasons: list[str]) -> Reply:
    return Reply(503 if reasons else 200, ("\n".join(reasons or ["ok"]) + "\n").encode())


def fresh(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """The same, made anew at most every `FRESH_SECONDS`; who asks meanwhile waits for the one who makes it."""
    lock = threading.Lock()
    made_at, made = -FRESH_SECONDS, b""

    def get() -> bytes:
        nonlocal made_at, made
        with lock:
            if time.monotonic() - made_at >= FRESH_SECONDS:
                made = make()
                made_at = time.monotonic()
            return made

    return get


def _listen(address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)  # with a short queue, a burst of connections makes the next ones wait a second
        listener.settimeout(0)
    except BaseException:
        listener.close()
        raise
    return listener


@contextmanager
def serve(
    listen: tuple[str, int],
    *,
    is_alive: Callable[[], bool],
    readiness: Callable[[], list[str]],
    metrics: Callable[[], bytes],
) -> Iterator[tuple[str, int]]:
    """Serve until the block is left; gives the address that is listened on.

    `readiness` says why the process is not ready, one line a reason. Raises `ConfigurationError` if it cannot listen.
    """
    try:
        listener = _listen(listen)
    except (OSError, OverflowError, TypeError, ValueError) as error:  # the last two: a host that no name can be
        problem = getattr(error, "strerror", None) or "it is no address of this machine"
    else:
        server = _Server(listener, is_alive, readiness, fresh(metrics))
        thread = threading.Thread(target=server.run, name="health", daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[:2]
        finally:
            server.stop()
            thread.join()
            server.close()
        return
    host = f"[{listen[0]}]" if ":" in listen[0] else listen[0]
    raise ConfigurationError(
        f"SYNCER_LISTEN: listening on {host}:{listen[1]}: {problem}; choose another address or port"
    )
