"""Ends an exchange over HTTP in time, whatever the other side does."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

from syncer.errors import SyncerError

WATCH_SECONDS = 0.1


class Ends(NamedTuple):
    """What is raised of an exchange that is given up: because syncer was told to stop, or at its deadline."""

    stopped: SyncerError
    late: SyncerError


class Watch:
    """Ends an exchange at its deadline, or when syncer is told to stop, by shutting its socket from beside.

    httpx limits each read but not their sum: a server that drips bytes would hold the run for ever. The deadline counts
    the time in which syncer waits for the upstream; what it does with a piece meanwhile is its own.
    """

    def __init__(self, seconds: float, stop: threading.Event, ends: Ends) -> None:
        self._waiting_since: float | None = time.monotonic()
        self._waited = 0.0
        self._seconds = seconds
        self._stop = stop
        self._ends = ends
        self._over = threading.Event()
        self._stream: Any = None
        self.problem: SyncerError | None = None
        """Why the exchange was ended, if it was."""
        self._thread = threading.Thread(target=self._watch, name="fetch-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def trace(self, event: str, details: dict[str, Any]) -> None:
        """httpcore's `trace` extension: learn of the socket as soon as there is one."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._stream = details["return_value"]

    def timed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The same chunks; while one is being read by whom they are given to, no time of the upstream passes."""
        for chunk in chunks:
            self._waited, self._waiting_since = self._waited_so_far(), None
            yield chunk
            self._waiting_since = time.monotonic()
        self._waited, self._waiting_since = self._waited_so_far(), None

    def _waited_so_far(self) -> float:
        since = self._waiting_since
        return self._waited if since is None else self._waited + time.monotonic() - since

    def check(self) -> None:
        """Raise the `problem`, if there is one: what was read until then is no whole answer."""
        if self.problem is not None:
            raise self.problem

    def _watch(self) -> None:
        while not self._over.wait(WATCH_SECONDS):
            if self._stop.is_set():
                self.problem = self._ends.stopped
            elif self._waited_so_far() > self._seconds:
                self.problem = self._ends.late
            if self.problem is not None and self._stream is not None:
                with suppress(OSError):
                    self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
