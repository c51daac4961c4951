"""The tables of CONTRACT 3 as SQLAlchemy metadata; `migrations/` creates them, a test proves that both agree.

Constraints are named and carry the invariants, so that the database refuses what the code must never write.

One module over 300 lines: the tables refer to one another, and are read as one page.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    cast,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeDecorator

from syncer.model import FIELDS, HISTORY_FIELDS, TYPES, RunStatus, TimeSource, Transition, Trigger
from syncer.rules.guard import HoldReason

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime: `timestamptz` on PostgreSQL, text `YYYY-MM-DD HH:MM:SS.ffffff` on SQLite.

    A naive datetime is refused: SQLite would store it as if it were UTC.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(TypeDecorator[str]):
    """A `JSON` column that takes and gives JSON text unparsed, so that what was written reads back to the letter."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Any:
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return None

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(column, Text)


# On SQLite only an INTEGER PRIMARY KEY is the row's own address; it holds 64 bits all the same.
Identifier = BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, words: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


def _either(column: str, *words: str) -> str:
    """For a condition on many rows: SQLite makes an index of a list of words, anew for each row that it checks."""
    return " OR ".join(f"{column} = '{word}'" for word in words)


def _flag(name: str, *, nullable: bool) -> Column[bool]:
    return Column(name, Boolean(create_constraint=True, name=name), nullable=nullable)


def _field(name: str) -> Column[Any]:
    """The column of a field of the upstream, by its type in `model.Instance`."""
    kind = TYPES[name]
    if kind is bool or kind == bool | None:
        return _flag(name, nullable=kind is not bool)
    return Column(name, UtcDateTime if kind == datetime | None else Text)


BASE_IS_A_RUN = "fk_accounts_last_accepted_run_id"  # checked at COMMIT: the tables refer to one another

accounts = Table(
    "accounts",
    metadata,
    Column("account", Text, primary_key=True),
    Column("interval_seconds", Integer),
    Column(
        "last_accepted_run_id",
        Identifier,
        ForeignKey("sync_runs.id", name=BASE_IS_A_RUN, use_alter=True, deferrable=True, initially="DEFERRED"),
    ),
    Column("last_accepted_at", UtcDateTime),
    Column("hash_seed", BigInteger),
    Column("body_digest", LargeBinary),
    Column("moves", Identifier),
    Column("moved_at", UtcDateTime),
    Column("retired_at", UtcDateTime),
    Column("held_back_until", UtcDateTime),
    Column("upstream_offset", String(6)),
    Column("suggested_offset", String(6)),
    CheckConstraint("account <> ''", name="account_named"),
    CheckConstraint("interval_seconds > 0", name="interval_positive"),
    CheckConstraint("(last_accepted_run_id IS NULL) = (last_accepted_at IS NULL)", name="accepted_whole"),
)
"""`hash_seed` is the seed of the hashes in `instances`: under other settings or rules they mean nothing.

`body_digest` is what the last accepted answer is recognised by when it comes again and would change nothing.

`moves` counts how often instances, or the account itself, were moved otherwise than by its own runs, `moved_at` is when
that was observed last. `held_back_until` is when the upstream wants to be asked again at the earliest. The offsets are
those of the upstream's times, as `+03:00`: the configured one, and the one that births between polls speak for.
"""

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", Identifier, Identity(always=True), primary_key=True),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    Column("trigger", String(16), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("status", String(16), nullable=False),
    Column("error_kind", String(32)),
    Column("error", Text),
    Column("warning", Text),
    Column("http_status", Integer),
    Column("body_bytes", BigInteger),
    Column("body_sha256", String(64)),
    Column("answered_at", UtcDateTime),
    Column("listed", Integer),
    Column("created", Integer),
    Column("updated", Integer),
    Column("transitions", Integer),
    Column("rejected", Integer),
    CheckConstraint(_one_of("trigger", Trigger), name="trigger_known"),
    CheckConstraint(_one_of("status", RunStatus), name="status_known"),
    CheckConstraint("(status = 'running') = (finished_at IS NULL)", name="finished_unless_running"),
    CheckConstraint("finished_at >= started_at", name="finished_after_start"),
    CheckConstraint("status NOT IN ('ok', 'unchanged') OR error IS NULL", name="no_error_when_accepted"),
    CheckConstraint("status IN ('ok', 'unchanged', 'running') OR error IS NOT NULL", name="error_when_not_accepted"),
    CheckConstraint("status <> 'unchanged' OR (created = 0 AND updated = 0)", name="unchanged_writes_nothing"),
    Index("ix_sync_runs_account_id", "account", "id"),
    Index("ix_sync_runs_running", "account", info={"where": "status = 'running'"}),  # see `created_once` below
    sqlite_autoincrement=True,
)

