"""A local stand-in for the partner API: a simulated estate, and a server on loopback that answers a script.

The estate reads no clock: every moment is an aware argument.
The server imports nothing of syncer but its errors, so that it can serve any client.

Over 300 lines: every way in which a server may answer is a case of one handler.
"""

import base64
import copy
import gzip
import hmac
import json
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv6Address, ip_address, ip_network
from socket import AF_INET, AF_INET6
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote_to_bytes, urlsplit
from uuid import UUID

from syncer.errors import ConfigurationError

DEFAULT_TOKEN = "gac." + "fa4e" * 11 + "00"  # an obvious fake of the right form
UPSTREAM_ZONE = timezone(timedelta(hours=3))  # UPSTREAM, The answer
NO_TIME = "0001-01-01T00:00:00"
METHOD_PATH = "/partner/getInstances/"
COMPRESSED_FROM = 4096  # bytes
LARGEST_IGNORED_REQUEST = 2**20  # bytes of a refused request's body that are read, so that the refusal arrives
IDLE_CONNECTION_SECONDS = 30
IPV4_LOOPBACK = ip_network("127.0.0.0/8")
IPV6_LOOPBACK = IPv6Address("::1")

UNAUTHORIZED = b'{"code":401,"description":"Unauthorized"}'
NOT_FOUND = b'{"code":404,"description":"Not found"}'
METHOD_NOT_ALLOWED = b'{"code":405,"description":"Method not allowed"}'

_POOLS = {"whatsapp": 7103, "v3": 3100, "telegram": 4100}  # the first four digits of an id
_ID_STRIDE = 104_729  # has no common factor with 10^8, so eight digits repeat only after 10^8 instances


def as_upstream(moment: datetime) -> str:
    """An aware moment as the upstream writes it: whole seconds at UTC+3, without saying so."""
    if moment.tzinfo is None:
        raise ValueError("a simulated moment must be aware")
    return moment.astimezone(UPSTREAM_ZONE).strftime("%Y-%m-%dT%H:%M:%S")


