"""Who is told what happened: services of a world that take messages in every way, and what they may be told.

Over 300 lines: what takes a message and what judges it share what was told.
"""

import copy
import json
from base64 import b64decode
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import httpcore
from canary import api_token, find_secrets
from receiving import SECRET
from sqlalchemy import Engine, Row, func, select
from standardwebhooks import Webhook

from syncer.model import Transition
from syncer.receivers.receiver import Address, Format, Receiver
from syncer.receivers.standard import parse_secret
from syncer.rules.schedule import Cron, parse_schedule
from syncer.settings.receivers import ReceiverSettings
from syncer.storage import database
from syncer.storage.lease import LEASE
from syncer.storage.tables import attention_told, instance_history, receivers
from syncer.views.catalogue import bi_attention
from world.process import Process, Schema, Telling
from world.wire import Reply

LOOK = timedelta(seconds=5)  # how often a sender looks
IDLE = timedelta(days=1)  # and how often in a world, while nothing happens of which it could know
A_TICK = timedelta(milliseconds=1)  # of the database's clock
SLOW_SECONDS = 9.0
SLEEP_SECONDS = 600.0  # longer than a lease


def _digest() -> Cron:
    schedule = parse_schedule("0 9 * * *", ZoneInfo("Europe/Berlin"))
    assert isinstance(schedule, Cron)
    return schedule


RECEIVERS = {
    "events": Receiver("events"),
    "all": Receiver("all", transitions=frozenset(Transition)),
    "attention": Receiver("attention", wants_attention=True),
    "digest": Receiver("digest", digest=_digest(), wants_attention=True),
    "chat": Receiver("chat", Format.SLACK),
}
"""Receivers by what they want."""

WAYS: dict[str, tuple[int, Mapping[str, str], tuple[float | Exception, ...]]] = {
    "yes": (200, {}, ()),
    "yes, 204": (204, {}, ()),
    "yes, slowly": (200, {}, (SLOW_SECONDS,)),
    "yes, and it sleeps": (200, {}, ()),  # who sends
    "500": (500, {}, ()),
    "404": (404, {}, ()),
    "429": (429, {"retry-after": "120"}, ()),
    "429 for long": (429, {"retry-after": "9000"}, ()),
    "301": (301, {"location": "http://127.0.0.1:1/elsewhere"}, ()),
    "410": (410, {}, ()),
    "silent": (0, {}, (1e6,)),
    "closed": (0, {}, ()),
    "reset": (0, {}, (httpcore.ReadError("connection reset by peer"),)),
    "no HTTP": (1, {}, ()),
}
"""What a service does with a message: a status, 0 for none and 1 for what is none, its headers, and what comes before."""


def settings_of(kind: str) -> ReceiverSettings:
    """As a table of the configuration says it; the address is a secret."""
    receiver = RECEIVERS[kind]
    keys = (parse_secret(SECRET),) if receiver.format is Format.STANDARD else ()
    address = Address(f"http://127.0.0.1:1/hooks/{api_token(len(kind))}/{kind}", keys)
    return ReceiverSettings(receiver, lambda: address, f"url_file in [receivers.{kind}]", ())


class Message(NamedTuple):
    """A request as it arrives."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


def read_request(request: bytes) -> Message:
    head, _, body = request.partition(b"\r\n\r\n")
    line, *rest = head.decode("ascii").split("\r\n")
    assert line.startswith("POST /hooks/"), f"it called {line.partition('/')[0]}"
    headers = {name.lower(): value.strip() for name, _, value in (header.partition(":") for header in rest)}
    assert int(headers["content-length"]) == len(body)
    return Message(headers, body)


class Seen(Protocol):
    """The world, as receivers see it."""

    now: datetime
    hand: Engine
    restores: int
    versions: Schema

    def tell(self, line: str) -> None: ...

    def count(self, what: str) -> None: ...


@dataclass
class Heard:
    """What one receiver said yes to, in the history that the database has; a restore brings back an earlier one's."""

    begun: int | None = None  # its cursor before anything was told
    yes: set[int] = field(default_factory=set)  # rows of the history
    noticed: set[tuple[int, str, str]] | None = None  # keys of `bi_attention`; None as long as it is not followed
    noticed_by: dict[tuple[int, str, str], tuple[str, str]] = field(default_factory=dict)  # their last messages
    digest_until: int | None = None

    @property
    def last(self) -> int:
        return max(self.yes, default=self.begun or 0)


