"""Instances of one account that another one's answers list too; whose they are, `rules` decides (CONTRACT 4)."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, case, delete, exists, func, or_, select

from syncer.answer.known import CLAIMED, FREE
from syncer.storage.tables import accounts, claims, instances

DELETED_AT_ONCE = 500  # ids of one statement


def read_claims(connection: Connection, account: str) -> list[tuple[int, int, int]]:
    """What an account claims, ascending: id, hash of the item or 0, and flags of a known row."""
    is_free = instances.c.missing_since.is_not(None) | accounts.c.retired_at.is_not(None)
    query = (
        select(
            claims.c.id_instance,
            func.coalesce(claims.c.item_hash, 0),
            case((is_free, CLAIMED | FREE), else_=CLAIMED),
        )
        .join(instances, instances.c.id_instance == claims.c.id_instance)
        .join(accounts, accounts.c.account == instances.c.account)
        .where(claims.c.account == account)
        .order_by(claims.c.id_instance)
    )
    return [(key, item_hash % 2**64, flags) for key, item_hash, flags in connection.execute(query)]


def read_claimants(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Of those of these instances that are claimed, who has claimed them for longest."""
    query = (
        select(claims.c.id_instance, claims.c.account)
        .where(claims.c.id_instance.in_(bindparam("ids", expanding=True)))
        .order_by(claims.c.since_run_id.desc())
    )
    return {key: account for key, account in connection.execute(query, {"ids": list(ids)})}  # noqa: C416 - mypy wants pairs


def is_contested(connection: Connection, account: str) -> bool:
    """Whether the account claims another one's instance, or another one its own."""
    is_its_own = exists().where(instances.c.id_instance == claims.c.id_instance, instances.c.account == account)
    query = select(claims.c.id_instance).where(or_(claims.c.account == account, is_its_own)).limit(1)
    return connection.execute(query).first() is not None


def drop_claims(connection: Connection, account: str, ids: Sequence[int]) -> None:
    """An account does not list these any more, or owns them now."""
    statement = delete(claims).where(
        claims.c.account == account, claims.c.id_instance.in_(bindparam("ids", expanding=True))
    )
    for first in range(0, len(ids), DELETED_AT_ONCE):
        connection.execute(statement, {"ids": list(ids[first : first + DELETED_AT_ONCE])})
