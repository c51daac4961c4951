"""Faults planted at named functions, one at a time, in a copy of the code: the tests must see each of them.

    python tests/proof/mutants.py --seed 1 --count 40 [--only WORD] [--jobs N] [--record FILE]

A fault is one operator, condition, constant or statement of a function, changed in its syntax tree. Which ones are
planted is drawn by the seed. A fault that lives is either a test that is missing or a change without a meaning; a person
reads it and says which. Exit code 1 if one lived.
"""

import argparse
import ast
import copy
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import alembic.command  # noqa: F401 - for the forks
import msgspec  # noqa: F401
import psycopg  # noqa: F401
import pytest
import sqlalchemy  # noqa: F401
from budget import keep
from postgres import start as start_postgres
from waiting import HANG_SECONDS

CHECKOUT = Path(__file__).parent.parent.parent

# What faults are planted in: a function, a method or a class with all its methods, as module:qualified name.
# After a move or a rename only this table changes.
TARGETS = [
    "syncer.rules.transitions:is_auto_renewing",
    "syncer.rules.transitions:settle",
    "syncer.rules.transitions:decide_listed",
    "syncer.rules.transitions:decide_absent",
    "syncer.rules.transitions:_decide_new",
    "syncer.rules.transitions:_decide_differing",
    "syncer.rules.transitions:_stated",
    "syncer.rules.transitions:_in_stored_order",
    "syncer.rules.transitions:_is_free",
    "syncer.rules.guard:examine",
    "syncer.rules.guard:looks_odd",
    "syncer.rules.guard:is_mass_change",
    "syncer.rules.guard:Tally",
    "syncer.rules.guard:_was_due",
    "syncer.rules.guard:_grounds",
    "syncer.rules.guard:_all_live",
    "syncer.rules.guard:_is_approved",
    "syncer.rules.zone:window_between",
    "syncer.rules.zone:is_birth",
    "syncer.rules.zone:suggested_offset",
    "syncer.rules.zone:_steps",
    "syncer.answer.stated:read_stated",
    "syncer.answer.stated:time_problem",
    "syncer.answer.stated:part_problem",
    "syncer.rules.timeline:Life",
    "syncer.rules.timeline:first_midnight",
    "syncer.rules.timeline:read_history",
    "syncer.rules.timeline:is_believed",
    "syncer.rules.timeline:versions_of",
    "syncer.rules.timeline:reaches_back",
    "syncer.rules.timeline:lived_on",
    "syncer.rules.timeline:lives_of",
    "syncer.storage.timeline:first_of",
    "syncer.storage.timeline:changes_by",
    "syncer.storage.timeline:add_difference",
    "syncer.answer.reader:Reader",
    "syncer.answer.comparison:Comparison",
    "syncer.answer.body:Body.is_recognised_by",
    "syncer.answer.pieces:pieces_of",
    "syncer.answer.item:ItemReader",
    "syncer.answer.item:_read_fields",
    "syncer.answer.values:read_flag",
    "syncer.answer.values:read_time",
    "syncer.answer.values:without_secrets",
    "syncer.answer.problem:too_many_rejects",
    "syncer.answer.redated:rest_of",
    "syncer.answer.redated:Redated",
    "syncer.rules.decisions:decisions_of",
    "syncer.rules.decisions:_decide_redated",
    "syncer.rules.decisions:dropped_claims",
    "syncer.sync:_apply",
    "syncer.sync:_look_first",
    "syncer.sync:_accept",
    "syncer.storage.observing:observe",
    "syncer.storage.claims:read_claims",
    "syncer.storage.claims:read_claimants",
    "syncer.storage.claims:is_contested",
    "syncer.storage.accounts:rename",
    "syncer.storage.accounts:retire",
    "syncer.storage.evidence:_weigh",
    "syncer.storage.mirror:Writer",
    "syncer.storage.runs:Base",
    "syncer.storage.runs:accept_run",
    "syncer.storage.runs:move_base",
    "syncer.storage.runs:read_approved",
]
# The tests, the quick ones first: the later step is taken only by a fault that the earlier one did not see.
STEPS = [
    ["tests/unit/test_transitions.py", "tests/unit/test_guard.py", "tests/unit/test_item.py",
     "tests/unit/test_listing.py", "tests/unit/test_timeline.py", "tests/unit/test_first_sight.py",
     "tests/unit/test_stated.py", "tests/unit/test_zone.py", "tests/unit/test_decisions.py",
     "tests/unit/test_core.py"],
    ["tests/integration/test_run.py", "tests/integration/test_whose_it_is.py",
     "tests/integration/test_more_than_absence.py", "tests/integration/test_road.py", "tests/integration/test_model.py",
     "tests/integration/test_lost_commit.py", "tests/integration/test_told_late.py",
     "tests/integration/test_figures.py"],
]  # fmt: skip

OTHER: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


class Fault(NamedTuple):
    """A file's text with one fault in it, and the place before and after, in words."""

    target: str
    path: str
    line: int
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.target.partition(':')[2]}: `{self.before}` became `{self.after}`"


