"""What `syncer doctor` finds on the way to the upstream: name, connection, certificate, token, answer, clock."""

import socket
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from syncer.answer.item import Decoder
from syncer.answer.reader import read_body
from syncer.answer.stated import part_problem, read_stated, time_problem
from syncer.doctor.consultation import Consultation
from syncer.doctor.finding import Finding, Level, compared, error, failure, ok, warning
from syncer.doctor.table import CHECKS
from syncer.errors import ConfigurationError, SyncerError, UpstreamRefused, UpstreamUnreachable
from syncer.settings.config import AccountSettings
from syncer.upstream import client
from syncer.upstream.proxy import check_certificates, proxy_for

CONNECT_SECONDS = client.CONNECT_SECONDS


def upstream_findings(consultation: Consultation) -> Iterator[Finding]:
    """Each account's way to its list; the list is asked for once an account."""
    reachable: dict[str, bool] = {}
    for configured in consultation.accounts:
        if configured.api_url not in reachable:
            route = list(_route(configured.api_url))
            yield from route
            reachable[configured.api_url] = all(finding.level is not Level.ERROR for finding in route)
        try:
            token = configured.read_token()
        except ConfigurationError:
            yield warning(
                "upstream.answer",
                f"account {configured.name!r}: not asked, there is no token to ask with",
                f"correct {configured.token_setting} first",
            )
            continue
        if not reachable[configured.api_url]:
            continue
        consultation.scrub.learn(token)
        yield from _call(consultation, configured, token)


def _route(api_url: str) -> Iterator[Finding]:
    """Name and connection, each step told apart; a proxy hides both."""
    address = urlsplit(api_url)
    host, port = address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
    try:
        check_certificates(api_url)
        proxy = proxy_for(api_url)
    except ConfigurationError as refused:
        yield failure("upstream.environment", refused)
        return
    if proxy is not None:
        yield ok("upstream.connect", f"{host} is reached by the environment's proxy; the way to it is not checked")
        return
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as failed:
        problem = getattr(failed, "strerror", None) or "it is no name"
        yield error("upstream.dns", f"the name {host} is not found: {problem}")
        return
    if not _is_address(host):
        yield ok("upstream.dns", f"{host} has {len({entry[4][0] for entry in found})} addresses")
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as problem:
        why = problem.strerror or "it took longer than allowed"
        yield error("upstream.connect", f"{host} port {port} cannot be connected to: {why}")
        return
    yield ok("upstream.connect", f"{host} port {port} can be connected to")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _call(consultation: Consultation, configured: AccountSettings, token: str) -> Iterator[Finding]:
    """One call as a run makes it: what came of it, and whether the clocks agree."""
    settings, _, scrub, clock, stop, on_try = consultation
    upstream = client.Upstream(configured.api_url, token, settings.timeout.total_seconds(), settings.max_body, scrub)
    who = f"account {configured.name!r}"
    headers: list[tuple[Mapping[str, str], datetime]] = []
    problem: SyncerError | None = None
    try:
        answer = client.fetch(
            upstream, stop=stop, clock=clock, on_try=on_try, on_headers=lambda told: headers.append((told, clock()))
        )
        listing = read_body(answer.body, Decoder(settings.upstream_offset, scrub))
        problem = part_problem(read_stated(answer.headers), listing.listed + listing.repeated)
    except SyncerError as failed:
        problem = failed
    if headers and configured.api_url.startswith("https:"):
        yield ok("upstream.tls", f"{who}: the certificate is trusted")
    if problem is not None:
        finding = _failed_call(problem, arrived=bool(headers))
        yield finding._replace(message=f"{who}: {finding.message}")
    else:
        yield ok("upstream.credentials", f"{who}: the token is accepted")
        rejected = len(listing.rejects)
        told = f"{who}: the answer is a list of {listing.listed} items"
        if rejected:
            yield warning(
                "upstream.answer",
                f"{told}, {rejected} of which are rejected, the first because {listing.rejects[0].reason}",
                "run: syncer probe; after a run, the items are in rejected_items",
            )
        else:
            yield ok("upstream.answer", f"{told}, none of which is rejected")
    if headers:
        yield _clock_skew(*headers[-1], settings.clock_tolerance)


_REMEDIES = {
    "rate_limited": "poll less often: raise SYNCER_SCHEDULE, and see who else uses this token",
    "server_error": "wait: the upstream is down or in maintenance, and the next run tries again",
    "timeout": "raise SYNCER_TIMEOUT if the list is large, else check the network",
}


def _failed_call(problem: SyncerError, *, arrived: bool) -> Finding:
    """The kinds of failure under names of their own; a wrong token comes in two forms (CONTRACT 5)."""
    match problem:
        case UpstreamRefused(http_status=200 | 400 | 401 | 403):
            check = "upstream.credentials"
        case UpstreamRefused():
            check = "upstream.address"
        case UpstreamUnreachable() if not arrived and "CERTIFICATE" in str(problem):
            check = "upstream.tls"
        case UpstreamUnreachable():
            check = "upstream.available"
        case _:
            check = "upstream.answer"
    return failure(check, problem, _REMEDIES.get(problem.kind) or CHECKS[check].remedy)


def _clock_skew(headers: Mapping[str, str], now: datetime, tolerance: timedelta | None) -> Finding:
    check, stated = "upstream.clock", read_stated(headers)
    if stated.at is None:
        return warning(
            check, "the answer has no readable Date header, so the clock was not compared", "run: timedatectl"
        )
    wrong = time_problem(stated._replace(age=timedelta()), now, None, tolerance)
    return failure(check, wrong, CHECKS[check].remedy) if wrong else compared(check, stated.at, now, "the upstream's")
