"""What an answer says, as far as it differs from what is known. Pure."""

from array import array
from typing import NamedTuple

from syncer.answer.known import NOTHING_KNOWN, Known
from syncer.answer.redated import NONE_REDATED, Redated
from syncer.answer.spool import Spool
from syncer.errors import SyncerError
from syncer.model import Reject


class Listing(NamedTuple):
    """An answer that was read.

    `differing` holds the items that are not as they were when they were applied, `redated` those of which nothing but
    the expiration date is not; `foreign_ids` are those that the account has no row of. `absent` are the rows of `known`
    that are listed in the mirror, or claimed, and not in the answer: none where an id could not be read, it may have
    been any of them; they are `unproven` then. `shares_any` says that an id of the account is listed. `digest` is what
    the answer is recognised by when it comes again under the same `seed`. `repeated` are items that say what another
    one says, and are not counted in `listed`.
    Of an answer with a `problem` only its size and SHA-256 mean anything; of one that was recognised, besides these,
    what it lists.
    """

    listed: int
    body_bytes: int
    body_sha256: str
    seed: int
    digest: bytes
    differing: Spool
    redated: Redated = NONE_REDATED
    rejects: tuple[Reject, ...] = ()
    known: Known = NOTHING_KNOWN
    absent: "array[int]" = array("q")
    unproven: "array[int]" = array("q")
    shares_any: bool = True
    foreign_ids: "array[int]" = array("q")
    repeated: int = 0
    every_id_read: bool = True
    problem: SyncerError | None = None

    @property
    def differs(self) -> bool:
        """Whether anything is to be written but the run."""
        return bool(self.differing or self.redated or self.rejects or self.absent)
