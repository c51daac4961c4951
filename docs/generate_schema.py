"""Writes docs/schema.md from the models and views: `make docs`. A column without a meaning here is an error."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import CheckConstraint, Column, Constraint, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType

from syncer.model import FIELDS, Transition
from syncer.storage import schema
from syncer.storage.tables import metadata
from syncer.views.catalogue import MONEY, VIEWS

TARGET = Path(__file__).parent / "schema.md"

UNTYPED = {
    **dict.fromkeys(MONEY, "numeric"),
    "churn_rate": "double precision",
    "survival": "double precision",
}  # in `syncer/views/catalogue.py`

TABLES = {
    "instances": "The mirror: one row per instance, for ever. A run in which nothing changed writes no row here.",
    "past_versions": "What was true of an instance until `valid_to`; what is true now is its row in `instances`. "
    "Read it as `instance_versions`. Worked out from the history, in the transaction that changes that.",
    "ended_lives": "Stretches of life under one account, type and tariff that are over; the one that goes on is in "
    "`instances`. Read them as `instance_lives`. Worked out from the history too.",
    "instance_history": "What happened, append-only: one row per transition. "
    "Ids only grow and become visible in order, so a reader can go on from the last one that it saw.",
    "sync_runs": "One row per run, failed ones too.",
    "rejected_items": "Items of an accepted answer that were rejected; such an item keeps whatever row it had.",
    "accounts": "One row per account: the answer that the next one is compared with.",
    "tariff_rates": "The price table, filled by `syncer rates set`: the upstream tells no prices.",
    "customers": "Whose instance is it, from which day to which (UTC+3), and for what; filled by "
    "`syncer customers load`, or by SQL. On each day the row that covers it and began last holds. "
    "It refers to no instance: one that is sold and not listed is a finding.",
    "leases": "Which process runs an account now, and which daemon does next. All times are by the database's clock.",
    "instance_tokens": "Instance tokens, encrypted; filled only with `SYNCER_TOKEN_KEY`. No reader gets this table.",
    "claims": "Instances of one account that another account's last accepted answer lists too.",
    "births": "Instances that were born between two polls that lay close together: what speaks for the offset.",
    "held_answers": "Why answers were held: one row per reason, and per kind where a reason is divided.",
    "held_sets": "Instances that answers were held for, once per distinct set.",
    "receivers": "Who is told of transitions, and how far in the history each has been told: the history is the queue, "
    "a receiver a cursor in it. No address is here. All times are by the database's clock.",
    "attention_told": "Rows of `bi_attention` that a receiver was told of, and not yet that they ended.",
    "syncer_epoch": "One row: within an epoch an id of the history means one row. A backup that is restored begins a "
    "new one, and so does a database without a row here.",
    "approvals": "One row per `syncer approve`, kept for ever; the next accepted answer closes it.",
}

COLUMNS = {
    **{name: field.meaning for name, field in FIELDS.items()},
    "id_instance": "the upstream's id",
    "account": "whose token listed it",
    "token_fingerprint": "16 hex digits of SHA-256 of the instance's token; tells that it changed, and nothing else",
    "extra": "every key that has no column here, secrets removed",
    "first_seen_at": "when an answer first listed it",
    "changed_at": "last write of this row",
    "renewed_at": "when the expiration date was last seen to move forward",
    "missing_since": "since when no answer lists it; NULL while listed",
    "rest_hash": "the same without the expiration date, by which the daily roll is told; NULL where it cannot be",
    "item_hash": "of the bytes it was applied from: the same bytes need no second look; NULL where they might",
    "last_seen_at": "the last accepted answer that listed it",
    "id": "grows, never reused",
    "run_id": "the run that saw it",
    "transition": ", ".join(f"`{word}`" for word in Transition),
    "occurred_at": "when it happened: the upstream's word, else when it was seen",
    "time_source": "`upstream` or `observed`: whose word `occurred_at` is",
    "observed_at": "when the answer that showed it was complete",
    "previous_observed_at": "the accepted answer before; NULL at first sight",
    "changes": "`{column: [old, new]}`",
    "missing": "no answer lists it any more",
    "trigger": "`schedule` or `manual`",
    "started_at": "when the run began",
    "finished_at": "when it ended; NULL while it runs",
    "status": "of a run: `running`, `ok`, `unchanged`, `held`, `failed`, `superseded`, `abandoned`",
    "error_kind": "one word for why it was not accepted",
    "error": "one line for a person, secrets removed",
    "warning": "words separated by commas: `blind_gap`, `overlap`, `mass_change`, `zone`",
    "http_status": "of the last answer",
    "body_bytes": "of the answer, decompressed",
    "body_sha256": "of the answer",
    "listed": "instances in the answer",
    "created": "how many are new",
    "updated": "rows of `instances` that were changed",
    "transitions": "rows of `instance_history` that were written",
    "rejected": "rows of `rejected_items` that were written",
    "position": "place in the answer, from 0",
    "reason": "one line or word: why",
    "item": "the item as it came, secrets removed",
    "interval_seconds": "how often it is polled; NULL when no daemon has said",
    "last_accepted_run_id": "the run whose answer the next one is compared with",
    "last_accepted_at": "when that answer was complete; freshness is measured by it",
    "hash_seed": "of the hashes in `instances`; under other settings they mean nothing",
    "body_digest": "what the last accepted answer is recognised by when it comes again; NULL where it might say "
    "something else then",
    "moves": "how often instances, or the account itself, were moved otherwise than by its own runs",
    "moved_at": "when instances were last seen to move to or from it",
    "retired_at": "since when no answer of it is expected; NULL while one is",
    "held_back_until": "when the upstream wants to be asked again at the earliest, by its `Retry-After`",
    "upstream_offset": "the configured offset of the upstream's times",
    "suggested_offset": "the offset that the last births between polls speak for",
    "answered_at": "the answer's own `Date`; NULL without one",
    "since_run_id": "the run that listed it first",
    "born_after": "when the answer was complete that did not list it yet",
    "born_before": "when the first answer was complete that lists it",
    "what": "what divides a reason: of `flipped` the transition, of `shifted` by how much",
    "lapsed_at": "when it ended without an answer: an upgrade, or another name of the account",
    "births": "instances that were born between two polls less than 15 minutes apart",
    "outside": "those whose creation does not lie between these polls",
    "least_lag_minutes": "from an instance's creation to its first sight, at least",
    "most_lag_minutes": "and at most",
    "offset_configured": "the offset by which creations are read",
    "offset_suggested": "the one that the last three births agree on; NULL: nothing speaks against the configured one",
    "currency": "three letters, ISO 4217",
    "customer": "whose instance it is; NULL: nobody's",
    "daily_price": "what the customer is charged for a day of it; NULL: not sold",
    "cost_currency": "of `cost`; NULL: days that have no rate in `tariff_rates`",
    "price_currency": "of `price`; NULL: days that are not sold",
    "cost": "what the upstream charges for these days",
    "price": "what the customer is charged for them",
    "margin": "price less cost; NULL where the currencies differ, or either is NULL",
    "leak": "`nobody`, `customer_left`, `gone_but_sold`, `expired_not_deleted`",
    "days": "charged since then; of `gone_but_sold` those whose 00:00 it was gone at",
    "daily_rate": "price of an instance-day",
    "valid_from": "from which moment or day on it holds",
    "holder": "the process; NULL when nobody runs it",
    "beat_at": "when the holder last renewed the lease",
    "expires_at": "when the lease ends unless it is renewed",
    "daemon": "the daemon that runs the account next; NULL when none said so",
    "daemon_beat_at": "when it last said so in this row; one whose rows are all older than a minute is not believed",
    "next_run_at": "when it does",
    "ciphertext": "nonce and AES-256-GCM ciphertext, bound to the id",
    "key_fingerprint": "tells which key it was encrypted with",
    "sha256": "of the set",
    "ids_sha256": "the set of instances that it was held for",
    "approved_at": "when",
    "closed_by_run_id": "the accepted answer that ended it, whether or not it made use of it",
    "days_to_expiration": "calendar days; negative once expired",
    "age_days": "calendar days from creation to deletion, or to today",
    "billable_days": "1 and the midnights lived through",
    "valid_to": "until when; NULL: still so",
    "day": "at UTC+3",
    "month": "`YYYY-MM` at UTC+3",
    "live": "listed and not deleted",
    "billable": "instances that the day is charged for",
    "instance_days": "days charged for",
    "amount": "of those that have a rate in `tariff_rates`; NULL where none has",
    "unpriced_days": "days charged for that have no rate",
    "days_left": "calendar days",
    "opening": "live when the month began",
    "returned": "lives that began again: restored, or listed again after a deletion",
    "moved": "live ones that came from other accounts, less those that went",
    "lost": "lived here when the month began, and in no account when it ended",
    "vanished": "not listed any more without having been deleted",
    "closing": "live when the month ended",
    "churn_rate": "lost by opening; NULL when there was nothing to lose",
    "cohort_month": "the month of creation",
    "age_months": "months since",
    "size": "how many were created then",
    "alive": "how many of them lived at that age",
    "survival": "alive by size",
    "n": "how often",
    "since": "since when",
    "epoch": "what the ids of messages to receivers begin with",
    "place": "which file it is, or which tables of which server: no copy has the same",
    "began_at": "when it began",
    "receiver": "the receiver",
    "last_history_id": "the last row of the history that it was told, or does not want to be told",
    "delivered_at": "when it last took a message",
    "failing_since": "since when it takes none; NULL while it does",
    "tries": "how often the message that is next was tried",
    "next_try_at": "when it is tried again at the earliest",
    "stopped_at": "when it said that it wants no more (410); NULL after `syncer receivers resume`",
    "attention_since": "since when it is told of `bi_attention`, row by row; NULL: it is not",
    "digest_at": "when its next digest is due; NULL: it is told of single events",
    "digest_until_id": "the last row of the history that the digest which is due sums up; NULL: none is",
    "state": "the first that is true: `never`, `held`, `clock`, `stale`, `failing`, `ok`",
    "severity": "1: money is lost, 2: soon, 3: to know",
    "began": "steps into the group",
    "ended": "steps out of it",
    "began_with": "`created`, `returned`, `moved`, `regrouped`",
    "ended_at": "when it ended",
    "ended_with": "`deleted`, `vanished`, `moved`, `regrouped`",
    "first_day": "on which it began, at UTC+3",
    "last_day": "on which it ended",
    "first_night": "the first day that is charged: of its creation, else the first at whose 00:00 it is there",
    "end_night": "the first day that is not charged any more",
    "life_began_at": "when the life that goes on began; NULL if none does",
    "life_began_with": "how: `created`, `returned`, `moved`, `regrouped`",
    "life_first_day": "on which day, at UTC+3",
    "life_first_night": "the first day of it that is charged",
    "data_as_of": "the last accepted answer",
    "age_seconds": "its age",
    "last_run_at": "when the last run began",
    "last_status": "how it ended",
    "consecutive_failures": "runs since the last accepted answer",
    "last_error": "what the last one failed of",
    "expired": "those of the live that are expired",
}

OF_ONE = {
    ("bi_instances", "status"): "`active`, `expired`, `deleted`, `vanished`, `purged`",
    ("bi_attention", "reason"): "`expired_not_deleted`, `not_renewed`, `expiring_soon` (7 days), `vanished`, "
    "`lived_under_a_day`, `claimed_twice`",
    ("held_answers", "reason"): "`empty`, `foreign`, `vanished`, `flipped`, `stripped`, `older`, `shifted`",
    ("held_answers", "run_id"): "the run that was held",
    ("approvals", "run_id"): "the held run that was approved",
    ("held_sets", "ids"): "ascending ids as a JSON array",
    ("claims", "account"): "the account that lists it, and does not own it",
    ("births", "account"): "the account that listed it",
    ("receivers", "name"): "as in `[receivers.NAME]`",
    ("receivers", "last_error"): "why it was not told, without its address; NULL while it is",
    ("receivers", "holder"): "the process that sends to it now",
    ("leases", "started_at"): "when the account's last scheduled run began",
    ("bi_daily", "created"): "instances created that day",
    ("bi_daily", "deleted"): "instances deleted that day",
    ("bi_daily", "live"): "at the end of the day",
    ("bi_churn_monthly", "created"): "instances created in it",
    ("bi_churn_monthly", "deleted"): "instances deleted in it",
    ("bi_costs_monthly", "name"): "its last in that month",
    ("bi_costs_monthly", "customer"): "its last in that month; NULL: it had none in it",
    ("bi_instances", "customer"): "today's; NULL: nobody's",
    ("bi_leaks", "customer"): "today's; of `customer_left` the one who left",
    ("bi_leaks", "account"): "whose token listed it; NULL: it never was",
    ("bi_leaks", "cost"): "what the upstream charges for them; NULL where none has a rate, or two currencies meet",
    ("customers", "id_instance"): "the upstream's id",
    ("customers", "customer"): "its name, as it stands in statements and sums",
    ("customers", "valid_from"): "its first day",
    ("customers", "valid_to"): "its last day, inclusive; NULL: still",
    ("customers", "currency"): "of `daily_price`: three letters, ISO 4217",
    ("sync_status", "warning"): "of the run of the last accepted answer",
    ("bi_churn_monthly", "vanished"): "instances missed in it and not listed since",
    ("bi_daily", "ended"): "steps out of the group",
    ("past_versions", "valid_from"): "from when on",
    ("instances", "valid_from"): "since when what the row says is true; NULL until an upgrade has worked it out",
    ("sync_status", "listed"): "instances of the last accepted answer",
    ("sync_status", "deleted"): "those of the listed that are deleted",
    **{
        (view, "account"): "the account"
        for view in ("accounts", "leases", "sync_runs", "sync_status", "bi_churn_monthly")
    },
}


def meaning(table: str, column: str) -> str:
    found = OF_ONE.get((table, column)) or COLUMNS.get(column)
    if not found:
        sys.exit(f"docs/generate_schema.py: {table}.{column} has no meaning; write one")
    return found


def kind(column: Column[object]) -> str:
    if isinstance(column.type, NullType):
        return UNTYPED.get(column.name, "text")
    name = str(column.type.compile(dialect=postgresql.dialect())).lower()
    return {"timestamp with time zone": "timestamptz", "date": "date"}.get(name, name)


def rows(cells: Iterable[Iterable[str]]) -> str:
    return "".join("| " + " | ".join(one) + " |\n" for one in cells)


def is_told(constraint: Constraint) -> bool:
    """Not keys, which are told with the columns, nor what makes a boolean of SQLite's integers."""
    if isinstance(constraint, CheckConstraint):
        return "POSTCOMPILE" not in str(constraint.sqltext)
    return isinstance(constraint, UniqueConstraint)


