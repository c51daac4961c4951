"""Signs of life for others: the dead-man's switch of SYNCER_PING_URL, and systemd."""

import logging
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException

log = logging.getLogger(__name__)

PING_SECONDS = 5.0


class Ping:
    """Tells a dead-man's switch of start, success and failure: `URL/start`, `URL` and `URL/fail`.

    Never raises; a ping that does not arrive is a warning, for the run's sake no more. The address is a secret.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url.rstrip("/") if url else None
        self._opener = urllib.request.build_opener(_NoRedirect)

    def start(self) -> None:
        """A run begins."""
        self._send("/start", b"")

    def success(self) -> None:
        """A run was accepted, and is committed."""
        self._send("", b"")

    def failure(self, kind: str) -> None:
        """A run was not accepted; `kind` is its word for why."""
        self._send("/fail", kind.encode())

    def _send(self, suffix: str, body: bytes) -> None:
        if self._url is None:
            return
        head, question, query = self._url.partition("?")
        try:
            with self._opener.open(f"{head}{suffix}{question}{query}", data=body, timeout=PING_SECONDS) as response:
                response.read(1024)
        except (OSError, HTTPException, ValueError) as error:
            fields = {"action": "ping_failed", "problem": type(error).__name__}
            log.warning("the dead-man's switch was not reached", extra={"fields": fields})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        """A ping goes where it was told to, and nowhere else."""


def systemd_notifier(environment: Mapping[str, str]) -> Callable[[str], None]:
    """A function that tells systemd a state such as `READY=1`; it does nothing where systemd did not ask."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return lambda _state: None
    address = "\0" + address[1:] if address.startswith("@") else address

    def notify(state: str) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(state.encode(), address)

    return notify


def watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """How often at least systemd wants `WATCHDOG=1` from this process; None when it does not."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    for_process = environment.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or (for_process and for_process != str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000
