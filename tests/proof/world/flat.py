"""What months of a world may not cost: descriptors that stay open, threads that go on, memory that grows."""

import gc
import os
import threading
import time
from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

WARM = 4  # worlds in which everything is loaded for the first time
FEWEST = 12  # worlds after these, below which a slope says nothing
MOST_KB = 100.0  # that a world may add; an answer that were kept at each run would be more
ENDING_SECONDS = 5.0  # for threads that are told to end; they take milliseconds
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class Kept(NamedTuple):
    """What this process has open."""

    descriptors: int
    threads: int


def kept() -> Kept:
    return Kept(len(os.listdir("/proc/self/fd")), threading.active_count())  # noqa: PTH208 - a Path for each is slow


def let_go(before: Kept) -> None:
    """Nothing is open that was not before; what is under way to its end is waited for."""
    waited_until = time.monotonic() + ENDING_SECONDS
    while (now := kept()) != before and time.monotonic() < waited_until:
        gc.collect()
        time.sleep(0.05)
    assert now.descriptors <= before.descriptors, f"descriptors stay open: {now.descriptors - before.descriptors}"
    assert now.threads <= before.threads, f"threads go on: {now.threads - before.threads}"


def resident_kb() -> int:
    """The memory of this process."""
    gc.collect()
    with open("/proc/self/statm") as file:  # noqa: PTH123 - as above
        return int(file.read().split()[1]) * PAGE_KB


class Slope(NamedTuple):
    """What each world adds, and how sure that is; kB."""

    each: float
    error: float

    @property
    def is_flat(self) -> bool:
        """Whether it is not certainly more than may be."""
        return self.each - 3 * self.error <= MOST_KB

    def __str__(self) -> str:
        return f"{self.each:+.0f} ± {self.error:.0f} kB"


def slope(resident: Sequence[int]) -> Slope | None:
    """Of the memory after each world, by least squares; None of too few."""
    measured = resident[WARM:]
    n = len(measured)
    if n < FEWEST:
        return None
    middle, mean = (n - 1) / 2, sum(measured) / n
    spread = sum((place - middle) ** 2 for place in range(n))
    each = sum((place - middle) * (kb - mean) for place, kb in enumerate(measured)) / spread
    rest = sum((kb - mean - each * (place - middle)) ** 2 for place, kb in enumerate(measured))
    return Slope(each, sqrt(rest / (n - 2) / spread))
