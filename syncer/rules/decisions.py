"""What a whole answer means: a decision for each instance that differs in it or is absent. Pure but for the rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import compress, islice
from operator import attrgetter
from typing import NamedTuple

from syncer.answer.known import CLAIMED, RENEWING
from syncer.answer.listing import Listing
from syncer.model import Decision, Instance, Item, MirrorRow
from syncer.rules.transitions import Observation, decide_absent, decide_listed, is_only_created, moved_on

BATCH = 2_000  # instances that are decided together, of which the answer gave no items to be read


class Rows(NamedTuple):
    """What the mirror says of instances by their ids: their rows, their expiration dates, and who claims which.

    Where the database is `shared`, any instance that is listed may have a row of another account.
    """

    read: Callable[[Sequence[int]], Mapping[int, MirrorRow]]
    expiration_dates: Callable[[Sequence[int]], Mapping[int, datetime | None]]
    claimants: Callable[[Sequence[int]], Mapping[int, str]]
    shared: bool


class Rolled(NamedTuple):
    """Instances whose expiration date moved forward by itself, as it does each day, and of which nothing else changed.

    Their rows move, and nothing happened to them (CONTRACT 4). One is the same place in each column.
    """

    ids: Sequence[int] = ()
    dates: Sequence[datetime] = ()
    item_hashes: Sequence[int] = ()
    rest_hashes: Sequence[int] = ()

    def where(self, chosen: Sequence[bool]) -> "Rolled":
        """Those in whose places True stands."""
        ids, dates, hashes, rests = self
        return Rolled(
            list(compress(ids, chosen)),
            list(compress(dates, chosen)),
            list(compress(hashes, chosen)),
            list(compress(rests, chosen)),
        )


class Decided(NamedTuple):
    """Some of an answer's decisions.

    What comes by the hundred thousand is not told one by one: the daily roll, and `created`, items at first sight of
    which nothing is to be told but that they were created when they say (`transitions.is_only_created`).
    """

    decisions: list[Decision]
    rolled: Rolled = Rolled()
    created: Sequence[Item] = ()

    def first_sights(self) -> Iterator[Instance]:
        """What was seen for the first time."""
        yield from (one.instance for one in self.created)
        yield from (one.row.instance for one in self.decisions if one.before is None)

    def owned_items(self) -> list[Item]:
        """What was read of instances that are the account's; of the roll nothing was."""
        return [*self.created, *(one.item for one in self.decisions if one.item is not None and not one.is_claim)]


_id_of = attrgetter("instance.id_instance")

NO_ROWS = Rows(lambda _ids: {}, lambda _ids: {}, lambda _ids: {}, shared=False)


def decisions_of(listing: Listing, observation: Observation, known_rows: Rows) -> Iterator[Decided]:
    """What an answer means for each instance that differs in it or is absent, some at a time; pure but for the rows.

    Of what the account had but claimed, absence means nothing to the instance: see `dropped_claims`.
    """
    known = listing.known
    for items in listing.differing.batches():
        items.sort(key=_id_of)
        listed = list(map(_id_of, items))
        ids = listed if known_rows.shared else known.among(listed)
        before = known_rows.read(ids) if ids else {}
        observed_at = observation.observed_at
        alone = [
            key not in before and is_only_created(one.instance, observed_at)
            for key, one in zip(listed, items, strict=True)
        ]
        others = [one for one, is_alone in zip(items, alone, strict=True) if not is_alone]
        decisions = [decide_listed(before.get(one.id_instance), one, observation) for one in others]
        yield Decided(decisions, created=list(compress(items, alone)))
    yield from _decide_redated(listing, observation, known_rows)
    absent = (known.ids[row] for row in listing.absent if not known.flags[row] & CLAIMED)
    while ids := list(islice(absent, BATCH)):
        before, claimants = known_rows.read(ids), known_rows.claimants(ids)
        here = [key for key in ids if before[key].missing_since is None or key in claimants]
        yield Decided([decide_absent(before[key], observation, claimants.get(key)) for key in here])


def _decide_redated(listing: Listing, observation: Observation, known_rows: Rows) -> Iterator[Decided]:
    """What the items mean that say what their rows say, but for another expiration date."""
    known = listing.known
    for rows, hashes, dates in listing.redated.batches(BATCH):
        ids = [known.ids[row] for row in rows]
        before = known_rows.expiration_dates(ids)
        rolls = [
            bool(known.flags[row] & RENEWING) and moved_on(before[key], date)
            for row, key, date in zip(rows, ids, dates, strict=True)
        ]
        redated = Rolled(ids, dates, hashes, [known.rests[row] for row in rows])
        others = redated.where([not one for one in rolls])
        yield Decided(_redated_one_by_one(others, observation, known_rows), redated.where(rolls))


def told_one_by_one(decided: Decided, observation: Observation, known_rows: Rows) -> list[Decision]:
    """All of these decisions, one by one."""
    created = [decide_listed(None, one, observation) for one in decided.created]
    return decided.decisions + created + _redated_one_by_one(decided.rolled, observation, known_rows)


def _redated_one_by_one(redated: Rolled, observation: Observation, known_rows: Rows) -> list[Decision]:
    """The decisions about instances that are as they were, but for these expiration dates."""
    before = known_rows.read(redated.ids) if redated.ids else {}
    decisions = []
    for key, date, item_hash, rest_hash in zip(*redated, strict=True):
        item = Item(before[key].instance._replace(expiration_date=date), item_hash, None, rest_hash)
        decisions.append(decide_listed(before[key], item, observation))
    return decisions


def dropped_claims(listing: Listing) -> list[int]:
    """What the account claimed, and does not list any more."""
    return [listing.known.ids[row] for row in listing.absent if listing.known.flags[row] & CLAIMED]


def unread_strangers(listing: Listing) -> list[int]:
    """What the account has no row of, and lists by an item that was rejected: it counts as seen."""
    ids = (reject.id_instance for reject in listing.rejects)
    return sorted({key for key in ids if key is not None and listing.known.find(key) < 0})
