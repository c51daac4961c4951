"""Faults planted one at a time in the SQL of the views that are made of the timeline: each must be seen by the model.

    python tests/proof/view_faults.py --seed 1

A fault is an operator that is turned round, a bound that is moved, a join or a word that is another one; they are made
from whatever the code is now. Prints the faults that nothing saw; those that change nothing (a bound that no value
reaches) stand in `HARMLESS`, each with the reason. Exit code 1 if there is another one.
"""

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from runpy import run_path

from budget import scratch
from figures_checks import Expectation, expectations, play, real_now, unmet
from mirror import Mirror
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from syncer.storage import schema

VIEWS = (
    "instance_lives",
    "rate_periods",
    "instance_versions",
    "bi_instances",
    "bi_daily",
    "bi_billing_monthly",
    "bi_costs_monthly",
    "bi_churn_monthly",
    "bi_cohorts",
)
SQL_FAULTS = (
    (r" < ", " <= "),
    (r" <= ", " < "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" = ", " <> "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r"\bMIN\(", "MAX("),
    (r"\bMAX\(", "MIN("),
    (r"@later\(", "@earlier("),
    (r"@earlier\(", "@later("),
    (r"@next_day\((\w+)\)", r"\1"),
    (r"@next_month\((\w+)\)", r"\1"),
    (r"LEFT JOIN", "JOIN"),
    (r"NOT EXISTS", "EXISTS"),
    (r"IS NOT NULL", "IS NULL"),
    (r"IS NULL", "IS NOT NULL"),
    (r"\bDESC\b", "ASC"),
    (r"UNION ALL", "UNION"),
    (r"'created'", "'moved'"),
    (r"'returned'", "'moved'"),
    (r"'deleted'", "'moved'"),
    (r"'vanished'", "'moved'"),
    (r"first_day", "first_night"),
    (r"last_day", "end_night"),
    (r" AND ", " OR "),
)
MOST_STEPS = 100  # millions of SQLite's machine for one view; a fault that is still not done then never ends
HARMLESS: dict[str, str] = {}
"""The faults that change nothing, by name, and why."""


def sql_faults(view: str, query: str) -> Iterator[tuple[str, str]]:
    """What is changed, by a name that stays while other lines change, and the query with it."""
    query = re.sub(r" *--.*", "", query)
    named: Counter[str] = Counter()
    for pattern, instead in SQL_FAULTS:
        for found in re.finditer(pattern, query):
            changed = query[: found.start()] + found.expand(instead) + query[found.end() :]
            line = query[query.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0].strip()
            name = f"{view}: {found[0].strip()} is {found.expand(instead).strip()} in {line}"
            named[name] += 1
            yield name if named[name] == 1 else f"{name} ({named[name]})", changed


def install(connection: Connection, queries: dict[str, str]) -> None:
    for view in reversed(queries):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view}")
    for view, query in queries.items():
        connection.exec_driver_sql(f"CREATE VIEW {view} AS {query}")


def is_seen(connection: Connection, view: str, expected: list[Expectation]) -> bool:
    """Whether anything that is read is not as it must be, or never comes; what is read of the view itself first."""
    driver = connection.connection.driver_connection
    assert driver is not None
    for one in sorted(expected, key=lambda one: one.name != view):
        left = MOST_STEPS

        def step() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        driver.set_progress_handler(step, 1_000_000)
        try:
            if next(unmet(connection, one), None) is not None:
                return True
        except (SQLAlchemyError, AssertionError, TypeError):
            return True
        finally:
            driver.set_progress_handler(None, 0)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--estates", type=int, default=40)
    parser.add_argument("--only", default="", help="views that have this word in their name")
    chosen = parser.parse_args()
    unseen = []
    planted = []
    folder = schema.migrations_folder() / "views"
    expand = run_path(str(folder / "expand.py"))["expand"]
    texts = {view: max(folder.glob(f"{view}_v*.sql")).read_text("utf-8") for view in VIEWS}
    with scratch() as place:
        mirror = Mirror(f"sqlite:///{place}/faults.db")
        model = play(mirror, random.Random(chosen.seed), chosen.estates)
        expected = expectations(model, real_now())
        with mirror.engine.connect() as connection:
            right = [line for one in expected for line in unmet(connection, one)]
            assert not right, f"the views are wrong without a fault: {right[0]}"
            for view, text in texts.items():
                if chosen.only not in view:
                    continue
                for name, faulty in sql_faults(view, text):
                    planted.append(name)
                    queries = {one: expand(faulty if one == view else own, "sqlite") for one, own in texts.items()}
                    try:
                        install(connection, queries)
                    except SQLAlchemyError:
                        continue
                    if not is_seen(connection, view, expected):
                        unseen.append(name)
                        print(f"{'harmless' if name in HARMLESS else 'UNSEEN'}: {name}", flush=True)
        mirror.engine.dispose()
    unknown = [name for name in unseen if name not in HARMLESS]
    gone = [name for name in HARMLESS if name not in planted and chosen.only in name.partition(":")[0]]
    for name in gone:
        print(f"harmless, but planted no more: {name}")
    print(
        f"{len(planted)} faults planted, {len(planted) - len(unseen)} seen, {len(unseen) - len(unknown)} harmless, "
        f"{len(unknown)} unseen, seed {chosen.seed}"
    )
    return int(bool(unknown or gone))


if __name__ == "__main__":
    sys.exit(main())
