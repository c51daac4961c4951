"""Whether an answer is too implausible to be applied (CONTRACT 6), and what is said of one that is. Pure.

It judges the listing and what was decided of it, never a clock or a table. The shares that can be set are `Bounds`,
declared in `settings/declared.py`; the others stand below. Why each is what it is, docs/design.md says.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from syncer.answer.known import CLAIMED, MISSING, RENEWING
from syncer.answer.listing import Listing
from syncer.model import Decision, Instance, Transition
from syncer.rules.transitions import is_auto_renewing

TOLERATED = 3  # instances; a share alone would fire on small estates
TOLERATED_SHARE = Fraction(5, 100)  # of what only ever moves forward, or never: `older`, `shifted`
MANY = 10  # instances; likewise of the warning `mass_change`
MANY_SHARE = Fraction(20, 100)
NAMED = 5  # of the instances that an answer is held for
LONGEST_NAME = 40  # characters

STRIPPED_FIELDS = ("tariff", "is_partner", "expiration_date", "time_created")


class HoldReason(StrEnum):
    """Why an answer is held."""

    EMPTY = "empty"
    FOREIGN = "foreign"
    VANISHED = "vanished"
    FLIPPED = "flipped"
    STRIPPED = "stripped"
    OLDER = "older"
    SHIFTED = "shifted"


class Bounds(NamedTuple):
    """Shares: of the live instances that may vanish, and of those that one answer may declare otherwise.

    `declared` bounds deletions, restores and expiries by the live ones, and lost values by those that are listed.
    """

    vanished: Fraction
    declared: Fraction


class Ground(NamedTuple):
    """One reason with the instances that it holds for, ascending; `what` divides `flipped` by transition.

    `of` is how many instances there are to compare their number with; `told` says of some of them which they are.
    """

    reason: HoldReason
    what: str
    ids: tuple[int, ...]
    of: int
    told: str = ""


class Hold(NamedTuple):
    """An answer that waits for approval of every ground."""

    grounds: tuple[Ground, ...]
    listed: int


Approved = Mapping[tuple[str, str], Iterable[frozenset[int]]]
"""For each reason, and what divides it, the sets that were approved and not used up yet."""


class Group:
    """Instances that have something in common: all their ids, and the names of the first few."""

    def __init__(self) -> None:
        self.ids = array("q")
        self._names: list[str | None] = []

    def add(self, instance: Instance) -> None:
        self.ids.append(instance.id_instance)
        if len(self._names) < NAMED:
            self._names.append(instance.name)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def names(self) -> dict[int, str | None]:
        """Of the first few."""
        return dict(zip(self.ids, self._names, strict=False))

    def ground(self, reason: HoldReason, of: int, what: str = "", told: str = "") -> Ground:
        return Ground(reason, what, tuple(sorted(self.ids)), of, told + _few(self.ids, self.names))


class Tally:
    """What an answer's decisions come to, counted as they are made."""

    def __init__(self) -> None:
        self.vanished = Group()
        self.flipped = {word: Group() for word in (Transition.DELETED, Transition.EXPIRED, Transition.RESTORED)}
        self.stripped = Group()
        self.stripped_fields: Counter[str] = Counter()
        self.went_back = Group()
        self.shifted: dict[timedelta, Group] = {}
        self.gone = self.gone_renewing = 0  # listed ones that are not; live ones that renewed themselves and do not
        self.moved: set[int] = set()  # to another account, deleted ones too
        self.moved_live = 0
        self.changed_columns: Counter[str] = Counter()  # live instances by the column that changed

    def count(self, decisions: Iterable[Decision]) -> None:
        """Note what these decisions say; the daily roll, which is no transition, is passed over."""
        for decision in decisions:
            if decision.events and decision.before is not None:
                self._count(decision, decision.before.instance, decision.row.instance)

    def _count(self, decision: Decision, old: Instance, new: Instance) -> None:
        before = decision.before
        assert before is not None  # noqa: S101 - see `count`
        is_ours = decision.item is None or before.account == decision.row.account
        if not is_ours or before.missing_since is not None:
            return  # what comes back, or from another account, was not among those that are compared
        was_live = not old.deleted
        renewed_itself = was_live and is_auto_renewing(old.is_partner, old.tariff)
        self.gone_renewing += renewed_itself and (
            decision.item is None or new.deleted or not is_auto_renewing(new.is_partner, new.tariff)
        )
        if was_live:
            self.changed_columns.update(column for event in decision.events for column in event.changes)
        if decision.item is None:
            self.gone += 1
            if decision.row.account != before.account:
                self.moved.add(old.id_instance)
                self.moved_live += was_live
            elif was_live:
                self.vanished.add(old)
            return
        for event in decision.events:
            group = self.flipped.get(event.transition)
            if group is not None and not (
                event.transition is Transition.EXPIRED
                and (not was_live or new.deleted or _was_due(old, decision.row.changed_at))
            ):
                group.add(old)
        lost = [name for name in STRIPPED_FIELDS if getattr(old, name) is not None and getattr(new, name) is None]
        if lost:
            self.stripped.add(old)
            self.stripped_fields.update(lost)
        if (
            renewed_itself
            and not new.deleted
            and is_auto_renewing(new.is_partner, new.tariff)
            and old.expiration_date is not None
            and new.expiration_date is not None
            and new.expiration_date < old.expiration_date
        ):
            self.went_back.add(old)
        if old.time_created is not None and new.time_created not in {None, old.time_created}:
            self.shifted.setdefault(new.time_created - old.time_created, Group()).add(old)


