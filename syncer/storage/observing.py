"""What an answer is decided against: when it was observed, and the rows that it is compared with."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from syncer.answer.known import CLAIMED, FREE, Known
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
    shared = bool(listing.foreign_ids) and mirror.has_other_accounts(connection, account)
    strangers = [*listing.foreign_ids] if shared else []
    strangers += _claims(listing.known, CLAIMED | FREE)
    owners = {account, *_owners_of(connection, strangers)}
    # What is claimed changes nothing of its owner's, but is told beside what its owner was last seen with.
    concerned = owners | _owners_of(connection, _claims(listing.known, CLAIMED))
    standings = runs.read_standings(connection, concerned)
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


def _claims(known: Known, flags: int) -> list[int]:
    """The ids of the claims with these very flags."""
    if not known.flags.count(flags):
        return []
    return [key for key, its in zip(known.ids, known.flags, strict=True) if its == flags]


def _owners_of(connection: Connection, ids: Sequence[int]) -> set[str]:
    return {owner for some in rows.batches(ids) for owner in mirror.read_owners(connection, some)}