def find(target: str) -> tuple[Path, ast.Module, Any]:
    """The file that defines it, its tree, and the node in it; LookupError if there is none."""
    module, _, names = target.partition(":")
    path = Path(*module.split(".")).with_suffix(".py")
    if not (CHECKOUT / path).exists():
        raise LookupError(f"{target}: there is no {path}")
    tree = ast.parse((CHECKOUT / path).read_text("utf-8"))
    node: Any = tree
    for name in names.split("."):
        node = next((inner for inner in node.body if getattr(inner, "name", None) == name), None)
        if node is None:
            raise LookupError(f"{target}: {path} defines no {name}")
    return path, tree, node


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """The node, changed in each way that is known; itself it stays as it is."""

    def changed(**values: object) -> ast.AST:
        other = copy.copy(node)
        for name, value in values.items():
            setattr(other, name, value)
        return other

    match node:
        case ast.Compare(ops=[operator]) | ast.BoolOp(op=operator) | ast.BinOp(op=operator) if type(operator) in OTHER:
            opposite = OTHER[type(operator)]()
            yield changed(ops=[opposite]) if isinstance(node, ast.Compare) else changed(op=opposite)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield changed(test=ast.UnaryOp(ast.Not(), test))
        case ast.comprehension(ifs=[_, *_]):
            yield changed(ifs=[])
        case ast.Constant(value=bool(value)):
            yield changed(value=not value)
        case ast.Constant(value=int(value)):
            yield changed(value=value + 1)
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            yield ast.Pass()


def faults_of(target: str) -> list[Fault]:
    """Every fault that can be planted in it."""
    path, tree, function = find(target)
    types = [getattr(node, name, None) for node in ast.walk(function) for name in ("annotation", "returns")]
    skipped = {id(inner) for node in types if node is not None for inner in ast.walk(node)}
    faults = []
    for parent in ast.walk(function):
        for name, held in ast.iter_fields(parent):
            for place, node in enumerate(held if isinstance(held, list) else [held]):
                if not isinstance(node, ast.AST) or id(node) in skipped:
                    continue
                for other in changes(node):
                    into = [*held[:place], other, *held[place + 1 :]] if isinstance(held, list) else other
                    setattr(parent, name, into)
                    text = ast.unparse(ast.fix_missing_locations(tree))
                    setattr(parent, name, held)
                    line = getattr(node, "lineno", getattr(parent, "lineno", 0))
                    faults.append(Fault(target, str(path), line, _told(node), _told(other), text))
    return faults


def drawn(targets: list[str], seed: int, count: int) -> list[Fault]:
    """So many faults of them; the same for the same seed."""
    faults = [fault for target in targets for fault in faults_of(target)]
    return random.Random(seed).sample(faults, min(count, len(faults)))


def _told(node: ast.AST) -> str:
    return " ".join(ast.unparse(getattr(node, "test", node)).split())[:80]


def enter_copy(folder: Path) -> None:
    """Let this process work in a copy of the checkout, which is what the tests import."""
    own = folder / str(os.getpid())
    own.mkdir(mode=0o755)
    for name in ("syncer", "tests", "migrations"):
        shutil.copytree(CHECKOUT / name, own / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "alembic.ini"):
        shutil.copy(CHECKOUT / name, own / name)
    os.chdir(own)
    sys.dont_write_bytecode = True  # two versions of a file may be of the same second and size


def is_seen(step: list[str]) -> bool:
    """Whether a test fails, or never ends; the tests run in a fork, which has imported all that is not syncer's."""
    output = Path("output.txt")
    child = os.fork()
    if not child:
        try:
            signal.alarm(HANG_SECONDS)
            quiet = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--no-header", *step])
            sys.stdout.flush()
            os._exit(code)
        finally:
            sys.excepthook(*sys.exc_info())
            os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in {0, 1, 2, -signal.SIGALRM}:  # passed, failed, could not even be imported, or hung
        raise RuntimeError(output.read_text()[-3000:])
    return code != 0


def failure_without_fault() -> str:
    """What the tests say of the code as it is, if they fail."""
    return Path("output.txt").read_text()[-3000:] if any(map(is_seen, STEPS)) else ""


def put_to_the_test(fault: Fault) -> tuple[Fault, bool]:
    """The fault, and whether the tests saw it."""
    path = Path(fault.path)
    source = path.read_text("utf-8")
    path.write_text(fault.text, "utf-8")
    try:
        return fault, any(map(is_seen, STEPS))
    finally:
        path.write_text(source, "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40, help="how many faults")
    parser.add_argument("--only", default="", help="targets that have this word in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append a line of a Markdown table to this file")
    chosen = parser.parse_args()
    began = time.monotonic()
    faults = drawn([target for target in TARGETS if chosen.only in target], chosen.seed, chosen.count)
    lived = []
    server = start_postgres()
    os.environ["SYNCER_TEST_PG_URL"] = server.admin_url
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        with multiprocessing.get_context("fork").Pool(chosen.jobs, enter_copy, (Path(made),)) as pool:
            failure = pool.apply(failure_without_fault)
            if failure:
                print("the tests fail without any fault:\n" + failure)
                return 1
            for fault, seen in pool.imap_unordered(put_to_the_test, faults):
                if not seen:
                    lived.append(str(fault))
                print(f"{'seen ' if seen else 'LIVED'} {fault}", flush=True)
    if server.server:
        server.server.remove()
    figures = f"seen {len(faults) - len(lived)} of {len(faults)}"
    found = "; ".join(lived) or "nothing"
    keep(chosen.record, "mutants", len(faults), time.monotonic() - began, figures, found, seed=str(chosen.seed))
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main())
