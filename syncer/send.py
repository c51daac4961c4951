"""The story of what a receiver is told: look → acquire → post → note, one message at a time.

Here, and only here, the store and what posts messages meet. The history is the queue: what is due is read from it, and
the cursor moves in the transaction that follows a delivery. No transaction is open while a receiver is waited for.

Over 300 lines, so that one message is followed from the look to the note in one file.
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, select

from syncer.errors import ConfigurationError, FetchStopped
from syncer.model import Transition
from syncer.post.client import Letter, post
from syncer.receivers.formats import message_of
from syncer.receivers.news import Digest, Happened, News, Noticed
from syncer.receivers.outcome import Reply, Verdict, pause_after, verdict_of
from syncer.receivers.receiver import Address, Receiver
from syncer.storage import epoch, receivers, schema
from syncer.storage.database import become_sole_writer, reading, writing
from syncer.storage.lease import database_now
from syncer.storage.receivers import Cursor, Held
from syncer.views.catalogue import bi_attention, read

LOOK_SECONDS = 5.0  # how often it is looked for what other processes have written
ATTENTION_SECONDS = 60.0  # and for what needs attention, which may come to with time alone
BATCH = 100  # messages that are read at once
NAMED = 3  # instances of a transition in a digest

log = logging.getLogger(__name__)


class Sending(NamedTuple):
    """What sending to one receiver goes by; `read_address` reads the secrets anew for each batch."""

    engine: Engine
    receiver: Receiver
    read_address: Callable[[], Address]
    holder: str
    clock: Callable[[], datetime]
    stop: threading.Event
    learn: Callable[..., None]  # of a scrubber


class Due(NamedTuple):
    """News, where the cursor is once they are told, and what is noted besides."""

    news: News
    cursor: int
    also: dict[str, object]


class Look(NamedTuple):
    """What was found at one moment: the receiver's row, the end of the history, its epoch, and what is due."""

    row: Cursor
    now: datetime
    newest: int
    epoch: str | None
    follows: bool  # what needs attention
    due: list[Due]
    wait_seconds: float


def begin(engine: Engine, all_of_them: Sequence[Receiver]) -> None:
    """Let those that the database does not know start at the present; whatever is committed later is told."""
    if not all_of_them:
        return
    with reading(engine, "looking which receivers are new") as connection:
        new = [one for one in all_of_them if receivers.read(connection, one.name) is None]
    if not new:
        return
    with _writing(engine, "starting a receiver") as connection:
        become_sole_writer(connection)
        for receiver in new:
            if receivers.read(connection, receiver.name) is None:
                is_followed = _follows(connection, receiver, None)
                found = [_key(row) for row in _attention(connection, receiver)] if is_followed else None
                receivers.begin(connection, receiver.name, found)


