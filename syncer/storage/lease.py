"""Who may run an account now: a row with an end, on the database's clock, so that replicas take turns (CONTRACT 4).

A lease keeps replicas from doing the same work. It is not what keeps answers in order: a holder that stalls past its
end is stopped by the comparison inside the transaction that applies its answer, in `sync`.

Over 300 lines: all that is read from a row of `leases` and written into it, so that its two halves, who runs an account
now and which daemon does next, are believed by the same rules.
"""

import os
import secrets
import socket
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Row, bindparam, func, or_, select, text, update

from syncer.errors import DatabaseFailed
from syncer.rules.schedule import Schedule
from syncer.storage.database import insert_if_new, writing
from syncer.storage.tables import UtcDateTime, accounts, leases

LEASE = timedelta(seconds=30)
BEAT = timedelta(seconds=10)
SILENCE = timedelta(seconds=60)  # after which a daemon is not believed to live
LONGEST_HOLD_BACK = timedelta(hours=1)

_NEVER = datetime.max.replace(tzinfo=UTC)
_SQLITE_NOW = text("SELECT strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now").columns(now=UtcDateTime)


class Acquired(NamedTuple):
    """The lease is ours."""


class UnderWay(NamedTuple):
    """Another process runs the account; its lease ends in `seconds` unless it beats again."""

    holder: str
    seconds: float


class NotDue(NamedTuple):
    """The account was run not long ago, by whichever daemon, or the upstream wants to wait; it is due in `seconds`."""

    seconds: float


class Beginning(NamedTuple):
    """When a daemon first asked for a lease, and until when each of the others is believed that lived then."""

    at: datetime
    beside: Mapping[str, datetime]


def new_holder() -> str:
    """A name for this process that no other one has, not even a later one with its number."""
    return f"{socket.gethostname()}:{os.getpid()}:{_place()}:{secrets.token_hex(4)}"


def is_gone(holder: str) -> bool:
    """Whether the holder was a process of this very host, boot and PID namespace, and has ended."""
    host, _, rest = holder.rpartition(":")[0].partition(":")
    number, _, place = rest.partition(":")
    if not place or host != socket.gethostname() or place != _place() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it is somebody else's
        return False
    return False


def _place() -> str:
    """The host since its start, and where its processes are numbered; empty where that cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return sha256(f"{boot} {namespace}".encode()).hexdigest()[:12]


def is_living(holder: str | None, expires_at: datetime | None, now: datetime) -> bool:
    """Whether a process runs the account, by the lease as it stands and the database's clock.

    A lease of the future, left by a clock that was set back, binds nobody, nor does one of a process that is gone.
    """
    return holder is not None and expires_at is not None and now < expires_at <= now + LEASE and not is_gone(holder)


def read_holders(connection: Connection) -> dict[str, str]:
    """Which process runs each account that is run now."""
    now = database_now(connection)
    query = select(leases).where(leases.c.holder.is_not(None)).order_by(leases.c.account)
    return {row.account: row.holder for row in connection.execute(query) if is_living(row.holder, row.expires_at, now)}


def read_living(connection: Connection, now: datetime) -> dict[str, datetime]:
    """The daemons that are believed to live, each with its last word.

    A clock that was set back may put that word ahead a little. One row of a daemon speaks for all of its rows.
    """
    query = (
        select(leases.c.daemon, func.max(leases.c.daemon_beat_at).label("beat_at"))
        .where(leases.c.daemon.is_not(None), leases.c.daemon_beat_at.between(now - SILENCE, now + SILENCE))
        .group_by(leases.c.daemon)
    )
    return {row.daemon: row.beat_at for row in connection.execute(query)}


def database_now(connection: Connection) -> datetime:
    """The database's clock, which all replicas share."""
    if connection.dialect.name == "sqlite":
        moment: datetime = connection.execute(_SQLITE_NOW).scalar_one()
    else:
        moment = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment.astimezone(UTC)


