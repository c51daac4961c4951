"""What a difference means: the one table of moves of an instance (CONTRACT 4). Pure; time is an argument."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import compress
from operator import ne
from typing import NamedTuple

from syncer.model import FIELDS, Change, Decision, Event, Instance, Item, MirrorRow, TimeSource, Transition

PARTNER_TARIFF = "PARTNER"

CHANGED_COLUMNS = frozenset(name for name, field in FIELDS.items() if field.is_changed)
"""Columns whose change is always `changed`; `account`, `expiration_date` and `time_deleted` are, by the rules below."""

DELETION, EXPIRY = ("deleted", "time_deleted"), ("is_expired", "expiration_date")

_BESIDE = ("account", *MirrorRow._fields[2:])  # the columns of a row that are not the instance's
_STORED_ORDER = {transition: place for place, transition in enumerate(Transition)}


class Observation(NamedTuple):
    """When and for whom an answer was seen; `previous_observed_at` is each account's last accepted answer before it.

    `retired` are accounts that nobody polls any more. An answer that cannot be read whole may not move an instance
    from one account to another.
    """

    account: str
    observed_at: datetime
    previous_observed_at: Mapping[str, datetime | None]
    expiry_grace: timedelta
    retired: Collection[str] = ()
    may_move: bool = True


def is_auto_renewing(is_partner: bool | None, tariff: str | None) -> bool:
    """Whether the upstream moves an instance's expiration date forward every day by itself (UPSTREAM, Life)."""
    return is_partner if is_partner is not None else (tariff or "").startswith(PARTNER_TARIFF)


def moved_on(before: datetime | None, after: datetime | None) -> bool:
    """Whether an expiration date moved forward."""
    return before is not None and after is not None and after > before


def settle(
    instance: Instance, observed_at: datetime, expiry_grace: timedelta, *, was_expired: bool = False
) -> Instance:
    """The instance as the mirror stores it: within the grace, a live one is not believed to be expired.

    The upstream says so of a new one for minutes (UPSTREAM, Life), and its nightly roll of those that renew themselves
    may take minutes too (UPSTREAM, Newer remarks). What was expired before its date is not renewed by that.
    """
    if not instance.is_expired or instance.deleted:
        return instance
    is_new = instance.time_created is not None and observed_at - instance.time_created < expiry_grace
    rolls_late = (
        not was_expired
        and is_auto_renewing(instance.is_partner, instance.tariff)
        and instance.expiration_date is not None
        and timedelta() <= observed_at - instance.expiration_date < expiry_grace
    )
    return instance._replace(is_expired=False) if is_new or rolls_late else instance


def decide_listed(before: MirrorRow | None, item: Item, observation: Observation) -> Decision:
    """What a listed item means for its row: first sight, a difference that may be a transition, a claim, or nothing."""
    if before is not None and before.account != observation.account and not _is_free(before, observation):
        return Decision(before, before, (), observation.previous_observed_at.get(before.account), item, is_claim=True)
    was_expired = before is not None and before.instance.is_expired
    instance = settle(item.instance, observation.observed_at, observation.expiry_grace, was_expired=was_expired)
    if before is None:
        return _decide_new(instance, item, observation)
    if instance.token_fingerprint is None:  # not told, which says nothing of the token
        instance = instance._replace(token_fingerprint=before.instance.token_fingerprint)
    differing = tuple(compress(Instance._fields, map(ne, before.instance, instance)))
    if not differing and before.account == observation.account and before.missing_since is None:
        return Decision(before, before, (), observation.previous_observed_at.get(before.account), item)
    return _decide_differing(before, instance, differing, item, observation)


def _is_free(before: MirrorRow, observation: Observation) -> bool:
    """Whether an account that lists another one's instance becomes its owner (CONTRACT 4, Whose it is)."""
    return observation.may_move and (before.missing_since is not None or before.account in observation.retired)


def decide_absent(before: MirrorRow, observation: Observation, claimant: str | None = None) -> Decision:
    """An instance that its owner does not list any more: it is the claimant's now, if there is one.

    Else the upstream drops deleted ones, and anything else vanished.
    """
    observed_at = observation.observed_at
    if claimant is not None:
        moved = {"account": (before.account, claimant)}
        events: tuple[Event, ...] = (Event(Transition.CHANGED, observed_at, TimeSource.OBSERVED, moved),)
        if before.missing_since is not None:
            back = Event(Transition.REAPPEARED, observed_at, TimeSource.OBSERVED, {"missing": (True, False)})
            events = (back, *events)
        row = before._replace(account=claimant, changed_at=observed_at, missing_since=None)
        return _decision(before, row, events, observation)
    transition = Transition.PURGED if before.instance.deleted else Transition.VANISHED
    event = Event(transition, observed_at, TimeSource.OBSERVED, {"missing": (False, True)})
    row = before._replace(changed_at=observed_at, missing_since=observed_at)
    return _decision(before, row, (event,), observation)


def _decision(before: MirrorRow, row: MirrorRow, events: tuple[Event, ...], observation: Observation) -> Decision:
    """Of an instance that is absent."""
    previous_observed_at = observation.previous_observed_at.get(before.account)
    return Decision(before, row, events, previous_observed_at, None, differing=_differing_beside(before, row))


