"""A mirror and the model of the contract side by side: whatever happened, the tables are what the model says."""

import copy
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from contract_model import ContractModel, as_the_model_has_it
from mirror import START, Mirror, account
from sqlalchemy import Select, select
from sqlalchemy.pool import QueuePool

from syncer.storage import database
from syncer.storage.tables import instance_history, instances, metadata, sync_runs
from syncer.views import verify

OUTCOMES = {"ok": "accepted", "unchanged": "accepted", "held": "held", "failed": "failed"}


class Witness:
    """Sees every answer twice, by the mirror and by the model, and compares."""

    def __init__(self, url: str) -> None:
        self._start(Mirror(url), "default")

    @classmethod
    def over(cls, mirror: Mirror, name: str) -> "Witness":
        """A witness of an account that the mirror has not seen yet."""
        witness = cls.__new__(cls)
        witness._start(mirror, name)
        return witness

    def _start(self, mirror: Mirror, name: str) -> None:
        self.mirror = mirror
        self.production = mirror.engine
        self.mirror.now = START
        self.account = account(name)
        self.model = ContractModel()
        self._run = 0  # the last run that the model knows of
        self._compared = 0  # the last history id that was compared
        self._events = 0  # as many events of the model belong to it

    def restart(self) -> None:
        """Empty tables, with ids that begin at 1 again, and a model that knows nothing."""
        empty(self.mirror)
        production = self.production
        self._start(self.mirror, self.account.name)
        self.production = production

    def keep_connections(self) -> None:
        """See the function; `production` stays an engine as production's, with nothing open."""
        self.production = self.mirror.engine
        keep_connections(self.mirror)
        self.production.dispose()

    def observe(self, pause: timedelta, items: list[Any]) -> None:
        """One whole run."""
        report = self.mirror.observe(items, after=pause, of=self.account)
        self._run = report.id or self._run
        expected = self.model.observe(items, self.mirror.now, self.account.name)
        assert OUTCOMES.get(report.status) == expected, f"{report.status}, not {expected}: {report.error}"

    def follow(self, items: list[Any]) -> str:
        """After a run that may not have begun or ended: tell the model what the run's row says came of it."""
        query = select(sync_runs.c.id, sync_runs.c.status, sync_runs.c.error_kind).where(sync_runs.c.id > self._run)
        query = query.where(sync_runs.c.account == self.account.name)
        with database.reading(self.mirror.engine, "reading the last run") as connection:
            run = connection.execute(query).one_or_none()
        if run is None:
            return "none"
        self._run = run.id
        if run.error_kind == "database":
            return "failed by the database"
        if run.status in OUTCOMES:
            assert self.model.observe(items, self.mirror.now, self.account.name) == OUTCOMES[run.status]
        return str(run.status)

    def compare(self) -> None:
        """Every promise holds, the rows are the model's, and so is the history since the last comparison."""
        assert_promises(self.mirror)
        self.compare_rows()

    def compare_rows(self) -> None:
        """The rows are the model's, and so is the history since the last comparison."""
        stored = {
            row["id_instance"]: as_the_model_has_it(row)
            for row in self._rows(select(instances).where(instances.c.account == self.account.name))
        }
        assert stored == self.model.rows
        query = select(instance_history).where(
            instance_history.c.id > self._compared, instance_history.c.account == self.account.name
        )
        rows = self._rows(query.order_by(instance_history.c.id))
        expected = self.model.history[self._events :]
        columns = list(expected[0]) if expected else ["id"]
        assert _by_instance(expected) == _by_instance([{name: row[name] for name in columns} | {
            "id_instance": row["id_instance"]} for row in rows] if expected else rows)  # fmt: skip
        self._events = len(self.model.history)
        self._compared = rows[-1]["id"] if rows else self._compared

    def _rows(self, query: Select[Any]) -> list[dict[str, Any]]:
        with database.reading(self.mirror.engine, "reading the tables") as connection:
            return [dict(row._mapping) for row in connection.execute(query)]


def assert_promises(mirror: Mirror) -> None:
    """What `syncer verify` checks."""
    told = verify.verify(mirror.engine)
    assert told.holds, [(outcome.check.name, outcome.first_ids) for outcome in told.outcomes if outcome.broken]


def keep_connections(mirror: Mirror) -> None:
    """Production opens an SQLite file for each transaction, which takes longer than the transaction; here it stays open."""
    one = mirror.engine
    if one.dialect.name == "sqlite":
        mirror.engine = copy.copy(one)  # what it has compiled serves both
        mirror.engine.pool = QueuePool(one.pool._creator, dialect=one.dialect, _dispatch=one.pool.dispatch)


def empty(mirror: Mirror) -> None:
    """Delete every row; a new database would take longer."""
    with mirror.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
            connection.exec_driver_sql("DELETE FROM sqlite_sequence")
        else:
            connection.exec_driver_sql(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE")


def forked(work: Callable[[], None]) -> int:
    """The process number of a child that does the work and leaves nothing behind."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    finally:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def _by_instance(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each instance's events in their order; between instances the contract states none."""
    return sorted(events, key=lambda event: int(event["id_instance"]))