def rule(constraint: Constraint) -> str:
    if isinstance(constraint, CheckConstraint):
        return f"`{constraint.name}`: `{constraint.sqltext}`"
    columns = ", ".join(f"`{name}`" for name, _column in constraint.columns.items())
    return f"`{constraint.name}`: {columns} together are unique"


def table_section(table: Table) -> str:
    keys = ", ".join(f"`{column.name}`" for column in table.primary_key.columns)
    columns = rows(
        (
            f"`{column.name}`",
            kind(column),
            "" if column.nullable else "not null",
            meaning(table.name, column.name)
            + "".join(f" → `{key.column.table.name}`" for key in sorted(column.foreign_keys, key=str)),
        )
        for column in table.columns
    )
    rules = sorted(rule(one) for one in table.constraints if one.name and is_told(one))
    listed = "\nThe database refuses what breaks one of these:\n\n" + "".join(f"- {rule}\n" for rule in rules)
    return (
        f"### `{table.name}`\n\n{TABLES[table.name]}\nKey: {keys}.\n\n"
        f"| column | type | | meaning |\n|---|---|---|---|\n{columns}{listed if rules else ''}\n"
    )


def view_words(name: str) -> str:
    """What a view's own first lines say of it."""
    newest = max((schema.migrations_folder() / "views").glob(f"{name}_v*.sql"))
    lines = newest.read_text("utf-8").splitlines()
    return " ".join(line.removeprefix("--").strip() for line in lines if line.startswith("--"))


