"""What one run reads of the mirror and writes into it, over a `Connection`; the caller owns the transaction."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import Connection, bindparam, exists, func, insert, select, update

from syncer.answer.values import canonical_json
from syncer.model import HISTORY_FIELDS, TYPES, Decision, Event, Instance, MirrorRow, Reject, TimeSource, Transition
from syncer.storage import rows, timeline
from syncer.storage.claims import drop_claims, keep_claims
from syncer.storage.tables import accounts, instance_history, instances, rejected_items
from syncer.storage.timeline_rows import CURRENT_COLUMNS, Kept, Plain

_ROW_COLUMNS = ("account", *Instance._fields[1:], *MirrorRow._fields[2:], "item_hash", "id_instance")
_EVENT_COLUMNS = (
    "id_instance",
    "account",
    "run_id",
    "transition",
    "occurred_at",
    "time_source",
    "observed_at",
    "previous_observed_at",
    "changes",
)
_HISTORY_COLUMNS = (*_EVENT_COLUMNS, *HISTORY_FIELDS, "missing")
_TIMES = [place for place, name in enumerate(Instance._fields[1:]) if TYPES.get(name) == datetime | None]
_TIME_CREATED = _ROW_COLUMNS.index("time_created")
_state_of = itemgetter(*map(_ROW_COLUMNS.index, HISTORY_FIELDS))
_AS_NEW_ROW_SAYS = rows.Copied(
    instances,
    {column: column for column in ("id_instance", "account", *HISTORY_FIELDS)} | {"occurred_at": "time_created"},
)


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


class Writer:
    """Writes the decisions of one run, batch by batch, and counts them."""

    def __init__(self, connection: Connection, account: str, run_id: int, observed_at: datetime) -> None:
        self.created = 0
        self.updated = 0
        self.transitions: Counter[str] = Counter()
        self.is_lasting = True
        """Whether the same answer, were it to come again at any time, would change nothing."""
        self._connection = connection
        self._account = account
        self._run_id = run_id
        self._observed_at = observed_at
        self._observed = rows.moment(observed_at) or ""
        self._moved_with: set[str] = set()  # other accounts that instances were moved to or from

    def write(self, decisions: Sequence[Decision]) -> None:
        """Write the rows that differ with their history, the hashes of those that do not, and claims."""
        claimed = [decision for decision in decisions if decision.is_claim]
        if claimed:
            self._claim(claimed)
            decisions = [decision for decision in decisions if not decision.is_claim]
        touched = [decision for decision in decisions if decision.before is not None and decision.events]
        changes = timeline.changes_by(self._connection, touched)
        batch = _Batch()
        for decision in decisions:
            item_hash = _lasting_hash(decision)
            if decision.item is not None and item_hash is None:
                self.is_lasting = False
            if decision.row is not decision.before:
                self._add(batch, decision, item_hash, changes.current.get(decision.id_instance))
            elif item_hash is not None:
                batch.marks.append((item_hash, decision.id_instance))
        self._store(batch, changes)
        self._move([one for one in touched if one.before is not None and one.before.account != one.row.account])
        self.created += len(batch.new)
        self.updated += len(batch.known) + len(batch.touched)

    def _store(self, batch: "_Batch", changes: timeline.Changes) -> None:
        if batch.new:
            rows.insert(self._connection, instances, (*_ROW_COLUMNS, *CURRENT_COLUMNS), batch.new)
            timeline.insert_first(self._connection, batch.first)
        if batch.dated:
            self._insert_created(batch.dated)
        if batch.known:
            rows.update(self._connection, instances, "id_instance", _ROW_COLUMNS[:-1], batch.known)
        if batch.touched:
            columns = (*_ROW_COLUMNS[:-1], *CURRENT_COLUMNS)
            rows.update(self._connection, instances, "id_instance", columns, batch.touched)
        if batch.history:
            rows.insert(self._connection, instance_history, _HISTORY_COLUMNS, batch.history)
        timeline.write(self._connection, changes)
        if batch.marks:  # it changes nothing that one reads
            rows.update(self._connection, instances, "id_instance", ("item_hash",), batch.marks)

    def _add(self, batch: "_Batch", decision: Decision, item_hash: int | None, current: Plain | None) -> None:
        before, events = decision.before, decision.events
        row = self._row_values(decision.row, item_hash)
        if before is None:
            told = decision.row.instance
            if told.deleted or told.is_expired:
                kept = timeline.first_of(decision, row[_TIME_CREATED], self._observed)
                batch.first.append(kept)
                batch.new.append(row + kept.current)
            else:
                batch.new.append(row + timeline.opening_of(row[_TIME_CREATED], self._observed))
            if events[0].time_source is TimeSource.UPSTREAM:
                batch.dated.append(decision.id_instance)
                events = events[1:]
        elif current is None:
            batch.known.append(row)
        else:
            batch.touched.append((*row[:-1], *current, row[-1]))
        if events:
            batch.history.extend(self._history_rows(decision, events, row))
        self.transitions.update(str(event.transition) for event in decision.events)

    def _insert_created(self, ids: Sequence[int]) -> None:
        """History of new instances that were created when their rows say; the database copies the rows it was given."""
        values: dict[str, str | int] = {
            "run_id": self._run_id,
            "transition": str(Transition.CREATED),
            "time_source": str(TimeSource.UPSTREAM),
            "observed_at": self._observed,
            "changes": "{}",
            "missing": 0,
        }
        rows.insert_from(self._connection, instance_history, values, _AS_NEW_ROW_SAYS, ids)

    def _row_values(self, row: MirrorRow, item_hash: int | None) -> tuple[Any, ...]:
        """In the order of `_ROW_COLUMNS`."""
        id_instance, *values = cast("tuple[Any, ...]", row.instance)
        for place in _TIMES:
            values[place] = rows.moment(values[place])
        return (row.account, *values, *map(self._moment, row[2:]), item_hash, id_instance)

    def _history_rows(
        self, decision: Decision, events: Sequence[Event], row: tuple[Any, ...]
    ) -> Iterator[tuple[Any, ...]]:
        """In the order of `_HISTORY_COLUMNS`; `row` has the values of the instance's own row, which serve again."""
        instance = decision.row.instance
        state = (*_state_of(row), decision.row.missing_since is not None)
        previous = rows.moment(decision.previous_observed_at)
        for event in events:
            yield (
                instance.id_instance,
                decision.row.account,
                self._run_id,
                str(event.transition),
                self._moment(event.occurred_at),
                str(event.time_source),
                self._observed,
                previous,
                _changes(event),
                *state,
            )

    def _moment(self, value: datetime | None) -> str | None:
        """As `rows.moment`; most times that are written are those of the observation, whose form is at hand."""
        return self._observed if value == self._observed_at else rows.moment(value)

    def _claim(self, decisions: Sequence[Decision]) -> None:
        """Note what is another account's; an owner that misses it has to look again who has it."""
        hashes = {one.id_instance: rows.signed(one.item.item_hash) for one in decisions if one.item is not None}
        keep_claims(self._connection, self._account, self._run_id, hashes)
        missed_by = {one.row.account for one in decisions if one.row.missing_since is not None}
        if missed_by:
            self._connection.execute(update(accounts).where(accounts.c.account.in_(missed_by)).values(body_digest=None))

    def _move(self, decisions: Sequence[Decision]) -> None:
        """End the claims of the new owners; the accounts that instances went to or came from are known by nothing."""
        by_owner: dict[str, list[int]] = {}
        for decision in decisions:
            by_owner.setdefault(decision.row.account, []).append(decision.id_instance)
            assert decision.before is not None  # noqa: S101 - what is new is not moved
            self._moved_with |= {decision.before.account, decision.row.account} - {self._account}
        for owner, ids in by_owner.items():
            drop_claims(self._connection, owner, ids)
            self.is_lasting = False

    def close(self) -> None:
        """Void what the accounts that instances were moved to or from are known by."""
        if self._moved_with:
            void_bases(self._connection, self._moved_with, self._observed_at)