def read_beginning(connection: Connection, holder: str) -> Beginning:
    """What a daemon finds that begins now.

    One that is known to be dead is believed as long as any other: a crash loop is to poll once in `SILENCE` at most.
    """
    now = database_now(connection)
    beside = {
        daemon: beat_at + SILENCE if is_gone(daemon) else _NEVER
        for daemon, beat_at in read_living(connection, now).items()
        if daemon != holder
    }
    return Beginning(now, beside)


def acquire(
    connection: Connection, account: str, holder: str, schedule: Schedule | None, beginning: Beginning | None = None
) -> Acquired | UnderWay | NotDue:
    """Acquire the account's lease if it is free, and, where a schedule is given, if the account is due.

    Only runs of a schedule count for when the next one is due, so that a daemon that starts after a manual run makes
    its own. The lease lasts `LEASE`; `beat` renews it. A start of the future counts for nothing, either.
    With `beginning`, which a daemon gives until it has run the account, that is due at once, unless another one lives
    that runs it; then the daemon's word is in the row from now on, for whoever begins before it is told.
    """
    insert_if_new(connection, accounts, {"account": account})
    insert_if_new(connection, leases, {"account": account})
    row = connection.execute(select(leases).where(leases.c.account == account).with_for_update()).one()
    now = database_now(connection)
    if is_living(row.holder, row.expires_at, now):
        return UnderWay(row.holder, (row.expires_at - now).total_seconds())
    if schedule is not None and row.started_at is not None and row.started_at <= now:
        due = schedule.due(row.started_at)
        if beginning is not None and row.started_at < beginning.at:
            due = min(due, _is_others_until(row, holder, beginning, now))
        if now < due - schedule.tolerance:
            return NotDue((due - now).total_seconds())
    if schedule is not None and (held_back := _seconds_held_back(connection, account, now)) > 0:
        return NotDue(held_back)
    values = {"holder": holder, "beat_at": now, "expires_at": now + LEASE}
    if schedule is not None:
        values["started_at"] = now
        if beginning is not None and _is_others_until(row, holder, beginning, now) <= now:
            values |= {"daemon": holder, "daemon_beat_at": now, "next_run_at": schedule.due(now)}
    connection.execute(update(leases).where(leases.c.account == account).values(values))
    return Acquired()


def _is_others_until(row: Row[Any], holder: str, beginning: Beginning, now: datetime) -> datetime:
    """Until when another daemon is believed to run the account.

    Of one that began later only its word in this very row is looked at: which others live is read once, not for each
    of thousands of accounts.
    """
    if row.daemon is None or row.daemon == holder:
        return now
    if row.daemon in beginning.beside:
        return beginning.beside[row.daemon]
    return _NEVER if abs(now - row.daemon_beat_at) < SILENCE else now


def hold_back(connection: Connection, account: str, seconds: float) -> None:
    """The upstream wants to be asked again later: no schedule of any daemon does before, for at most an hour."""
    until = database_now(connection) + min(timedelta(seconds=seconds), LONGEST_HOLD_BACK)
    connection.execute(update(accounts).where(accounts.c.account == account).values(held_back_until=until))


def _seconds_held_back(connection: Connection, account: str, now: datetime) -> float:
    """Until the upstream may be asked again; like a row of the future, a word from one binds nobody."""
    until = connection.execute(select(accounts.c.held_back_until).where(accounts.c.account == account)).scalar_one()
    return (until - now).total_seconds() if until is not None and until <= now + LONGEST_HOLD_BACK else 0.0


def beat(connection: Connection, holder: str) -> None:
    """Renew every lease of this process; one that has ended is not brought back."""
    now = database_now(connection)
    connection.execute(
        update(leases)
        .where(leases.c.holder == holder, leases.c.expires_at > now)
        .values(beat_at=now, expires_at=now + LEASE)
    )


def release(connection: Connection, account: str, holder: str) -> None:
    """Release the lease; nothing happens if it is not ours any more."""
    connection.execute(
        update(leases)
        .where(leases.c.account == account, leases.c.holder == holder)
        .values(holder=None, expires_at=None)
    )