def _was_due(old: Instance, observed_at: datetime) -> bool:
    """Whether an expiry was to come by the last known date: that of what renews itself never is."""
    return (
        not is_auto_renewing(old.is_partner, old.tariff)
        and old.expiration_date is not None
        and old.expiration_date <= observed_at
    )


def looks_odd(listing: Listing, bounds: Bounds) -> bool:
    """Whether the listing alone gives reason to look at all that was decided before anything of it is written."""
    if not listing.known.ids:
        return False
    missing = sum(not listing.known.flags[row] & ~RENEWING for row in listing.absent)
    return not listing.listed or not listing.shares_any or missing > _tolerated(bounds.vanished, _live(listing))


def examine(listing: Listing, tally: Tally, bounds: Bounds, approved: Approved) -> Hold | None:
    """Decide whether to hold the answer: it passes if each of its grounds lies within an approved one.

    Deleted instances that are purged never count, nor do those that move to another account.
    """
    live = _live(listing) - tally.moved_live
    own = len(listing.known.flags) - sum(map(listing.known.flags.count, _ELSEWHERE))
    grounds = tuple(_grounds(listing, tally, bounds, live, own))
    if all(_is_approved(ground, approved) for ground in grounds):
        return None
    return Hold(grounds, listing.listed)


def _grounds(listing: Listing, tally: Tally, bounds: Bounds, live: int, own: int) -> Iterable[Ground]:
    tolerated = _tolerated(bounds.declared, live)
    flags = listing.known.flags
    unproven = [flags[row] for row in listing.unproven if not flags[row] & (MISSING | CLAIMED)]
    compared = own - tally.gone - len(unproven)
    if listing.listed == 0 and live:
        yield _all_live(listing, tally, HoldReason.EMPTY, live)
    elif listing.listed and not listing.shares_any and own:
        yield _all_live(listing, tally, HoldReason.FOREIGN, live)
    elif len(tally.vanished) > _tolerated(bounds.vanished, live):
        yield tally.vanished.ground(HoldReason.VANISHED, live)
    for word, group in tally.flipped.items():
        if len(group) > tolerated:
            yield group.ground(HoldReason.FLIPPED, live, str(word))
    if len(tally.stripped) > _tolerated(bounds.declared, compared):
        fields = ", ".join(sorted(tally.stripped_fields))
        yield tally.stripped.ground(HoldReason.STRIPPED, compared, told=f"{fields}: ")
    renewing = flags.count(RENEWING) - tally.gone_renewing - unproven.count(RENEWING)
    if len(tally.went_back) > _tolerated(TOLERATED_SHARE, renewing):
        yield tally.went_back.ground(HoldReason.OLDER, renewing)
    for shift, group in tally.shifted.items():
        if len(group) > _tolerated(TOLERATED_SHARE, compared):
            yield group.ground(HoldReason.SHIFTED, compared, what=_signed(shift))