class Sender:
    """Tells one receiver what is due, for as long as anything is."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._newest = 0  # as of the last look, as is the epoch: the history never goes back of itself
        self._epoch: str | None = None
        self._attention_at = -ATTENTION_SECONDS
        self._problem: str | None = None

    def send_due(self) -> float:
        """Send what is due; gives the seconds until it is worth a look again. Raises `DatabaseFailed`."""
        engine, receiver = self._sending.engine, self._sending.receiver
        with reading(engine, "looking what a receiver is to be told") as connection:
            look = self._look(connection)
        if look is None:
            begin(engine, [receiver])
            return 0.0
        went_back = look.newest < self._newest
        if went_back or look.row.last_history_id > look.newest:
            self._begin_epoch(self._epoch if went_back else look.epoch)
            self._newest = 0
            return 0.0
        self._newest, self._epoch = look.newest, look.epoch
        if look.wait_seconds:
            return look.wait_seconds
        if _is_unsettled(look, receiver):
            return 0.0 if self._settle(look) else LOOK_SECONDS
        if not look.due:
            if receiver.digest is None and look.row.last_history_id < look.newest:
                with _writing(engine, "moving a receiver's cursor") as connection:
                    receivers.pass_by(connection, look.row, look.newest)
            return LOOK_SECONDS
        return self._send(look)

    def _look(self, connection: Connection) -> Look | None:
        """None where the receiver is not known yet."""
        receiver = self._sending.receiver
        schema.require_own(connection)
        row = receivers.read(connection, receiver.name)
        if row is None:
            return None
        newest = receivers.last_history_id(connection)  # after the cursor, which others may move, and before the rows
        now = database_now(connection)
        look = Look(row, now, newest, epoch.read(connection), _follows(connection, receiver, row), [], 0.0)
        if row.stopped_at is not None or receivers.is_held(row, now, self._sending.holder):
            return look._replace(wait_seconds=LOOK_SECONDS)
        if (wait := receivers.waits_seconds(row, now)) > 0:
            return look._replace(wait_seconds=min(wait, LOOK_SECONDS))
        if _is_unsettled(look, receiver):
            return look
        return look._replace(due=list(self._due(connection, look)))

    def _due(self, connection: Connection, look: Look) -> Iterable[Due]:
        receiver, row = self._sending.receiver, look.row
        if receiver.digest is not None:
            if row.digest_until_id is not None:
                following = receiver.digest.next_after(look.now)
                news = _digest_of(connection, receiver, row)
                yield Due(news, row.digest_until_id, {"digest_at": following, "digest_until_id": None})
            return
        is_told_all = row.last_history_id == look.newest  # as at most looks
        after = row.last_history_id
        events = [] if is_told_all else receivers.read_events(connection, receiver, after, look.newest, BATCH)
        yield from (Due(Happened(event), event["id"], {}) for event in events)
        if not events and look.follows and time.monotonic() - self._attention_at >= ATTENTION_SECONDS:
            self._attention_at = time.monotonic()
            yield from self._noticed(connection, look)

    def _noticed(self, connection: Connection, look: Look) -> Iterable[Due]:
        """What came to need attention, and what needs it no more; both since the receiver was told last."""
        receiver = self._sending.receiver
        rows = {_key(row): row for row in _attention(connection, receiver)}
        told = receivers.read_told(connection, receiver.name)
        cursor = look.row.last_history_id
        over = sorted(told - rows.keys(), key=lambda key: (key[2], key[:2]))
        come = sorted(rows.keys() - told, key=lambda key: (key[2], key[:2]))
        self._attention_at = -ATTENTION_SECONDS if len(over) + len(come) > BATCH else self._attention_at
        for row in receivers.read_over(connection, over[:BATCH]):
            yield Due(Noticed(row, look.now, has_come=False), cursor, {})
        for key in come[: BATCH - len(over)] if len(over) < BATCH else ():
            yield Due(Noticed(rows[key], look.now), cursor, {})

    def _settle(self, look: Look) -> bool:
        """Note what later messages depend on: up to where a digest goes, and what needs attention already."""
        sending, receiver = self._sending, self._sending.receiver
        with _writing(sending.engine, "settling what a receiver is told") as connection:
            held = receivers.acquire(connection, look.row, sending.holder)
            if held is None:
                return False
            if receiver.digest is None:
                receivers.settle_digest(connection, held, None, None)
            elif look.row.digest_at is None or look.row.digest_at > look.now:
                receivers.settle_digest(connection, held, receiver.digest.next_after(look.now), None)
            else:
                newest = max(look.row.last_history_id, receivers.last_history_id(connection))
                receivers.settle_digest(connection, held, look.row.digest_at, look.row.digest_until_id or newest)
            if look.follows != (look.row.attention_since is not None):
                found = [_key(row) for row in _attention(connection, receiver)] if look.follows else None
                receivers.follow_attention(connection, held, found)
            receivers.release(connection, held)
        return True

    def _begin_epoch(self, ended: str | None) -> None:
        """The history went back: a backup was restored, and ids will be given a second time."""
        with _writing(self._sending.engine, "beginning a new epoch") as connection:
            receivers.pull_back(connection)
            begun = epoch.begin(connection, ended)
        fields = {"action": "epoch_begun", "epoch": begun}
        log.warning("the database was restored: receivers are told a new epoch", extra={"fields": fields})

    def _send(self, look: Look) -> float:
        sending = self._sending
        with _writing(sending.engine, "acquiring a receiver") as connection:
            held = receivers.acquire(connection, look.row, sending.holder)
            if held is None:
                return LOOK_SECONDS
            epoch_now = epoch.current(connection)
            self._tell_of(epoch.remember(connection, epoch_now, look.due[-1].cursor))
        tries = look.row.tries
        try:
            address = sending.read_address()
        except ConfigurationError as error:
            return self._note_failure(held, Reply(None, str(error)), tries + 1)
        sending.learn(*address.secrets())
        for number, due in enumerate(look.due, 1):
            began = time.monotonic()
            message = message_of(sending.receiver, address, due.news, epoch_now, sending.clock())
            letter = Letter(address, message.headers, message.body, sending.receiver.name)
            try:
                reply = post(letter, sending.stop, sending.clock)
            except FetchStopped:
                self._release(held)
                return LOOK_SECONDS
            if verdict_of(reply) is not Verdict.DELIVERED:
                return self._note_failure(held, reply, tries + 1)
            is_last = number == len(look.due) or sending.stop.is_set()
            noted = self._note_delivery(held, due, epoch_now, is_last)
            if tries:
                tries = 0
                fields = {"action": "receiver_recovered", "receiver": held.name}
                log.info("a receiver takes its messages again", extra={"fields": fields})
            sending.stop.wait(max(0.0, 1 / sending.receiver.most_a_second - (time.monotonic() - began)))
            if noted is None or is_last:
                break
            held = noted
        return 0.0

    def _tell_of(self, problem: str | None) -> None:
        """Log, once, why it cannot be remembered what is sent."""
        if problem is not None and problem != self._problem:
            fields = {"action": "epoch_not_remembered", "receiver": self._sending.receiver.name, "error": problem}
            log.warning("a restore of the database's file may go unnoticed", extra={"fields": fields})
        self._problem = problem

    def _note_delivery(self, held: Held, due: Due, epoch_now: str, is_last: bool) -> Held | None:
        also = due.also | ({"holder": None, "expires_at": None} if is_last else {})
        with _writing(self._sending.engine, "noting that a receiver was told") as connection:
            if epoch.current(connection) != epoch_now:  # the row may mean another event now
                return None
            noted = receivers.delivered(connection, held, due.cursor, **also)
            if noted is not None and isinstance(due.news, Noticed):
                key = _key(due.news.row)
                if due.news.has_come:
                    receivers.note_told(connection, held.name, key)
                else:
                    receivers.forget_told(connection, held.name, key)
            return noted

    def _note_failure(self, held: Held, reply: Reply, tries: int) -> float:
        is_over = verdict_of(reply) is Verdict.STOPPED
        chance = random.random()  # noqa: S311 - jitter
        pause = None if is_over else pause_after(tries, reply.retry_after_seconds, chance)
        with _writing(self._sending.engine, "noting that a receiver was not told") as connection:
            receivers.failed(connection, held, reply.problem, pause)
        fields = {"receiver": held.name, "problem": reply.problem}
        if pause is None:
            fields["action"] = "receiver_stopped"
            log.error("a receiver wants no more messages", extra={"fields": fields})
        elif tries == 1:
            fields["action"] = "receiver_failing"
            log.warning("a receiver was not told; it is tried again", extra={"fields": fields})
        self._attention_at = -ATTENTION_SECONDS
        return LOOK_SECONDS if pause is None else min(pause.total_seconds(), LOOK_SECONDS)

    def _release(self, held: Held) -> None:
        with _writing(self._sending.engine, "releasing a receiver") as connection:
            receivers.release(connection, held)


@contextmanager
def _writing(engine: Engine, doing: str) -> Iterator[Connection]:
    """A write transaction in a schema that is still this code's: while a message was sent it may have been upgraded."""
    with writing(engine, doing) as connection:
        schema.require_own(connection)
        yield connection