def _differing_beside(before: MirrorRow, row: MirrorRow) -> tuple[str, ...]:
    """The columns that differ, beside those of the instance."""
    return tuple(compress(_BESIDE, map(ne, (before.account, *before[2:]), (row.account, *row[2:]))))


def is_only_created(instance: Instance, observed_at: datetime) -> bool:
    """Whether all that its first sight means is `created`, at the time that it states, as of nearly all."""
    created = instance.time_created
    return not instance.deleted and not instance.is_expired and created is not None and created <= observed_at


def _decide_new(instance: Instance, item: Item, observation: Observation) -> Decision:
    """First sight: `created`, and what it already is."""
    observed_at = observation.observed_at
    events: tuple[Event, ...] = (_stated(Transition.CREATED, instance.time_created, observed_at, {}),)
    if instance.is_expired:
        events += (_stated(Transition.EXPIRED, instance.expiration_date, observed_at, {}),)
    if instance.deleted:
        events += (_stated(Transition.DELETED, instance.time_deleted, observed_at, {}),)
    renewed_at = missing_since = None
    row = MirrorRow(observation.account, instance, observed_at, observed_at, renewed_at, missing_since)
    return Decision(None, row, events, None, item)


def _decide_differing(
    before: MirrorRow, instance: Instance, fields: tuple[str, ...], item: Item, observation: Observation
) -> Decision:
    """A known instance that is not as it was: in these fields, in whose it is, or in that it is listed again."""
    old, observed_at = before.instance, observation.observed_at
    is_later = moved_on(old.expiration_date, instance.expiration_date)
    renewed_at, missing_since = observed_at if is_later else before.renewed_at, None
    row = MirrorRow(observation.account, instance, before.first_seen_at, observed_at, renewed_at, missing_since)
    events = _in_stored_order(_events_of(before, row, fields, is_later=is_later))
    previous_observed_at = observation.previous_observed_at.get(before.account)
    differing = (*fields, *_differing_beside(before, row))
    return Decision(before, row, events, previous_observed_at, item, differing=differing)


def _events_of(before: MirrorRow, row: MirrorRow, fields: Sequence[str], *, is_later: bool) -> list[Event]:
    """What happened to a listed instance; `is_later`: its expiration date moved forward."""
    old, instance, observed_at = before.instance, row.instance, row.changed_at
    events: list[Event] = []

    def happened(transition: Transition, changes: Mapping[str, Change]) -> None:
        events.append(Event(transition, observed_at, TimeSource.OBSERVED, changes))

    moved = {} if before.account == row.account else _moved(before, row, ("account",))
    other = _moved(old, instance, [field for field in fields if field in CHANGED_COLUMNS]) | moved

    if before.missing_since is not None:
        happened(Transition.REAPPEARED, {"missing": (True, False)})

    if old.deleted and not instance.deleted:
        happened(Transition.RESTORED, _moved(old, instance, DELETION))
    elif instance.deleted and not old.deleted:
        deletion = _moved(old, instance, DELETION)
        events.append(_stated(Transition.DELETED, instance.time_deleted, observed_at, deletion))
    elif instance.deleted:  # of what lives, a date of deletion says nothing
        other |= _moved(old, instance, ("time_deleted",))

    if old.is_expired and not instance.is_expired:
        happened(Transition.RENEWED, _moved(old, instance, EXPIRY))
    elif instance.is_expired and not old.is_expired:
        expiry = _moved(old, instance, EXPIRY)
        events.append(_stated(Transition.EXPIRED, instance.expiration_date, observed_at, expiry))
    elif is_later and is_auto_renewing(instance.is_partner, instance.tariff):
        pass  # the daily roll: the row and `renewed_at` move, and nothing happened; see `decisions.Rolled`
    elif is_later and not instance.is_expired:
        happened(Transition.EXTENDED, _moved(old, instance, EXPIRY))
    else:
        other |= _moved(old, instance, ("expiration_date",))

    if other:
        happened(Transition.CHANGED, other)
    if old.token_fingerprint not in {None, instance.token_fingerprint}:
        happened(Transition.TOKEN_ROTATED, _moved(old, instance, ("token_fingerprint",)))
    return events


def _stated(
    transition: Transition, stated: datetime | None, observed_at: datetime, changes: Mapping[str, Change]
) -> Event:
    """An event whose time the upstream may have stated; a time after it was observed is not believed."""
    if stated is None or stated > observed_at:
        return Event(transition, observed_at, TimeSource.OBSERVED, changes)
    return Event(transition, stated, TimeSource.UPSTREAM, changes)


def _moved(old: Instance | MirrorRow, new: Instance | MirrorRow, columns: Sequence[str]) -> dict[str, Change]:
    """Those of the columns that differ."""
    changes = {column: (getattr(old, column), getattr(new, column)) for column in columns}
    return {column: change for column, change in changes.items() if change[0] != change[1]}


def _in_stored_order(events: Sequence[Event]) -> tuple[Event, ...]:
    if len(events) < 2:
        return tuple(events)
    return tuple(sorted(events, key=lambda event: _STORED_ORDER[event.transition]))
