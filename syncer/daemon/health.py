"""What the daemon shows from outside: `/healthz`, `/readyz` and `/metrics`, on a small HTTP server of its own."""

import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from syncer.errors import ConfigurationError

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0  # how long a client may take over its whole request, and again over the answer
MOST_CLIENTS = 64  # at once, each a thread; one more costs the slowest its place
MOST_ASKING = 4  # clients at once whose answer is read from the database
ASKING_PATIENCE_SECONDS = 2.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"


class _Server(ThreadingHTTPServer):
    """Answers by the functions that it is given; clients, their time and what they ask of the database are bounded."""

    daemon_threads = True
    request_queue_size = 128  # with the library's 5, a burst of connections makes the next ones wait a second

    def __init__(
        self,
        listen: tuple[str, int],
        is_alive: Callable[[], bool],
        readiness: Callable[[], list[str]],
        metrics: Callable[[], bytes],
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        self.is_alive = is_alive
        self.readiness = readiness
        self.metrics = metrics
        self._asking = threading.BoundedSemaphore(MOST_ASKING)
        self._clients_lock = threading.Lock()
        self._clients: dict[Any, float] = {}  # sockets, oldest first, and until when each may take to be done asking
        super().__init__(listen, _Handler)

    def server_bind(self) -> None:
        # The HTTP server's own would ask the DNS for the host's full name, which can take long and is used nowhere.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._clients_lock:
            slowest = next(iter(self._clients)) if len(self._clients) >= MOST_CLIENTS else None
            self._clients[request] = time.monotonic() + REQUEST_SECONDS
        if slowest is not None:
            self._cut(slowest)
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Cut those who drip their request: the socket's own timeout begins anew with every byte."""
        with self._clients_lock:
            late = [client for client, until in self._clients.items() if until < time.monotonic()]
        for client in late:
            self._cut(client)

    def asked(self, request: Any) -> None:
        """The client's request is read whole; from here on the time taken is ours."""
        with self._clients_lock:
            self._clients.pop(request, None)

    def shutdown_request(self, request: Any) -> None:
        self.asked(request)
        super().shutdown_request(request)

    def _cut(self, client: Any) -> None:
        self.asked(client)
        with suppress(OSError):  # it may have gone by itself
            client.shutdown(socket.SHUT_RDWR)

    def answer(self, path: str) -> tuple[int, bytes, str]:
        """Status, body and content type for a path."""
        match path:
            case "/healthz":
                return (
                    (200, b"ok\n", TEXT_TYPE) if self.is_alive() else (503, b"the scheduler does not tick\n", TEXT_TYPE)
                )
            case "/readyz" | "/metrics":
                return self._ask(path)
            case _:
                return 404, b"there are /healthz, /readyz and /metrics\n", TEXT_TYPE

    def _ask(self, path: str) -> tuple[int, bytes, str]:
        if not self._asking.acquire(timeout=ASKING_PATIENCE_SECONDS):
            return 503, b"busy: earlier requests still wait for the database\n", TEXT_TYPE
        try:
            if path == "/metrics":
                return 200, self.metrics(), METRICS_TYPE
            reasons = self.readiness()
            return 503 if reasons else 200, ("\n".join(reasons or ["ok"]) + "\n").encode(), TEXT_TYPE
        except Exception:
            log.exception("defect", extra={"fields": {"action": "defect", "path": path}})
            return 500, b"a defect in syncer; its traceback is in the log\n", TEXT_TYPE
        finally:
            self._asking.release()

    def handle_error(self, *_arguments: object) -> None:
        """A client that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_SECONDS
    server_version = "syncer"
    sys_version = ""

    def do_GET(self) -> None:
        self.server.asked(self.request)
        self._send(*self.server.answer(self.path.partition("?")[0]))

    def do_HEAD(self) -> None:
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A refusal in one line; a method that is not known is 405 here."""
        del message, explain
        self._send(405 if code == 501 else code, b"this is not served\n", TEXT_TYPE)

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == 405:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """No access log: a probe every few seconds says nothing."""


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
        server = _Server(listen, is_alive, readiness, metrics)
    except (OSError, OverflowError, TypeError, ValueError) as error:  # the last two: a host that no name can be
        problem = getattr(error, "strerror", None) or "it is no address of this machine"
    else:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="health", daemon=True)
        thread.start()
        try:
            yield str(server.server_address[0]), server.server_address[1]
        finally:
            server.shutdown()
            server.server_close()
        return
    host = f"[{listen[0]}]" if ":" in listen[0] else listen[0]
    raise ConfigurationError(
        f"SYNCER_LISTEN: listening on {host}:{listen[1]}: {problem}; choose another address or port"
    )