instances = Table(
    "instances",
    metadata,
    Column("id_instance", Identifier, primary_key=True, autoincrement=False),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    *map(_field, FIELDS),
    Column("token_fingerprint", String(16)),
    Column("extra", JsonText, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("renewed_at", UtcDateTime),
    Column("missing_since", UtcDateTime),
    Column("valid_from", UtcDateTime),
    Column("life_began_at", UtcDateTime),
    Column("life_began_with", String(16)),
    Column("life_first_day", Date),
    Column("life_first_night", Date),
    Column("item_hash", BigInteger),
    Column("rest_hash", BigInteger),
    CheckConstraint("id_instance >= 1", name="id_positive"),
    CheckConstraint("length(token_fingerprint) = 16", name="fingerprint_is_no_token"),
    CheckConstraint("changed_at >= first_seen_at", name="changed_after_first_seen"),
    CheckConstraint("renewed_at >= first_seen_at", name="renewed_after_first_seen"),
    CheckConstraint("missing_since >= first_seen_at", name="missing_after_first_seen"),
    CheckConstraint(
        "(life_began_at IS NULL) = (life_began_with IS NULL) AND (life_began_at IS NULL) = (life_first_day IS NULL)"
        " AND (life_began_at IS NULL) = (life_first_night IS NULL)",
        name="life_whole",
    ),
    CheckConstraint("life_first_night >= life_first_day", name="life_night_after_day"),
    Index("ix_instances_account", "account"),
    Index("ix_instances_without_timeline", "id_instance", info={"where": "valid_from IS NULL"}),
)
"""`item_hash` is of the bytes of the item that was applied last: the same bytes need not be read again.

`rest_hash` is of the same without the expiration date, which alone changes each day; NULL where the item is expired or
not in its usual form. Both are NULL where the same item may come to mean something else with time.
"""

past_versions = Table(
    "past_versions",
    metadata,
    Column("id_instance", Identifier, ForeignKey("instances.id_instance"), nullable=False),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("valid_to", UtcDateTime, nullable=False),
    Column("account", Text, nullable=False),
    *map(_field, HISTORY_FIELDS),
    PrimaryKeyConstraint("id_instance", "valid_from"),
    CheckConstraint("valid_to > valid_from", name="valid_some_time"),
    sqlite_with_rowid=False,
)
"""What was true of an instance until `valid_to`; what is true now is its row in `instances`, since `valid_from`."""

ended_lives = Table(
    "ended_lives",
    metadata,
    Column("id_instance", Identifier, ForeignKey("instances.id_instance"), nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("began_with", String(16), nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),
    Column("ended_with", String(16), nullable=False),
    Column("account", Text, nullable=False),
    Column("type_instance", Text),
    Column("tariff", Text),
    Column("first_day", Date, nullable=False),
    Column("first_night", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("end_night", Date, nullable=False),
    PrimaryKeyConstraint("id_instance", "began_at"),
    CheckConstraint("ended_at >= began_at", name="ended_after_it_began"),
    CheckConstraint("last_day >= first_day", name="last_day_after_first"),
    CheckConstraint("end_night >= first_night", name="nights_not_negative"),
    CheckConstraint(_either("began_with", "created", "returned", "moved", "regrouped"), name="beginning_known"),
    CheckConstraint(_either("ended_with", "deleted", "vanished", "moved", "regrouped"), name="end_known"),
    sqlite_with_rowid=False,
)
"""Each stretch under one account, type and tariff that is over; the one that goes on is in `instances`."""

instance_history = Table(
    "instance_history",
    metadata,
    Column("id", Identifier, Identity(always=True), primary_key=True),
    Column("id_instance", Identifier, ForeignKey("instances.id_instance"), nullable=False),
    Column("account", Text, nullable=False),
    Column("run_id", Identifier, ForeignKey("sync_runs.id"), nullable=False),
    Column("transition", String(16), nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("time_source", String(16), nullable=False),
    Column("observed_at", UtcDateTime, nullable=False),
    Column("previous_observed_at", UtcDateTime),
    Column("changes", JsonText, nullable=False),
    *map(_field, HISTORY_FIELDS),
    _flag("missing", nullable=False),
    CheckConstraint(_either("transition", *Transition), name="transition_known"),
    CheckConstraint(_one_of("time_source", TimeSource), name="time_source_known"),
    CheckConstraint("occurred_at <= observed_at", name="occurred_before_observed"),
    CheckConstraint("time_source = 'upstream' OR occurred_at = observed_at", name="observed_time_is_observed_at"),
    CheckConstraint(
        f"time_source = 'observed' OR {_either('transition', 'created', 'expired', 'deleted')}",
        name="upstream_tells_time_of",
    ),
    CheckConstraint("previous_observed_at <= observed_at", name="previous_before_observed"),
    CheckConstraint("transition <> 'created' OR previous_observed_at IS NULL", name="created_is_first"),
    CheckConstraint("transition <> 'deleted' OR deleted", name="deleted_is_deleted"),
    CheckConstraint("transition <> 'restored' OR NOT deleted", name="restored_is_not_deleted"),
    CheckConstraint("transition <> 'expired' OR is_expired", name="expired_is_expired"),
    CheckConstraint("transition <> 'renewed' OR NOT is_expired", name="renewed_is_not_expired"),
    CheckConstraint("missing = (transition IN ('vanished', 'purged'))", name="missing_when_gone"),
    CheckConstraint("transition <> 'vanished' OR NOT deleted", name="vanished_was_not_deleted"),
    CheckConstraint("transition <> 'purged' OR deleted", name="purged_was_deleted"),
    UniqueConstraint("id_instance", "run_id", "transition", name="uq_instance_history_once_per_run"),
    Index(
        "uq_instance_history_created_once",
        "id_instance",
        unique=True,
        # As an option of the dialects it would load both into every cold start; only the migration needs it.
        info={"where": "transition = 'created'"},
    ),
    sqlite_autoincrement=True,
)

rejected_items = Table(
    "rejected_items",
    metadata,
    Column("run_id", Identifier, ForeignKey("sync_runs.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("id_instance", BigInteger),
    Column("reason", Text, nullable=False),
    Column("item", JsonText, nullable=False),
    PrimaryKeyConstraint("run_id", "position"),
    CheckConstraint("position >= 0", name="position_in_list"),
)

leases = Table(
    "leases",
    metadata,
    Column("account", Text, ForeignKey("accounts.account"), primary_key=True),
    Column("holder", Text),
    Column("started_at", UtcDateTime),
    Column("beat_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("daemon", Text),
    Column("daemon_beat_at", UtcDateTime),
    Column("next_run_at", UtcDateTime),
    CheckConstraint("(holder IS NULL) = (expires_at IS NULL)", name="held_until"),
)
"""Which process runs an account now, when its last scheduled run began, and which daemon runs it next.

All times are by the database's clock.
"""

instance_tokens = Table(
    "instance_tokens",
    metadata,
    Column("id_instance", Identifier, ForeignKey("instances.id_instance"), primary_key=True, autoincrement=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("token_fingerprint", String(16), nullable=False),
    Column("key_fingerprint", String(16), nullable=False),
    CheckConstraint("length(token_fingerprint) = 16", name="fingerprint_is_no_token"),
)

tariff_rates = Table(
    "tariff_rates",
    metadata,
    Column("tariff", Text, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("daily_rate", Numeric(18, 6), nullable=False),
    Column("valid_from", Date, nullable=False),
    PrimaryKeyConstraint("tariff", "valid_from"),
    CheckConstraint("daily_rate >= 0", name="rate_not_negative"),
    CheckConstraint("length(currency) = 3", name="currency_is_iso_code"),
)

customers = Table(
    "customers",
    metadata,
    Column("id_instance", Identifier, nullable=False, autoincrement=False),
    Column("customer", Text, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    Column("daily_price", Numeric(18, 6)),
    Column("currency", String(3)),
    PrimaryKeyConstraint("id_instance", "valid_from"),
    CheckConstraint("id_instance >= 1 AND id_instance + 0 = id_instance", name="id_positive"),
    CheckConstraint("customer <> ''", name="customer_named"),
    CheckConstraint("COALESCE(date(valid_from) = valid_from, FALSE)", name="first_day_is_one"),
    CheckConstraint("valid_to IS NULL OR COALESCE(date(valid_to) = valid_to, FALSE)", name="last_day_is_one"),
    CheckConstraint("valid_to >= valid_from", name="last_day_after_first"),
    CheckConstraint("daily_price >= 0 AND daily_price + 0 = daily_price", name="price_not_negative"),
    CheckConstraint("(daily_price IS NULL) = (currency IS NULL)", name="price_whole"),
    CheckConstraint("length(currency) = 3", name="currency_is_iso_code"),
)
"""Whose instance is it, from which day to which (UTC+3), and for what; users fill it, by a file or by SQL.

It refers to no instance: one that is sold and that the upstream does not list is what `bi_leaks` is to find.
Some of its conditions are true of every value of PostgreSQL's: SQLite would keep texts such as 1.10.2026 or 12,50.
"""

claims = Table(
    "claims",
    metadata,
    Column("id_instance", Identifier, ForeignKey("instances.id_instance"), nullable=False),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    Column("since_run_id", Identifier, ForeignKey("sync_runs.id"), nullable=False),
    Column("item_hash", BigInteger),
    PrimaryKeyConstraint("id_instance", "account"),
    Index("ix_claims_account", "account"),
)
"""Instances of one account that the last accepted answer of another lists too; `item_hash` is as in `instances`."""

births = Table(
    "births",
    metadata,
    Column("id_instance", Identifier, ForeignKey("instances.id_instance"), primary_key=True, autoincrement=False),
    Column("account", Text, ForeignKey("accounts.account"), nullable=False),
    Column("born_after", UtcDateTime, nullable=False),
    Column("born_before", UtcDateTime, nullable=False),
    CheckConstraint("born_before >= born_after", name="born_in_between"),
    Index("ix_births_account", "account", "born_before"),
)
"""Instances that were born between two polls that lay close together: what speaks for the upstream's offset."""

held_sets = Table(
    "held_sets",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("ids", JsonText, nullable=False),
)
"""Instances that answers were held for: ascending ids as a JSON array, once per distinct set, however often held."""

held_answers = Table(
    "held_answers",
    metadata,
    Column("run_id", Identifier, ForeignKey("sync_runs.id"), nullable=False),
    Column("reason", String(16), nullable=False),
    Column("what", String(32), nullable=False),
    Column("ids_sha256", String(64), ForeignKey("held_sets.sha256"), nullable=False),
    PrimaryKeyConstraint("run_id", "reason", "what"),
    CheckConstraint(_one_of("reason", HoldReason), name="reason_known"),
)
"""Why an answer was held: one row per reason, and per kind where a reason is divided."""

approvals = Table(
    "approvals",
    metadata,
    Column("run_id", Identifier, ForeignKey("sync_runs.id"), primary_key=True, autoincrement=False),
    Column("approved_at", UtcDateTime, nullable=False),
    Column("closed_by_run_id", Identifier, ForeignKey("sync_runs.id")),
    Column("lapsed_at", UtcDateTime),
    CheckConstraint("closed_by_run_id > run_id", name="closed_by_later_run"),
    CheckConstraint("closed_by_run_id IS NULL OR lapsed_at IS NULL", name="closed_or_lapsed"),
)
"""One row per approval, kept for ever; the next accepted answer closes it, whether or not it made use of it.

Those of an older schema, which knew fewer reasons, lapsed when it was upgraded.
"""

syncer_epoch = Table(
    "syncer_epoch",
    metadata,
    Column("epoch", String(16), primary_key=True),
    Column("place", Text, nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    CheckConstraint("epoch <> ''", name="epoch_named"),
)
"""One row: within an epoch no history id means two things. Where the row is missing, a new epoch begins.

`place` is what tells the database from a copy or a backup of it. Users of other names may have a table `epoch`.
"""

receivers = Table(
    "receivers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("last_history_id", Identifier, nullable=False),
    Column("delivered_at", UtcDateTime),
    Column("failing_since", UtcDateTime),
    Column("tries", Integer, nullable=False),
    Column("next_try_at", UtcDateTime),
    Column("last_error", Text),
    Column("stopped_at", UtcDateTime),
    Column("attention_since", UtcDateTime),
    Column("digest_at", UtcDateTime),
    Column("digest_until_id", Identifier),
    Column("holder", Text),
    Column("expires_at", UtcDateTime),
    CheckConstraint("name <> ''", name="receiver_named"),
    CheckConstraint("last_history_id >= 0", name="cursor_not_negative"),
    CheckConstraint("(failing_since IS NULL) = (tries = 0)", name="failing_since_a_try"),
    CheckConstraint("failing_since IS NULL OR last_error IS NOT NULL", name="failing_of_something"),
    CheckConstraint("stopped_at IS NULL OR failing_since IS NOT NULL", name="stopped_is_failing"),
    CheckConstraint("digest_until_id >= last_history_id", name="digest_goes_forward"),
    CheckConstraint("digest_until_id IS NULL OR digest_at IS NOT NULL", name="digest_is_due"),
    CheckConstraint("(holder IS NULL) = (expires_at IS NULL)", name="held_until"),
)
"""How far in the history each receiver has been told; addresses and secrets are in the settings alone.

`holder` is which process sends to it now, as in `leases`. A digest sums up what lies behind `last_history_id` up to
`digest_until_id`, which is settled before it is first tried. All times are by the database's clock.
"""

attention_told = Table(
    "attention_told",
    metadata,
    Column("receiver", Text, ForeignKey("receivers.name", ondelete="CASCADE"), nullable=False),
    Column("id_instance", Identifier, ForeignKey("instances.id_instance"), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("receiver", "id_instance", "reason", "since"),
)
"""Rows of `bi_attention` that a receiver knows of: it was told that they came, and not yet that they went."""
