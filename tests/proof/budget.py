"""How much a proof does: a count, or as much as fits into some minutes; and the lines that every proof prints."""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent.parent)]


class Budget:
    """Iterate over it: 0, 1, 2, … until the count is reached or the time is up."""

    def __init__(self, name: str, full: int) -> None:
        parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
        parser.add_argument("--count", type=int, default=full, help="how many; without it the full proof")
        parser.add_argument("--minutes", type=float, help="end after so long, if the count is not reached before")
        parser.add_argument("--seed", type=int, default=1)
        self.name = name
        self.chosen = parser.parse_args()
        self.chance = random.Random(self.chosen.seed)
        self.began = time.monotonic()
        self.done = 0

    def __iter__(self) -> Iterator[int]:
        while self.done < self.chosen.count and not self.is_over:
            yield self.done
            self.done += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def is_over(self) -> bool:
        return self.chosen.minutes is not None and self.seconds > self.chosen.minutes * 60

    def report(self, **figures: object) -> None:
        """One line: what was done, by which seed, for how long, and what was counted on the way."""
        told = "".join(f", {name.replace('_', ' ')} {figure}" for name, figure in figures.items())
        print(f"{self.name}: {self.done} done, seed {self.chosen.seed}, {self.seconds:.0f} s{told}", flush=True)
