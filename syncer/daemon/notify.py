"""Signs of life for others: the dead-man's switch of SYNCER_PING_URL, and systemd."""

import logging
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue

log = logging.getLogger(__name__)

PING_SECONDS = 5.0  # from the name's look-up to the reply's last byte
MOST_UNANSWERED = 256  # pings at once, those given up but not ended included; more than runs at once
NOTIFY_SECONDS = 1.0


class Ping:
    """Tells a dead-man's switch of start, success and failure: `URL/start`, `URL` and `URL/fail`.

    Never raises and never takes longer than `PING_SECONDS`; a ping that does not arrive is a warning, for the run's
    sake no more. The address is a secret.
    """

    def __init__(self, url: str | None) -> None:
        # What follows # is never sent: a word put behind it would turn a failure into a success.
        head, self._question, self._query = (url or "").partition("#")[0].partition("?")
        self._head = head.rstrip("/")
        self._opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler(_proxies()))
        self._opener.addheaders = [("User-Agent", "syncer")]
        self._unanswered = threading.BoundedSemaphore(MOST_UNANSWERED)

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
        if not self._head:
            return
        problem = self._request_in_time(f"{self._head}{suffix}{self._question}{self._query}", body)
        if problem is not None:
            fields = {"action": "ping_failed", "problem": problem}
            log.warning("the dead-man's switch was not reached", extra={"fields": fields})

    def _request_in_time(self, url: str, body: bytes) -> str | None:
        """The problem in one word, if any. In a thread: neither a name's look-up nor a dripped reply has a timeout."""
        outcome: SimpleQueue[str | None] = SimpleQueue()
        if not self._unanswered.acquire(blocking=False):
            return "too many unanswered"

        def request() -> None:
            try:
                outcome.put(self._request(url, body))
            finally:
                self._unanswered.release()

        try:
            threading.Thread(target=request, name="ping", daemon=True).start()
        except RuntimeError:  # no more threads, or the interpreter is ending
            self._unanswered.release()
            return "no thread"
        try:
            return outcome.get(timeout=PING_SECONDS)
        except Empty:
            return "timeout"

    def _request(self, url: str, body: bytes) -> str | None:
        try:
            with self._opener.open(url, data=body, timeout=PING_SECONDS) as response:
                response.read(1024)
        except urllib.error.HTTPError as error:
            with error:
                return f"HTTP {error.code}"
        except urllib.error.URLError as error:
            return type(error.reason).__name__
        except Exception as error:  # noqa: BLE001 - what escapes from a thread is printed, address and all
            return type(error).__name__
        return None


def _proxies() -> dict[str, str]:
    """Those of the environment by scheme; what urllib knows nothing of is `ALL_PROXY`, for where no other is named."""
    named = urllib.request.getproxies()
    return dict.fromkeys(("http", "https"), named["all"]) | named if named.get("all") else named


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
            sender.settimeout(NOTIFY_SECONDS)  # a full queue that nobody reads must not stop the caller
            sender.connect(address)
            sender.send(state.encode())

    return notify


def watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """How often at least systemd wants `WATCHDOG=1` from this process; None when it does not."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    for_process = environment.get("WATCHDOG_PID", "")
    if not (microseconds.isascii() and microseconds.isdigit()) or for_process not in {"", str(os.getpid())}:
        return None
    return int(microseconds) / 1_000_000 or None
