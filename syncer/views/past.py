"""The estate at a past moment, and what differs between two: read from `instance_versions`."""

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select

from syncer.rules.transitions import is_auto_renewing
from syncer.storage.tables import instance_history, sync_runs
from syncer.views.catalogue import instance_versions

COMPARED = ("account", "name", "type_instance", "messenger", "tariff", "is_free", "is_partner", "expiration_date")

_version = instance_versions.c
STATUS = case(
    (and_(_version.missing, _version.deleted), "purged"),
    (_version.missing, "vanished"),
    (_version.deleted, "deleted"),
    (_version.is_expired, "expired"),
    else_="active",
)
"""A version's status in one word, as `estate.STATUS` is that of a row."""


def _held_at(moment: datetime) -> Any:
    return and_(_version.valid_from <= moment, or_(_version.valid_to.is_(None), _version.valid_to > moment))


def estate_at(connection: Connection, moment: datetime) -> dict[str, Any]:
    """The estate at a moment by account, status, type and tariff.

    `first_answer_at` is when syncer first saw the account's answers: of the time before, it knows what those told.
    """
    query = (
        select(
            _version.account, STATUS.label("status"), _version.type_instance, _version.tariff, func.count().label("n")
        )
        .where(_held_at(moment))
        .group_by(_version.account, STATUS, _version.type_instance, _version.tariff)
        .order_by(_version.account, STATUS, _version.type_instance, _version.tariff)
    )
    rows = [dict(row._mapping) for row in connection.execute(query)]
    totals = Counter[str]()
    for row in rows:
        totals[row["status"]] += row["n"]
    return {
        "as_of": moment,
        "first_answer_at": first_answer_at(connection),
        "totals": {word: totals[word] for word in ("active", "expired", "deleted", "vanished", "purged")},
        "estate": rows,
    }


def first_answer_at(connection: Connection) -> datetime | None:
    """When the first answer was accepted."""
    query = select(func.min(sync_runs.c.started_at)).where(sync_runs.c.status.in_(["ok", "unchanged"]))
    return connection.execute(query).scalar()


def difference(connection: Connection, before: datetime, after: datetime) -> dict[str, Any]:
    """Every instance whose state differs between two moments, field by field, and the transitions between them."""
    old, new = _states(connection, before), _states(connection, after)
    changes = []
    for id_instance in sorted(old.keys() | new.keys()):
        was, now = old.get(id_instance), new.get(id_instance)
        if now is None:
            continue  # a version has no end but the next one: it cannot be
        status = [was["status"] if was else None, now["status"]]
        fields = {name: [was[name], now[name]] for name in COMPARED if was is not None and was[name] != now[name]}
        if is_auto_renewing(now["is_partner"], now["tariff"]):
            fields.pop("expiration_date", None)  # the daily roll, of which history has no rows
        if status[0] != status[1]:
            fields = {"status": status, **fields}
        if fields:
            changes.append({"id_instance": id_instance, "name": now["name"], "fields": fields})
    occurred = instance_history.c.occurred_at
    words = (
        select(instance_history.c.transition, func.count().label("n"))
        .where(occurred > before, occurred <= after)
        .group_by(instance_history.c.transition)
    )
    return {
        "from": before,
        "to": after,
        "totals": {
            word: [sum(row["status"] == word for row in states.values()) for states in (old, new)]
            for word in ("active", "expired", "deleted", "vanished", "purged")
        },
        "transitions": {row.transition: row.n for row in connection.execute(words)},
        "changes": changes,
    }


def _states(connection: Connection, moment: datetime) -> dict[int, dict[str, Any]]:
    query = select(_version.id_instance, STATUS.label("status"), *(_version[name] for name in COMPARED))
    rows = connection.execute(query.where(_held_at(moment)).execution_options(yield_per=5_000))
    return {row.id_instance: dict(row._mapping) for row in rows}