class FakeEstate:
    """A partner's instances as the upstream would list them.

    The n-th instance of any two estates has the same id and token if it has the same messenger and `first_number`.
    """

    def __init__(self, *, first_number: int = 1) -> None:
        self._items: dict[int, dict[str, Any]] = {}
        self._next_number = first_number
        self._token_generations: dict[int, int] = {}
        self._rolled: set[date] = set()

    def items(self, *, without: Collection[int] = ()) -> list[dict[str, Any]]:
        """The list as it is answered now, oldest first; `without` leaves instances out as a failing upstream would."""
        return [copy.copy(item) for id_instance, item in self._items.items() if id_instance not in without]

    def create(  # noqa: PLR0913 - each is a key of the item
        self,
        at: datetime,
        *,
        name: str = "",
        messenger: str = "whatsapp",
        tariff: str = "PARTNER_23",
        expires: datetime | None = None,
        customer: bool = False,
        reported_expired: bool = False,
    ) -> int:
        """Create an instance and return its id.

        It expires a day after `at` if it renews itself, else after 30 days, unless `expires` is given.
        With `customer` it has a UUID in `partnerUserUiid`, as old rows do.
        With `reported_expired` it says `isExpired` until `settle`, as the upstream does for the first minutes.
        """
        number, self._next_number = self._next_number, self._next_number + 1
        pool = _POOLS[messenger]
        id_instance = pool * 10**8 + number * _ID_STRIDE % 10**8
        seed = sha256(f"customer {number}".encode()).hexdigest()
        paid_days = 1 if tariff.startswith("PARTNER") else 30
        self._items[id_instance] = {
            "idInstance": id_instance,
            "name": name,
            "typeInstance": messenger,
            "typeAccount": "",
            "partnerUserUiid": str(UUID(hex=seed[:32], version=4)) if customer else "",
            "timeCreated": as_upstream(at),
            "timeDeleted": NO_TIME,
            "apiTokenInstance": "",
            "deleted": False,
            "tariff": tariff,
            "isFree": False,
            "isPartner": False,
            "expirationDate": as_upstream(expires or at + timedelta(days=paid_days)),
            "isExpired": reported_expired,
            "messenger": messenger,
            "apiUrl": f"https://{pool}.api.green-api.example",
            "mediaUrl": f"https://{pool}.media.green-api.example",
        }
        self.change_tariff(id_instance, tariff)
        self.rotate_token(id_instance)
        return id_instance

    def settle(self, id_instance: int) -> None:
        """Stop reporting a new instance as expired."""
        self._items[id_instance]["isExpired"] = False

    def delete(self, id_instance: int, at: datetime) -> None:
        """Flag it as deleted; it stays listed until `purge`."""
        self._items[id_instance] |= {"deleted": True, "timeDeleted": as_upstream(at)}

    def restore(self, id_instance: int) -> None:
        """Undo `delete`."""
        self._items[id_instance] |= {"deleted": False, "timeDeleted": NO_TIME}

    def purge(self, id_instance: int) -> None:
        """List a deleted instance no more, as the upstream does after about three months."""
        if not self._items[id_instance]["deleted"]:
            raise ValueError(f"{id_instance} is live, and the upstream purges deleted instances only")
        del self._items[id_instance]

    def expire(self, id_instance: int) -> None:
        """Say that its term is over; the expiration date stays."""
        self._items[id_instance]["isExpired"] = True

    def renew(self, id_instance: int, until: datetime) -> None:
        """Pay it until a moment: a renewal if it had expired, else an extension."""
        self._items[id_instance] |= {"isExpired": False, "expirationDate": as_upstream(until)}

    def rename(self, id_instance: int, name: str) -> None:
        """Change its name."""
        self._items[id_instance]["name"] = name

    def change_tariff(self, id_instance: int, tariff: str) -> None:
        """Change its tariff, and the flags that go with it."""
        self._items[id_instance] |= {
            "tariff": tariff,
            "isFree": tariff == "DEVELOPER",
            "isPartner": tariff.startswith("PARTNER"),
        }

    def rotate_token(self, id_instance: int) -> None:
        """Give it the next of its 50-digit tokens."""
        generation = self._token_generations.get(id_instance, 0) + 1
        self._token_generations[id_instance] = generation
        token = sha256(f"fake token {generation} of {id_instance}".encode()).hexdigest()[:50]
        self._items[id_instance]["apiTokenInstance"] = token

    def roll(self, day: date, *, passing_by: Collection[int] = ()) -> None:
        """Move the expiration date of every live partner row one day forward; a second time for one day does nothing.

        Instances in `passing_by` are not renewed.
        """
        if day in self._rolled:
            return
        self._rolled.add(day)
        for id_instance, item in self._items.items():
            if item["isPartner"] and not item["deleted"] and id_instance not in passing_by:
                moved = datetime.fromisoformat(item["expirationDate"]) + timedelta(days=1)
                item["expirationDate"] = moved.strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True)
class Step:
    """One poll of a script: when it happens in simulated time, what a reader is told of it, and what is answered.

    `headers` go over the server's own, whatever the case of their names.
    """

    at: datetime
    title: str
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def listing(at: datetime, title: str, items: Sequence[object]) -> Step:
    """A step that answers a list."""
    return Step(at, title, 200, json.dumps(items, ensure_ascii=False, separators=(",", ":")).encode())


OnRequest = Callable[[str, int, int], None]