def view_section(name: str) -> str:
    columns = rows((f"`{column.name}`", kind(column), meaning(name, column.name)) for column in VIEWS[name].columns)
    told = re.sub(r"(?<=[.]) (?=[A-Z])", "\n", view_words(name))
    return f"### `{name}`\n\n{told}\n\n| column | type | meaning |\n|---|---|---|\n{columns}\n"


def document() -> str:
    tables = [metadata.tables[name] for name in TABLES]
    return (
        "# Schema\n\n"
        "Written by `make docs` from `syncer/storage/tables.py`, `syncer/views/catalogue.py` and `migrations/views/`; "
        "change those.\n\n"
        f"This is revision {schema.head()}.\n"
        "Types are PostgreSQL's; on SQLite a `timestamptz` is text `YYYY-MM-DD HH:MM:SS.ffffff` in UTC, "
        "a boolean is 0 or 1, and `json` is text.\n"
        "People read the views, see `docs/bi.md`; tables are for those who follow the history or look into runs.\n\n"
        "## Views\n\n" + "".join(view_section(name) for name in VIEWS) + "## Tables\n\n"
        + "".join(table_section(table) for table in tables)
    ).rstrip("\n") + "\n"  # fmt: skip


if __name__ == "__main__":
    missing = set(metadata.tables) - set(TABLES)
    if missing:
        sys.exit(f"docs/generate_schema.py: {', '.join(sorted(missing))} has no meaning; write one")
    if sys.argv[1:] == ["--check"]:
        if TARGET.read_text("utf-8") != document():
            sys.exit("docs/schema.md is not what the models and views say; run: make docs")
    else:
        TARGET.write_text(document(), "utf-8")
