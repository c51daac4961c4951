"""How far each receiver has been told: its row, who sends to it, and what lies behind its cursor (CONTRACT 9).

A cursor moves only in the transaction that follows a delivery, and only from where the sender read it: what was sent
and could not be noted is sent again.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, case, delete, exists, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from syncer.errors import ConfigurationError, did_you_mean
from syncer.model import RunStatus
from syncer.receivers.outcome import LONGEST_RETRY_AFTER
from syncer.receivers.receiver import Receiver
from syncer.storage.database import insert_if_new
from syncer.storage.lease import LEASE, database_now, is_living
from syncer.storage.tables import accounts, attention_told, instance_history, instances, receivers, sync_runs

BEYOND = timedelta(minutes=1)  # beyond the longest pause a time is of a clock that was set back since

Cursor = Row[Any]
"""A row of `receivers`."""

Key = tuple[int, str, datetime]
"""Of a row of `bi_attention`: instance, reason, since when."""


class Held(NamedTuple):
    """The receiver is ours to send to, and so it stands."""

    name: str
    holder: str
    cursor: int


def last_history_id(connection: Connection) -> int:
    """The newest row of the history; 0 without one."""
    newest: int = connection.execute(select(func.coalesce(func.max(instance_history.c.id), 0))).scalar_one()
    return newest


def read(connection: Connection, name: str) -> Cursor | None:
    """A receiver's row; None before it was first started."""
    return connection.execute(select(receivers).where(receivers.c.name == name)).one_or_none()


def begin(connection: Connection, name: str, noticed: Sequence[Key] | None = None) -> None:
    """Let a receiver that is not known yet start at the present; None of what needs attention: it is not followed."""
    insert_if_new(connection, receivers, {"name": name, "last_history_id": last_history_id(connection), "tries": 0})
    if noticed is not None:
        _follow(connection, name, noticed, receivers.c.name == name)


def acquire(connection: Connection, cursor: Cursor, holder: str) -> Held | None:
    """Become who sends to the receiver, unless another process is, or its row is not what was read any more."""
    query = select(receivers).where(receivers.c.name == cursor.name).with_for_update()
    row = connection.execute(query).one_or_none()
    now = database_now(connection)
    if row is None or is_held(row, now, holder) or _standing(row) != _standing(cursor):
        return None
    values = {"holder": holder, "expires_at": now + LEASE}
    connection.execute(update(receivers).where(receivers.c.name == row.name).values(values))
    return Held(row.name, holder, row.last_history_id)


def is_held(row: Cursor, now: datetime, holder: str | None = None) -> bool:
    """Whether another process sends to the receiver now."""
    return row.holder != holder and is_living(row.holder, row.expires_at, now)


def _standing(row: Cursor) -> tuple[object, ...]:
    """What tells whether anything was sent, or settled, since it was read."""
    return row.last_history_id, row.delivered_at, row.tries, row.stopped_at, row.digest_at, row.digest_until_id


def waits_seconds(row: Cursor, now: datetime) -> float:
    """Until the receiver may be tried again; a time that no pause comes to binds nobody."""
    if row.next_try_at is None or row.next_try_at > now + LONGEST_RETRY_AFTER + BEYOND:
        return 0.0
    wait: timedelta = row.next_try_at - now
    return max(0.0, wait.total_seconds())


def delivered(connection: Connection, held: Held, cursor: int, **also: object) -> Held | None:
    """Note a delivery and where the cursor is now; None, and nothing noted, if the receiver is not ours any more."""
    now = database_now(connection)
    values = {
        "last_history_id": cursor,
        "delivered_at": now,
        "failing_since": None,
        "tries": 0,
        "next_try_at": None,
        "last_error": None,
        "expires_at": now + LEASE,
        **also,
    }
    done = connection.execute(update(receivers).where(_is_ours(held)).values(values))
    return held._replace(cursor=cursor) if done.rowcount else None


def failed(connection: Connection, held: Held, problem: str, pause: timedelta | None) -> None:
    """Note an attempt that failed and when the next one is, of None never; the receiver is released."""
    now = database_now(connection)
    connection.execute(
        update(receivers)
        .where(_is_ours(held))
        .values(
            failing_since=func.coalesce(receivers.c.failing_since, now),
            tries=receivers.c.tries + 1,
            next_try_at=None if pause is None else now + pause,
            last_error=problem,
            stopped_at=now if pause is None else None,
            holder=None,
            expires_at=None,
        )
    )


def release(connection: Connection, held: Held) -> None:
    """Let go of the receiver; nothing happens if it is not ours any more."""
    connection.execute(update(receivers).where(_is_ours(held)).values(holder=None, expires_at=None))


def _is_ours(held: Held) -> ColumnElement[bool]:
    return and_(
        receivers.c.name == held.name,
        receivers.c.holder == held.holder,
        receivers.c.last_history_id == held.cursor,
        receivers.c.stopped_at.is_(None),
    )


def pass_by(connection: Connection, row: Cursor, until: int) -> None:
    """Move the cursor over rows that the receiver does not want; not if anybody has moved it meanwhile."""
    connection.execute(
        update(receivers)
        .where(receivers.c.name == row.name, receivers.c.last_history_id == row.last_history_id)
        .where(receivers.c.digest_until_id.is_(None))
        .values(last_history_id=until)
    )


def pull_back(connection: Connection) -> None:
    """Let no cursor lie behind the end of the history, which has gone back."""
    newest = last_history_id(connection)
    is_beyond = or_(receivers.c.last_history_id > newest, receivers.c.digest_until_id > newest)
    cursor = case((receivers.c.last_history_id > newest, newest), else_=receivers.c.last_history_id)
    connection.execute(update(receivers).where(is_beyond).values(last_history_id=cursor, digest_until_id=None))


