"""What one run writes into the mirror: rows, their history, rejects; the caller owns the transaction.

What it reads, by the thousand, is read in `rows`; which rows it is decided against is said in `observing`.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import repeat
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, bindparam, exists, func, insert, select, update

from syncer.answer.values import canonical_json
from syncer.model import HISTORY_FIELDS, Decision, Event, Instance, Item, MirrorRow, Reject, TimeSource, Transition
from syncer.rules.decisions import Rolled
from syncer.storage import rows, timeline
from syncer.storage.claims import drop_claims, keep_claims, let_look_again
from syncer.storage.tables import accounts, instance_history, instances, rejected_items
from syncer.storage.timeline_rows import CURRENT_COLUMNS, plain_value

_HASHES, NO_HASHES = ("item_hash", "rest_hash"), (None, None)
_COLUMNS = ("account", *Instance._fields[1:], *MirrorRow._fields[2:])
"""Those of a row of `instances` but for its id, the hashes of its item and its timeline."""
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
_VALUE_OF = {name: attrgetter(f"instance.{name}" if name in Instance._fields else name) for name in _COLUMNS}
_TIME_CREATED = _COLUMNS.index("time_created")
_state_of = attrgetter(*HISTORY_FIELDS)
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
        self._updates = rows.Updates(connection, instances, "id_instance")
        self._hashes = array("q")  # of items whose rows do not differ: item, rest and id of each; 0 for none
        self._moved_with: set[str] = set()  # other accounts that instances were moved to or from

    def write(self, decisions: Sequence[Decision]) -> None:
        """Write the rows that differ with their history, and claims."""
        claimed = [decision for decision in decisions if decision.is_claim]
        if claimed:
            self._claim(claimed)
            decisions = [decision for decision in decisions if not decision.is_claim]
        touched = [decision for decision in decisions if decision.before is not None and decision.events]
        changes = timeline.changes_by(self._connection, touched)
        new: list[Decision] = []
        changed: dict[tuple[tuple[str, ...], bool], list[Decision]] = {}  # by the columns, and whether in history
        for decision in decisions:
            if decision.before is None:
                new.append(decision)
            elif decision.differs:
                changed.setdefault((decision.differing, bool(decision.events)), []).append(decision)
            elif (hashes := self._lasting_hashes(decision)) != NO_HASHES:
                self._hashes.extend((hashes[0] or 0, hashes[1] or 0, decision.id_instance))
        if new:
            self._insert(new)
        for (columns, _), known in changed.items():
            self._update(columns, known, changes)
        history = [row for decision in decisions for row in self._history_rows(decision)]
        if history:
            rows.insert(self._connection, instance_history, _HISTORY_COLUMNS, history)
        timeline.write(self._connection, changes)
        self._move([one for one in touched if one.before is not None and one.before.account != one.row.account])
        self.created += len(new)
        self.updated += sum(map(len, changed.values()))
        self.transitions.update(event.transition for decision in decisions for event in decision.events)

    def create(self, items: Sequence[Item]) -> None:
        """Write instances at first sight, of which nothing is to be told but that they were created when they say.

        Column by column, and the database copies their history from the rows that it was given: a first answer brings
        them by the hundred thousand.
        """
        if not items:
            return
        told = dict(zip(Instance._fields, zip(*(one.instance for one in items), strict=True), strict=True))
        columns = {name: rows.formed(name, values) for name, values in told.items()}
        same = {"account": self._account, "first_seen_at": self._observed, "changed_at": self._observed}
        columns |= {name: [value] * len(items) for name, value in same.items()}
        opened = timeline.openings_of(columns["time_created"], self._observed)
        item_hashes = [rows.signed(one.item_hash) for one in items]
        self.is_lasting = self.is_lasting and None not in item_hashes
        whole = [*columns.values(), *opened, item_hashes, (rows.signed(one.rest_hash) for one in items)]
        names = (*columns, *CURRENT_COLUMNS, *_HASHES)
        rows.insert(self._connection, instances, names, list(zip(*whole, strict=True)))
        self._insert_created(told["id_instance"])
        self.created += len(items)
        self.transitions[Transition.CREATED] += len(items)

    def _insert(self, decisions: Sequence[Decision]) -> None:
        """Rows of new instances with their timeline."""
        columns = list(map(rows.formed, _COLUMNS, zip(*(_flat(decision.row) for decision in decisions), strict=True)))
        ids = [decision.id_instance for decision in decisions]
        current = timeline.openings_of(columns[_TIME_CREATED], self._observed)
        kept = []
        for place, decision in enumerate(decisions):
            if decision.row.instance.deleted or decision.row.instance.is_expired:
                kept.append(timeline.first_of(decision, tuple(column[place] for column in current), self._observed))
                for column, value in zip(current, kept[-1].current, strict=True):
                    column[place] = value
        whole = [*columns, *zip(*map(self._lasting_hashes, decisions), strict=True), ids, *current]
        names = (*_COLUMNS, *_HASHES, "id_instance", *CURRENT_COLUMNS)
        rows.insert(self._connection, instances, names, list(zip(*whole, strict=True)))
        timeline.insert_first(self._connection, kept)

    def _update(self, names: tuple[str, ...], decisions: Sequence[Decision], changes: timeline.Changes) -> None:
        """The columns that have changed in all these rows: few of them on a daily roll, whose checks are few, too."""
        written_rows = [decision.row for decision in decisions]
        columns = [rows.formed(name, list(map(_VALUE_OF[name], written_rows))) for name in names]
        ids = [decision.id_instance for decision in decisions]
        written = names
        if decisions[0].events:
            written += CURRENT_COLUMNS
            columns += zip(*map(changes.current.__getitem__, ids), strict=True)
        hashes = zip(*map(self._lasting_hashes, decisions), strict=True)
        whole = zip(*columns, *hashes, ids, strict=True)
        self._updates.add((*written, *_HASHES), list(whole))

    def roll(self, rolled: Rolled) -> None:
        """Move the expiration dates that moved by themselves."""
        if not rolled.ids:
            return
        dates = rows.formed("expiration_date", rolled.dates)
        whole = zip(
            dates, repeat(self._observed), repeat(self._observed), map(rows.signed, rolled.item_hashes), rolled.ids
        )
        self._updates.add(("expiration_date", "changed_at", "renewed_at", "item_hash"), list(whole))
        self.updated += len(rolled.ids)

    def _lasting_hashes(self, decision: Decision) -> tuple[int | None, int | None]:
        """Those of the item, if it says the same of its row at any later time: it may not while a grace masks it."""
        item = decision.item
        if item is None:
            return NO_HASHES
        item_hash = rows.signed(item.item_hash)
        if item_hash is None or item.instance.is_expired != decision.row.instance.is_expired:
            self.is_lasting = False
            return NO_HASHES
        return item_hash, rows.signed(item.rest_hash)

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

    def _history_rows(self, decision: Decision) -> Iterator[tuple[Any, ...]]:
        """In the order of `_HISTORY_COLUMNS`."""
        if not decision.events:
            return
        instance = decision.row.instance
        state = [plain_value(value) for value in (*_state_of(instance), decision.row.missing_since is not None)]
        previous = rows.moment(decision.previous_observed_at)
        for event in decision.events:
            yield (
                instance.id_instance,
                decision.row.account,
                self._run_id,
                str(event.transition),
                rows.moment(event.occurred_at),
                str(event.time_source),
                self._observed,
                previous,
                _changes(event),
                *state,
            )

    def _claim(self, decisions: Sequence[Decision]) -> None:
        """Note what is another account's; an owner that misses it has to look again who has it."""
        hashes = {one.id_instance: rows.signed(one.item.item_hash) for one in decisions if one.item is not None}
        keep_claims(self._connection, self._account, self._run_id, hashes)
        let_look_again(self._connection, {one.row.account for one in decisions if one.row.missing_since is not None})

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

    def close(self, *, seed_is_new: bool) -> None:
        """Write what waits, and void what the accounts that instances were moved to or from are known by.

        How an item is spelt now is written only with other changes, or where no hash means anything any more: a run in
        which nothing changed writes no row (CONTRACT 3), and the key order may vary from answer to answer.
        """
        if self.created or self.updated or seed_is_new:
            triples = zip(*[iter(self._hashes)] * 3, strict=True)
            for batch in rows.batches((one or None, rest or None, key) for one, rest, key in triples):
                self._updates.add(_HASHES, batch)
        self._updates.close()
        if self._moved_with:
            void_bases(self._connection, self._moved_with, self._observed_at)


def _flat(row: MirrorRow) -> tuple[Any, ...]:
    """Its values in the order of `_COLUMNS`."""
    return (row.account, *row.instance[1:], *row[2:])


def void_bases(connection: Connection, names: Iterable[str], moved_at: datetime | None = None) -> None:
    """What these accounts own was moved otherwise than by their own runs: a run under way is overtaken by that.

    `moved_at` is when the moves of instances were observed.
    """
    values: dict[str, Any] = {"body_digest": None, "moves": func.coalesce(accounts.c.moves, 0) + 1}
    if moved_at is not None:
        values["moved_at"] = moved_at
    connection.execute(update(accounts).where(accounts.c.account.in_(sorted(names))).values(values))


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
