"""Where the seconds of a run go, phase by phase, once everything is imported. `make bench-phases` runs it.

Each case is a whole `syncer sync` on SQLite and PostgreSQL with a clock around the steps of the path of the data;
`other` is what no step accounts for: settings, the run's own rows, the network, COMMIT.
"""

import argparse
import contextlib
import io
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import run
from run import CASE_WORDS, CASES, Database, bodies, postgres, syncer_environment

from syncer.answer import reader
from syncer.cli import main as command_line
from syncer.rules import decisions
from syncer.storage import rows, timeline

STEPS: dict[str, list[tuple[Any, str]]] = {
    "read the answer": [(reader.Reader, "__call__")],
    "read the mirror": [(rows, "read_known"), (rows, "read_rows"), (rows, "read_expiration_dates")],
    "decide": [(decisions, "decide_listed"), (decisions, "decide_absent")],
    "form rows": [(rows, "formed"), (timeline, "first_of")],
    "write instances": [(rows.Updates, "add"), (rows.Updates, "close")],
    "write history": [(rows, "insert_from")],
}


def clock(spent: dict[str, float]) -> None:
    """Put a clock around every step, for the rest of the process; a step within a step counts once."""
    depth = [0.0]

    def around(module: Any, name: str, step: Callable[[tuple[Any, ...]], str]) -> None:
        inner = getattr(module, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            began, before = time.perf_counter(), depth[0]
            depth[0] = 0.0
            try:
                return inner(*arguments, **named)
            finally:
                seconds = time.perf_counter() - began
                spent[step(arguments)] += seconds - depth[0]
                depth[0] = before + seconds

        setattr(module, name, timed)

    for words, functions in STEPS.items():
        for module, name in functions:
            around(module, name, lambda _arguments, words=words: words)
    around(rows, "insert", lambda arguments: "write history" if "history" in arguments[1].name else "write instances")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=100_000)
    wanted = parser.parse_args()
    server, pg = run.estate.Server(), postgres.start()
    spent: dict[str, float] = defaultdict(float)
    clock(spent)
    steps = [*STEPS, "other"]
    print(f"| database | case | seconds | {' | '.join(steps)} |\n|{'---|' * (len(steps) + 3)}")
    with tempfile.TemporaryDirectory(prefix="syncer-bench-") as name:
        folder = Path(name)
        os.chdir(folder)
        paths = bodies(folder, wanted.instances, 1)
        for kind in ("sqlite", "postgresql"):
            base = Database(kind, folder, pg if kind == "postgresql" else None)
            os.environ |= syncer_environment(server.url, base.url)
            with contextlib.redirect_stdout(io.StringIO()):
                command_line.cli.main(["db", "upgrade"], standalone_mode=False)
            for case in CASES:
                server.show(str(paths[case]))
                base.settle()
                spent.clear()
                began = time.perf_counter()
                with contextlib.redirect_stdout(io.StringIO()):
                    command_line.cli.main(["sync"], standalone_mode=False)
                seconds = time.perf_counter() - began
                spent["other"] = seconds - sum(spent.values())
                told = " | ".join(f"{spent[step]:.2f}" for step in steps)
                print(f"| {kind} | {CASE_WORDS[case]} | {seconds:.2f} | {told} |", flush=True)
            base.drop()
    server.close()
    if pg.server is not None:
        pg.server.remove()


if __name__ == "__main__":
    main()
