"""Faults planted in production, one for each kind of fault that the worlds know: a world must see each of them.

    python tests/proof/world_faults.py --seed 1 [--only WORD] [--worlds 60] [--scripts]

Worlds of twelve days are played with a fault until one fails; with `--scripts` it is made small and printed. Exit code 1
if a fault is seen in none of them.
"""

import argparse
import logging
import random
import sys
import time
from collections.abc import Sequence

from budget import keep, scratch
from world.planted import IN_FIGURES, PLANTED, planted
from world.receivers import WAYS
from world.scene import laws
from world.shrinking import as_test, kind_of, shrunk
from world.steps import Setting, Step, drawn
from world.upstream import KINDS
from worlds import Places, failure_of

DAYS = 12


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="faults that have this word in their name")
    parser.add_argument("--worlds", type=int, default=60, help="how many at most")
    parser.add_argument("--scripts", action="store_true", help="print the shortest script that shows it")
    chosen = parser.parse_args()
    logging.disable()
    began = time.monotonic()
    lived = []
    sound: set[int] = set()  # worlds that hold without any fault
    faults = {name: fault for name, fault in PLANTED.items() if chosen.only in name}
    with scratch() as folder, laws():
        places = Places(folder, with_server=False)

        for name, fault in faults.items():

            def fails(setting: Setting, script: Sequence[Step], name: str = name) -> str | None:
                home = places.home(is_on_server=False)
                return failure_of(home, setting, list(script), with_figures=name in IN_FIGURES)

            for number in range(chosen.worlds):
                setting, script = drawn(random.Random(f"{chosen.seed} {number}"), list(KINDS), list(WAYS), DAYS)
                with planted(fault):
                    failure = fails(setting, script)
                    if failure is None:
                        continue
                if number not in sound and fails(setting, script) is not None:
                    print(f"world {number} fails without any fault: see worlds.py", flush=True)
                    return 1
                sound.add(number)
                with planted(fault):
                    print(f"seen  {name}: in world {number}, as: {kind_of(failure)}", flush=True)
                    if chosen.scripts:
                        small = shrunk(setting, script, fails)
                        print(as_test(*small, failure), flush=True)
                break
            else:
                lived.append(name)
                print(f"LIVED {name}", flush=True)
    figures = f"seen {len(faults) - len(lived)} of {len(faults)}"
    keep(
        None,
        "world faults",
        len(faults),
        time.monotonic() - began,
        figures,
        "; ".join(lived) or "nothing",
        seed=str(chosen.seed),
    )
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main())
