"""What an answer is decided against: when it was observed, and the rows that it is compared with."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from syncer.answer.known import CLAIMED, FREE
from syncer.answer.listing import Listing
from syncer.model import MirrorRow
from syncer.rules.decisions import Rows
from syncer.rules.transitions import Observation
from syncer.storage import claims, mirror, rows, runs


def observe(
    connection: Connection, account: str, expiry_grace: timedelta, listing: Listing, at: datetime
) -> tuple[Observation, Rows]:
    """The observation of an answer that was complete `at` a moment, and the rows of what it lists.

    A clock that was set back must not make anything observed before what these accounts observed earlier.
    """
    standings = runs.read_standings(connection)
    shared = bool(listing.foreign_ids) and mirror.has_other_accounts(connection, account)
    strangers = [*listing.foreign_ids] if shared else []
    if listing.known.flags.count(CLAIMED | FREE):
        strangers += [key for key, flag in zip(listing.known.ids, listing.known.flags, strict=True) if flag & FREE]
    owners = {account}
    for ids in rows.batches(strangers):
        owners |= mirror.read_owners(connection, ids)
    moments = [at]
    for owner in owners & standings.keys():
        moments += [moment for moment in standings[owner][:2] if moment is not None]
    observation = Observation(
        account,
        max(moments),
        {name: standing.accepted_at for name, standing in standings.items()},
        expiry_grace,
        retired=[name for name, standing in standings.items() if standing.is_retired],
        may_move=listing.every_id_read,
    )

    def read(ids: Sequence[int]) -> Mapping[int, MirrorRow]:
        return rows.read_rows(connection, ids)

    def read_dates(ids: Sequence[int]) -> Mapping[int, datetime | None]:
        return rows.read_expiration_dates(connection, ids)

    def read_claimants(ids: Sequence[int]) -> Mapping[int, str]:
        return claims.read_claimants(connection, ids)

    return observation, Rows(read, read_dates, read_claimants, shared)
