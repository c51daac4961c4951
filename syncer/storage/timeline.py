"""The timeline of CONTRACT 7 as it is kept: `past_versions`, `ended_lives`, and what goes on in `instances`.

An answer writes it in its own transaction: `first_of` what it first sees, `changes_by` what it knew before. `build`
makes it for a database that has none yet, `stray_ids` says where it is not what the history says. What it is,
`rules.timeline` decides.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Table, func, select

from syncer.model import Decision, MirrorRow, TimeSource, Transition
from syncer.rules.timeline import (
    FIRST_BELIEVED,
    OTHER_FIELDS,
    Seen,
    State,
    billing_day,
    is_believed,
    lived_on,
    reaches_back,
    undated,
)
from syncer.storage import rows
from syncer.storage.database import become_sole_writer, reading, writing
from syncer.storage.tables import ended_lives, instances, past_versions
from syncer.storage.timeline_rows import (
    CURRENT_COLUMNS,
    LIFE_COLUMNS,
    VERSION_COLUMNS,
    Kept,
    Plain,
    kept_of,
    made_of,
    plain_value,
    read_current,
    read_kept,
    read_seen,
)

log = logging.getLogger(__name__)

BUILD_BATCH = 2_000  # instances of one transaction
_FIRST_BELIEVED = rows.moment(FIRST_BELIEVED) or ""
_named_of = attrgetter("type_instance", "tariff", "time_deleted", "deleted", "is_expired")
_other_of = attrgetter(*OTHER_FIELDS)
_MIDNIGHT = "21:00:00.000000"  # 00:00 where the upstream bills
_TO_DO = instances.c.valid_from.is_(None)


def openings_of(created: Iterable[str | None], observed: str) -> list[list[Any]]:
    """The current columns of instances that are alive and not expired at first sight, as nearly all are.

    Column by column; `created` and `observed` are their times in the form of `rows`. They have nothing behind them but
    their beginning.
    """
    born = [moment if moment is not None and _FIRST_BELIEVED <= moment < observed else observed for moment in created]
    days = [_day_of_hour(moment[:13]) for moment in born]
    return [born, born[:], ["created"] * len(born), days, days[:]]


def first_of(decision: Decision, opened: Plain, observed: str) -> Kept:
    """What is to be kept of an instance that is not alive, or expired, at first sight; `opened` if it were not so.

    Most have one end or expiry behind them. That is said here in texts, as a first answer says it ten thousand times;
    a test holds it beside `kept_of`.
    """
    told = decision.row.instance
    born = opened[0]
    if told.deleted and told.is_expired:
        return kept_of(decision.id_instance, [_seen_in(decision)])
    since = rows.moment(told.time_deleted if told.deleted else told.expiration_date)
    if told.is_expired and (since is None or since > observed):
        since = observed  # whose date lies ahead
    if since is None or not max(_FIRST_BELIEVED, born) < since <= observed or (told.deleted and since == observed):
        return kept_of(decision.id_instance, [_seen_in(decision)])
    account, kind, tariff = decision.row.account, told.type_instance, told.tariff
    other = map(plain_value, _other_of(told))
    versions = [(told.id_instance, born, since, account, kind, tariff, None, 0, 0, *other)]
    if told.is_expired:
        return Kept(versions, [], (since, *opened[1:]))
    day, last_day = opened[3], _day_of_hour(since[:13])
    night = last_day if since[11:] == _MIDNIGHT else _next_day(last_day)
    life = (told.id_instance, born, "created", since, "deleted", account, kind, tariff)
    return Kept(versions, [(*life, day, day, last_day, max(night, _next_day(day)))], (since, None, None, None, None))


@lru_cache(maxsize=1 << 16)
def _day_of_hour(hour: str) -> str:
    return billing_day(datetime.fromisoformat(f"{hour}:00:00+00:00")).isoformat()


@lru_cache(maxsize=1 << 12)
def _next_day(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def _seen_in(decision: Decision) -> Seen:
    stated: dict[str, datetime | None] = {}
    created = None
    for event in decision.events:
        told = event.time_source is TimeSource.UPSTREAM and is_believed(event.occurred_at)
        stated[event.transition] = event.occurred_at if told else None
        if event.transition is Transition.CREATED:
            created = stated[event.transition]
        elif "time_created" in event.changes:
            corrected = event.changes["time_created"][1]
            created = corrected if isinstance(corrected, datetime) and is_believed(corrected) else None
    return Seen(decision.row.changed_at, _state(decision.row), stated, created)


def _state(row: MirrorRow) -> State:
    missing = row.missing_since is not None
    return undated(State._make((row.account, *_named_of(row.instance), missing, _other_of(row.instance))))


def insert_first(connection: Connection, kept: Iterable[Kept]) -> None:
    """Write what first sights told of the past; their current columns are written with their rows."""
    versions = [row for one in kept for row in one.versions]
    lives = [row for one in kept for row in one.lives]
    if versions:
        rows.insert(connection, past_versions, VERSION_COLUMNS, versions)
    if lives:
        rows.insert(connection, ended_lives, LIFE_COLUMNS, lives)


class Changes(NamedTuple):
    """What is to be written of timelines: keys of rows that go, rows that come, and `CURRENT_COLUMNS` by instance."""

    versions_gone: list[Plain]
    versions: list[Plain]
    lives_gone: list[Plain]
    lives: list[Plain]
    current: dict[int, Plain]


def changes_by(connection: Connection, decisions: Sequence[Decision]) -> Changes:
    """What the timelines of known instances become by an answer whose history is not written yet.

    Nearly all have but one version more. Where an answer reaches back, or there is no timeline yet, all is worked out
    anew from the history, and compared with what is kept.
    """
    changes = Changes([], [], [], [], {})
    if not decisions:  # as of the daily roll
        return changes
    back: dict[int, Seen] = {}
    going_on = read_current(connection, [decision.id_instance for decision in decisions])
    for decision in decisions:
        key, seen = decision.id_instance, _seen_in(decision)
        current = going_on.get(key)
        if current is None or current.version.valid_from >= seen.at or reaches_back(current.version.state, seen):
            back[key] = seen
            continue
        after = made_of(key, *lived_on(current.version, current.life, seen))
        changes.versions.extend(after.versions)
        changes.lives.extend(after.lives)
        changes.current[key] = after.current
    if back:
        _add_differences(connection, back, changes)
    return changes


def _add_differences(connection: Connection, back: Mapping[int, Seen], changes: Changes) -> None:
    ids = list(back)
    found = read_kept(connection, ids)
    histories = dict(read_seen(connection, ids))
    for key, seen in back.items():
        add_difference(changes, key, found[key], kept_of(key, [*histories.get(key, []), seen]))


def add_difference(changes: Changes, id_instance: int, found: Kept, wanted: Kept) -> None:
    """Note which rows are not as they should be."""
    for gone, new, old_rows, new_rows in (
        (changes.versions_gone, changes.versions, found.versions, wanted.versions),
        (changes.lives_gone, changes.lives, found.lives, wanted.lives),
    ):
        if old_rows != new_rows:
            gone += [row[:2] for row in old_rows if row not in new_rows]
            new += [row for row in new_rows if row not in old_rows]
    changes.current[id_instance] = wanted.current


def write(connection: Connection, changes: Changes) -> None:
    """Write the rows; the current columns are the business of who writes `instances`."""
    for table, columns, gone, new in (
        (past_versions, VERSION_COLUMNS, changes.versions_gone, changes.versions),
        (ended_lives, LIFE_COLUMNS, changes.lives_gone, changes.lives),
    ):
        if gone:
            _delete(connection, table, columns, gone)
        if new:
            rows.insert(connection, table, columns, new)


def _delete(connection: Connection, table: Table, columns: Sequence[str], keys: Sequence[Plain]) -> None:
    id_instance, since = columns[:2]
    marks = ("%s::bigint", "%s::timestamptz") if connection.dialect.name == "postgresql" else ("?", "?")
    connection.exec_driver_sql(
        f"DELETE FROM {table.name} WHERE {id_instance} = {marks[0]} AND {since} = {marks[1]}",  # noqa: S608 - names of tables.py
        list(keys),
    )


def _wanted(connection: Connection, ids: Sequence[int]) -> dict[int, Kept]:
    """What is to be kept by the histories; of an instance without one, nothing but its row's first sight."""
    wanted = {key: kept_of(key, seen) for key, seen in read_seen(connection, ids)}
    if len(wanted) < len(ids):
        query = select(instances.c.id_instance, instances.c.first_seen_at)
        lacking = [key for key in ids if key not in wanted]
        for key, first_seen_at in connection.execute(query.where(instances.c.id_instance.in_(lacking))):
            wanted[key] = Kept([], [], (rows.moment(first_seen_at), None, None, None, None))
    return wanted


