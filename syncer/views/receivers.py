"""How receivers stand: what each was told, what it was not told yet, and since when."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from syncer.receivers.receiver import Receiver
from syncer.storage.lease import database_now
from syncer.storage.receivers import Cursor, count_events
from syncer.storage.tables import receivers


class ReceiverStatus(NamedTuple):
    """One receiver.

    `state`: `new` (no daemon has started it yet), `ok`, `failing`, `stopped`, or `left` (not configured here).

    `behind` counts events that it was not told yet, `behind_since` is when the first of them was seen; of a digest they
    are what it sums up, once it is due. Both are None where it is not configured here, so that nobody knows.
    """

    receiver: str
    format: str | None
    state: str
    behind: int | None = None
    behind_since: datetime | None = None
    behind_seconds: int | None = None
    delivered_at: datetime | None = None
    failing_since: datetime | None = None
    tries: int = 0
    next_try_at: datetime | None = None
    last_error: str | None = None
    last_history_id: int | None = None
    digest_at: datetime | None = None


def read_receivers(connection: Connection, configured: Sequence[Receiver]) -> list[ReceiverStatus]:
    """Those of the settings in their order, then those that the database knows besides."""
    rows = {row.name: row for row in connection.execute(select(receivers).order_by(receivers.c.name))}
    now = database_now(connection)
    found = [_status(connection, one, rows.pop(one.name, None), now) for one in configured]
    return [*found, *(_as_noted(row, None, "left") for row in rows.values())]


def _status(connection: Connection, receiver: Receiver, row: Cursor | None, now: datetime) -> ReceiverStatus:
    if row is None:
        return ReceiverStatus(receiver.name, receiver.format, "new", behind=0)
    state = "stopped" if row.stopped_at is not None else "failing" if row.tries else "ok"
    status = _as_noted(row, receiver.format, state)
    if receiver.digest is not None and row.digest_until_id is None:
        return status._replace(behind=0)
    behind = count_events(connection, receiver, row.last_history_id, row.digest_until_id)
    seconds = None if behind.oldest is None else max(0, int((now - behind.oldest).total_seconds()))
    return status._replace(behind=behind.n, behind_since=behind.oldest, behind_seconds=seconds)


def _as_noted(row: Cursor, kind: str | None, state: str) -> ReceiverStatus:
    noted: dict[str, Any] = {name: getattr(row, name) for name in ReceiverStatus._fields if name in row._fields}
    return ReceiverStatus(row.name, kind, state, **noted)
