"""Accounts as such: one gets another name, or is not polled any more (CONTRACT 2). Each in one transaction."""

import json
from datetime import datetime

from sqlalchemy import Connection, Select, Text, cast, delete, exists, func, insert, or_, select, update

from syncer.answer.values import canonical_json
from syncer.errors import ConfigurationError, did_you_mean
from syncer.storage import timeline
from syncer.storage.database import become_sole_writer
from syncer.storage.lease import read_holders
from syncer.storage.mirror import void_bases
from syncer.storage.rows import batches
from syncer.storage.runs import is_open
from syncer.storage.tables import (
    accounts,
    approvals,
    births,
    claims,
    ended_lives,
    instance_history,
    instances,
    leases,
    past_versions,
    sync_runs,
)

_NAMED_IN = (sync_runs, instances, instance_history, past_versions, ended_lives, births, claims, leases)


def rename(connection: Connection, old: str, new: str, now: datetime) -> None:
    """Let everything of an account bear another name: history, claims, lease and status follow.

    A `new` one that owns nothing is taken over; its own runs stay, what was approved for it lapses. Raises
    `ConfigurationError` where it owns something, or a run of either is under way.
    """
    become_sole_writer(connection)
    names = _known(connection, old, "renaming")
    if old == new:
        raise ConfigurationError(f"renaming {old!r}: that is its name already; give another one")
    for name in (old, new):
        _refuse_leased(connection, name)
    if connection.execute(select(instances.c.id_instance).where(instances.c.account == new).limit(1)).first():
        raise ConfigurationError(
            f"renaming {old!r}: {new!r} has instances of its own, and two accounts are not made one; give another name"
        )
    concerned = _neighbours(connection, old)
    if new in names:
        _give_way(connection, old, new, now)
    else:
        connection.execute(insert(accounts).values(account=new))
    for table in _NAMED_IN:
        connection.execute(update(table).where(table.c.account == old).values(account=new))
    met = _rename_in_changes(connection, old, new)
    _hand_on(connection, old, new)
    for ids in batches(sorted(met)):
        timeline.renew(connection, ids)
    void_bases(connection, {new, *concerned} - {old})


def retire(connection: Connection, name: str, now: datetime) -> None:
    """Expect no answer of an account any more: another one that lists its instances takes them over.

    It claims nothing from now on. Raises `ConfigurationError` for a name that is not known.
    """
    become_sole_writer(connection)
    _known(connection, name, "retiring")
    concerned = _neighbours(connection, name)
    connection.execute(update(accounts).where(accounts.c.account == name).values(retired_at=now))
    connection.execute(delete(claims).where(claims.c.account == name))
    void_bases(connection, {name, *concerned})


def _known(connection: Connection, name: str, doing: str) -> set[str]:
    names = set(connection.scalars(select(accounts.c.account)))
    if name not in names:
        raise ConfigurationError(f"{doing} {name!r}: there is no such account; {did_you_mean(name, sorted(names))}")
    return names


def _refuse_leased(connection: Connection, name: str) -> None:
    holder = read_holders(connection).get(name)
    if holder is not None:
        raise ConfigurationError(
            f"renaming: a run of {name!r} is under way in {holder}; stop that process, or wait for the run's end"
        )


def _neighbours(connection: Connection, name: str) -> set[str]:
    """Accounts that claim instances of this one, or whose instances it claims."""
    its_own = select(instances.c.id_instance).where(instances.c.account == name)
    claimants = select(claims.c.account).distinct().where(claims.c.id_instance.in_(its_own))
    claimed = (
        select(instances.c.account)
        .distinct()
        .where(exists().where(claims.c.id_instance == instances.c.id_instance, claims.c.account == name))
    )
    return {*connection.scalars(claimants), *connection.scalars(claimed)} - {name}


def _give_way(connection: Connection, old: str, new: str, now: datetime) -> None:
    """What an account that owns nothing has must not stand in the way of what comes."""
    of_old = select(instances.c.id_instance).where(instances.c.account == old)
    claimed = select(claims.c.id_instance).where(claims.c.account == old)
    doubled = or_(claims.c.id_instance.in_(of_old), claims.c.id_instance.in_(claimed.scalar_subquery()))
    connection.execute(delete(claims).where(claims.c.account == new, doubled))
    connection.execute(delete(leases).where(leases.c.account == new))
    connection.execute(update(approvals).where(is_open(new)).values(lapsed_at=now))


def _hand_on(connection: Connection, old: str, new: str) -> None:
    """Let the new account stand where the old one stood.

    Its last accepted run is the later one of both, but its rows are as the old one's last answer left them.
    """
    rows_of_both = {row.account: dict(row._mapping) for row in connection.execute(select(accounts))}
    before, after = rows_of_both[old], rows_of_both[new]
    values = {**before, "account": new, "moves": after["moves"]}
    if after["last_accepted_run_id"] is not None:
        values["last_accepted_run_id"] = max(after["last_accepted_run_id"], before["last_accepted_run_id"] or 0)
        moments = [before["last_accepted_at"], connection.execute(_last_observed_of(new)).scalar()]
        values["last_accepted_at"] = max((one for one in moments if one is not None), default=after["last_accepted_at"])
    connection.execute(update(accounts).where(accounts.c.account == new).values(values))
    connection.execute(delete(accounts).where(accounts.c.account == old))


def _last_observed_of(account: str) -> Select[tuple[datetime]]:
    return select(func.max(instance_history.c.observed_at)).where(instance_history.c.account == account)


def _rename_in_changes(connection: Connection, old: str, new: str) -> set[int]:
    """Where history tells of a move, it tells it by the names; gives the instances that had both of them."""
    met: set[int] = set()
    columns = instance_history.c
    query = select(columns.id, columns.id_instance, columns.changes).where(columns.transition == "changed")
    for row in connection.execute(query.where(cast(columns.changes, Text).like('%"account":%'))).all():
        changes = json.loads(row.changes)
        moved = [new if name == old else name for name in changes["account"]]
        if moved == changes["account"]:
            continue
        if moved[0] == moved[1]:
            met.add(row.id_instance)
        told = canonical_json(changes | {"account": moved})
        connection.execute(update(instance_history).where(columns.id == row.id).values(changes=told))
    return met
