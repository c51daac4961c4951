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
from contextlib import ExitStack
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
    "customer_periods",
    "bi_customers_monthly",
    "bi_leaks",
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
    (r"first_day\b", "first_night"),
    (r"last_day\b", "end_night"),
    (r" AND ", " OR "),
)
MOST_STEPS = 100  # millions of SQLite's machine for one view; a fault that is still not done then never ends
NO_DOUBLE = "no two of its rows are the same"
CREATED = "the first life is a creation, which is charged on its own day: the two are one"
TOGETHER = "the columns of a life are NULL together, as a constraint has it"
NOT_TODAY = "no month begins today, but on the first of a month, when it is seen"
FIRST_MONTH = "nothing ran before the first month, so no whole month of it counts"
NO_DAY = "what is of no length holds no day"
NO_DAY_OF_MANY = "what is of no length holds no day, and each day is another period's"
ONE_CURRENCY = "one month never holds two currencies of one tariff"
HARMLESS = {
    "rate_periods: UNION ALL is UNION in UNION ALL": NO_DOUBLE,
    "instance_versions: UNION ALL is UNION in UNION ALL": NO_DOUBLE,
    "instance_versions: UNION ALL is UNION in UNION ALL (2)": NO_DOUBLE,
    "bi_instances: first_day is first_night in COALESCE(past.first_day, instances.life_first_day), (2)": CREATED,
    "bi_instances: first_day is first_night in CASE WHEN instances.life_first_day IS NULL THEN past.last_day ELSE @today END": TOGETHER,
    "bi_instances: first_day is first_night in MIN(first_day) AS first_day,": CREATED,
    "bi_daily: @next_day(day) is day in ELSE @next_day(day)": "the day itself is a row in any case, and none follows",
    "bi_daily: - is + in WHERE began - ended <> charged": "a day more on which nothing changes, and it is a row in any case",
    "bi_daily: UNION ALL is UNION in UNION ALL (4)": NO_DOUBLE,
    "bi_daily: first_day is first_night in WHERE life_first_day IS NOT NULL": TOGETHER,
    "bi_billing_monthly: MAX( is MIN( in @as_text(MAX(rate_periods.currency)) AS currency,": ONE_CURRENCY,
    "bi_costs_monthly: <= is < in SELECT end_day, @next_month(end_day), @midnight(@next_month(end_day)) FROM months WHERE end_day <= @today": NOT_TODAY,
    "bi_costs_monthly: MIN( is MAX( in MIN(ends_at) AS ends_at,": "a month has one end",
    "bi_costs_monthly: MIN( is MAX( in @earlier(MIN(end_day), @next_day(@today)) AS end_day,": "a month has one end",
    "bi_costs_monthly: MAX( is MIN( in MAX(currency) AS currency,": ONE_CURRENCY,
    "bi_costs_monthly: @next_month(first_day) is first_day in SELECT first_day, @next_month(first_day) AS end_day, @midnight(@next_month(first_day)) AS ends_at": "the first month is of no length then, and the step that follows makes it again",
    "bi_costs_monthly: UNION ALL is UNION in UNION ALL": NO_DOUBLE,
    "bi_costs_monthly: first_day is first_night in COALESCE((SELECT MIN(life_first_day) FROM instances), @today),": CREATED,
    "bi_costs_monthly: first_day is first_night in COALESCE((SELECT MIN(first_day) FROM ended_lives), @today)": CREATED,
    "bi_costs_monthly: first_day is first_night in @later(@later(first_night, first_day), COALESCE(valid_from, first_day)), (2)": "it stands where there is no rate, and the later of the two is taken before",
    "bi_churn_monthly: <= is < in SELECT account, @next_month(first_day) FROM calendar WHERE @next_month(first_day) <= @today": NOT_TODAY,
    "bi_churn_monthly: UNION ALL is UNION in UNION ALL (2)": NO_DOUBLE,
    "bi_churn_monthly: first_day is first_night in WHERE life_first_day IS NOT NULL": TOGETHER,
    "bi_churn_monthly: last_day is end_night in AND (later.last_day IS NULL OR @month_of_day(later.last_day) > @month_of_day(later.first_day))": TOGETHER,
    "bi_cohorts: UNION ALL is UNION in UNION ALL (2)": "one side adds, the other takes away, and neither has a row twice",
    "bi_cohorts: UNION ALL is UNION in UNION ALL (5)": NO_DOUBLE,
    "bi_cohorts: first_day is first_night in @month_of_day(first_day) AS cohort_month,": CREATED,
    "bi_cohorts: first_day is first_night in @month_of_day(first_day),": CREATED,
    "bi_cohorts: first_day is first_night in SELECT account, @month_of_day(life_first_day), NULL, COUNT(*)": CREATED,
    "bi_cohorts: first_day is first_night in GROUP BY @month_of_day(life_first_day), account": CREATED,
    "bi_cohorts: first_day is first_night in SELECT first_lives.account, @month_of_day(first_lives.first_day), later.month, SUM(later.step)": CREATED,
    "bi_cohorts: first_day is first_night in GROUP BY first_lives.account, @month_of_day(first_lives.first_day), later.month": CREATED,
    "customer_periods: < is <= in JOIN assigned AS around ON around.id_instance = within.id_instance AND around.valid_from < within.valid_from": "since itself nothing began",
    "customer_periods: < is <= in WHERE within.ends < within.follows AND within.ends < within.reached": NO_DAY,
    "customer_periods: < is <= in WHERE within.ends < within.follows AND within.ends < within.reached (2)": NO_DAY,
    "customer_periods: AND is OR in WHERE within.ends < within.follows AND within.ends < within.reached": NO_DAY,
    "customer_periods: < is <= in WHERE again_from < @earlier(ends, follows)": NO_DAY,
    "customer_periods: < is <= in WHERE reached < follows": NO_DAY,
    "customer_periods: UNION ALL is UNION in UNION ALL": NO_DOUBLE,
    "customer_periods: UNION ALL is UNION in UNION ALL (2)": NO_DOUBLE,
    "customer_periods: UNION ALL is UNION in UNION ALL (3)": NO_DOUBLE,
    "bi_customers_monthly: < is <= in AND periods.valid_from < lives.end_night": NO_DAY_OF_MANY,
    "bi_customers_monthly: > is >= in AND periods.valid_to > lives.first_night": NO_DAY_OF_MANY,
    "bi_customers_monthly: > is >= in AND rate_periods.valid_to > (SELECT MIN(begins) FROM held)": NO_DAY_OF_MANY,
    "bi_customers_monthly: < is <= in WHERE first_day < @today": "a month more, which nothing reaches",
    "bi_customers_monthly: MIN( is MAX( in SELECT MIN(first_day) AS first_day, @days_between(MIN(first_day), @next_month(MIN(first_day))) AS days (2)": FIRST_MONTH,
    "bi_customers_monthly: MIN( is MAX( in SELECT MIN(first_day) AS first_day, @days_between(MIN(first_day), @next_month(MIN(first_day))) AS days (3)": FIRST_MONTH,
    "bi_customers_monthly: UNION ALL is UNION in UNION ALL": NO_DOUBLE,
    "bi_customers_monthly: UNION ALL is UNION in UNION ALL (2)": NO_DOUBLE,
    "bi_leaks: <= is < in AND since_then.valid_from <= @today": "what begins today holds today itself",
    "bi_leaks: UNION ALL is UNION in UNION ALL": NO_DOUBLE,
    "bi_leaks: UNION ALL is UNION in UNION ALL (2)": NO_DOUBLE,
    "bi_leaks: UNION ALL is UNION in UNION ALL (3)": NO_DOUBLE,
}
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