def resume(connection: Connection, name: str) -> bool:
    """Send to the receiver again, at once; False if nothing held it up. Raises `ConfigurationError`."""
    row = read(connection, name)
    if row is None:
        known = list(connection.scalars(select(receivers.c.name).order_by(receivers.c.name)))
        raise ConfigurationError(
            f"receivers resume: the database knows no receiver {name!r}; {did_you_mean(name, known)}"
        )
    if not row.tries:
        return False
    connection.execute(
        update(receivers)
        .where(receivers.c.name == name)
        .values(stopped_at=None, next_try_at=None, failing_since=None, tries=0, last_error=None)
    )
    return True


def read_events(connection: Connection, receiver: Receiver, after: int, until: int, limit: int) -> list[dict[str, Any]]:
    """Rows of the history that a receiver wants, in order, behind one id and up to another."""
    query = _wanted(select(instance_history), receiver, after, until).order_by(instance_history.c.id).limit(limit)
    return [dict(row._mapping) | {"changes": json.loads(row.changes)} for row in connection.execute(query)]


def count_events(connection: Connection, receiver: Receiver, after: int, until: int | None = None) -> Row[Any]:
    """How many there are (`n`), and when the first one was seen (`oldest`)."""
    columns = select(func.count().label("n"), func.min(instance_history.c.observed_at).label("oldest"))
    return connection.execute(_wanted(columns.select_from(instance_history), receiver, after, until)).one()


def count_by_transition(connection: Connection, receiver: Receiver, after: int, until: int) -> dict[str, int]:
    """How many there are of each transition."""
    columns = select(instance_history.c.transition, func.count()).group_by(instance_history.c.transition)
    return {word: n for word, n in connection.execute(_wanted(columns, receiver, after, until))}  # noqa: C416 - mypy wants pairs


def _wanted(query: Any, receiver: Receiver, after: int, until: int | None) -> Any:
    """Those that the receiver asks for; in a chat the first answer about an account is no news."""
    history = instance_history.c
    query = query.where(history.id > after, history.transition.in_(sorted(receiver.transitions)))
    if receiver.is_chat:
        earlier = sync_runs.alias("earlier")
        has_earlier = exists().where(
            earlier.c.account == history.account,
            earlier.c.id < history.run_id,
            earlier.c.status.in_([RunStatus.OK, RunStatus.UNCHANGED]),
        )
        query = query.where(has_earlier)
    if until is not None:
        query = query.where(history.id <= until)
    if receiver.accounts is not None:
        query = query.where(history.account.in_(sorted(receiver.accounts)))
    return query


def is_any_account_known(connection: Connection, receiver: Receiver) -> bool:
    """Whether an answer was accepted about an account of which the receiver is told."""
    query = select(accounts.c.account).where(accounts.c.last_accepted_run_id.is_not(None)).limit(1)
    if receiver.accounts is not None:
        query = query.where(accounts.c.account.in_(sorted(receiver.accounts)))
    return connection.execute(query).first() is not None


def settle_digest(connection: Connection, held: Held, due_at: datetime | None, until: int | None) -> None:
    """Note when the next digest is due, or up to which row the one that is due goes."""
    connection.execute(update(receivers).where(_is_ours(held)).values(digest_at=due_at, digest_until_id=until))


def read_told(connection: Connection, name: str) -> set[Key]:
    """The rows of `bi_attention` that the receiver knows of, by their keys."""
    told = attention_told.c
    query = select(told.id_instance, told.reason, told.since).where(told.receiver == name)
    return {(row.id_instance, row.reason, row.since) for row in connection.execute(query)}


def read_over(connection: Connection, keys: Sequence[Key]) -> list[dict[str, Any]]:
    """Rows that `bi_attention` has no more, with whose they are."""
    query = select(instances.c.id_instance, instances.c.account, instances.c.name).where(
        instances.c.id_instance.in_([key for key, _, _ in keys])
    )
    known = {row.id_instance: dict(row._mapping) for row in connection.execute(query)}
    return [known[key] | {"reason": reason, "since": since} for key, reason, since in keys]


def note_told(connection: Connection, name: str, key: Key) -> None:
    """Note that the receiver knows of this one."""
    insert_if_new(connection, attention_told, _told(name, key))


def _told(name: str, key: Key) -> dict[str, Any]:
    return {"receiver": name, "id_instance": key[0], "reason": key[1], "since": key[2]}


def forget_told(connection: Connection, name: str, key: Key | None = None) -> None:
    """Note that the receiver knows of one no more, or of none."""
    statement = delete(attention_told).where(attention_told.c.receiver == name)
    if key is not None:
        told = attention_told.c
        statement = statement.where(told.id_instance == key[0], told.reason == key[1], told.since == key[2])
    connection.execute(statement)


def follow_attention(connection: Connection, held: Held, keys: Sequence[Key] | None) -> None:
    """Begin to follow `bi_attention` from what it has now, or, of None, end it."""
    _follow(connection, held.name, keys, _is_ours(held))


def _follow(connection: Connection, name: str, keys: Sequence[Key] | None, whose: ColumnElement[bool]) -> None:
    forget_told(connection, name)
    if keys:
        connection.execute(insert(attention_told), [_told(name, key) for key in keys])
    since = None if keys is None else database_now(connection)
    connection.execute(update(receivers).where(whose).values(attention_since=since))
