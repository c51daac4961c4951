"""What stands in for the network: bytes between the real client and the world, in time that the world lets pass.

Everything above a socket is production's: httpx, the parsing of HTTP, retries and the reading of a body.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import httpcore
from httpcore._sync import connection_pool

WATCHED_SECONDS = 10.0  # it takes a tenth of one
Reply = Iterable[bytes | float | Exception]
"""Bytes that arrive, seconds that pass, and what breaks off the exchange; then the connection is closed."""


class Caller(Protocol):
    """Who calls somebody outside."""

    def ask(self, request: bytes) -> Reply:
        """Hand a request over; what comes back."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""

    def is_told_to_stop(self) -> bool:
        """Whether its process is to give up what it fetches."""


class Calling(threading.local):
    """Who calls from this thread."""

    caller: Caller | None = None


CALLING = Calling()


class Stream(httpcore.NetworkStream):
    """One connection, which is asked once."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._request = b""
        self._reply: Iterator[bytes | float | Exception] | None = None
        self._rest = b""
        self._shut = threading.Event()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - as httpcore has it
        self._request += buffer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._reply is None:
            self._reply = iter(self._caller.ask(self._request))
        while not self._rest:
            self._end_if_told()
            part = next(self._reply, None)
            match part:
                case None:
                    return b""
                case bytes():
                    self._rest = part
                case Exception():
                    raise part
                case seconds:
                    if timeout is not None and seconds > timeout:
                        self._caller.sleep(timeout)
                        self._end_if_told()
                        raise httpcore.ReadTimeout("timed out")
                    self._caller.sleep(seconds)
        given, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        return given

    def _end_if_told(self) -> None:
        """Break off where its process is to stop, once the client's watch has seen that, too."""
        if self._caller.is_told_to_stop():
            self._shut.wait(WATCHED_SECONDS)
            raise httpcore.ReadError("the socket was shut down")

    def close(self) -> None:
        self._reply = None

    def get_extra_info(self, info: str) -> Any:
        return self if info == "socket" else None

    def shutdown(self, _how: int) -> None:
        """The client gives it up from beside."""
        self._shut.set()


class Network(httpcore.NetworkBackend):
    """Every address leads to the world."""

    def connect_tcp(self, *_address: Any, **_options: Any) -> httpcore.NetworkStream:
        assert CALLING.caller is not None, "nobody of this world calls"
        return Stream(CALLING.caller)


@contextmanager
def connected() -> Iterator[None]:
    """Let every client of this process call into the world."""
    real = connection_pool.SyncBackend
    connection_pool.SyncBackend = Network  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        connection_pool.SyncBackend = real  # type: ignore[misc]
