"""One complete answer of `getInstances`, or an exception (CONTRACT 5, UPSTREAM). The only module that imports httpx.

The partner token can create and delete instances, so the method is fixed here and nothing in configuration reaches
another. The token is put into the path below the client: no request, exception or log record above ever holds it.

Over 300 lines: an exchange, its deadline and what its failures mean belong together, below one import of httpx.
"""

import random
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import httpx

from syncer import __version__
from syncer.answer.stated import read_http_date
from syncer.errors import AnswerUnusable, FetchStopped, SyncerError, UpstreamRefused, UpstreamUnreachable
from syncer.model import Answer, Read
from syncer.upstream.proxy import proxy_for, way_of
from syncer.upstream.watch import Ends, Watch

METHOD_PATH = "/partner/getInstances/"
TRIES = 4
FIRST_PAUSE_SECONDS = 1.0
LONGEST_RETRY_AFTER_SECONDS = 60.0
CONNECT_SECONDS = 10.0
INFLATED_AT_ONCE = 256 * 1024  # bytes
EXCERPT_BYTES = 4096
FILLING = b"\0\r\n"
NO_ENCODINGS = frozenset({"", "identity", "none", "utf-8", "utf8"})  # said of a body that is as it stands
TRANSIENT_STATUSES = frozenset({408, 425, 429, 466, 499})  # and 5xx (UPSTREAM, Failure)


class Upstream(NamedTuple):
    """Where the list is and how long and large an answer may be; `token` is shown nowhere."""

    api_url: str
    token: str
    timeout_seconds: float
    largest_body: int  # bytes, decompressed
    scrub: Callable[[str], str]

    def __repr__(self) -> str:
        return f"Upstream({self.api_url})"


def fetch(
    upstream: Upstream,
    *,
    stop: threading.Event,
    clock: Callable[[], datetime],
    on_try: Callable[[str], None] = lambda _why: None,
    on_headers: Callable[[Mapping[str, str]], None] = lambda _headers: None,
) -> Answer[bytes]:
    """Fetch the whole list and keep all of it, see `fetch_into`."""
    return fetch_into(upstream, b"".join, stop=stop, clock=clock, on_try=on_try, on_headers=on_headers)


def fetch_into(  # noqa: PLR0913 - two of them have defaults: for those who want to hear of tries
    upstream: Upstream,
    read: Callable[[Iterable[bytes]], Read],
    *,
    stop: threading.Event,
    clock: Callable[[], datetime],
    on_try: Callable[[str], None] = lambda _why: None,
    on_headers: Callable[[Mapping[str, str]], None] = lambda _headers: None,
) -> Answer[Read]:
    """Fetch the whole list; transient failures are tried again, at most four tries in all.

    `read` is given the body as it arrives, decompressed and in pieces, and takes all of it; each try begins anew.
    `on_try` is told why another try follows, `on_headers` of each try's headers (names in lower case) as soon as they
    are there, whatever the status; their values may hold secrets. Raises `UpstreamUnreachable`, `UpstreamRefused`,
    `AnswerUnusable`, or `FetchStopped` as soon as `stop` is set.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return _fetch_once(upstream, read, stop, clock, on_headers)
        except UpstreamUnreachable as error:
            failure = error
        pause = FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        pause = max(pause, failure.retry_after_seconds or 0.0)
        if attempt == TRIES or pause > LONGEST_RETRY_AFTER_SECONDS:
            break
        on_try(f"{failure}; try {attempt} of {TRIES}, the next in {pause:.1f} s")
        if stop.wait(pause):
            raise FetchStopped("the run was given up while waiting for the upstream: syncer was told to stop")
    after_all = UpstreamUnreachable(
        f"{failure} ({attempt} of {TRIES} tries); the next run tries again",
        kind=failure.kind,
        retry_after_seconds=failure.retry_after_seconds,
    )
    after_all.http_status, after_all.answered_at = failure.http_status, failure.answered_at
    raise after_all


def _fetch_once(
    upstream: Upstream,
    read: Callable[[Iterable[bytes]], Read],
    stop: threading.Event,
    clock: Callable[[], datetime],
    on_headers: Callable[[Mapping[str, str]], None],
) -> Answer[Read]:
    problem: SyncerError
    status: int | None = None
    headers: dict[str, str] = {}
    ends = Ends(
        stopped=FetchStopped("the run was given up while fetching: syncer was told to stop"),
        late=_unreachable(f"the answer was not complete after {upstream.timeout_seconds:g} s", "timeout"),
    )
    with Watch(upstream.timeout_seconds, stop, ends) as watch:
        try:
            with (
                httpx.Client(transport=_transport(upstream), trust_env=False, follow_redirects=False) as client,
                client.stream(
                    "GET",
                    f"{upstream.api_url}{METHOD_PATH}{{partnerToken}}",
                    headers={
                        "Accept": "application/json",
                        "Accept-Encoding": "gzip",
                        "Cache-Control": "no-cache",
                        "User-Agent": f"syncer/{__version__}",
                    },
                    timeout=httpx.Timeout(
                        upstream.timeout_seconds, connect=min(CONNECT_SECONDS, upstream.timeout_seconds)
                    ),
                    extensions={"trace": watch.trace},
                ) as response,
            ):
                arrived_at, status, headers = clock(), response.status_code, dict(response.headers)
                on_headers(headers)
                if response.status_code != 200:
                    raise _refusal(response, upstream, arrived_at)
                chunks = watch.timed(_inflated(response, upstream.scrub))
                body = read(_bounded(chunks, upstream.largest_body))
                watch.check()
                return Answer(body, status, headers, arrived_at)
        except SyncerError as error:
            problem = error
        except httpx.TimeoutException as error:
            problem = _unreachable(f"{_phase(error)} took longer than allowed{way_of(upstream.api_url)}", "timeout")
        except (httpx.TransportError, httpx.StreamError) as error:
            words = _first_line(upstream.scrub(str(error))) or type(error).__name__
            problem = _unreachable(f"{words}{way_of(upstream.api_url)}", "network")
        except OSError:  # httpx tells of the network's in words of its own
            problem = _unreachable("the certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be read", "network")
        except zlib.error:
            problem = _unreachable("the compressed answer is garbled", "network")
        except (httpx.InvalidURL, UnicodeError):
            problem = UpstreamRefused("calling the upstream: SYNCER_API_URL is no address; correct it")
        if not isinstance(problem, UpstreamRefused):
            problem = watch.problem or problem
    problem.http_status, problem.answered_at = status, read_http_date(headers.get("date"))
    # Raised outside the except blocks: an httpx exception must not travel along as the context.
    raise problem


class _TokenTransport(httpx.BaseTransport):
    """Puts the token into the path on the last step before the wire."""

    def __init__(self, inner: httpx.BaseTransport, token: str) -> None:
        self._inner = inner
        self._path = (METHOD_PATH + quote(token, safe="")).encode("ascii")

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._inner.handle_request(
            httpx.Request(
                method=request.method,
                url=request.url.copy_with(raw_path=self._path),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        )

    def close(self) -> None:
        self._inner.close()


def _transport(upstream: Upstream) -> httpx.BaseTransport:
    address = urlsplit(upstream.api_url)
    secure = address.scheme == "https"
    # A transport of one's own switches the environment's proxies off.
    return _TokenTransport(httpx.HTTPTransport(verify=secure, proxy=proxy_for(upstream.api_url)), upstream.token)


def _inflated(response: httpx.Response, scrub: Callable[[str], str]) -> Iterator[bytes]:
    """The body's bytes, decompressed in bounded steps; only gzip was offered."""
    header = response.headers.get("content-encoding", "")
    encodings = [word for part in header.split(",") if (word := part.strip().lower()) not in NO_ENCODINGS]
    if not encodings:
        yield from response.iter_raw()
        return
    if encodings not in (["gzip"], ["x-gzip"]):
        raise AnswerUnusable(
            f"reading the answer: it is encoded as {scrub(header)[:20]!r}, which was not asked for; check any proxy"
        )
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    for chunk in response.iter_raw():
        rest = chunk
        while rest:
            if inflater.eof:  # gzip allows several members in a row, and some servers fill up behind the last
                rest = rest.lstrip(FILLING)
                if not rest:
                    break
                inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            yield inflater.decompress(rest, INFLATED_AT_ONCE)
            rest = inflater.unconsumed_tail or inflater.unused_data
    if not inflater.eof:
        raise _unreachable("the compressed answer broke off", "network")