class _Batch:
    """Rows in their stored form: those of new and of known instances, of history, and hashes of unchanged ones.

    `dated` are new instances that were created when their rows say: the database copies their `created` from these.
    `first` is the timeline of the new ones; the `touched` of the known ones have more history now, and so another one.
    """

    def __init__(self) -> None:
        self.new: list[tuple[Any, ...]] = []
        self.known: list[tuple[Any, ...]] = []
        self.history: list[tuple[Any, ...]] = []
        self.marks: list[tuple[int, int]] = []
        self.dated: list[int] = []
        self.first: list[Kept] = []
        self.touched: list[tuple[Any, ...]] = []


def void_bases(connection: Connection, names: Iterable[str], moved_at: datetime | None = None) -> None:
    """What these accounts own was moved otherwise than by their own runs: a run under way is overtaken by that.

    `moved_at` is when the moves of instances were observed.
    """
    values: dict[str, Any] = {"body_digest": None, "moves": func.coalesce(accounts.c.moves, 0) + 1}
    if moved_at is not None:
        values["moved_at"] = moved_at
    connection.execute(update(accounts).where(accounts.c.account.in_(sorted(names))).values(values))


def _lasting_hash(decision: Decision) -> int | None:
    """The hash of the item, if it will say the same of its row at any later time; it may not while a grace masks it."""
    item = decision.item
    if item is None or item.instance.is_expired != decision.row.instance.is_expired:
        return None
    return rows.signed(item.item_hash)


def _changes(event: Event) -> str:
    if not event.changes:
        return "{}"
    return canonical_json({column: [_plain(old), _plain(new)] for column, (old, new) in event.changes.items()})


def keep_rejects(connection: Connection, run_id: int, rejects: Iterable[Reject]) -> None:
    """Store the items of an accepted answer that were rejected."""
    for batch in rows.batches(rejects):
        connection.execute(insert(rejected_items), [{"run_id": run_id, **reject._asdict()} for reject in batch])


def _plain(value: object) -> object:
    """A value as JSON: times as `2026-11-23T07:00:00Z`, which PostgreSQL and SQLite's date functions both read."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
