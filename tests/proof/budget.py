"""How much a proof does: a count, or as much as fits into some minutes; and the lines that every proof prints."""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent.parent)]

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - TemporaryDirectory makes the folder in it


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory where there is one: a process that dies loses nothing of it, and syncing costs nothing."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def keep(
    file: Path | None,
    proof: str,
    count: int,
    seconds: float,
    figures: str,
    found: str,
    *,
    seed: str = "",
    day: str = "",
) -> None:
    """Print a line of the record in docs/proof/record.md, and append it to a file if one is given; the day is today's."""
    day = day or f"{datetime.now(UTC):%Y-%m-%d}"  # noqa: TID251 - the day of the record
    kept = f"| {day} | {proof} | {seed} | {count:,} | {seconds:,.0f} s | {figures} | {found} |"
    print(kept, flush=True)
    if file:
        with file.open("a") as record:
            record.write(kept + "\n")


class Budget:
    """Iterate over it: 0, 1, 2, … until the count is reached or the time is up.

    `numbers` are further options of a proof, with their defaults.
    """

    def __init__(self, name: str, full: int, numbers: Mapping[str, int] | None = None) -> None:
        parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
        parser.add_argument("--count", type=int, default=full, help="how many; without it the full proof")
        parser.add_argument("--minutes", type=float, help="end after so long, if the count is not reached before")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument(
            "--record", type=Path, metavar="FILE", help="append a line of a Markdown table to this file"
        )
        parser.add_argument("--date", default="", help="what the line says of the day; today if it is left out")
        for option, default in (numbers or {}).items():
            parser.add_argument(f"--{option}", type=int, default=default)
        self.name = name
        self.chosen = parser.parse_args()
        self.chance = random.Random(self.chosen.seed)
        self.began = time.monotonic()
        self.done = 0
        self.most = self.chosen.count

    def limit(self, most: int) -> None:
        """There is no more than this to do."""
        self.most = most

    @property
    def share(self) -> str:
        """How much of all there is was done."""
        return f"all of {self.most:,}" if self.done == self.most else f"{self.done:,} of {self.most:,}"

    def __iter__(self) -> Iterator[int]:
        while self.done < min(self.chosen.count, self.most) and not self.is_over:
            yield self.done
            self.done += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def is_over(self) -> bool:
        return self.chosen.minutes is not None and self.seconds > self.chosen.minutes * 60

    def report(self, found: str = "nothing", **figures: object) -> None:
        """One line: what was done, by which seed, for how long, and what was counted on the way; and one to keep."""
        told = ", ".join(f"{name.replace('_', ' ')} {figure}" for name, figure in figures.items())
        line = f"{self.name}: {self.done} done, seed {self.chosen.seed}, {self.seconds:.0f} s"
        print(f"{line}, {told}" if told else line, flush=True)
        chosen = self.chosen
        keep(chosen.record, self.name, self.done, self.seconds, told, found, seed=str(chosen.seed), day=chosen.date)