def _bounded(chunks: Iterator[bytes], largest_body: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > largest_body:
            raise AnswerUnusable(
                f"reading the answer: it is larger than {largest_body} bytes; raise SYNCER_MAX_BODY if that is right",
                kind="too_large",
            )
        yield chunk


def _refusal(response: httpx.Response, upstream: Upstream, now: datetime) -> SyncerError:
    """What a status other than 200 means; the status itself is noted with it later."""
    status = response.status_code
    words = _excerpt(response, upstream)
    said = f"HTTP {status}{f' {words!r}' if words else ''}"
    if status in TRANSIENT_STATUSES or status >= 500:
        kind = "rate_limited" if status == 429 else "server_error"
        return _unreachable(f"it answered {said}", kind, retry_after_seconds(response.headers.get("retry-after"), now))
    if status >= 400:
        return UpstreamRefused(f"calling the upstream: it answered {said}; check the partner token and SYNCER_API_URL")
    if status in {301, 302, 303, 307, 308}:
        return UpstreamRefused(
            f"calling the upstream: it redirects (HTTP {status}), which is not followed because the path carries the "
            "token; set SYNCER_API_URL to the right address",
            kind="redirected",
        )
    return AnswerUnusable(f"reading the answer: it came with {said}, not 200; nothing is inferred from it")


def _excerpt(response: httpx.Response, upstream: Upstream) -> str:
    """The first words of an error's body, scrubbed before they are cut; empty where it cannot be read."""
    body = b""
    with suppress(httpx.TransportError, httpx.StreamError, zlib.error, SyncerError):
        for chunk in _inflated(response, upstream.scrub):
            body += chunk
            if len(body) > EXCERPT_BYTES:
                break
    if body.lstrip()[:1] == b"[":
        return ""  # pieces of a list may hold tokens of any shape
    text = upstream.scrub(body[:EXCERPT_BYTES].decode("utf-8", "replace"))
    if len(body) > EXCERPT_BYTES:
        text = text[: len(text) // 2]  # a token cut in two is not recognised, in whatever spelling
    return "".join(character if character.isprintable() else " " for character in " ".join(text.split()))[:120]


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """`Retry-After` as seconds from now, from either of its forms; None when it is missing or garbled."""
    if header is None:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        return float(header[:12])
    moment = read_http_date(header)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def _unreachable(problem: str, kind: str, retry_after_seconds: float | None = None) -> UpstreamUnreachable:
    return UpstreamUnreachable(f"calling the upstream: {problem}", kind=kind, retry_after_seconds=retry_after_seconds)


def _phase(error: httpx.TimeoutException) -> str:
    return "connecting" if isinstance(error, httpx.ConnectTimeout) else "the exchange"


def _first_line(text: str) -> str:
    return " ".join(text.split())[:200]
