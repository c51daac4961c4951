"""Faults planted one at a time in the SQL of the views that are made of the timeline: each must be seen by the model.

    python tests/proof/view_faults.py --seed 1

A fault is an operator that is turned round, a bound that is moved, a join or a word that is another one; they are made
from whatever the code is now. Prints the faults that nothing saw; some of them change nothing (a bound that no value
reaches), so the list is for a person to read. Exit code 1 if there are more than are known to be such.
"""

import argparse
import random
import re
import sys
from collections.abc import Iterator
from itertools import islice
from runpy import run_path

from budget import scratch
from figures_checks import differences, play
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
UNSEEN_AND_HARMLESS = 40


def sql_faults(query: str) -> Iterator[tuple[str, str]]:
    """What is changed, and the query with it."""
    query = re.sub(r"--.*", "", query)
    for pattern, instead in SQL_FAULTS:
        for found in re.finditer(pattern, query):
            changed = query[: found.start()] + found.expand(instead) + query[found.end() :]
            line = query[: found.start()].count("\n") + 1
            yield f"line {line}: {found[0].strip()} is {found.expand(instead).strip()}", changed


def install(connection: Connection, queries: dict[str, str]) -> None:
    for view in reversed(queries):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view}")
    for view, query in queries.items():
        connection.exec_driver_sql(f"CREATE VIEW {view} AS {query}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--estates", type=int, default=40)
    parser.add_argument("--most", type=int, default=None, help="at most so many faults of each kind")
    chosen = parser.parse_args()
    unseen = []
    planted = 0
    folder = schema.migrations_folder() / "views"
    expand = run_path(str(folder / "expand.py"))["expand"]
    texts = {view: max(folder.glob(f"{view}_v*.sql")).read_text("utf-8") for view in VIEWS}
    with scratch() as place:
        mirror = Mirror(f"sqlite:///{place}/faults.db")
        model = play(mirror, random.Random(chosen.seed), chosen.estates)
        with mirror.engine.connect() as connection:
            assert not differences(connection, model), "the views are wrong without a fault"
            for view, text in texts.items():
                for what, faulty in islice(sql_faults(text), chosen.most):
                    planted += 1
                    queries = {name: expand(faulty if name == view else own, "sqlite") for name, own in texts.items()}
                    try:
                        install(connection, queries)
                        seen = bool(differences(connection, model))
                    except (SQLAlchemyError, AssertionError, TypeError):
                        seen = True
                    if not seen:
                        unseen.append(f"{view}, {what}")
                        print(unseen[-1], flush=True)
        mirror.engine.dispose()
    print(f"{planted} faults planted, {planted - len(unseen)} seen, {len(unseen)} not, seed {chosen.seed}")
    return int(len(unseen) > UNSEEN_AND_HARMLESS)


if __name__ == "__main__":
    sys.exit(main())
