"""Every proof in turn, each for an equal share of the time: `make proof PROOF_MINUTES=60 SEED=7`.

    python tests/proof/all_proofs.py --minutes 60 --seed 7

Without minutes each proof runs to its full count, which takes days. Exit code 1 if one of them fails.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

PROOFS = (
    "worlds", "models", "figures", "customers", "receivers", "kills", "statements", "system_calls", "upgrades",
    "bodies", "year", "honest",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append a line of a Markdown table for each proof")
    parser.add_argument("--date", default="", help="what the lines say of the day")
    chosen = parser.parse_args()
    share = [] if chosen.minutes is None else ["--minutes", str(chosen.minutes / len(PROOFS))]
    share += ["--date", chosen.date] if chosen.date else []
    share += ["--record", str(chosen.record)] if chosen.record else []
    began = time.monotonic()
    failed = []
    for proof in PROOFS:
        script = Path(__file__).with_name(f"{proof}.py")
        done = subprocess.run([sys.executable, "-W", "error", script, "--seed", chosen.seed, *share], check=False)
        if done.returncode:
            failed.append(proof)
            print(f"{proof}: FAILED with seed {chosen.seed}", flush=True)
    verdict = f"failed: {', '.join(failed)}" if failed else "every proof holds"
    print(f"{verdict}, seed {chosen.seed}, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
