"""A local stand-in for the partner API that answers a script, on loopback only; for the demo, for tests and for trying out."""

import gzip
import hmac
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from syncer.config import is_loopback
from syncer.errors import ConfigurationError

DEFAULT_TOKEN = "gac." + "fa4e" * 11 + "00"  # an obvious fake of the right form
METHOD_PATH = "/partner/getInstances/"
COMPRESSED_FROM = 4096  # bytes
UNAUTHORIZED = b'{"code":401,"description":"Unauthorized"}'
NOT_FOUND = b'{"code":404,"description":"Not found"}'


@dataclass(frozen=True)
class Step:
    """One poll of a script: when it happens in simulated time, what a reader is told of it, and what is answered."""

    at: datetime
    title: str
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def listing(at: datetime, title: str, items: Sequence[Mapping[str, object]]) -> Step:
    """A step that answers a list."""
    return Step(at, title, json.dumps(items, ensure_ascii=False).encode())


class FakeApi:
    """Serves `GET /partner/getInstances/{token}`; each request with the right token is answered by the next step.

    The last step repeats, unless `repeats`; with `show` the caller decides which step is served.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        token: str = DEFAULT_TOKEN,
        host: str = "127.0.0.1",
        port: int = 0,
        repeats: bool = False,
        on_request: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        if not is_loopback(host):
            raise ConfigurationError(f"--host: {host} is not a loopback address; the fake API serves this machine alone")
        self._steps = list(steps)
        self._token = token.encode()
        self._repeats = repeats
        self._on_request = on_request
        self._lock = threading.Lock()
        self._shown: Step | None = None
        self.requests = 0
        try:
            self._server = ThreadingHTTPServer((host, port), self._handler())
        except OSError as error:
            problem = error.strerror or type(error).__name__
        else:
            self._server.daemon_threads = True
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
            shown_host = f"[{host}]" if ":" in host else host
            self.url = f"http://{shown_host}:{self._server.server_address[1]}"
            return
        raise ConfigurationError(f"--port: listening on {host}:{port}: {problem}; choose another port")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def show(self, step: Step) -> None:
        """Answer this step from now on."""
        with self._lock:
            self._shown = step

    def answer(self, token: str) -> Step | None:
        """The step for a request with this token; None for a wrong one."""
        if not hmac.compare_digest(token.encode(), self._token):
            return None
        with self._lock:
            place = self.requests % len(self._steps) if self._repeats else min(self.requests, len(self._steps) - 1)
            self.requests += 1
            step = self._shown or self._steps[place]
        self._on_request(step)
        return step

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version = "fake-green-api"
            sys_version = ""

            def do_GET(self) -> None:
                prefix, found, token = self.path.partition(METHOD_PATH)
                if prefix or not found or "/" in token or "?" in token:
                    self._send(200, NOT_FOUND, {})
                    return
                step = api.answer(unquote(token))
                if step is None:
                    self._send(200, UNAUTHORIZED, {})
                else:
                    self._send(step.status, step.body, step.headers)

            def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                etag = sha256(body).hexdigest()[:16]
                encoded = "gzip" in self.headers.get("Accept-Encoding", "") and len(body) >= COMPRESSED_FROM
                if encoded:
                    body = gzip.compress(body, compresslevel=1, mtime=0)
                self.send_response(status)
                for name, value in {
                    "Content-Type": "application/json; charset=utf-8",
                    "ETag": f'W/"{etag}"',
                    "Content-Length": str(len(body)),
                    **({"Content-Encoding": "gzip"} if encoded else {}),
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """The standard line would show the path, and with it the token."""

        return Handler


