"""Sets rows of `instances` that were edited by hand back to what their history says.

The history never saw such an edit, and an answer whose items are as they were does not read the row again. To take the
edit for a state and to record the way back as a transition would invent one.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, func, or_, select, update

from syncer.model import HISTORY_FIELDS
from syncer.rules.transitions import is_auto_renewing
from syncer.storage import database
from syncer.storage.rows import batches
from syncer.storage.tables import accounts, instance_history, instances


def repair(connection: Connection) -> list[int]:
    """Repair every such row and have the next answer of its account compared in full; the ids, ascending.

    An auto-renewing instance's expiration date that is later than its history's is the daily roll, which no history
    has, and stays.
    """
    database.become_sole_writer(connection)
    edited = [row for row in _differing(connection) if not _is_only_rolled(row)]
    for batch in batches(edited):
        connection.execute(_set_back(), [_values_of(row) for row in batch])
    owners = {name for row in edited for name in (row.account, row.is_of)}
    connection.execute(update(accounts).where(accounts.c.account.in_(owners)).values(hash_seed=None, body_digest=None))
    return [row.id_instance for row in edited]


def _differing(connection: Connection) -> Sequence[Row[Any]]:
    last_ids = select(func.max(instance_history.c.id)).group_by(instance_history.c.id_instance)
    pairs = [(instances.c[name], instance_history.c[name]) for name in ("account", *HISTORY_FIELDS)]
    is_missing = instances.c.missing_since.is_not(None)
    differs: list[ColumnElement[bool]] = [
        and_(instances.c.deleted, is_now.is_distinct_from(was))
        if is_now.name == "time_deleted"  # of what lives it says nothing
        else is_now.is_distinct_from(was)
        for is_now, was in pairs
    ]
    differs.append(is_missing != instance_history.c.missing)
    differs.append(and_(instance_history.c.missing, instances.c.missing_since != instance_history.c.observed_at))
    differs.append(instances.c.changed_at < instance_history.c.observed_at)
    query = (
        select(
            instance_history,
            instances.c.account.label("is_of"),
            instances.c.expiration_date.label("expires"),
            instances.c.changed_at,
            or_(
                *(one for one, (column, _was) in zip(differs, pairs, strict=False) if column.name != "expiration_date"),
                *differs[len(pairs) :],
            ).label("differs_otherwise"),
        )
        .join(instances, instances.c.id_instance == instance_history.c.id_instance)
        .where(instance_history.c.id.in_(last_ids), or_(*differs))
        .order_by(instances.c.id_instance)
    )
    return connection.execute(query).all()


def _is_only_rolled(row: Row[Any]) -> bool:
    return (
        not row.differs_otherwise
        and is_auto_renewing(row.is_partner, row.tariff)
        and None not in (row.expires, row.expiration_date)
        and row.expires > row.expiration_date
    )


def _set_back() -> Any:
    return (
        update(instances)
        .where(instances.c.id_instance == bindparam("key"))
        .values({name: bindparam(name) for name in ("account", *HISTORY_FIELDS, "missing_since", "changed_at")})
    )


def _values_of(row: Row[Any]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in ("account", *HISTORY_FIELDS)}
    values["missing_since"] = row.observed_at if row.missing else None
    values["changed_at"] = max(row.changed_at, row.observed_at)
    return {"key": row.id_instance, **values}
