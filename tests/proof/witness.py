"""A mirror and the model of the contract side by side: whatever happened, the tables are what the model says."""

from datetime import timedelta
from typing import Any

from contract_model import ContractModel
from mirror import START, Mirror
from sqlalchemy import select

from syncer import database, verify
from syncer.tables import instance_history, instances, sync_runs

ROW_COLUMNS = (
    "name", "type_instance", "tariff", "is_partner", "time_created", "time_deleted", "deleted", "expiration_date",
    "is_expired", "token_fingerprint",
)  # fmt: skip
OUTCOMES = {"ok": "accepted", "unchanged": "accepted", "held": "held", "failed": "failed"}


class Witness:
    """Sees every answer twice, by the mirror and by the model, and compares."""

    def __init__(self, url: str) -> None:
        self._start(Mirror(url))

    @classmethod
    def over(cls, mirror: Mirror) -> "Witness":
        """A witness of an empty mirror that is there already."""
        witness = cls.__new__(cls)
        witness._start(mirror)
        return witness

    def _start(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.mirror.now = START
        self.model = ContractModel()
        self._run = 0  # the last run that the model knows of
        self._compared = 0  # the last history id that was compared
        self._events = 0  # as many events of the model belong to it

    def observe(self, pause: timedelta, items: list[Any]) -> None:
        """One whole run."""
        report = self.mirror.observe(items, after=pause)
        self._run = report.id or self._run
        expected = self.model.observe(items, self.mirror.now)
        assert OUTCOMES.get(report.status) == expected, f"{report.status}, not {expected}: {report.error}"

    def follow(self, items: list[Any]) -> str:
        """After a run that may not have begun or ended: tell the model what the run's row says came of it."""
        query = select(sync_runs.c.id, sync_runs.c.status, sync_runs.c.error_kind).where(sync_runs.c.id > self._run)
        with database.reading(self.mirror.engine, "reading the last run") as connection:
            run = connection.execute(query).one_or_none()
        if run is None:
            return "none"
        self._run = run.id
        if run.error_kind == "database":
            return "failed by the database"
        if run.status in OUTCOMES:
            assert self.model.observe(items, self.mirror.now) == OUTCOMES[run.status]
        return str(run.status)

    def compare(self) -> None:
        """Every promise holds, the rows are the model's, and so is the history since the last comparison."""
        told = verify.verify(self.mirror.engine)
        assert told.holds, [(outcome.check.name, outcome.first_ids) for outcome in told.outcomes if outcome.broken]
        stored = {
            row["id_instance"]: {name: row[name] for name in ROW_COLUMNS} | {"missing": row["missing_since"] is not None}
            for row in self.mirror.rows(instances)
        }  # fmt: skip
        assert stored == self.model.rows
        with database.reading(self.mirror.engine, "reading the new history") as connection:
            query = select(instance_history).where(instance_history.c.id > self._compared)
            rows = [dict(row._mapping) for row in connection.execute(query.order_by(instance_history.c.id))]
        expected = self.model.history[self._events :]
        columns = list(expected[0]) if expected else ["id"]
        assert _by_instance(expected) == _by_instance([{name: row[name] for name in columns} | {
            "id_instance": row["id_instance"]} for row in rows] if expected else rows)  # fmt: skip
        self._events = len(self.model.history)
        self._compared = rows[-1]["id"] if rows else self._compared


def _by_instance(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each instance's events in their order; between instances the contract states none."""
    return sorted(events, key=lambda event: int(event["id_instance"]))