class World:
    """A database of estates, random ones and the rare lives, and what must be read in it."""

    def __init__(self, url: str, seed: int, estates: int) -> None:
        self._mirror = Mirror(url)
        self.expected = expectations(play(self._mirror, random.Random(seed), estates, always_sold=True), real_now())
        self.connection = self._mirror.engine.connect()

    def close(self) -> None:
        self.connection.close()
        self._mirror.engine.dispose()

    def sees(self, view: str, queries: dict[str, str]) -> bool:
        """Whether something is not as it must be with these views, or never comes; the view itself is read first."""
        try:
            install(self.connection, queries)
            return any(self._differs(one) for one in sorted(self.expected, key=lambda one: one.name != view))
        except (SQLAlchemyError, AssertionError, LookupError, TypeError):
            return True

    def _differs(self, one: Expectation) -> bool:
        driver = self.connection.connection.driver_connection
        assert driver is not None
        left = MOST_STEPS

        def step() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        driver.set_progress_handler(step, 1_000_000)
        try:
            return next(unmet(self.connection, one), None) is not None
        finally:
            driver.set_progress_handler(None, 0)


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
    with scratch() as place, ExitStack() as stack:
        worlds = [World(f"sqlite:///{place}/{estates}.db", chosen.seed, estates) for estates in (chosen.estates, 0)]
        for world in worlds:
            stack.callback(world.close)
            right = [line for one in world.expected for line in unmet(world.connection, one)]
            assert not right, f"the views are wrong without a fault: {right[0]}"
        for view, text in texts.items():
            if chosen.only not in view:
                continue
            for name, faulty in sql_faults(view, text):
                planted.append(name)
                queries = {one: expand(faulty if one == view else own, "sqlite") for one, own in texts.items()}
                if not any(world.sees(view, queries) for world in worlds):
                    unseen.append(name)
                    print(f"{'harmless' if name in HARMLESS else 'UNSEEN'}: {name}", flush=True)
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
