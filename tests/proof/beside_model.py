"""Random estates on SQLite and PostgreSQL, and what the database says of each beside what the model says.

Many estates share a database, so that each is small; databases are SQLite and PostgreSQL in turn, whose sessions are in
one of three zones.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from budget import Budget, scratch  # first: it lets the others be found
from figures_checks import play
from figures_model import FiguresModel
from mirror import Mirror
from postgres import Postgres, start
from sqlalchemy import Connection

ESTATES_OF_ONE_DATABASE = 20
ZONES = ("UTC", "Europe/Berlin", "America/New_York")

Differences = Callable[[Connection, FiguresModel], list[str]]
Counts = Callable[[FiguresModel], dict[str, int]]


def compare(budget: Budget, differences: Differences, counts: Counts) -> None:
    """Play what the budget allows; stop at the first difference, and report what the models counted."""
    server = start()
    counted: Counter[str] = Counter()
    try:
        with scratch() as folder:
            for number in budget:
                if number % ESTATES_OF_ONE_DATABASE:
                    continue
                seed = budget.chance.randrange(2**32)
                estates = min(ESTATES_OF_ONE_DATABASE, budget.chosen.count - number)
                is_sqlite = (number // ESTATES_OF_ONE_DATABASE) % 2 == 0
                with _sqlite(folder / f"{number}.db") if is_sqlite else _postgresql(server) as url:
                    mirror = Mirror(url)
                    model = play(mirror, random.Random(seed), estates)
                    with mirror.engine.connect() as connection:
                        if not is_sqlite:
                            connection.exec_driver_sql(f"SET LOCAL TimeZone = '{ZONES[seed % len(ZONES)]}'")
                        found = differences(connection, model)
                    assert not found, f"seed {seed}, {estates} estates: {len(found)} differences, the first: {found[0]}"
                    mirror.engine.dispose()
                counted.update(counts(model) | {"databases": 1})
    finally:
        if server.server is not None:
            server.server.remove()
    budget.report(**counted)


@contextmanager
def _sqlite(file: Path) -> Iterator[str]:
    yield f"sqlite:///{file}"
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()


@contextmanager
def _postgresql(server: Postgres) -> Iterator[str]:
    url = server.create_database()
    yield url
    server.drop_database(url)
