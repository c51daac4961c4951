"""Whether an answer is too implausible to be applied (CONTRACT 6). Pure."""

from collections.abc import Iterable
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from syncer.answer.known import DELETED
from syncer.answer.listing import Listing

TOLERATED_VANISHED = 3  # live instances; a share alone would fire on small estates


class HoldReason(StrEnum):
    """Why an answer is held."""

    EMPTY = "empty"
    VANISHED = "vanished"
    FOREIGN = "foreign"


class Hold(NamedTuple):
    """An answer that waits for approval, which is bound to `missing`: the live instances that it lacks, ascending."""

    reason: HoldReason
    missing: tuple[int, ...]
    live: int
    listed: int


def examine(listing: Listing, *, tolerated_share: Fraction, approved: Iterable[frozenset[int]]) -> Hold | None:
    """Decide whether to hold the answer.

    `approved` are the sets of instances whose loss has been approved and not yet used; an answer that lacks no live
    instance outside one of them passes. Deleted instances that are purged never count.
    """
    flags = listing.known.flags
    live = flags.count(0)
    missing = tuple(listing.known.ids[row] for row in listing.absent if not flags[row])
    reason = None
    if listing.listed == 0:
        reason = HoldReason.EMPTY if live else None
    elif (live or flags.count(DELETED)) and not listing.shares_any:
        reason = HoldReason.FOREIGN
    elif len(missing) > max(Fraction(TOLERATED_VANISHED), tolerated_share * live):
        reason = HoldReason.VANISHED
    if reason is None or any(approval.issuperset(missing) for approval in approved):
        return None
    return Hold(reason, missing, live, listing.listed)


def describe(hold: Hold, run_id: int | None) -> str:
    """One line for a person: what is missing, and how to approve it once a run is held for it."""
    shown = ", ".join(map(str, hold.missing[:5])) + (
        f" and {len(hold.missing) - 5} more" if len(hold.missing) > 5 else ""
    )
    what = {
        HoldReason.EMPTY: f"the answer is empty while {hold.live} instances are live",
        HoldReason.VANISHED: f"{len(hold.missing)} of {hold.live} live instances are missing from the answer",
        HoldReason.FOREIGN: "the answer shares no instance with the mirror, as if the token were another account's",
    }[hold.reason]
    remedy = f"if that is right: syncer approve {run_id}" if run_id is not None else "a run would be held for it"
    return f"{what}{f' ({shown})' if shown else ''}; {remedy}"
