"""All of something, of each scenario on each database: in parts, in turns, and as far as the time goes."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from budget import Budget
from scenarios import SCENARIOS, Stage

Thing = TypeVar("Thing")

OPTIONS = {"stages": 2 * len(SCENARIOS), "parts": 1, "part": 1}
"""How many scenarios of a database; into how many parts the work is split, and which one this is, from 1."""


def do_all(
    budget: Budget,
    every: list[Callable[[], Stage]],
    all_of: Callable[[Stage], list[Thing]],
    do: Callable[[Stage, Thing], str],
    at_a_time: int = 1,
) -> dict[Stage, list[Thing]]:
    """Do all of it that the budget allows, by chance, and say how much that was of each; gives all that there is.

    `do` gives a word for what came of it, or raises an `AssertionError`, to which the stage and the thing are added.
    """
    chance, (parts, part) = budget.chance, (budget.chosen.parts, budget.chosen.part)
    chance.shuffle(every)
    found = {stage: all_of(stage) for stage in [make() for make in every[: budget.chosen.stages]]}
    chosen = {stage: chance.sample(things, len(things))[part - 1 :: parts] for stage, things in found.items()}
    budget.limit(sum(map(len, chosen.values())))
    turns = _in_turns(chosen, at_a_time)
    done: Counter[Stage] = Counter()
    ends: Counter[str] = Counter()
    gc.freeze()  # a fork then copies less
    before = None
    for _ in budget:
        stage, thing = next(turns)
        if stage is not before:
            stage.put()
        before = stage
        try:
            ends[do(stage, thing)] += 1
        except AssertionError as error:
            raise AssertionError(f"{stage.name}, {thing}: {error}") from error
        done[stage] += 1
    for end, count in sorted(ends.items()):
        print(f"{end}: {count:,}")
    for stage, things in chosen.items():
        print(f"{stage.name}: {done[stage]:,} of {len(things):,}, which left {stage.states} states")
    return found


def _in_turns(things: Mapping[Stage, Sequence[Thing]], at_a_time: int) -> Iterator[tuple[Stage, Thing]]:
    """All of them, so many of each stage in its turn."""
    longest = max(map(len, things.values()))
    for begin in range(0, longest, at_a_time):
        for stage, of_it in things.items():
            yield from ((stage, thing) for thing in of_it[begin : begin + at_a_time])
