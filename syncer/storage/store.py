"""What one run reads of the mirror and writes into it, over a `Connection`; the caller owns the transaction."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, insert, select, update

from syncer.answer.decode import canonical_json
from syncer.answer.matcher import Known
from syncer.model import Decision, Event, Instance, MirrorRow, Reject, TimeSource, Transition
from syncer.storage import bulk
from syncer.storage.runs import StartedRun
from syncer.storage.tables import accounts, instance_history, instance_tokens, instances, rejected_items

_INSTANCE_COLUMNS = [instances.c[name] for name in Instance._fields]
_MIRROR_COLUMNS = [instances.c[name] for name in ("account", *MirrorRow._fields[2:])]
_ROW_COLUMNS = ("account", *Instance._fields[1:], *MirrorRow._fields[2:], "item_hash", "content_hash", "id_instance")
_HISTORY_COLUMNS = (
    "id_instance",
    "account",
    "run_id",
    "transition",
    "occurred_at",
    "time_source",
    "observed_at",
    "previous_observed_at",
    "changes",
    "name",
    "type_instance",
    "messenger",
    "tariff",
    "is_free",
    "is_partner",
    "time_deleted",
    "deleted",
    "expiration_date",
    "is_expired",
    "missing",
)
_NO_HASHES = (None, None)
_STATE_COLUMNS = _HISTORY_COLUMNS[_HISTORY_COLUMNS.index("name") : -1]
_state_of = itemgetter(*map(_ROW_COLUMNS.index, _STATE_COLUMNS))
_TIME_CREATED = _ROW_COLUMNS.index("time_created")
_AS_NEW_ROW_TELLS = {
    **{column: column for column in ("id_instance", "account", *_STATE_COLUMNS)},
    "occurred_at": "time_created",
}


def read_known(connection: Connection, account: str) -> Known:
    """What `stream` compares an account's next answer with."""
    return Known(*bulk.read_hashes(connection, account))


def read_mirror(connection: Connection, account: str, listed_ids: Iterable[int]) -> dict[int, MirrorRow]:
    """Every row of the account, and the rows of other accounts that have one of the listed ids."""
    query = select(*_INSTANCE_COLUMNS, *_MIRROR_COLUMNS)
    mirror = {
        row.instance.id_instance: row
        for row in map(_mirror_row, connection.execute(query.where(instances.c.account == account)))
    }
    if has_other_accounts(connection, account):
        for ids in bulk.batches(id_instance for id_instance in listed_ids if id_instance not in mirror):
            mirror |= bulk.read_rows(connection, ids)
    return mirror


def has_other_accounts(connection: Connection, account: str) -> bool:
    """Whether any row belongs to another account."""
    others = select(accounts.c.account).where(
        accounts.c.account != account, exists().where(instances.c.account == accounts.c.account)
    )
    return connection.execute(others.limit(1)).first() is not None


def read_owners(connection: Connection, ids: Sequence[int]) -> set[str]:
    """The accounts that these instances belong to."""
    query = select(instances.c.account).distinct().where(instances.c.id_instance.in_(bindparam("ids", expanding=True)))
    return set(connection.scalars(query, {"ids": ids}))


def _mirror_row(row: Row[Any]) -> MirrorRow:
    told = len(Instance._fields)
    return MirrorRow(row[told], Instance._make(row[:told]), *row[told + 1 :])


class Writer:
    """Writes the decisions of one run, batch by batch, and counts them."""

    def __init__(self, connection: Connection, account: str, run: StartedRun, observed_at: datetime) -> None:
        self.created = 0
        self.updated = 0
        self.transitions: Counter[str] = Counter()
        self._connection = connection
        self._account = account
        self._run = run
        self._observed_at = observed_at
        self._observed = bulk.moment(observed_at) or ""
        self._disturbed: set[str] = set()

    def write(
        self,
        decisions: Sequence[Decision],
        mirror: Mapping[int, MirrorRow],
        hashes: Mapping[int, tuple[int | None, int | None]],
    ) -> None:
        """Write rows and their history; `mirror` holds the rows before, `hashes` those of items that have any."""
        new: list[tuple[Any, ...]] = []
        known: list[tuple[Any, ...]] = []
        history: list[tuple[Any, ...]] = []
        told: list[int] = []  # new instances that were created when their rows say
        for decision in decisions:
            before = mirror.get(decision.id_instance)
            events = decision.events
            own_hashes = hashes.get(decision.id_instance, _NO_HASHES)
            row = _row_values(decision.row, own_hashes, self._observed_at, self._observed)
            if before is None:
                new.append(row)
                if events[0].time_source is TimeSource.UPSTREAM:
                    told.append(decision.id_instance)
                    events = events[1:]
            else:
                known.append(row)
                if before.account != self._account:
                    self._disturbed.add(before.account)
            if events:
                history.extend(
                    _history_rows(decision, events, row, self._account, self._run.id, self._observed_at, self._observed)
                )
        if new:
            bulk.insert(self._connection, instances, _ROW_COLUMNS, new)
        if told:
            self._insert_created(told)
        if known:
            bulk.update(self._connection, instances, "id_instance", _ROW_COLUMNS[:-1], known)
        if history:
            bulk.insert(self._connection, instance_history, _HISTORY_COLUMNS, history)
        self.created += len(new)
        self.updated += len(known)
        self.transitions.update(str(event.transition) for decision in decisions for event in decision.events)

    def _insert_created(self, ids: Sequence[int]) -> None:
        """History of new instances that were created when their rows say; the database copies the rows it was given."""
        values: dict[str, str | int] = {
            "run_id": self._run.id,
            "transition": str(Transition.CREATED),
            "time_source": str(TimeSource.UPSTREAM),
            "observed_at": self._observed,
            "changes": "{}",
            "missing": 0,
        }
        bulk.insert_from(self._connection, instance_history, values, instances, _AS_NEW_ROW_TELLS, ids)

    def mark(self, hashes: Mapping[int, tuple[int | None, int | None]]) -> None:
        """Give hashes to rows that stay as they are; it changes nothing that one reads."""
        if hashes:
            rows = [(*pair, id_instance) for id_instance, pair in hashes.items()]
            bulk.update(self._connection, instances, "id_instance", ("item_hash", "content_hash"), rows)

    def close(self) -> None:
        """Tell the accounts from which instances were taken that what was known of them is so no more."""
        if self._disturbed:
            self._connection.execute(
                update(accounts)
                .where(accounts.c.account.in_(self._disturbed))
                .values(quiet_answer=None, taken_by_run_id=self._run.id)
            )