class FakeApi:
    """Serves `GET /partner/getInstances/{token}` from entering to leaving the context, at `url`.

    With `advance="request"` each request with the right token gets the next step, and the last step repeats.
    With "manual" the first step is answered until `show` sets another. An answer's `Date` is this machine's time, or
    with `in_script_time` that of its step, for a reader whose clock follows the script too.
    `requests` counts all requests, refused ones too. `on_request` is called with a title that never holds a path,
    the status and the size of the body as sent, before it is sent and from the server's threads.
    """

    def __init__(  # noqa: PLR0913 - each is a flag of the command, or a test's
        self,
        token: str,
        steps: Sequence[Step],
        port: int = 0,
        host: str = "127.0.0.1",
        advance: Literal["request", "manual"] = "request",
        *,
        in_script_time: bool = False,
        on_request: OnRequest = lambda _title, _status, _size: None,
    ) -> None:
        if not steps:
            raise ValueError("a script needs a step")
        self._address = (_loopback(host), port)
        self._token = token.encode()
        self._steps = tuple(steps)
        self._advance = advance
        self.in_script_time = in_script_time
        self.on_request = on_request
        self._lock = threading.Lock()
        self._served = 0
        self._shown = self._steps[0]
        self.requests = 0
        self.url = ""

    def __enter__(self) -> Self:
        host, port = self._address
        try:
            self._server = _Server(self._address, self)
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or error
            message = f"starting the fake API: cannot listen on {host} port {port}: {problem}; choose another port"
            raise ConfigurationError(message) from error
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def show(self, step: Step) -> None:
        """Answer this step from now on; only with `advance="manual"`."""
        if self._advance != "manual":
            raise RuntimeError("this script advances by itself, with each request")
        with self._lock:
            self._shown = step

    def _next_step(self) -> Step:
        with self._lock:
            if self._advance == "manual":
                return self._shown
            step = self._steps[min(self._served, len(self._steps) - 1)]
            self._served += 1
            return step

    def answer(self, method: str, target: str) -> Step:
        """What a request is answered; a refusal's title never holds the path."""
        with self._lock:
            self.requests += 1
        at = self._steps[0].at
        if method != "GET":
            return Step(at, "another method than GET", 405, METHOD_NOT_ALLOWED, {"Allow": "GET"})
        prefix, found, token = urlsplit(target).path.partition(METHOD_PATH)
        if prefix or not found or "/" in token:
            return Step(at, "another path", 404, NOT_FOUND)
        if not hmac.compare_digest(unquote_to_bytes(token), self._token):
            return Step(at, "a wrong token", 200, UNAUTHORIZED)
        return self._next_step()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], api: FakeApi) -> None:
        self.api = api
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        super().__init__(address, _Exchange)

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name that `HTTPServer` does, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that hangs up is no news, and a traceback might show what it asked for."""


class _Exchange(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_CONNECTION_SECONDS

    def __getattr__(self, name: str) -> Callable[[], None]:
        """`http.server` looks for `do_GET` and the like: every method comes here."""
        if name.startswith("do_"):
            return self._exchange
        raise AttributeError(name)

    def _exchange(self) -> None:
        self._drop_request_body()
        step = self.server.api.answer(self.command, self.path)
        body = step.body
        headers = {
            "date": self.date_time_string(step.at.timestamp() if self.server.api.in_script_time else None),
            "content-type": "application/json; charset=utf-8",
            "etag": _weak_etag(body),
            "vary": "Accept-Encoding",
        } | {name.lower(): value for name, value in step.headers.items()}
        compressible = len(body) >= COMPRESSED_FROM and "content-encoding" not in headers
        if compressible and _offers_gzip(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["content-encoding"] = "gzip"
        headers.setdefault("content-length", str(len(body)))
        self.server.api.on_request(step.title, step.status, len(body))
        self.send_response_only(step.status)
        for name, value in headers.items():
            self.send_header("ETag" if name == "etag" else name.title(), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _drop_request_body(self) -> None:
        size = self.headers.get("Content-Length", "0")
        if size.isdecimal() and int(size) <= LARGEST_IGNORED_REQUEST:
            self.rfile.read(int(size))
        else:
            self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        """Nothing: the standard line shows the path, and with it the token."""


def _loopback(host: str) -> str:
    """The address to bind; `localhost` is not looked up, for a hosts file could send it elsewhere."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address != IPV6_LOOPBACK and (address is None or address not in IPV4_LOOPBACK):
        raise ConfigurationError(f"starting the fake API: {host!r} is not a loopback address; use 127.0.0.1")
    return str(address)


def _offers_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return weight.strip("0.") != "" or weight == ""
    return False


def _weak_etag(body: bytes) -> str:
    digest = base64.b64encode(sha256(body).digest()).decode()
    return f'W/"{len(body):x}-{digest[:27]}"'
