"""Faults planted one at a time in the timeline's function and in the SQL of the views: each must be seen by the model.

    python tests/proof/planted_faults.py --seed 1

A fault is an operator that is turned round, a bound that is moved, a join or a word that is another one; they are made
from whatever the code is now. Prints the faults that nothing saw; some of them change nothing (a bound that no value
reaches), so the list is for a person to read. Exit code 1 if there are more than are known to be such.
"""

import argparse
import ast
import random
import re
import sys
import types
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from runpy import run_path

from budget import scratch
from figures_checks import differences, play
from mirror import Mirror
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from syncer.rules import timeline
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


class Fault(ast.NodeTransformer):
    """Plants the fault of a number, counting all places where one can be planted."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.planted = ""

    def _is_here(self, node: ast.AST, what: str) -> bool:
        self.left -= 1
        if self.left == -1:
            self.planted = f"line {getattr(node, 'lineno', 0)}: {what}"
        return self.left == -1

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        turned: dict[type[ast.cmpop], ast.cmpop] = {
            ast.Lt: ast.LtE(), ast.LtE: ast.Lt(), ast.Gt: ast.GtE(), ast.GtE: ast.Gt(), ast.Eq: ast.NotEq(),
            ast.NotEq: ast.Eq(), ast.Is: ast.IsNot(), ast.IsNot: ast.Is(), ast.In: ast.NotIn(), ast.NotIn: ast.In(),
        }  # fmt: skip
        if self._is_here(node, f"{ast.unparse(node)} compares otherwise"):
            node.ops[0] = turned[type(node.ops[0])]
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        if self._is_here(node, f"{ast.unparse(node)}: and, or"):
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and self._is_here(node, f"{ast.unparse(node)}: no not"):
            return node.operand
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        if self._is_here(node, f"{ast.unparse(node)}: the other one"):
            node.body, node.orelse = node.orelse, node.body
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        others = {"min": "max", "max": "min"}
        if isinstance(node.func, ast.Name) and node.func.id in others and self._is_here(node, ast.unparse(node)):
            node.func.id = others[node.func.id]
        return node


def python_faults(source: str) -> Iterator[tuple[str, types.CodeType]]:
    """What is changed, and the module with it."""
    number = 0
    while True:
        fault = Fault(number)
        tree = ast.fix_missing_locations(fault.visit(ast.parse(source)))
        if not fault.planted:
            return
        yield fault.planted, compile(tree, "timeline with a fault", "exec")
        number += 1


def timeline_is_seen(code: types.CodeType, seed: int) -> bool:
    """Whether the tests of the function, beside the model, tell the fault from the function."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "unit"))
    import test_timeline as tests

    names = ("versions_of", "lives_of", "read_history", "lived_on", "reaches_back")
    kept = dict(vars(timeline))
    module = types.ModuleType("faulty")
    sys.modules["faulty"] = module
    vars(module).update({"__name__": "faulty"})
    try:
        exec(code, vars(module))  # noqa: S102 - our own code
        for name in names:
            setattr(tests, name, vars(module)[name])
        vars(tests).update({name: vars(module)[name] for name in ("HistoryRow", "state_of", "STATE_COLUMNS")})
        for number in range(25):
            tests.test_versions_lives_and_nights_are_those_of_the_model(seed + number)
            tests.test_what_does_not_reach_back_only_goes_on_from_the_current_version(seed + number)
    except Exception:  # noqa: BLE001 - whatever it is, the fault is seen
        return True
    finally:
        for name in (*names, "HistoryRow", "state_of", "STATE_COLUMNS"):
            setattr(tests, name, kept[name])
    return False


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
    source = Path(timeline.__file__ or "").read_text("utf-8")
    for what, code in islice(python_faults(source), chosen.most):
        planted += 1
        if not timeline_is_seen(code, chosen.seed):
            unseen.append(f"timeline.py, {what}")
            print(unseen[-1], flush=True)
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
