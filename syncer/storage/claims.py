"""Instances of one account that another one's answers list too; whose they are, `rules` decides (CONTRACT 4)."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, bindparam, case, delete, exists, func, insert, or_, select, update

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


def read_contested(connection: Connection, account: str) -> Sequence[int]:
    """What the account misses, and another one claims."""
    # Not a join: SQLite would begin with the account's rows, which are many, where claims are few or none.
    is_missed = exists().where(
        instances.c.id_instance == claims.c.id_instance,
        instances.c.account == account,
        instances.c.missing_since.is_not(None),
    )
    query = select(claims.c.id_instance).distinct().where(is_missed)
    return connection.scalars(query).all()


def keep_claims(connection: Connection, account: str, run_id: int, hashes: Mapping[int, int | None]) -> None:
    """Note what is another account's, or the new hash of what was noted before; of what cannot be read it is None."""
    query = select(claims.c.id_instance).where(
        claims.c.account == account, claims.c.id_instance.in_(bindparam("ids", expanding=True))
    )
    noted = set(connection.scalars(query, {"ids": list(hashes)}))
    again = [{"hash": hashes[key], "key": key} for key in noted]
    new = [
        {"id_instance": key, "account": account, "since_run_id": run_id, "item_hash": item_hash}
        for key, item_hash in hashes.items()
        if key not in noted
    ]
    if new:
        connection.execute(insert(claims), new)
    if again:
        is_claim = (claims.c.account == account) & (claims.c.id_instance == bindparam("key"))
        connection.execute(update(claims).where(is_claim).values(item_hash=bindparam("hash")), again)


def claim_unread(connection: Connection, account: str, run_id: int, ids: Sequence[int]) -> None:
    """Claim those of these instances that another account owns; the items that listed them were rejected."""
    query = select(instances.c.id_instance, instances.c.account, instances.c.missing_since).where(
        instances.c.id_instance.in_(bindparam("ids", expanding=True)), instances.c.account != account
    )
    owned = connection.execute(query, {"ids": list(ids)}).all() if ids else ()
    if owned:
        keep_claims(connection, account, run_id, dict.fromkeys(row.id_instance for row in owned))
        let_look_again(connection, {row.account for row in owned if row.missing_since is not None})


def let_look_again(connection: Connection, owners: Collection[str]) -> None:
    """Owners that miss what another account claims have to see who has it, though their next answer be the last one."""
    if owners:
        connection.execute(update(accounts).where(accounts.c.account.in_(sorted(owners))).values(body_digest=None))


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
