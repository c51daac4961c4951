"""The mirror beside an answer: what is new, differs, or is absent. Pure facts; `transitions` says what they mean."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from syncer.model import Instance, Listing, MirrorRow


class Differences(NamedTuple):
    """What one answer differs in from the mirror; instances are settled, everything is in ascending order of id."""

    new: tuple[Instance, ...]
    changed: tuple[tuple[MirrorRow, Instance], ...]
    absent: tuple[MirrorRow, ...]


def diff(
    mirror: Mapping[int, MirrorRow], listing: Listing, *, account: str, observed_at: datetime, expiry_grace: timedelta
) -> Differences:
    """Compare.

    `mirror` holds every row of the account, and the rows of other accounts that the answer lists.
    A row that is missing already is not absent again; a rejected item is seen, and says nothing else of its row.
    """
    new: list[Instance] = []
    changed: list[tuple[MirrorRow, Instance]] = []
    for id_instance in sorted(listing.instances):
        instance = settle(listing.instances[id_instance], observed_at, expiry_grace)
        row = mirror.get(id_instance)
        if row is None:
            new.append(instance)
        elif row.instance != instance or row.account != account or row.missing_since is not None:
            changed.append((row, instance))
    absent: list[MirrorRow] = []
    if listing.proves_absence:
        absent = [
            mirror[id_instance]
            for id_instance in sorted(mirror.keys() - listing.instances.keys() - listing.rejected_ids)
            if mirror[id_instance].missing_since is None and mirror[id_instance].account == account
        ]
    return Differences(tuple(new), tuple(changed), tuple(absent))


def settle(instance: Instance, observed_at: datetime, expiry_grace: timedelta) -> Instance:
    """The upstream reports a new live instance as expired for minutes (UPSTREAM, Life): within the grace, it is not."""
    if (
        instance.is_expired
        and not instance.deleted
        and instance.time_created is not None
        and observed_at - instance.time_created < expiry_grace
    ):
        return instance._replace(is_expired=False)
    return instance
