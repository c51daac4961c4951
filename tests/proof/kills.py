"""A run is killed by SIGKILL at every line it executes, and at random instants; the tables stay what the model says.

    python tests/proof/kills.py --count 1000 --seed 1

Each victim is forked, so that nothing of it lives on. After each kill the promises are checked and the tables compared
with the model; a further run must then converge with it.
"""

import ast
import copy
import gc
import logging
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from budget import Budget, scratch
from estates import Answers, answers
from postgres import start as start_postgres
from sqlalchemy import text
from witness import Witness, forked

from syncer import __file__ as package

FOLDER = str(Path(package).parent)
RESTARTED_EVERY = 100  # kills; checking the promises of a longer history takes longer
Line = tuple[str, int]


class Tracer:
    """Calls `at` with each line of syncer that is executed; with a place, only where that line is."""

    def __init__(self, at: Callable[[Line], None], place: Line | None = None) -> None:
        self._at = at
        self._place = place
        self._traced: dict[CodeType, bool] = {}

    def __call__(self, frame: FrameType, event: str, _argument: object) -> "Tracer | None":
        code = frame.f_code
        if code not in self._traced:
            self._traced[code] = self._is_traced(code)
        if not self._traced[code]:
            return None
        if event == "line":
            self._at((code.co_filename.removeprefix(FOLDER + "/"), frame.f_lineno))
        return self

    def _is_traced(self, code: CodeType) -> bool:
        if self._place is None:
            return code.co_filename.startswith(FOLDER)
        file, number = self._place
        return code.co_filename == f"{FOLDER}/{file}" and any(line == number for _, _, line in code.co_lines())


def run_in_child(
    witness: Witness, items: list[Any], trace: Tracer | None, at_end: Callable[[], object] = lambda: None
) -> int:
    """One run as production's, on connections of its own.

    The parent must have no SQLite file open: its locks would go to the child, and a file that is open needs no recovery.
    """
    runner = copy.copy(witness.mirror)
    witness.mirror.engine.dispose()
    runner.engine = witness.production

    def work() -> None:
        gc.disable()  # it would touch, and so copy, everything
        sys.settrace(trace)
        runner.observe(items, after=timedelta())
        sys.settrace(None)
        at_end()

    return forked(work)


def lines_of_a_run(witness: Witness, lives: Answers) -> set[Line]:
    """Every line that the next run executes; it is not disturbed."""
    pause, items = next(lives)
    witness.mirror.now += pause
    seen: set[Line] = set()
    reading, writing = os.pipe()

    child = run_in_child(witness, items, Tracer(seen.add), lambda: os.write(writing, repr(seen).encode()))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    witness.follow(items)
    found: set[Line] = ast.literal_eval(told.decode())
    return found


def kill_at(place: Line, hit: int) -> Tracer:
    """SIGKILL when a line is about to be executed for the `hit`-th time."""
    left = hit

    def at(line: Line) -> None:
        nonlocal left
        if line == place:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    return Tracer(at, place)


def wait_until_alone(witness: Witness) -> None:
    """PostgreSQL finishes what a client sent before it died: wait until that has come to an end."""
    if witness.mirror.engine.dialect.name == "sqlite":
        return
    others = text(
        "SELECT state, query, wait_event_type, wait_event FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    for _ in range(10_000):
        with witness.mirror.engine.connect() as connection:  # a transaction sees one and the same list for ever
            left = connection.execute(others).all()
        if not left:
            return
        time.sleep(0.001)
    raise AssertionError(f"the backend of a killed run is still there: {left}")


class Killing:
    """Kills on one database, and what came of them."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self.chance = chance
        self.witness = Witness(url)
        self.witness.keep_connections()
        self.lives = answers(chance)
        self.lines: set[Line] = set()
        self.todo: list[tuple[Line, int]] = []
        self.hit: set[Line] = set()
        self.ends: Counter[str] = Counter()

    def restart(self) -> None:
        """Begin with empty tables and another estate."""
        self.witness.compare()
        self.witness.restart()
        self.lives = answers(self.chance)

    def kill(self, *, at_a_line: bool) -> None:
        """Start runs until one of them could be killed as meant; then check."""
        while True:
            if not self.todo:
                self._plan()
            pause, items = next(self.lives)
            self.witness.mirror.now += pause
            if at_a_line:
                place, hit = self.todo.pop()
                child = run_in_child(self.witness, items, kill_at(place, hit))
            else:
                child = run_in_child(self.witness, items, None)
                time.sleep(self.chance.uniform(0, 0.03))
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            assert os.WIFSIGNALED(status) or status == 0
            wait_until_alone(self.witness)
            end = self.witness.follow(items)
            if os.WIFSIGNALED(status):
                break
        if at_a_line:
            self.hit.add(place)
        self.ends[end] += 1
        self.witness.compare()
        self.witness.observe(*next(self.lives))  # its rows are compared with those of the next kill

    def _plan(self) -> None:
        """Every line that some runs execute, in random order; after the first sweep, at any of its first ten hits."""
        first = not self.lines
        for _ in range(6 if first else 1):
            self.lines |= lines_of_a_run(self.witness, self.lives)
        self.todo = [(line, 1 if first else self.chance.randint(1, 10)) for line in self.lines]
        self.chance.shuffle(self.todo)


def main() -> None:
    budget = Budget("kills", full=50_000)
    logging.disable()  # most runs end badly, as they are meant to
    server = start_postgres()
    with scratch() as folder:
        databases = [
            Killing(f"sqlite:///{folder}/kills.db", budget.chance),
            Killing(server.create_database(), budget.chance),
        ]
        gc.freeze()  # a fork then copies less
        for number in budget:
            # Three of four on SQLite, every fifth at a random instant.
            killing = databases[number % 4 == 3]
            killing.kill(at_a_line=number % 5 != 4)
            if sum(killing.ends.values()) % RESTARTED_EVERY == 0:
                killing.restart()
        for killing in databases:
            killing.witness.compare()
            killing.witness.mirror.engine.dispose()
    if server.server:
        server.server.remove()
    for killing, name in zip(databases, ("SQLite", "PostgreSQL"), strict=True):
        print(
            f"{name}: {sum(killing.ends.values())} kills, at {len(killing.hit)} of {len(killing.lines)} lines; "
            f"what the killed run's row said: {dict(killing.ends)}"
        )
    budget.report(lines=max(len(killing.hit) for killing in databases))


if __name__ == "__main__":
    main()