_ELSEWHERE = tuple(flag for flag in range(64) if flag & (MISSING | CLAIMED))  # values of flags of no listed row


def _tolerated(share: Fraction, of: int) -> Fraction:
    return max(Fraction(TOLERATED), share * of)


def _live(listing: Listing) -> int:
    return listing.known.flags.count(0) + listing.known.flags.count(RENEWING)


def _all_live(listing: Listing, tally: Tally, reason: HoldReason, live: int) -> Ground:
    """Of an answer that lists nothing known: the live instances that it lacks, and the strangers that it lists.

    What moves to another account is not lost. Where an id cannot be read, nothing is absent, and no name is known.
    """
    known = listing.known
    lost = {key for key, flags in zip(known.ids, known.flags, strict=True) if flags in {0, RENEWING}} - tally.moved
    ids = lost.union(listing.foreign_ids, (one.id_instance for one in listing.rejects if one.id_instance is not None))
    return Ground(reason, "", tuple(sorted(ids)), live, _few(sorted(lost), tally.vanished.names))


def _is_approved(ground: Ground, approved: Approved) -> bool:
    """What lists nothing known lacks everything: its approval is one of the loss too."""
    sets = [*approved.get((ground.reason, ground.what), ())]
    if ground.reason is HoldReason.VANISHED:
        sets += [*approved.get((HoldReason.EMPTY, ""), ()), *approved.get((HoldReason.FOREIGN, ""), ())]
    return any(one.issuperset(ground.ids) for one in sets)


def is_mass_change(listing: Listing, tally: Tally) -> bool:
    """Whether so many live instances changed in one and the same column that a person should know."""
    many = max(Fraction(MANY), MANY_SHARE * _live(listing))
    return any(n > many for n in tally.changed_columns.values())


def describe(hold: Hold, run_id: int | None) -> str:
    """One line for a person: why, which instances, and how to approve it once a run is held for it."""
    remedy = f"if that is right: syncer approve {run_id}" if run_id is not None else "a run would be held for it"
    return "; ".join([*(told_of(ground, hold.listed) for ground in hold.grounds), remedy])


def told_of(ground: Ground, listed: int) -> str:
    """What a ground says, with how many of how many, and some of them by name."""
    n, of = len(ground.ids), ground.of
    what = {
        HoldReason.EMPTY: f"the answer is empty while {of} instances are live",
        HoldReason.FOREIGN: (
            "the answer shares no instance with the mirror, as if the token were another account's: "
            f"it lists {listed}, and none of the {of} that are live"
        ),
        HoldReason.VANISHED: f"{n} of {of} live instances are missing from the answer",
        HoldReason.FLIPPED: f"{n} instances are declared {ground.what} at once, beside {of} live ones",
        HoldReason.STRIPPED: f"{n} of {of} instances have lost a value that they had",
        HoldReason.OLDER: (
            f"the expiration date of {n} of {of} instances that renew themselves moved back, as in an answer from "
            "before the last one"
        ),
        HoldReason.SHIFTED: (
            f"the creation of {n} of {of} instances moved by {ground.what}, as if the upstream's clock or "
            "SYNCER_UPSTREAM_OFFSET had changed"
        ),
    }[ground.reason]
    return f"{what} ({ground.told})" if ground.told else what


def _few(ids: Sequence[int], names: Mapping[int, str | None]) -> str:
    """The first of these instances, by name where it is known, and how many more there are."""
    few = [f"{key} “{_short(name)}”" if (name := names.get(key)) else str(key) for key in ids[:NAMED]]
    return ", ".join(few) + (f" and {len(ids) - NAMED} more" if len(ids) > NAMED else "")


def _signed(shift: timedelta) -> str:
    """As `+2:00:00`, or `-2:00:00`."""
    return f"-{-shift}" if shift < timedelta() else f"+{shift}"


def _short(name: str) -> str:
    readable = "".join(one if one.isprintable() else "�" for one in name[: LONGEST_NAME + 1])
    return readable if len(readable) <= LONGEST_NAME else f"{readable[:LONGEST_NAME]}…"
