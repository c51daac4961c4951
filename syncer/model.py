"""The words that everyone uses: what the upstream says of an instance, what the mirror holds, what happened."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Generic, NamedTuple, Protocol, TypeVar, get_type_hints

from syncer.errors import SyncerError
from syncer.words.catalogue import Text

LARGEST_ID = 2**63 - 1


class Field(NamedTuple):
    """A field of the upstream: all that is said of it anywhere. Its column bears the name of the attribute.

    The attribute's type says how it is read and what type its column has: `str | None`, `bool | None`,
    `datetime | None`, or `bool` for a flag without which an item is rejected.
    `is_changed`: its change is the transition `changed`; other fields have rules of their own in `rules.transitions`.
    `in_history`: rows of the history hold it as part of the state after an observation.
    """

    key: str  # in the answer's JSON
    meaning: str  # for docs/schema.md
    noun: Text  # in `syncer explain`
    is_changed: bool = True
    in_history: bool = True
    longest_bytes: int | None = None  # in UTF-8; an item with a longer text is rejected
    is_end: bool = False  # a time that may lie so far away that it means none


class Instance(NamedTuple):
    """One instance as the upstream described it in one answer, cleaned and without its secret.

    Times are aware and in UTC. `is_expired` is what the answer says; `rules.transitions.settle` makes of it what the
    mirror stores. `extra` is canonical JSON text (sorted keys) of every key that has no column, so that equality is
    exact.
    """

    id_instance: int
    name: Annotated[
        str | None,
        Field(
            "name", "the name given in the upstream's console", Text("the name", "название"), longest_bytes=64 * 1024
        ),
    ]
    type_instance: Annotated[
        str | None, Field("typeInstance", "`whatsapp`, `v3` (MAX), `telegram`; open set", Text("the type", "тип"))
    ]
    type_account: Annotated[
        str | None,
        Field(
            "typeAccount",
            "as the upstream tells it; not used there",
            Text("the account type", "тип аккаунта"),
            in_history=False,
        ),
    ]
    messenger: Annotated[
        str | None,
        Field("messenger", "as the upstream tells it; NULL when it does not", Text("the messenger", "мессенджер")),
    ]
    partner_user_uiid: Annotated[
        str | None,
        Field(
            "partnerUserUiid",
            "as the upstream tells it; not used there",
            Text("the partner's user", "пользователь партнёра"),
            in_history=False,
        ),
    ]
    time_created: Annotated[
        datetime | None,
        Field(
            "timeCreated",
            "when the upstream created it",
            Text("the time of creation", "время создания"),
            in_history=False,
        ),
    ]
    time_deleted: Annotated[
        datetime | None,
        Field(
            "timeDeleted",
            "when the upstream deleted it; NULL while it does not say so",
            Text("the time of deletion", "время удаления"),
            is_changed=False,
        ),
    ]
    deleted: Annotated[
        bool, Field("deleted", "the upstream says it is deleted", Text("“deleted”", "«удалён»"), is_changed=False)
    ]
    tariff: Annotated[
        str | None, Field("tariff", "such as `PARTNER_23`, `BUSINESS`; open set", Text("the tariff", "тариф"))
    ]
    is_free: Annotated[
        bool | None, Field("isFree", "NULL when the upstream does not say", Text("“free”", "«бесплатный»"))
    ]
    is_partner: Annotated[
        bool | None, Field("isPartner", "NULL when the upstream does not say", Text("“partner”", "«партнёрский»"))
    ]
    expiration_date: Annotated[
        datetime | None,
        Field(
            "expirationDate",
            "when it expires, or is renewed by itself",
            Text("the expiration date", "срок действия"),
            is_changed=False,
            is_end=True,
        ),
    ]
    is_expired: Annotated[
        bool,
        Field(
            "isExpired",
            "settled: a new instance is not believed to be expired, see `SYNCER_EXPIRY_GRACE`",
            Text("“expired”", "«срок истёк»"),
            is_changed=False,
        ),
    ]
    token_fingerprint: str | None
    extra: str


FIELDS: Mapping[str, Field] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Instance, include_extras=True).items()
    if hasattr(hint, "__metadata__")
}
"""Every field of the upstream that has a column of its own, by the name of the column, in the order of `Instance`."""

TYPES: Mapping[str, object] = {name: hint for name, hint in get_type_hints(Instance).items() if name in FIELDS}
"""The type of each of these fields."""

HISTORY_FIELDS: tuple[str, ...] = tuple(name for name, field in FIELDS.items() if field.in_history)
"""Those that a row of the history holds."""


class Item(NamedTuple):
    """An item of an answer that could be read: the instance, the hash of its bytes, and its token where it is kept.

    `rest_hash` is of its bytes but those of its expiration date; it is kept of usual ones that are not expired. A hash
    of 0 is none.
    """

    instance: Instance
    item_hash: int
    token: bytes | None = None
    rest_hash: int = 0

    @property
    def id_instance(self) -> int:
        return self.instance.id_instance


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
    """One complete answer of the upstream: its body, or what was made of it while it arrived.

    The names of its headers are in lower case; `arrived_at` is when they were there, by this machine's clock.
    """

    body: Read
    http_status: int
    headers: Mapping[str, str] = {}
    arrived_at: datetime | None = None


class Fetch(Protocol):
    """Fetches one answer; `read` is given its body piece by piece, anew for each try."""

    def __call__(self, read: Callable[[Iterable[bytes]], Read], /) -> Answer[Read]: ...


class Reject(NamedTuple):
    """An item of an answer that was rejected; `item` is JSON text with its secrets removed."""

    position: int
    id_instance: int | None
    reason: str
    item: str


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
    """What one observation means for one instance: its row before and after, and the events in stored order.

    `before` is None at first sight; `row is before` when nothing differs.
    `previous_observed_at` is the last accepted answer before this one that showed the row; None at first sight.
    `item` is what was observed; None where the instance is absent.
    `is_claim`: another account owns the instance, so what this one was shown of it counts for nothing but a claim.
    `differing` are the columns in which `row` is not as `before`, of the instance's in their order and then the others.
    """

    before: MirrorRow | None
    row: MirrorRow
    events: tuple[Event, ...]
    previous_observed_at: datetime | None
    item: Item | None
    is_claim: bool = False
    differing: tuple[str, ...] = ()

    @property
    def id_instance(self) -> int:
        return self.row.instance.id_instance

    @property
    def differs(self) -> bool:
        """Whether the row is another one afterwards."""
        return self.row is not self.before


class RunResult(NamedTuple):
    """What a run came to; `error` is set exactly when the run was not accepted."""

    id: int | None
    account: str
    status: RunStatus
    listed: int | None = None
    created: int = 0
    updated: int = 0
    transitions: Mapping[str, int] = {}
    rejected: int = 0
    error: SyncerError | None = None
    body_bytes: int | None = None

    @property
    def exit_code(self) -> int:
        return self.error.exit_code if self.error else 0
