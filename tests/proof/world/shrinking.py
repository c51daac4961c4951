"""A failing script made small: steps are left out as long as what remains fails in the same way."""

import re
from collections.abc import Callable, Iterator, Sequence

from world.steps import Setting, Step

MOST_PLAYS = 500
Fails = Callable[[Setting, Sequence[Step]], str | None]
"""Plays a script; how it failed, if it did."""


def kind_of(failure: str) -> str:
    """What two failures have in common: the words, without numbers and what is quoted."""
    words = re.sub(r"[0-9]+|'[^']*'|\([^)]*\)", " ", failure.split(":", maxsplit=1)[0])
    return " ".join(words.split())[:50]


def shrunk(setting: Setting, steps: Sequence[Step], fails: Fails) -> tuple[Setting, list[Step]]:
    """The smallest script that was found to fail as this one does."""
    first = fails(setting, steps)
    assert first is not None, "it does not fail"
    plays = 0

    def still(other: Setting, script: Sequence[Step]) -> bool:
        nonlocal plays
        plays += 1
        failure = fails(other, script) if plays <= MOST_PLAYS else None
        return failure is not None and kind_of(failure) == kind_of(first)

    kept = list(steps)
    size = max(1, len(kept) // 2)
    while True:
        at, shorter = 0, False
        while at < len(kept):
            script = kept[:at] + kept[at + size :]
            if still(setting, script):
                kept, shorter = script, True
            else:
                at += size
        if size == 1 and not shorter:
            break
        size = max(1, size // 2)
    for other in _smaller(setting):
        if still(other, kept):
            setting = other
    return setting, kept


def _smaller(setting: Setting) -> Iterator[Setting]:
    """Worlds with fewer processes and instances; steps go by the accounts' places, which stay."""
    for processes in range(1, setting.processes):
        yield setting._replace(processes=processes)
    for few in (0, 1, 4):
        yield setting._replace(
            accounts=tuple(one._replace(instances=min(one.instances, few)) for one in setting.accounts)
        )


def as_test(setting: Setting, steps: Sequence[Step], failure: str) -> str:
    """The script, to be pasted into `tests/proof/test_worlds.py`."""
    lines = "".join(f"            {step!r},\n" for step in steps)
    return (
        f"def test_SAY_WHAT_HOLDS(play: Play) -> None:\n"
        f"    # {failure.splitlines()[0][:150]}\n"
        f"    play(\n        {setting!r},\n        [\n{lines}        ],\n    )\n"
    )
