"""What the daemon shows from outside: `/healthz`, `/readyz` and `/metrics`, on a small HTTP server of its own."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from syncer.errors import ConfigurationError

REQUEST_SECONDS = 5.0  # how long a client may take over its request; a slow one must not collect threads
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"


class _Server(ThreadingHTTPServer):
    """Answers by the functions that it is given; each request has a thread of its own and a time limit."""

    daemon_threads = True

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
        super().__init__(listen, _Handler)

    def answer(self, path: str) -> tuple[int, bytes, str]:
        """Status, body and content type for a path."""
        match path:
            case "/healthz":
                return (
                    (200, b"ok\n", TEXT_TYPE) if self.is_alive() else (503, b"the scheduler does not tick\n", TEXT_TYPE)
                )
            case "/readyz":
                reasons = self.readiness()
                return 503 if reasons else 200, ("\n".join(reasons or ["ok"]) + "\n").encode(), TEXT_TYPE
            case "/metrics":
                return 200, self.metrics(), METRICS_TYPE
            case _:
                return 404, b"there are /healthz, /readyz and /metrics\n", TEXT_TYPE

    def handle_error(self, *_arguments: object) -> None:
        """A client that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_SECONDS
    server_version = "syncer"
    sys_version = ""

    def do_GET(self) -> None:
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
    except (OSError, OverflowError) as error:
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
    raise ConfigurationError(f"SYNCER_LISTEN: listening on {listen[0]}:{listen[1]}: {problem}; choose another port")