def _follows(connection: Connection, receiver: Receiver, row: Cursor | None) -> bool:
    """Whether rows of `bi_attention` are told one by one; a digest counts them, in a chat a first answer is no news."""
    if not receiver.wants_attention or receiver.digest is not None:
        return False
    is_followed = row is not None and row.attention_since is not None
    return is_followed or not receiver.is_chat or receivers.is_any_account_known(connection, receiver)


def _is_unsettled(look: Look, receiver: Receiver) -> bool:
    row = look.row
    if look.follows != (row.attention_since is not None):
        return True
    if receiver.digest is None:
        return row.digest_at is not None
    if row.digest_at is None or row.digest_until_id is not None:
        return row.digest_at is None
    return bool(row.digest_at <= look.now or row.digest_at != receiver.digest.next_after(look.now))


def _attention(connection: Connection, receiver: Receiver) -> list[dict[str, Any]]:
    query = select(bi_attention).where(bi_attention.c.since.is_not(None))
    if receiver.accounts is not None:
        query = query.where(bi_attention.c.account.in_(sorted(receiver.accounts)))
    return read(connection, query)


def _key(row: Any) -> receivers.Key:
    return row["id_instance"], row["reason"], row["since"]


def _digest_of(connection: Connection, receiver: Receiver, row: Cursor) -> Digest:
    after, until = row.last_history_id, row.digest_until_id
    counts = receivers.count_by_transition(connection, receiver, after, until)
    found = {word: counts[word] for word in Transition if word in counts}
    names = {
        word: [
            event["name"] or str(event["id_instance"])
            for event in receivers.read_events(
                connection, receiver._replace(transitions=frozenset({word})), after, until, NAMED
            )
        ]
        for word in found
    }
    attention = None
    if receiver.wants_attention:
        attention = Counter((one["severity"], one["reason"]) for one in _attention(connection, receiver))
    return Digest(row.digest_at, after, until, found, names, attention)
