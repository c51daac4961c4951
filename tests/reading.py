"""A whole body as production reads it, laid out for tests."""

from collections.abc import Mapping
from typing import NamedTuple

from syncer.answer.item import Decoder
from syncer.answer.listing import Listing
from syncer.answer.reader import read_body
from syncer.model import Instance, Reject


class WholeBody(NamedTuple):
    """What a body says of every instance."""

    instances: Mapping[int, Instance]
    tokens: Mapping[int, bytes | None]
    rejects: tuple[Reject, ...]
    listed: int

    @property
    def rejected_ids(self) -> frozenset[int]:
        return frozenset(reject.id_instance for reject in self.rejects if reject.id_instance is not None)

    @property
    def proves_absence(self) -> bool:
        return all(reject.id_instance is not None for reject in self.rejects)


def read_whole(body: bytes, decoder: Decoder) -> WholeBody:
    """Read a body as if nothing were known; raises what is wrong with it."""
    return whole_of(read_body(body, decoder))


def whole_of(listing: Listing) -> WholeBody:
    """What differs in a listing, by instance."""
    items = [item for batch in listing.differing.batches() for item in batch]
    return WholeBody(
        {item.id_instance: item.instance for item in items},
        {item.id_instance: item.token for item in items},
        listing.rejects,
        listing.listed,
    )
