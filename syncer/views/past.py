"""The estate at a past moment, and what differs between two: read from `instance_versions`."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select
from sqlalchemy.sql.expression import FromClause

from syncer.rules.transitions import is_auto_renewing
from syncer.storage.tables import instance_history, past_versions, sync_runs
from syncer.views.catalogue import instance_versions

COMPARED = ("account", "name", "type_instance", "messenger", "tariff", "is_free", "is_partner", "expiration_date")
_NAME, _TARIFF, _IS_PARTNER = map(COMPARED.index, ("name", "tariff", "is_partner"))
ESTATE = ("account", "status", "type_instance", "tariff", "n")
STATUSES = ("active", "expired", "deleted", "vanished", "purged")
_ENDED = past_versions.alias("ended")


def status_of(version: FromClause) -> Any:
    """A version's status in one word, as `estate.STATUS` is that of a row; one that is over was never missing."""
    columns = version.c
    if "missing" not in columns:
        return case(
            (columns.deleted, "deleted"), (columns.is_expired, "expired"), (columns.id_instance.is_not(None), "active")
        )
    return case(
        (and_(columns.missing, columns.deleted), "purged"),
        (columns.missing, "vanished"),
        (columns.deleted, "deleted"),
        (columns.is_expired, "expired"),
        else_="active",
    )


def _held_at(version: FromClause, moment: datetime) -> Any:
    return and_(version.c.valid_from <= moment, or_(version.c.valid_to.is_(None), version.c.valid_to > moment))


def estate_at(connection: Connection, moment: datetime, account: str | None = None) -> dict[str, Any]:
    """The estate at a moment by account, status, type and tariff; of one account or of all.

    `first_answer_at` is when syncer first saw the account's answers: of the time before, it knows what those told.
    """
    groups = [
        row
        for row in _groups_at(connection, moment, ["type_instance", "tariff", "account"])
        if account in {None, row["account"]}
    ]
    return {
        "as_of": moment,
        "first_answer_at": first_answer_at(connection, account),
        "totals": _totals(groups),
        "estate": sorted(
            ({name: row[name] for name in ESTATE} for row in groups),
            key=lambda row: [(row[name] is None, row[name] or "") for name in ESTATE[:-1]],
        ),
    }


def _groups_at(connection: Connection, moment: datetime, by: Sequence[str]) -> list[dict[str, Any]]:
    """How many instances had which status at a moment, by these columns too."""
    status = status_of(instance_versions).label("status")
    groups = (*(instance_versions.c[name] for name in by), status)
    query = select(*groups, func.count().label("n")).where(_held_at(instance_versions, moment)).group_by(*groups)
    return [dict(row._mapping) for row in connection.execute(query)]


def _totals(groups: list[dict[str, Any]]) -> dict[str, int]:
    totals = Counter[str]()
    for row in groups:
        totals[row["status"]] += row["n"]
    return {word: totals[word] for word in STATUSES}


def first_answer_at(connection: Connection, account: str | None = None) -> datetime | None:
    """When the first answer was accepted, of one account or of any."""
    query = select(func.min(sync_runs.c.started_at)).where(sync_runs.c.status.in_(["ok", "unchanged"]))
    if account is not None:
        query = query.where(sync_runs.c.account == account)
    return connection.execute(query).scalar()


def difference(connection: Connection, before: datetime, after: datetime, account: str | None = None) -> dict[str, Any]:
    """Every instance whose state differs between two moments, field by field, and the transitions between them.

    Of one account that is what belonged to it at either moment, and the transitions that its answers told.
    """
    occurred = instance_history.c.occurred_at
    words = (
        select(instance_history.c.transition, func.count().label("n"))
        .where(occurred > before, occurred <= after)
        .group_by(instance_history.c.transition)
    )
    if account is not None:
        words = words.where(instance_history.c.account == account)
    return {
        "from": before,
        "to": after,
        "totals": _totals_at(connection, before, after, account),
        "transitions": {
            row.transition: row.n for row in sorted(connection.execute(words), key=lambda row: row.transition)
        },
        "changes": _changes(connection, before, after, account),
    }


def _totals_at(connection: Connection, before: datetime, after: datetime, account: str | None) -> dict[str, list[int]]:
    """How many instances had each status at two moments, in one reading of the versions."""
    was, is_ = (case((_held_at(instance_versions, moment), 1), else_=0) for moment in (before, after))
    status = status_of(instance_versions).label("status")
    query = (
        select(status, func.sum(was).label("old"), func.sum(is_).label("new"))
        .where(or_(_held_at(instance_versions, before), _held_at(instance_versions, after)))
        .group_by(status)
    )
    if account is not None:
        query = query.where(instance_versions.c.account == account)
    found = {row.status: [int(row.old), int(row.new)] for row in connection.execute(query)}
    return {word: found.get(word, [0, 0]) for word in STATUSES}


def _changes(connection: Connection, before: datetime, after: datetime, account: str | None) -> list[dict[str, Any]]:
    """What differs is another version since, so the one that held before is over: nothing else has to be looked at."""
    columns = [
        [version.c.id_instance, status_of(version), *(version.c[name] for name in COMPARED)]
        for version in (instance_versions, _ENDED)
    ]
    query = (
        select(*(column.label(f"_{number}") for number, column in enumerate([*columns[0], *columns[1]])))
        .outerjoin(_ENDED, and_(_ENDED.c.id_instance == instance_versions.c.id_instance, _held_at(_ENDED, before)))
        .where(_held_at(instance_versions, after), instance_versions.c.valid_from > before)
        .order_by(instance_versions.c.id_instance)
    )
    if account is not None:
        query = query.where(or_(instance_versions.c.account == account, _ENDED.c.account == account))
    width = len(columns[0])
    changes = (_change(row[width:], row[:width]) for row in connection.execute(query).all())
    return [change for change in changes if change is not None]


def _change(old: Sequence[Any], new: Sequence[Any]) -> dict[str, Any] | None:
    """What differs between two versions of an instance, of which there may have been none before."""
    key, status, *values = new
    known, old_status, *old_values = old
    fields: dict[str, Any] = {}
    if status != old_status:
        fields["status"] = [old_status, status]
    if known is not None and values != old_values:
        for name, was, is_ in zip(COMPARED, old_values, values, strict=True):
            if was != is_:
                fields[name] = [was, is_]
        if "expiration_date" in fields and is_auto_renewing(values[_IS_PARTNER], values[_TARIFF]):
            del fields["expiration_date"]  # the daily roll, of which there are no versions
    return {"id_instance": key, "name": values[_NAME], "fields": fields} if fields else None
