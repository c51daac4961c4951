"""Whether an answer is too implausible to be applied (CONTRACT 6). Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from syncer.model import Listing, MirrorRow
from syncer.rules.diff import Differences

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


class Standing(NamedTuple):
    """An answer beside its account's rows, in figures: rows that were listed before, and live ones of them.

    `seen` are the account's rows that the answer lists, also those that were missing. `listed` counts the answer's
    items; `missing` are the live instances that it lacks, ascending.
    """

    present: int
    live: int
    seen: int
    listed: int
    missing: tuple[int, ...]


def examine(
    mirror: Mapping[int, MirrorRow],
    listing: Listing,
    differences: Differences,
    *,
    account: str,
    tolerated_share: Fraction,
    approved: Iterable[frozenset[int]],
) -> Hold | None:
    """Decide whether to hold the answer.

    `approved` are the sets of instances whose loss has been approved and not yet used; an answer that lacks no live
    instance outside one of them passes. Deleted instances that are purged never count.
    """
    of_account = [row for row in mirror.values() if row.account == account]
    present = [row for row in of_account if row.missing_since is None]
    seen = sum(
        1
        for row in of_account
        if row.instance.id_instance in listing.instances or row.instance.id_instance in listing.rejected_ids
    )
    return judge(
        Standing(
            present=len(present),
            live=sum(1 for row in present if not row.instance.deleted),
            seen=seen,
            listed=listing.listed,
            missing=tuple(row.instance.id_instance for row in differences.absent if not row.instance.deleted),
        ),
        tolerated_share=tolerated_share,
        approved=approved,
    )


def judge(standing: Standing, *, tolerated_share: Fraction, approved: Iterable[frozenset[int]]) -> Hold | None:
    """See `examine`."""
    reason = None
    if standing.listed == 0:
        reason = HoldReason.EMPTY if standing.live else None
    elif standing.present and not standing.seen:
        reason = HoldReason.FOREIGN
    elif len(standing.missing) > max(Fraction(TOLERATED_VANISHED), tolerated_share * standing.live):
        reason = HoldReason.VANISHED
    if reason is None or any(approval.issuperset(standing.missing) for approval in approved):
        return None
    return Hold(reason, standing.missing, standing.live, standing.listed)


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
