"""The estate at a past moment, and what differs between two: read from `instance_versions`."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, or_, select
from sqlalchemy.sql.expression import FromClause

from syncer.rules.transitions import is_auto_renewing
from syncer.storage.tables import instance_history, sync_runs
from syncer.views.catalogue import instance_versions

COMPARED = ("account", "name", "type_instance", "messenger", "tariff", "is_free", "is_partner", "expiration_date")
COMPARED_AT_ONCE = 500  # instances
ESTATE = ("account", "status", "type_instance", "tariff", "n")
STATUSES = ("active", "expired", "deleted", "vanished", "purged")


def status_of(version: FromClause) -> Any:
    """A version's status in one word, as `estate.STATUS` is that of a row."""
    columns = version.c
    return case(
        (and_(columns.missing, columns.deleted), "purged"),
        (columns.missing, "vanished"),
        (columns.deleted, "deleted"),
        (columns.is_expired, "expired"),
        else_="active",
    )


def _held_at(version: FromClause, moment: datetime) -> Any:
    return and_(version.c.valid_from <= moment, or_(version.c.valid_to.is_(None), version.c.valid_to > moment))


def estate_at(connection: Connection, moment: datetime) -> dict[str, Any]:
    """The estate at a moment by account, status, type and tariff.

    `first_answer_at` is when syncer first saw the account's answers: of the time before, it knows what those told.
    """
    groups = _groups_at(connection, moment, ["type_instance", "tariff", "account"])
    return {
        "as_of": moment,
        "first_answer_at": first_answer_at(connection),
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


def difference(connection: Connection, before: datetime, after: datetime) -> dict[str, Any]:
    """Every instance whose state differs between two moments, field by field, and the transitions between them."""
    occurred = instance_history.c.occurred_at
    words = (
        select(instance_history.c.transition, func.count().label("n"))
        .where(occurred > before, occurred <= after)
        .group_by(instance_history.c.transition)
    )
    old, new = _totals(_groups_at(connection, before, [])), _totals(_groups_at(connection, after, []))
    return {
        "from": before,
        "to": after,
        "totals": {word: [old[word], new[word]] for word in STATUSES},
        "transitions": {
            row.transition: row.n for row in sorted(connection.execute(words), key=lambda row: row.transition)
        },
        "changes": _changes(connection, before, after),
    }


def _changes(connection: Connection, before: datetime, after: datetime) -> list[dict[str, Any]]:
    """What differs is another version since: nothing else has to be looked at."""
    version = instance_versions.c
    query = select(
        version.id_instance, status_of(instance_versions).label("status"), *(version[name] for name in COMPARED)
    )
    later = query.where(_held_at(instance_versions, after), version.valid_from > before).order_by(version.id_instance)
    earlier = query.where(
        version.id_instance.in_(bindparam("ids", expanding=True)), _held_at(instance_versions, before)
    )
    changes = []
    for new in connection.execute(later).partitions(COMPARED_AT_ONCE):
        old = {row.id_instance: row for row in connection.execute(earlier, {"ids": [row.id_instance for row in new]})}
        changes += [change for row in new if (change := _change(old.get(row.id_instance), row)) is not None]
    return changes


def _change(old: Any, new: Any) -> dict[str, Any] | None:
    """What differs between two versions of an instance, of which there may have been none before."""
    fields: dict[str, Any] = {}
    if old is None or old.status != new.status:
        fields["status"] = [old and old.status, new.status]
    for name in COMPARED if old is not None else ():
        if getattr(old, name) != getattr(new, name):
            fields[name] = [getattr(old, name), getattr(new, name)]
    if is_auto_renewing(new.is_partner, new.tariff):
        fields.pop("expiration_date", None)  # the daily roll, of which there are no versions
    return {"id_instance": new.id_instance, "name": new.name, "fields": fields} if fields else None