def is_whole(connection: Connection) -> bool:
    """Whether every instance has its timeline; in a database of an older edition none has."""
    return connection.execute(select(instances.c.id_instance).where(_TO_DO).limit(1)).first() is None


def build(engine: Engine, told: Callable[[int, int], None] | None = None) -> None:
    """Give every instance that has none its timeline; what an interrupted build has done stays done.

    `told` hears after each transaction how many are done and how many there were to do.
    """
    with reading(engine, "counting what lacks its timeline") as connection:
        total = connection.execute(select(func.count()).select_from(instances).where(_TO_DO)).scalar_one()
    if total:
        log.info("timeline to build", extra={"fields": {"action": "timeline_build", "instances": total}})
    done = 0
    while True:
        with writing(engine, "building the timeline") as connection:
            become_sole_writer(connection)
            query = select(instances.c.id_instance).where(_TO_DO).order_by(instances.c.id_instance)
            ids = list(connection.scalars(query.limit(BUILD_BATCH)))
            renew(connection, ids)
        done += len(ids)
        if not ids:
            return
        if told is not None:
            told(done, total)


def renew(connection: Connection, ids: Sequence[int]) -> None:
    """Work the timelines of these instances out from their history, and mend what differs."""
    found, changes = read_kept(connection, ids), Changes([], [], [], [], {})
    for key, wanted in _wanted(connection, ids).items():
        add_difference(changes, key, found[key], wanted)
    write(connection, changes)
    if changes.current:
        updates = rows.Updates(connection, instances, "id_instance")
        updates.add(CURRENT_COLUMNS, [(*columns, key) for key, columns in changes.current.items()])
        updates.close()


def stray_ids(connection: Connection) -> Iterator[int]:
    """The ids of those instances whose timeline is not the one of their history."""
    last_id = 0
    while True:
        query = select(instances.c.id_instance).where(instances.c.id_instance > last_id)
        ids = list(connection.scalars(query.order_by(instances.c.id_instance).limit(BUILD_BATCH)))
        if not ids:
            return
        wanted, found = _wanted(connection, ids), read_kept(connection, ids)
        yield from (key for key in ids if wanted[key] != found[key])
        last_id = ids[-1]