def keep_rejects(connection: Connection, run_id: int, rejects: Iterable[Reject]) -> None:
    """Store the items of an accepted answer that could not be taken."""
    _execute_in_batches(
        connection, insert(rejected_items), ({"run_id": run_id, **reject._asdict()} for reject in rejects)
    )


def keep_tokens(
    connection: Connection, sealed: Mapping[int, bytes], fingerprints: Mapping[int, str], key_fingerprint: str
) -> None:
    """Store ciphertexts where the token or the key is not the one stored already."""
    query = select(
        instance_tokens.c.id_instance, instance_tokens.c.token_fingerprint, instance_tokens.c.key_fingerprint
    ).where(instance_tokens.c.id_instance.in_(bindparam("ids", expanding=True)))
    stored = {
        row.id_instance: (row.token_fingerprint, row.key_fingerprint)
        for ids in bulk.batches(sealed)
        for row in connection.execute(query, {"ids": ids})
    }
    wanted = [
        {
            "id_instance": id_instance,
            "ciphertext": ciphertext,
            "token_fingerprint": fingerprints[id_instance],
            "key_fingerprint": key_fingerprint,
        }
        for id_instance, ciphertext in sealed.items()
        if stored.get(id_instance) != (fingerprints[id_instance], key_fingerprint)
    ]
    _execute_in_batches(
        connection, insert(instance_tokens), (row for row in wanted if row["id_instance"] not in stored)
    )
    _execute_in_batches(
        connection,
        update(instance_tokens)
        .where(instance_tokens.c.id_instance == bindparam("key"))
        .values({name: bindparam(name) for name in ("ciphertext", "token_fingerprint", "key_fingerprint")}),
        ({**row, "key": row["id_instance"]} for row in wanted if row["id_instance"] in stored),
    )


def _row_values(
    row: MirrorRow, hashes: tuple[int | None, int | None], observed_at: datetime, observed: str
) -> tuple[Any, ...]:
    """In the order of `_ROW_COLUMNS`; `observed` is `observed_at` in the form of `bulk`."""
    told = row.instance
    moment = bulk.moment
    return (
        row.account,
        told.name,
        told.type_instance,
        told.type_account,
        told.messenger,
        told.partner_user_uiid,
        moment(told.time_created),
        moment(told.time_deleted),
        int(told.deleted),
        told.tariff,
        told.is_free if told.is_free is None else int(told.is_free),
        told.is_partner if told.is_partner is None else int(told.is_partner),
        moment(told.expiration_date),
        int(told.is_expired),
        told.token_fingerprint,
        told.extra,
        observed if row.first_seen_at is observed_at else moment(row.first_seen_at),
        observed if row.changed_at is observed_at else moment(row.changed_at),
        observed if row.renewed_at is observed_at else moment(row.renewed_at),
        observed if row.missing_since is observed_at else moment(row.missing_since),
        *hashes,
        told.id_instance,
    )


def _history_rows(
    decision: Decision,
    events: Sequence[Event],
    row: tuple[Any, ...],
    account: str,
    run_id: int,
    observed_at: datetime,
    observed: str,
) -> Iterator[tuple[Any, ...]]:
    """In the order of `_HISTORY_COLUMNS`; `row` are the values of the instance's own row, whose forms serve again."""
    told = decision.row.instance
    state = (*_state_of(row), int(decision.row.missing_since is not None))
    previous = bulk.moment(decision.previous_observed_at)
    for event in events:
        occurred_at = event.occurred_at
        changes = "{}"
        if event.changes:
            changes = canonical_json(
                {column: [_plain(old), _plain(new)] for column, (old, new) in event.changes.items()}
            )
        yield (
            told.id_instance,
            account,
            run_id,
            str(event.transition),
            row[_TIME_CREATED]
            if occurred_at is told.time_created
            else observed
            if occurred_at is observed_at
            else bulk.moment(occurred_at),
            str(event.time_source),
            observed,
            previous,
            changes,
            *state,
        )


def _plain(value: object) -> object:
    """A value as JSON: times as `2026-11-23T07:00:00Z`, which PostgreSQL and SQLite's date functions both read."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _execute_in_batches(connection: Connection, statement: Any, rows: Iterable[dict[str, Any]]) -> None:
    for batch in bulk.batches(rows):
        connection.execute(statement, batch)
