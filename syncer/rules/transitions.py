"""What a difference means: the one table of moves of an instance (CONTRACT 4). Pure; time is an argument."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from syncer.model import Change, Decision, Event, Instance, MirrorRow, TimeSource, Transition

PARTNER_TARIFF = "PARTNER"

CHANGED_COLUMNS = (
    "name",
    "type_instance",
    "type_account",
    "messenger",
    "partner_user_uiid",
    "time_created",
    "tariff",
    "is_free",
    "is_partner",
)
"""Columns whose change is always `changed`; `account`, `expiration_date` and `time_deleted` are, by the rules below."""


_changing = attrgetter(*CHANGED_COLUMNS)
_STORED_ORDER = {transition: place for place, transition in enumerate(Transition)}


class Observation(NamedTuple):
    """When and for whom an answer was seen; `previous_observed_at` is each account's last accepted answer before it."""

    account: str
    observed_at: datetime
    previous_observed_at: dict[str, datetime | None]


def is_auto_renewing(is_partner: bool | None, tariff: str | None) -> bool:
    """Whether the upstream moves an instance's expiration date forward every day by itself (UPSTREAM, Life)."""
    return is_partner if is_partner is not None else (tariff or "").startswith(PARTNER_TARIFF)


def decide_new(instance: Instance, observation: Observation) -> Decision:
    """First sight: `created`, and what it already is."""
    observed_at = observation.observed_at
    events: tuple[Event, ...] = (_stated(Transition.CREATED, instance.time_created, observed_at, {}),)
    if instance.is_expired:
        events += (_stated(Transition.EXPIRED, instance.expiration_date, observed_at, {}),)
    if instance.deleted:
        events += (_stated(Transition.DELETED, instance.time_deleted, observed_at, {}),)
    renewed_at = missing_since = None
    row = MirrorRow(observation.account, instance, observed_at, observed_at, renewed_at, missing_since)
    return Decision(instance.id_instance, row, events, None)


def decide_listed(row: MirrorRow, instance: Instance, observation: Observation) -> Decision:
    """A known instance that is listed and differs from its row; perhaps in nothing that is a transition."""
    old = row.instance
    observed_at = observation.observed_at
    events: list[Event] = []

    def happened(transition: Transition, **changes: Change) -> None:
        moved = {column: change for column, change in changes.items() if change[0] != change[1]}
        events.append(Event(transition, observed_at, TimeSource.OBSERVED, moved))

    deletion = {"deleted": (old.deleted, instance.deleted), "time_deleted": (old.time_deleted, instance.time_deleted)}
    expiry = {
        "is_expired": (old.is_expired, instance.is_expired),
        "expiration_date": (old.expiration_date, instance.expiration_date),
    }
    other: dict[str, Change] = {}
    if _changing(old) != _changing(instance):
        other = {column: (getattr(old, column), getattr(instance, column)) for column in CHANGED_COLUMNS}
    other["account"] = (row.account, observation.account)

    if row.missing_since is not None:
        happened(Transition.REAPPEARED, missing=(True, False))

    if old.deleted and not instance.deleted:
        happened(Transition.RESTORED, **deletion)
    elif instance.deleted and not old.deleted:
        events.append(_stated(Transition.DELETED, instance.time_deleted, observed_at, deletion))
    else:
        other["time_deleted"] = deletion["time_deleted"]

    later = (
        old.expiration_date is not None
        and instance.expiration_date is not None
        and instance.expiration_date > old.expiration_date
    )
    if old.is_expired and not instance.is_expired:
        happened(Transition.RENEWED, **expiry)
    elif instance.is_expired and not old.is_expired:
        events.append(_stated(Transition.EXPIRED, instance.expiration_date, observed_at, expiry))
    elif later and is_auto_renewing(instance.is_partner, instance.tariff):
        pass  # the daily roll: the row and `renewed_at` move, and nothing happened
    elif later and not instance.is_expired:
        happened(Transition.EXTENDED, **expiry)
    else:
        other["expiration_date"] = expiry["expiration_date"]

    if any(before != after for before, after in other.values()):
        happened(Transition.CHANGED, **other)
    if old.token_fingerprint != instance.token_fingerprint:
        happened(Transition.TOKEN_ROTATED, token_fingerprint=(old.token_fingerprint, instance.token_fingerprint))

    written = row._replace(
        account=observation.account,
        instance=instance,
        changed_at=observed_at,
        renewed_at=observed_at if later else row.renewed_at,
        missing_since=None,
    )
    return Decision(
        instance.id_instance, written, _in_stored_order(events), observation.previous_observed_at.get(row.account)
    )


def decide_absent(row: MirrorRow, observation: Observation) -> Decision:
    """A known instance that is not listed any more: the upstream drops deleted ones, anything else vanished."""
    observed_at = observation.observed_at
    transition = Transition.PURGED if row.instance.deleted else Transition.VANISHED
    event = Event(transition, observed_at, TimeSource.OBSERVED, {"missing": (False, True)})
    written = row._replace(changed_at=observed_at, missing_since=observed_at)
    return Decision(row.instance.id_instance, written, (event,), observation.previous_observed_at.get(row.account))


def _stated(
    transition: Transition, stated: datetime | None, observed_at: datetime, changes: Mapping[str, Change]
) -> Event:
    """An event whose time the upstream may have stated; a time after it was observed is not believed."""
    moved = changes and {column: change for column, change in changes.items() if change[0] != change[1]}
    if stated is None or stated > observed_at:
        return Event(transition, observed_at, TimeSource.OBSERVED, moved)
    return Event(transition, stated, TimeSource.UPSTREAM, moved)


def _in_stored_order(events: Sequence[Event]) -> tuple[Event, ...]:
    if len(events) < 2:
        return tuple(events)
    return tuple(sorted(events, key=lambda event: _STORED_ORDER[event.transition]))
