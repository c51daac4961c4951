"""The schema of a world's database changes beneath its daemons: an older one comes back, or a newer syncer's is there."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Engine, func, select, text

from syncer.storage import database, schema
from syncer.storage.surroundings import has
from syncer.storage.tables import accounts, leases, metadata, sync_runs
from world.process import Process
from world.reader import Reader
from world.receivers import Receivers
from world.witness import Witness

LATER = "9999"
WITHOUT_RECEIVERS, WITHOUT_CUSTOMERS = "0013", "0011"  # an older schema than this one has none
# What ends in a database that has become another's: a run under way may say so, and let go of its lease.
OWN_WORDS = {leases, sync_runs, accounts}


class Seen(Protocol):
    """The world, as far as it matters here."""

    now: datetime
    hand: Engine
    processes: list[Process | None]
    reader: Reader
    receivers: Receivers
    witness: Witness

    def pass_time(self, until: datetime) -> None: ...

    def stop_all(self) -> list[int]: ...

    def bring_back(self, number: int) -> None: ...

    def count(self, what: str) -> None: ...


class Versions:
    """Changes the schema, and sees that nobody writes into one that is not the code's."""

    def __init__(self, world: Seen) -> None:
        self._world = world
        self.changes = 0

    def is_other(self) -> bool:
        """Whether the schema is not that of the code."""
        with database.reading(self._world.hand, "reading the schema's version") as connection:
            return schema.current(connection) != schema.head()

    def older(self, revision: str, minutes: int, *, stops: bool) -> None:
        """Somebody goes back to an older schema, and starts every daemon anew, or lets them run and upgrades it later."""
        world = self._world
        world.reader.finish()
        world.reader.leave()
        stopped = world.stop_all() if stops else []
        self.changes += 1
        schema.downgrade(world.hand, revision)
        if revision < WITHOUT_RECEIVERS:
            world.receivers.forget()
        if revision < WITHOUT_CUSTOMERS:
            world.witness.figures.sold.clear()
        for number in stopped:
            world.bring_back(number)
        before = self._contents()
        world.pass_time(world.now + timedelta(minutes=minutes))
        if self.is_other():
            started = [number for number in stopped if world.processes[number] is not None]
            assert not started, "no daemon that starts upgrades an older schema"
            assert self._contents() == before, "something was written into an older schema"
            world.count("older to its end")
            self.upgrade()
        world.count(f"upgraded from {revision}")

    def upgrade(self) -> None:
        """As `syncer db upgrade` does."""
        self._world.reader.finish()
        self._world.reader.leave()
        schema.upgrade(self._world.hand)

    def newer(self, minutes: int) -> None:
        """A newer syncer has upgraded the schema; some time later it is brought back."""
        world = self._world
        world.reader.finish()
        self.changes += 1
        self._say(LATER)
        before = self._contents()
        world.pass_time(world.now + timedelta(minutes=minutes))
        assert self._contents() == before, "something was written into a newer schema"
        self._say(schema.head())
        world.count("newer and back")

    def _say(self, revision: str) -> None:
        with database.writing(self._world.hand, "changing the schema's version") as connection:
            connection.execute(text("UPDATE syncer_version SET version_num = :revision"), {"revision": revision})

    def _contents(self) -> Sequence[Any]:
        with database.reading(self._world.hand, "reading the tables") as connection:
            there = {name for name in metadata.tables if has(connection, name)}
            rows: list[Any] = [
                sorted(map(repr, connection.execute(text(f"SELECT * FROM {table.name}"))))
                for table in metadata.sorted_tables
                if table not in OWN_WORDS and table.name in there
            ]
            bases = select(accounts.c.account, accounts.c.last_accepted_run_id).order_by(accounts.c.account)
            runs = select(func.count(), func.max(sync_runs.c.id))
            return [*rows, connection.execute(bases).all(), connection.execute(runs).all()]
