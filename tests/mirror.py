"""A mirror under test: a real database that is shown answers at chosen moments, by production's own run."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from builders import body
from canary import PARTNER_TOKEN
from sqlalchemy import Engine, Table, select, text

from syncer.answer.item import Decoder
from syncer.model import Answer, Fetch, Read, RunResult, Trigger
from syncer.rules.guard import Bounds
from syncer.scrub import Scrubber
from syncer.storage import accounts, database, runs, schema
from syncer.storage.tables import instance_history, instances, metadata, sync_runs
from syncer.sync import Terms, run_once

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def bounds(vanished: str = "5%", changed: str = "30%") -> Bounds:
    """The guard's shares, of the live instances."""
    return Bounds(*(Fraction(share.removesuffix("%")) / 100 for share in (vanished, changed)))


def account(name: str = "default", *, tolerated: str = "5%", changed: str = "30%", **values: Any) -> Terms:
    """An account with the defaults of production."""
    return Terms(
        name=name,
        decoder=values.pop("decoder", Decoder(timedelta(hours=3), Scrubber([PARTNER_TOKEN]))),
        expiry_grace=timedelta(minutes=5),
        bounds=bounds(tolerated, changed),
        clock_tolerance=timedelta(minutes=5),
        interval_seconds=300,
        **values,
    )


def serving(
    body: bytes, chunk: int = 50, headers: Mapping[str, str] | None = None, arrived_at: datetime | None = None
) -> Fetch:
    """A fetch that gets this answer, so many bytes at a time; a moment of arrival is one with the headers it had."""

    def fetch(read: Callable[[Iterable[bytes]], Read]) -> Answer[Read]:
        told = read(body[at : at + chunk] for at in range(0, len(body), chunk))
        return Answer(told, 200, headers or {}, arrived_at)

    return fetch


class Mirror:
    """Answers go in by `observe`; rows come out as dictionaries."""

    chunk = 50  # bytes that arrive at a time

    def __init__(self, url: str) -> None:
        self.engine: Engine = database.open_engine(database.parse_database_url(url))
        schema.upgrade(self.engine)
        self.now = START

    def observe(
        self,
        items: Iterable[Any] | bytes,
        *,
        after: timedelta = timedelta(minutes=5),
        of: Terms | None = None,
        fetch: Fetch | None = None,
    ) -> RunResult:
        """One run that gets this answer, some time after the one before."""
        self.now += after
        fetch = fetch or serving(items if isinstance(items, bytes) else body(items), self.chunk)
        return run_once(self.engine, of or account(), fetch, lambda: self.now, Trigger.MANUAL)

    def approve(self, run_id: int | None) -> None:
        """What `syncer approve` does."""
        assert run_id is not None
        with database.writing(self.engine, "approving the run") as connection:
            runs.approve(connection, run_id, self.now)

    def rename(self, old: str, new: str) -> None:
        """What `syncer accounts rename` does."""
        with database.writing(self.engine, "renaming the account") as connection:
            accounts.rename(connection, old, new, self.now)

    def retire(self, name: str) -> None:
        """What `syncer accounts retire` does."""
        with database.writing(self.engine, "retiring the account") as connection:
            accounts.retire(connection, name, self.now)

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """Every row of a table in the order of its key."""
        with database.reading(self.engine, "reading the test's rows") as connection:
            found = connection.execute(select(table).order_by(*table.primary_key.columns))
            return [dict(row._mapping) for row in found]

    def instance(self, id_instance: int = 1101000001) -> dict[str, Any]:
        """One row of the mirror."""
        return next(row for row in self.rows(instances) if row["id_instance"] == id_instance)

    def history(self, id_instance: int | None = None) -> list[dict[str, Any]]:
        """Transitions in the order of their ids."""
        return [
            row | {"changes": json.loads(row["changes"])}
            for row in self.rows(instance_history)
            if id_instance in {None, row["id_instance"]}
        ]

    def words(self, id_instance: int | None = None) -> list[str]:
        """The transitions alone."""
        return [row["transition"] for row in self.history(id_instance)]

    def runs(self) -> list[dict[str, Any]]:
        """Every run."""
        return self.rows(sync_runs)


def emptied(mirror: Mirror) -> Mirror:
    """The same mirror at its start, with tables without rows; a new database for each example takes most of the time."""
    mirror.now = START
    with mirror.engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
        if mirror.engine.dialect.name == "sqlite":
            connection.exec_driver_sql("DELETE FROM sqlite_sequence")
        else:
            connection.exec_driver_sql("ALTER SEQUENCE sync_runs_id_seq RESTART")
    return mirror


def give_version(mirror: Mirror, version: str) -> None:
    """Let the database say that its schema is of another version."""
    with mirror.engine.begin() as connection:
        connection.execute(text("UPDATE syncer_version SET version_num = :version"), {"version": version})