@dataclass
class Cause:
    """Whose yes it was, and how the process stood then: only who did not hear it may tell again."""

    process: Process
    struck: int
    restores: int
    suspends: int
    changes: int  # of the schema


class Receivers:
    """The services of a world, and the witness of what they are told."""

    def __init__(self, world: Seen, kinds: tuple[str, ...]) -> None:
        self._world = world
        self.ways: dict[str, deque[str]] = {kind: deque() for kind in kinds}
        self.heard = {kind: Heard() for kind in kinds}
        self.epoch: str | None = None  # of the database as it is
        self._ended: set[str] = set()
        self._bodies: dict[tuple[str, str], bytes] = {}
        self._causes: dict[tuple[str, str], Cause] = {}
        self._quiet_until: dict[str, datetime] = {}

    def copy(self) -> dict[str, Heard]:
        """What a backup keeps of it."""
        return copy.deepcopy(self.heard)

    def restored(self, heard: dict[str, Heard]) -> None:
        """Another history; its ids are other ones."""
        self.heard = copy.deepcopy(heard)
        self._quiet_until.clear()
        if self.epoch is not None:
            self._ended.add(self.epoch)
        self.epoch = None

    def forget(self) -> None:
        """The database knows of no receiver any more, and has another epoch."""
        self.restored({kind: Heard() for kind in self.heard})

    def resumed(self, kind: str) -> None:
        """Somebody lets it be tried again at once."""
        self._quiet_until.pop(kind, None)

    def reply(self, telling: Telling, request: bytes) -> Reply:
        """A message has arrived: look at it, and answer in this receiver's next way."""
        kind = telling.receiver.name
        message = read_request(request)
        way = self.ways[kind].popleft() if self.ways[kind] else "yes"
        self._world.count(f"told {way}")
        status, headers, before = WAYS[way]
        what = self._arrived(telling, message, is_yes=200 <= status < 300)
        self._world.tell(f"process {telling.process.number} tells {kind} {what}: {way}")
        if status == 429:
            self._quiet_until[kind] = self._world.now + timedelta(seconds=int(headers["retry-after"]))
        if 200 <= status < 300 and telling.process.doom.is_due("told"):
            telling.process.doom.die()
        head = f"HTTP/1.1 {status} so\r\n" if status > 1 else "220 smtp.example.org ready\r\n"
        told = "".join(f"{name}: {value}\r\n" for name, value in ({"content-length": "0"} | dict(headers)).items())
        if way == "yes, and it sleeps":
            telling.process.stand_still(SLEEP_SECONDS)
            telling.sleep(SLEEP_SECONDS)
        return [*before, *([f"{head}{told}\r\n".encode()] if status else [])]

    def _arrived(self, telling: Telling, message: Message, *, is_yes: bool) -> str:
        """What it is; of rows of one answer PostgreSQL and SQLite number different ones first."""
        kind = telling.receiver.name
        assert find_secrets(message.body) == [], f"{kind} is told a secret"
        quiet_until = self._quiet_until.pop(kind, None)
        is_welcome = quiet_until is None or self._world.now >= quiet_until - A_TICK
        assert is_welcome, f"{kind} is told before it wants to be"
        if telling.receiver.is_chat:
            return "something"
        _check_signature(message, telling)
        epoch, _, name = message.id.partition("_")
        of = (kind, message.id)
        known = self._bodies.setdefault(of, message.body)
        assert _alike(known) == _alike(message.body), f"{kind} is told {name} again, in other words"
        if telling.restores != self._world.restores:
            self._world.count("told across a restore")
            return "what was before"
        assert epoch not in self._ended, f"{kind} is told {name} under an epoch that has ended"
        assert self.epoch in {None, epoch}, "there are two epochs"
        self.epoch = epoch
        heard = self._known(kind)
        document = json.loads(message.body)
        if document["type"] == "digest":
            self._digest(heard, document["data"], kind, is_yes=is_yes)
        elif document["type"].startswith("attention."):
            self._noticed(heard, document, of, is_yes=is_yes)
        else:
            self._happened(telling, heard, int(name), document)
            if int(name) in heard.yes:
                self._is_repeated_with_cause(of)
            if is_yes:
                heard.yes.add(int(name))
        if is_yes:
            process = telling.process
            stood = len(process.doom.struck), self._world.restores, process.suspends, self._world.versions.changes
            self._causes[of] = Cause(process, *stood)
        return name if document["type"] == "digest" else "an event"

    def _known(self, kind: str) -> Heard:
        heard = self.heard[kind]
        if heard.begun is None and (row := self.row(kind)) is not None:
            heard.begun = row.last_history_id
        return heard

    def _happened(self, telling: Telling, heard: Heard, number: int, document: Mapping[str, Any]) -> None:
        """A row of the history, that is committed, in its turn."""
        kind, data = telling.receiver.name, document["data"]
        with database.reading(self._world.hand, "reading what is told") as connection:
            row = connection.execute(select(instance_history).where(instance_history.c.id == number)).one_or_none()
        assert row is not None, f"{kind} is told {number}, which is not committed"
        told = {name: data[name] for name in ("id", "id_instance", "run_id", "transition", "account", "name")}
        assert told == {name: row._mapping[name] for name in told}, f"{kind} is told {number} as something else"
        assert document["type"] == f"instance.{row.transition}"
        assert Transition(row.transition) in telling.receiver.transitions, f"{kind} does not want {row.transition}"
        assert heard.begun is not None, f"{kind} is told {number} before it begins"
        missed = [one for one in self._wanted(telling.receiver, heard.last) if one < number]
        assert not missed, f"{kind} is told {number}, but never {missed[0]}"

    def _wanted(self, receiver: Receiver, after: int) -> list[int]:
        query = select(instance_history.c.id).where(
            instance_history.c.id > after, instance_history.c.transition.in_(sorted(receiver.transitions))
        )
        with database.reading(self._world.hand, "reading what is to be told") as connection:
            return sorted(connection.scalars(query))

    def _is_repeated_with_cause(self, of: tuple[str, str]) -> None:
        assert self._may_be_unheard(of), f"{of[0]} is told twice what it said yes to"
        self._world.count("told again")

    def _may_be_unheard(self, of: tuple[str, str]) -> bool:
        """Whether something befell the sender after the last yes to this message, so that it may not know of it."""
        cause = self._causes[of]
        process = cause.process
        has_died = process.doom.is_dead or process.runs.stop.is_set() or len(process.doom.struck) > cause.struck
        was_away = cause.suspends != process.suspends or cause.restores != self._world.restores
        return has_died or was_away or cause.changes != self._world.versions.changes

    def _digest(self, heard: Heard, data: Mapping[str, Any], kind: str, *, is_yes: bool) -> None:
        after, until = data["after_history_id"], data["until_history_id"]
        before = heard.begun if heard.digest_until is None else heard.digest_until
        is_again = heard.digest_until == until
        assert is_again or after == before, f"{kind} is told a sum of what is after {after}, not {before}"
        history = instance_history.c
        query = select(history.transition, func.count()).where(history.id > after, history.id <= until)
        query = query.where(history.transition.in_(sorted(RECEIVERS[kind].transitions))).group_by(history.transition)
        with database.reading(self._world.hand, "reading what is summed up") as connection:
            expected = {word: n for word, n in connection.execute(query)}  # noqa: C416 - mypy wants pairs
        assert data["transitions"] == expected, f"{kind} is told {data['transitions']} instead of {expected}"
        heard.digest_until = until if is_yes else heard.digest_until

    @staticmethod
    def _noticed(heard: Heard, document: Mapping[str, Any], of: tuple[str, str], *, is_yes: bool) -> None:
        data = document["data"]
        key = (data["id_instance"], data["reason"], data["since"])
        if heard.noticed is not None and is_yes:
            heard.noticed_by[key] = of
            (heard.noticed.add if document["type"] == "attention.began" else heard.noticed.discard)(key)

    def row(self, kind: str) -> Row[Any] | None:
        """How far it is, by the database."""
        with database.reading(self._world.hand, "reading a receiver") as connection:
            return connection.execute(select(receivers).where(receivers.c.name == kind)).one_or_none()

    def rests(self, telling: Telling) -> datetime:
        """A sender has looked, and there is nothing to send; when it is worth to look again, if nothing happens."""
        now, kind = self._world.now, telling.receiver.name
        row = self.row(kind)
        if row is None or (row.expires_at is not None and now - A_TICK < row.expires_at <= now + LEASE):
            return now + LOOK  # another process may be at it
        heard = self._known(kind)
        if heard.noticed is None and row.attention_since is not None:
            heard.noticed = self._told_of(kind)
        if row.stopped_at is not None:
            return now + IDLE
        due = row.next_try_at or row.digest_at  # a sum that is due waits for the next try, too
        return max(min(due or now + IDLE, now + IDLE), now + LOOK / 5)

    def _told_of(self, kind: str) -> set[tuple[int, str, str]]:
        query = select(attention_told).where(attention_told.c.receiver == kind)
        with database.reading(self._world.hand, "reading what was noticed") as connection:
            return {(row.id_instance, row.reason, _plain(row.since)) for row in connection.execute(query)}

    def at_the_end(self) -> None:
        """Everything was told."""
        for kind, heard in self.heard.items():
            receiver = RECEIVERS[kind]
            row = self.row(kind)
            assert row is not None, f"{kind} never began"
            assert not row.tries, f"{kind} is still to be told: {row.last_error}"
            if receiver.digest is not None or receiver.is_chat:
                continue
            missed = self._wanted(receiver, self._known(kind).last)
            assert not missed, f"{kind} was never told {missed[0]}"
            with database.reading(self._world.hand, "reading the history's end") as connection:
                newest = connection.execute(select(func.max(instance_history.c.id))).scalar() or 0
            assert row.last_history_id == newest, f"{kind} is at {row.last_history_id} of {newest}"
            if receiver.wants_attention:
                self._is_noticed(kind, heard)

    def _is_noticed(self, kind: str, heard: Heard) -> None:
        with database.reading(self._world.hand, "reading what needs attention") as connection:
            query = select(bi_attention).where(bi_attention.c.since.is_not(None))
            now = {(row.id_instance, row.reason, _plain(row.since)) for row in connection.execute(query)}
        assert heard.noticed is not None, f"{kind} was never told what needs attention"
        # Who dies after the yes to a beginning does not know of it, and tells no end of what has ended when it looks again.
        ended = (heard.noticed - now) & heard.noticed_by.keys()
        heard.noticed -= {key for key in ended if self._may_be_unheard(heard.noticed_by[key])}
        assert heard.noticed == self._told_of(kind), f"{kind} was told of other things than is noted"
        assert heard.noticed == now, f"{kind} was told of other things than need attention"


def _plain(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _alike(body: bytes) -> Any:
    """A message without what may be otherwise when it is told again: a renamed account's name, and what a sum counts now."""
    document = json.loads(body)
    for name in ("account", "attention"):
        document["data"].pop(name, None)
    if document["type"] == "attention.ended":
        document["timestamp"] = document["data"] = None
    if document["type"] == "attention.began":
        document["data"] = {name: document["data"][name] for name in ("id_instance", "reason", "since")}
    return document


def _check_signature(message: Message, telling: Telling) -> None:
    """By the package of the specification, whose own clock is the machine's."""
    seconds = int(message.headers["webhook-timestamp"])
    assert seconds == int(telling.process.clock().timestamp()), "it is dated wrong"
    sent_at = datetime.fromtimestamp(seconds, UTC)
    expected = Webhook(SECRET).sign(message.id, sent_at, message.body.decode())
    signature = message.headers["webhook-signature"]
    assert b64decode(signature.partition(",")[2]) == b64decode(expected.partition(",")[2]), "it is not signed"
