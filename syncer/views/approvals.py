"""What answers were held for, with names, and what has been approved and waits for the next answer."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from syncer.storage.rows import batches
from syncer.storage.tables import approvals, held_answers, held_sets, instances, sync_runs
from syncer.views.estate import STATUS


class HeldFor(NamedTuple):
    """A reason of a held run, and what divides it; the instances with their names and status.

    Both are None of an instance that the mirror does not have.
    """

    reason: str
    what: str
    instances: list[tuple[int, str | None, str | None]]


def read_held_for(connection: Connection, run_id: int) -> list[HeldFor]:
    """Everything that a run was held for; empty where it was not."""
    return [HeldFor(reason, what, _named(connection, ids)) for reason, what, ids in _read(connection, run_id)]


def _read(connection: Connection, run_id: int) -> list[tuple[str, str, list[int]]]:
    query = (
        select(held_answers.c.reason, held_answers.c.what, held_sets.c.ids)
        .join(held_sets, held_sets.c.sha256 == held_answers.c.ids_sha256)
        .where(held_answers.c.run_id == run_id)
        .order_by(held_answers.c.reason, held_answers.c.what)
    )
    return [(row.reason, row.what, json.loads(row.ids)) for row in connection.execute(query).all()]


def _named(connection: Connection, ids: Sequence[int]) -> list[tuple[int, str | None, str | None]]:
    columns = (instances.c.id_instance, instances.c.name, STATUS.label("status"))
    query = select(*columns).where(instances.c.id_instance.in_(bindparam("ids", expanding=True)))
    known = {row.id_instance: row for batch in batches(ids) for row in connection.execute(query, {"ids": batch})}
    return [(key, known[key].name, known[key].status) if key in known else (key, None, None) for key in ids]


def read_waiting(connection: Connection) -> list[dict[str, Any]]:
    """Approvals that the next accepted answer of their account uses up, each with how many instances per reason."""
    query = (
        select(sync_runs.c.id, sync_runs.c.account, approvals.c.approved_at)
        .join(sync_runs, sync_runs.c.id == approvals.c.run_id)
        .where(approvals.c.closed_by_run_id.is_(None), approvals.c.lapsed_at.is_(None))
        .order_by(sync_runs.c.id)
    )
    return [
        {
            **row._mapping,
            "reasons": {f"{reason} {what}".rstrip(): len(ids) for reason, what, ids in _read(connection, row.id)},
        }
        for row in connection.execute(query).all()
    ]