def tell(connection: Connection, daemon: str, next_runs: Mapping[str, float]) -> set[str]:
    """Note in how many seconds a daemon runs each account; gives the accounts of which that is noted.

    The word of another daemon that lives stays. Rows that somebody holds are passed by: nobody waits for anybody.
    """
    now = database_now(connection)
    query = select(leases.c.account).where(leases.c.account.in_(next_runs), _is_open_to(connection, daemon, now))
    rows: list[dict[str, Any]] = [
        {"of": account, "next": now + timedelta(seconds=max(0.0, next_runs[account]))}
        for account in connection.scalars(query.with_for_update(skip_locked=True))
    ]
    if rows:
        statement = update(leases).where(leases.c.account == bindparam("of"))
        told = statement.values(daemon=daemon, daemon_beat_at=now, next_run_at=bindparam("next"))
        connection.execute(told, rows)
    return {row["of"] for row in rows}


def say_living(connection: Connection, daemon: str) -> tuple[set[str], set[str]]:
    """Note that a daemon lives; gives the accounts that it speaks for, and those that no living daemon does.

    One row is written, however many accounts there are.
    """
    now = database_now(connection)
    query = select(leases.c.account, leases.c.daemon).where(_is_open_to(connection, daemon, now))
    its: set[str] = set()
    free: set[str] = set()
    for account, spoken_for_by in connection.execute(query):
        (its if spoken_for_by == daemon else free).add(account)
    first = select(leases.c.account).where(leases.c.daemon == daemon).order_by(leases.c.account).limit(1)
    account = connection.scalar(first.with_for_update(skip_locked=True))
    if account is not None:
        connection.execute(update(leases).where(leases.c.account == account).values(daemon_beat_at=now))
    return its, free


def _is_open_to(connection: Connection, daemon: str, now: datetime) -> ColumnElement[bool]:
    """Of which rows a daemon may say when they are run: its own, and those that no other one that lives has."""
    others = read_living(connection, now).keys() - {daemon}
    return or_(leases.c.daemon.is_(None), leases.c.daemon.not_in(others))


def take_back(connection: Connection, daemon: str) -> None:
    """The daemon ends: it runs nothing any more."""
    connection.execute(
        update(leases).where(leases.c.daemon == daemon).values(daemon=None, daemon_beat_at=None, next_run_at=None)
    )


class Keeper:
    """Beats for the leases that this process keeps, from a thread of its own, while there are any."""

    def __init__(self, engine: Engine) -> None:
        self.holder = new_holder()
        self._engine = engine
        self._kept: set[str] = set()
        self._beginning: Beginning | None = None
        self._has_run: set[str] = set()  # by the schedule
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def acquire(self, account: str, schedule: Schedule | None = None) -> Acquired | UnderWay | NotDue:
        """See `acquire`; raises `DatabaseFailed`."""
        with writing(self._engine, "acquiring the account's lease") as connection:
            is_first = schedule is not None and account not in self._has_run
            if is_first and self._beginning is None:
                self._beginning = read_beginning(connection, self.holder)
            beginning = self._beginning if is_first else None
            outcome = acquire(connection, account, self.holder, schedule, beginning)
        if isinstance(outcome, Acquired):
            with self._changed:
                if schedule is not None:
                    self._has_run.add(account)
                self._kept.add(account)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._keep, name="lease-keeper", daemon=True)
                    self._thread.start()
        return outcome

    def release(self, account: str) -> None:
        """Release the lease; if the database cannot be told, the lease runs out by itself."""
        with self._changed:
            self._kept.discard(account)
            self._changed.notify()
        try:
            with writing(self._engine, "releasing the account's lease") as connection:
                release(connection, account, self.holder)
        except DatabaseFailed:
            return

    def _keep(self) -> None:
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: not self._kept, timeout=BEAT.total_seconds()):
                    self._thread = None
                    return
            try:
                with writing(self._engine, "renewing the leases") as connection:
                    beat(connection, self.holder)
            except DatabaseFailed:
                continue
