"""One attempt at delivering a message: whatever the other side does, it ends in time and with a `Reply`."""

import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from syncer import __version__
from syncer.errors import ConfigurationError, FetchStopped, SyncerError, UpstreamUnreachable
from syncer.receivers.outcome import Reply
from syncer.receivers.receiver import Address
from syncer.scrub import Scrubber
from syncer.upstream.client import retry_after_seconds
from syncer.upstream.proxy import proxy_for
from syncer.upstream.watch import Ends, Watch

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 15.0  # of one attempt, from the name's look-up to the status; a lease is longer
KEPT_SECONDS = 3600  # how long certificates that are trusted are not read anew
EXCERPT_BYTES = 4096
EXCERPT_LETTERS = 120


class Letter(NamedTuple):
    """What is posted, and where to; `about` stands for the address in logs."""

    address: Address
    headers: Mapping[str, str]
    body: bytes
    about: str


def post(letter: Letter, stop: threading.Event, clock: Callable[[], datetime]) -> Reply:
    """Post once; a status is the receiver's word as soon as it is there. Raises `FetchStopped` when `stop` is set."""
    ends = Ends(
        stopped=FetchStopped("the message was given up: syncer was told to stop"),
        late=UpstreamUnreachable(f"it did not answer within {WHOLE_SECONDS:g} s", kind="timeout"),
    )
    with Watch(WHOLE_SECONDS, stop, ends) as watch:
        try:
            with (
                httpx.Client(transport=_transport(letter, clock()), trust_env=False, follow_redirects=False) as client,
                client.stream(
                    "POST",
                    f"http://receiver/{letter.about}",
                    headers={"User-Agent": f"syncer/{__version__}", "Accept-Encoding": "identity", **letter.headers},
                    content=letter.body,
                    timeout=httpx.Timeout(WHOLE_SECONDS, connect=CONNECT_SECONDS),
                    extensions={"trace": watch.trace},
                ) as response,
            ):
                asked = retry_after_seconds(response.headers.get("retry-after"), clock())
                words = "" if response.is_success else _excerpt(response, letter.address)
                return Reply(response.status_code, words, asked)
        except (ConfigurationError, UpstreamUnreachable) as error:
            reply = Reply(None, str(error))
        except httpx.TimeoutException:
            reply = Reply(None, f"it did not answer within {WHOLE_SECONDS:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            reply = Reply(None, _words(error))
        try:
            watch.check()
        except UpstreamUnreachable as late:
            reply = Reply(None, str(late))
    return reply


class _AddressTransport(httpx.BaseTransport):
    """Puts the address in on the last step before the wire: httpx and httpcore log what they are given."""

    def __init__(self, inner: httpx.BaseTransport, url: str) -> None:
        self._inner = inner
        self._url = httpx.URL(url)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        rest = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
        headers = [(b"Host", self._url.netloc), *rest]
        return self._inner.handle_request(
            httpx.Request(
                method=request.method,
                url=self._url,
                headers=headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        )

    def close(self) -> None:
        self._inner.close()


def _transport(letter: Letter, now: datetime) -> httpx.BaseTransport:
    url = letter.address.url
    if urlsplit(url).scheme != "https":
        return _AddressTransport(httpx.HTTPTransport(verify=False), url)
    named = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    trusted = _trusted(*named, int(now.timestamp() // KEPT_SECONDS))
    return _AddressTransport(httpx.HTTPTransport(verify=trusted, proxy=proxy_for(url)), url)


@lru_cache(maxsize=1)
def _trusted(_file: str | None, _folder: str | None, _hour: int) -> ssl.SSLContext:
    """Whom to trust, read once an hour: reading it takes longer than a message, 34 ms of CPU."""
    return httpx.create_ssl_context()


def _excerpt(response: httpx.Response, address: Address) -> str:
    """The first words of a refusal, without what is secret; empty where they cannot be read."""
    body = b""
    with suppress(httpx.HTTPError, httpx.StreamError, SyncerError):
        for chunk in response.iter_raw():
            body += chunk
            if len(body) >= EXCERPT_BYTES:
                break
    text = Scrubber(address.secrets())(body[:EXCERPT_BYTES].decode("utf-8", "replace"))
    if len(body) >= EXCERPT_BYTES:
        text = text[: len(text) // 2]  # a secret cut in two is not recognised
    return "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))[:EXCERPT_LETTERS]


_CAUSES = (
    (ssl.SSLCertVerificationError, "its certificate is not trusted"),
    (ssl.SSLError, "it does not speak TLS as it should"),
    (socket.gaierror, "its name is not found"),
    (ConnectionRefusedError, "it refuses connections"),
    (httpx.ProxyError, "the proxy does not let it through"),
)


def _words(error: BaseException) -> str:
    """What went wrong, in words that hold neither host nor path."""
    cause: BaseException | None = error
    while cause is not None:
        for kind, said in _CAUSES:
            if isinstance(cause, kind):
                return said
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, OSError):  # httpx tells of the network's in words of its own
        return "the certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be read"
    if isinstance(error, httpx.ConnectError):
        return "it cannot be connected to"
    return "the connection broke off before it answered"
