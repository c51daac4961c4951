"""A run is killed by SIGKILL at each of its lines, in each scenario, on each database; then all is as at some COMMIT.

    python tests/proof/kills.py --seed 1
    python tests/proof/kills.py --count 60 --stages 4 --seed 1
    python tests/proof/kills.py --parts 2 --part 1 & python tests/proof/kills.py --parts 2 --part 2

The lines of syncer that a run executes are found out by one that is traced, each once for every COMMIT that had been
made by then: a line before a COMMIT is another one than the same line after it. At each of them a forked run is killed.
The rows must then be those after one of the transactions of a run that nobody disturbed, to the last value. From each
state that was left behind, every promise holds, and the next runs end in the rows of a run that nobody disturbed.
"""

import ast
import gc
import logging
import os
import signal
import sys

from budget import Budget, scratch
from exhaustive import OPTIONS, do_all
from scenarios import Stage, stages, steady
from sqlalchemy import event
from tracing import Line, Tracer
from witness import forked

Spot = tuple[Line, int]
"""A line, and how many transactions had been committed."""


class Commits:
    """How many were made by this process."""

    def __init__(self, stage: Stage) -> None:
        self.made = 0
        event.listen(stage.engine, "commit", self._count)

    def _count(self, _connection: object) -> None:
        self.made += 1


def spots_of(stage: Stage) -> list[Spot]:
    """Every one of a run; it is not disturbed."""
    reading, writing = os.pipe()

    def work() -> None:
        gc.disable()
        seen: dict[Spot, None] = {}
        commits = Commits(stage)
        sys.settrace(Tracer(lambda line: seen.setdefault((line, commits.made))))
        stage.run()
        sys.settrace(None)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(repr(list(seen)).encode())

    stage.put()
    child = forked(work)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    found: list[Spot] = ast.literal_eval(told.decode())
    return found


def kill(stage: Stage, spot: Spot) -> str:
    """A run that dies there, and what is to hold after it; in a word what came of it."""
    line, committed = spot

    def work() -> None:
        gc.disable()  # it would touch, and so copy, everything
        commits = Commits(stage)

        def at(found: Line) -> None:
            if found == line and commits.made == committed:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.settrace(Tracer(at, line))
        stage.run()

    status = os.waitpid(forked(work), 0)[1]
    assert os.WIFSIGNALED(status), "the run did not come to the line"
    left = stage.read()
    assert steady(left) in stage.milestones, "the rows are those after no COMMIT"
    is_new = stage.check_rest(left)
    if is_new or left != stage.before:
        stage.put()
    return "applied" if stage.has_applied(left) else "nothing written" if left == stage.before else "begun"


def main() -> None:
    budget = Budget("kills", full=sys.maxsize, numbers=OPTIONS)
    logging.disable()  # most runs end badly, as they are meant to
    with scratch() as folder, stages(folder, "SQLite", "PostgreSQL") as every:
        spots = do_all(budget, every, spots_of, kill, at_a_time=25)
        lines = {line for found in spots.values() for line, _ in found}
    states = sum(stage.states for stage in spots)
    budget.report(stages=len(spots), different_lines=f"{len(lines):,}", places=budget.share, states_left=states)


if __name__ == "__main__":
    main()
