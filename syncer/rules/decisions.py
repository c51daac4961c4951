"""What a whole answer means: a decision for each instance that differs in it or is absent. Pure but for the rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from syncer.answer.known import CLAIMED
from syncer.answer.listing import Listing
from syncer.model import Decision, MirrorRow
from syncer.rules.transitions import Observation, decide_absent, decide_listed

BATCH = 2_000  # absent instances that are decided together


class Rows(NamedTuple):
    """What the mirror says of instances by their ids: their rows, and who claims which.

    Where the database is `shared`, any instance that is listed may have a row of another account.
    """

    read: Callable[[Sequence[int]], Mapping[int, MirrorRow]]
    claimants: Callable[[Sequence[int]], Mapping[int, str]]
    shared: bool


_id_of = attrgetter("instance.id_instance")

NO_ROWS = Rows(lambda _ids: {}, lambda _ids: {}, shared=False)


def decisions_of(listing: Listing, observation: Observation, known_rows: Rows) -> Iterator[list[Decision]]:
    """What an answer means for each instance that differs in it or is absent, some at a time; pure but for the rows.

    Of what the account had but claimed, absence means nothing to the instance: see `dropped_claims`.
    """
    known = listing.known
    for items in listing.differing.batches():
        items.sort(key=_id_of)
        listed = list(map(_id_of, items))
        ids = listed if known_rows.shared else known.among(listed)
        before = known_rows.read(ids) if ids else {}
        yield [decide_listed(before.get(key), item, observation) for key, item in zip(listed, items, strict=True)]
    absent = (known.ids[row] for row in listing.absent if not known.flags[row] & CLAIMED)
    while ids := list(islice(absent, BATCH)):
        before, claimants = known_rows.read(ids), known_rows.claimants(ids)
        here = [key for key in ids if before[key].missing_since is None or key in claimants]
        yield [decide_absent(before[key], observation, claimants.get(key)) for key in here]


def dropped_claims(listing: Listing) -> list[int]:
    """What the account claimed, and does not list any more."""
    return [listing.known.ids[row] for row in listing.absent if listing.known.flags[row] & CLAIMED]


def unread_strangers(listing: Listing) -> list[int]:
    """What the account has no row of, and lists by an item that was rejected: it counts as seen."""
    ids = (reject.id_instance for reject in listing.rejects)
    return sorted({key for key in ids if key is not None and listing.known.find(key) < 0})
