"""The timeline of CONTRACT 7 in rows: how they are made of what answers told, and read as they are kept.

A row has the form of `rows`: times and days as text, flags as 0 and 1, so that rows of both drivers can be compared.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection

from syncer.model import TYPES
from syncer.rules.timeline import (
    STATE_COLUMNS,
    HistoryRow,
    Life,
    Seen,
    Step,
    Version,
    lives_of,
    read_history,
    state_of,
    versions_of,
)
from syncer.storage import rows

CURRENT_COLUMNS = ("valid_from", "life_began_at", "life_began_with", "life_first_day", "life_first_night")
VERSION_COLUMNS = ("id_instance", "valid_from", "valid_to", *(name for name in STATE_COLUMNS if name != "missing"))
LIFE_COLUMNS = (
    "id_instance", "began_at", "began_with", "ended_at", "ended_with", "account", "type_instance", "tariff",
    "first_day", "first_night", "last_day", "end_night",
)  # fmt: skip
_EVENT_COLUMNS = HistoryRow._fields[:-1]
_STATE_TIMES = [place for place, name in enumerate(STATE_COLUMNS) if TYPES.get(name) == datetime | None]
_STATE_FLAGS = [
    place for place, name in enumerate(STATE_COLUMNS) if name == "missing" or TYPES.get(name) in {bool, bool | None}
]
Plain = tuple[Any, ...]


class Kept(NamedTuple):
    """The timeline of one instance in rows: of `past_versions`, of `ended_lives`, and `CURRENT_COLUMNS`."""

    versions: list[Plain]
    lives: list[Plain]
    current: Plain


def kept_of(id_instance: int, seen: Sequence[Seen]) -> Kept:
    """What is to be kept of one instance."""
    versions = versions_of(seen)
    return made_of(id_instance, versions, lives_of(versions))


def made_of(id_instance: int, versions: Sequence[Version], lives: Sequence[Life]) -> Kept:
    """The rows of these versions and lives; the last version and the life that goes on are the current ones."""
    going_on = lives[-1] if lives and lives[-1].ended_at is None else None
    return Kept(
        [_version_row(id_instance, version) for version in versions[:-1]],
        [_life_row(id_instance, life) for life in lives if life is not going_on],
        _current(versions[-1], going_on),
    )


def _version_row(id_instance: int, version: Version) -> Plain:
    account, kind, tariff, time_deleted, deleted, is_expired, _, other = version.state
    named = account, kind, tariff, rows.moment(time_deleted), int(deleted), int(is_expired)
    dates = rows.moment(version.valid_from), rows.moment(version.valid_to)
    return id_instance, *dates, *named, *map(plain_value, other)


def _life_row(id_instance: int, life: Life) -> Plain:
    return (
        id_instance,
        rows.moment(life.began_at),
        str(life.began_with),
        rows.moment(life.ended_at),
        str(life.ended_with),
        life.account,
        life.type_instance,
        life.tariff,
        life.first_day.isoformat(),
        life.first_night.isoformat(),
        life.last_day and life.last_day.isoformat(),
        life.end_night and life.end_night.isoformat(),
    )


def _current(version: Version, life: Life | None) -> Plain:
    if life is None:
        return (rows.moment(version.valid_from), None, None, None, None)
    began = (str(life.began_with), life.first_day.isoformat(), life.first_night.isoformat())
    return (rows.moment(version.valid_from), rows.moment(life.began_at), *began)


def read_seen(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[int, list[Seen]]]:
    """What each answer told of each of these instances that has a history."""
    columns = (*_EVENT_COLUMNS, *STATE_COLUMNS)
    found = rows.of_ids(connection, "instance_history", columns, ids, "id_instance, id")
    told = map(_history_row_of_sqlite if connection.dialect.name == "sqlite" else _history_row, found)
    for id_instance, history in groupby(told, key=attrgetter("id_instance")):
        yield id_instance, read_history(history)


def _history_row(row: Sequence[Any]) -> HistoryRow:
    return HistoryRow._make((*row[:7], state_of(row[7:])))


def _history_row_of_sqlite(row: Sequence[Any]) -> HistoryRow:
    id_instance, run_id, transition, occurred_at, time_source, observed_at, changes, *state = row
    moments = _from_text(occurred_at), time_source, _from_text(observed_at)
    return HistoryRow._make((id_instance, run_id, transition, *moments, changes, state_of(_state_values(state))))


def _state_values(values: Sequence[Any]) -> list[Any]:
    """What SQLite holds as text and numbers, as times and flags."""
    state = list(values)
    for place in _STATE_TIMES:
        if state[place] is not None:
            state[place] = _from_text(state[place])
    for place in _STATE_FLAGS:
        if state[place] is not None:
            state[place] = bool(state[place])
    return state


def _from_text(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


class Current(NamedTuple):
    """What goes on: the version that holds, as the history has it, and the life; None where there is none."""

    version: Version
    life: Life | None


def read_current(connection: Connection, ids: Sequence[int]) -> dict[int, Current]:
    """What goes on of these instances; one that has no timeline yet, or no history, is not among them.

    The state is that of the last row of the history: the row in `instances` has the silent daily roll besides, and may
    have been edited by hand.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    condition, listed = rows.among(connection, ids)
    states = ", ".join(f"history.{name}" for name in STATE_COLUMNS)
    query = (
        f"SELECT instances.id_instance, valid_from, life_began_at, life_began_with, {states} FROM instances "  # noqa: S608 - names of tables.py
        f"JOIN (SELECT MAX(id) AS id FROM instance_history WHERE id_instance {condition} GROUP BY id_instance) AS last "
        "ON TRUE JOIN instance_history AS history ON history.id = last.id "
        "WHERE instances.id_instance = history.id_instance AND valid_from IS NOT NULL"
    )
    current = {}
    for key, valid_from, began_at, began_with, *values in connection.exec_driver_sql(query, (listed,)):
        state = state_of(_state_values(values) if is_sqlite else values)
        life = None
        if began_at is not None:
            began = _from_text(began_at) if is_sqlite else began_at
            life = Life(began, Step(began_with), None, None, state.account, state.type_instance, state.tariff)
        current[key] = Current(Version(_from_text(valid_from) if is_sqlite else valid_from, None, state), life)
    return current


def read_kept(connection: Connection, ids: Sequence[int]) -> dict[int, Kept]:
    """What is kept of these instances now."""
    kept = {
        id_instance: Kept([], [], current)
        for id_instance, *current_ in rows.of_ids(connection, "instances", ("id_instance", *CURRENT_COLUMNS), ids)
        for current in [_plain(current_)]
    }
    for row in rows.of_ids(connection, "past_versions", VERSION_COLUMNS, ids, "id_instance, valid_from"):
        kept[row[0]].versions.append(_plain(row))
    for row in rows.of_ids(connection, "ended_lives", LIFE_COLUMNS, ids, "id_instance, began_at"):
        kept[row[0]].lives.append(_plain(row))
    return kept


def _plain(row: Iterable[Any]) -> Plain:
    return tuple(map(plain_value, row))


def plain_value(value: Any) -> Any:
    if value is None or isinstance(value, str):  # most are
        return value
    if isinstance(value, datetime):
        return rows.moment(value.astimezone(UTC))
    if isinstance(value, bool):
        return int(value)
    return value.isoformat() if isinstance(value, date) else value
