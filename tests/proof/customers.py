"""Whose is it: random estates with random customers, whose days, costs and leaks are the model's and whose sums the bill's.

    python tests/proof/customers.py --count 10000 --seed 1

An estate is a few instances of two accounts; many share a database, SQLite and PostgreSQL in turn, whose sessions are
in one of three zones. Assignments overlap, have gaps, lie ahead, and name instances that nobody lists.
"""

import random
import tempfile
from collections import Counter
from pathlib import Path

from budget import Budget
from customers_checks import customer_differences
from figures_checks import play
from mirror import Mirror

ESTATES_OF_ONE_DATABASE = 20
ZONES = ("UTC", "Europe/Berlin", "America/New_York")


def main() -> None:
    budget = Budget("customers", full=10_000)
    import postgres

    server = postgres.start()
    counted: Counter[str] = Counter()
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - fsync tells nothing here
    try:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            for number in budget:
                if number % ESTATES_OF_ONE_DATABASE:
                    continue
                seed = budget.chance.randrange(2**32)
                is_sqlite = (number // ESTATES_OF_ONE_DATABASE) % 2 == 0
                url = f"sqlite:///{folder}/{number}.db" if is_sqlite else server.create_database()
                mirror = Mirror(url)
                estates = min(ESTATES_OF_ONE_DATABASE, budget.chosen.count - number)
                model = play(mirror, random.Random(seed), estates)
                with mirror.engine.connect() as connection:
                    if not is_sqlite:
                        zone = ZONES[seed % len(ZONES)]
                        connection.exec_driver_sql(f"SET LOCAL TimeZone = '{zone}'")
                    found = customer_differences(connection, model)
                assert not found, f"seed {seed}, {estates} estates: {len(found)} differences, the first: {found[0]}"
                counted["instances"] += len(model.lives)
                counted["assignments"] += sum(map(len, model.customers.rows.values()))
                counted["leaks"] += len(model.customers.leaks())
                counted["databases"] += 1
                mirror.engine.dispose()
                if is_sqlite:
                    for path in Path(folder).glob(f"{number}.db*"):
                        path.unlink()
                else:
                    server.drop_database(url)
    finally:
        if server.server is not None:
            server.server.remove()
    budget.report(**counted)


if __name__ == "__main__":
    main()
