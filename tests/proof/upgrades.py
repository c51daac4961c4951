"""An upgrade that works out the timeline of an old database is killed by SIGKILL, and goes on when it is run again.

    python tests/proof/upgrades.py --count 500 --seed 1

Each database is that of an edition before the timeline. Its upgrade is killed up to three times, at a line of syncer or
at a random instant, and then ends. Every row must be that of an upgrade which nobody killed, and every promise hold.
"""

import logging
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from budget import Budget, scratch
from figures_checks import play
from mirror import Mirror
from postgres import Postgres
from postgres import start as start_postgres
from sqlalchemy import Engine, select
from tracing import Line, Tracer, kill_at
from witness import forked

from syncer.storage import database, schema, timeline
from syncer.storage.tables import metadata
from syncer.views import verify

BEFORE_TIMELINE = "0007"
ESTATES = 12
INSTANCES_OF_A_TRANSACTION = 7
MOST_KILLS = 3  # of one upgrade


def opened(url: str) -> Engine:
    return database.open_engine(database.parse_database_url(url))


def upgrade(url: str) -> None:
    engine = opened(url)
    schema.upgrade(engine)
    engine.dispose()


def content(url: str) -> dict[str, list[Any]]:
    """Every row of every table; raises `AssertionError` where a promise is broken."""
    engine = opened(url)
    told = verify.verify(engine)
    assert told.holds, [(outcome.check.name, outcome.first_ids) for outcome in told.outcomes if outcome.broken]
    schema.compare(engine)
    with engine.connect() as connection:
        rows = {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return rows


class Old:
    """A database of before the timeline, of which there can be any number of copies."""

    def __init__(self, folder: Path, server: Postgres | None, chance: random.Random) -> None:
        self._folder = folder
        self._server = server
        self._number = 0
        self._url = server.create_database() if server else f"sqlite:///{folder}/old.db"
        mirror = Mirror(self._url)
        play(mirror, chance, ESTATES)
        schema.downgrade(mirror.engine, BEFORE_TIMELINE)
        mirror.engine.dispose()
        whole = self.copy()
        self.hits: Counter[Line] = Counter()
        sys.settrace(Tracer(lambda line: self.hits.update([line])))
        upgrade(whole)
        sys.settrace(None)
        self.expected = content(whole)
        self.drop(whole)

    def copy(self) -> str:
        if self._server:
            return self._server.create_database(self._url.rpartition("/")[2])
        self._number += 1
        copied = self._folder / f"{self._number}.db"
        shutil.copy(self._folder / "old.db", copied)  # closed by its last user, so without a log beside it
        return f"sqlite:///{copied}"

    def drop(self, url: str) -> None:
        if self._server:
            self._server.drop_database(url)
        else:
            for path in self._folder.glob(f"{self._number}.db*"):
                path.unlink()

    def lines(self, chance: random.Random) -> Iterator[tuple[Line, int]]:
        """Each line that an upgrade executes, in random order, at any of its hits; without end."""
        while True:
            lines = sorted(self.hits)
            chance.shuffle(lines)
            yield from ((line, chance.randint(1, self.hits[line])) for line in lines)


def killed(url: str, place: tuple[Line, int] | None, instant: float) -> bool:
    """Upgrade in a process of its own, which is killed at a line or after some seconds; whether it was in time."""

    def work() -> None:
        sys.settrace(kill_at(*place) if place else None)
        upgrade(url)

    child = forked(work)
    if place is None:
        time.sleep(instant)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, status
    return os.WIFSIGNALED(status)


def main() -> None:
    budget = Budget("upgrades", full=5_000)
    logging.disable()
    timeline.BUILD_BATCH = INSTANCES_OF_A_TRANSACTION
    chance = budget.chance
    server = start_postgres()
    kills, states, hit = 0, Counter[str](), set[Line]()
    with scratch() as folder:
        olds = [Old(folder, None, chance), Old(folder, server, chance)]
        lines = [old.lines(chance) for old in olds]
        for number in budget:
            which = number % 2
            url = olds[which].copy()
            for _ in range(chance.randint(1, MOST_KILLS)):
                place = next(lines[which]) if chance.random() < 0.8 else None
                if killed(url, place, chance.uniform(0, 1.5)):
                    kills += 1
                    hit |= {place[0]} if place else set()
                engine = opened(url)
                states[schema.read_state(engine).value] += 1
                engine.dispose()
            upgrade(url)
            assert content(url) == olds[which].expected, f"database {number} is not as without a kill"
            olds[which].drop(url)
    if server.server:
        server.server.remove()
    print(f"after a kill the schema was: {dict(states)}")
    budget.report(kills=kills, lines=f"{len(hit)} of {len(olds[0].hits.keys() | olds[1].hits.keys())}")


if __name__ == "__main__":
    main()
