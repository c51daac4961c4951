"""The words that everyone uses: what the upstream tells of an instance, what the mirror holds, what happened."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Generic, NamedTuple, Protocol, TypeVar

LARGEST_ID = 2**63 - 1


class Instance(NamedTuple):
    """One instance as the upstream told it in one answer, cleaned and without its secret.

    Times are aware and in UTC. `is_expired` is what the answer says; `settle` makes it what the mirror stores.
    `extra` is canonical JSON text (sorted keys) of every key that has no column, so that equality is exact.
    """

    id_instance: int
    name: str | None
    type_instance: str | None
    type_account: str | None
    messenger: str | None
    partner_user_uiid: str | None
    time_created: datetime | None
    time_deleted: datetime | None
    deleted: bool
    tariff: str | None
    is_free: bool | None
    is_partner: bool | None
    expiration_date: datetime | None
    is_expired: bool
    token_fingerprint: str | None
    extra: str


class MirrorRow(NamedTuple):
    """One row of `instances`: the settled state of an instance and what the mirror knows of it besides."""

    account: str
    instance: Instance
    first_seen_at: datetime
    changed_at: datetime
    renewed_at: datetime | None
    missing_since: datetime | None


Read = TypeVar("Read")


class Answer(NamedTuple, Generic[Read]):
    """One complete answer of the upstream: its body, or what was made of it while it arrived."""

    body: Read
    http_status: int


class Fetch(Protocol):
    """Fetches one answer; `read` is given its body piece by piece, anew for each try."""

    def __call__(self, read: Callable[[Iterable[bytes]], Read], /) -> Answer[Read]: ...


class Reject(NamedTuple):
    """An item of an answer that could not be taken; `item` is JSON text with its secrets removed."""

    position: int
    id_instance: int | None
    reason: str
    item: str


class Listing(NamedTuple):
    """A whole decoded answer.

    `rejected_ids` were listed but could not be taken: they are seen, not absent.
    `proves_absence` is false when an item's id could not be read: it may have been any instance.
    `sealed_tokens` holds ciphertexts by id, and is empty unless tokens are kept.
    """

    instances: Mapping[int, Instance]
    rejects: tuple[Reject, ...]
    rejected_ids: frozenset[int]
    listed: int
    proves_absence: bool
    sealed_tokens: Mapping[int, bytes]


class Transition(StrEnum):
    """What can happen to an instance, in the order in which one observation stores it (CONTRACT 4)."""

    CREATED = "created"
    REAPPEARED = "reappeared"
    RESTORED = "restored"
    RENEWED = "renewed"
    EXTENDED = "extended"
    CHANGED = "changed"
    TOKEN_ROTATED = "token_rotated"  # noqa: S105 - a transition's name, not a secret
    EXPIRED = "expired"
    DELETED = "deleted"
    VANISHED = "vanished"
    PURGED = "purged"


class TimeSource(StrEnum):
    """Whether `occurred_at` was stated by the upstream or is the time at which syncer saw it."""

    UPSTREAM = "upstream"
    OBSERVED = "observed"


class RunStatus(StrEnum):
    """How a run ended (CONTRACT 3)."""

    RUNNING = "running"
    OK = "ok"
    UNCHANGED = "unchanged"
    HELD = "held"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    ABANDONED = "abandoned"


class Trigger(StrEnum):
    """What started a run."""

    SCHEDULE = "schedule"
    MANUAL = "manual"


Change = tuple[object, object]  # old, new


class Event(NamedTuple):
    """One transition of one instance, before it is a row of `instance_history`."""

    transition: Transition
    occurred_at: datetime
    time_source: TimeSource
    changes: Mapping[str, Change]


class Decision(NamedTuple):
    """What one observation means for one instance: the row to write and the events, in stored order.

    `row` is the row as it stands after the observation.
    `previous_observed_at` is the last accepted answer before this one that showed the row; None at first sight.
    """

    id_instance: int
    row: MirrorRow
    events: tuple[Event, ...]
    previous_observed_at: datetime | None
