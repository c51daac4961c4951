"""Each write and sync of a run on SQLite fails in turn, by strace: EIO, ENOSPC, and SIGKILL at the call itself.

    python tests/proof/disk.py --count 12 --seed 1

After each: the promises hold, the tables are the model's, and a further run converges with it.
"""

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from budget import Budget
from builders import body
from estates import answers
from waiting import HANG_SECONDS
from witness import Witness

CALLS = {"pwrite64": 24, "fdatasync,fsync": 6}  # and about how many of them a run makes at most
FAULTS = ("error=EIO", "error=ENOSPC", "signal=KILL")
KILLED = -9
SAID = {  # what the run's row may say beside an exit code
    0: {"ok", "unchanged"},
    5: {"failed"},
    6: {"held"},
    8: {"failed by the database", "running", "none"},
}
RUN = """
import sys
from datetime import datetime
from pathlib import Path
from mirror import account, serving
from syncer.storage import database
from syncer.errors import DatabaseFailed
from syncer.model import Trigger
from syncer.sync import run_once
url, answer, now = sys.argv[1:]
engine = database.open_engine(database.parse_database_url(url))
moment = datetime.fromisoformat(now)
fetch = serving(Path(answer).read_bytes())
try:
    report = run_once(engine, account(), fetch, lambda: moment, Trigger.MANUAL)
except DatabaseFailed as error:
    sys.exit(error.exit_code)
sys.exit(report.exit_code)
"""


def run_with_fault(folder: Path, witness: Witness, items: list[Any], inject: str) -> int:
    answer = folder / "answer.json"
    answer.write_bytes(body(items))
    database_path = folder / "disk.db"
    command = [
        "strace", "-f", "-o", "/dev/null", "-P", str(database_path), "-P", f"{database_path}-wal", "-P", f"{database_path}-shm",
        "-e", f"inject={inject}", sys.executable, "-c", RUN, str(witness.mirror.engine.url), str(answer), witness.mirror.now.isoformat(),
    ]  # fmt: skip
    tests = Path(__file__).parent.parent
    environment = {"PYTHONPATH": f"{tests}:{tests.parent}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode in {0, 5, 6, 8, -9}, done.stderr[-2000:]
    return done.returncode


def main() -> int:
    budget = Budget("disk", full=2_000)
    if shutil.which("strace") is None:
        print("disk: there is no strace here, so nothing was proven")
        return 1
    ends: Counter[str] = Counter()
    faults = [(call, fault, when) for call, most in CALLS.items() for fault in FAULTS for when in range(1, most + 1)]
    budget.chance.shuffle(faults)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        witness = Witness(f"sqlite:///{folder}/disk.db")
        lives = answers(budget.chance)
        for number in budget:
            call, fault, when = faults[number % len(faults)]
            pause, items = next(lives)
            witness.mirror.now += pause
            code = run_with_fault(folder, witness, items, f"{call}:{fault}:when={when}")
            end = witness.follow(items)
            ends[f"{call} {fault}: exit {code}, {end}"] += 1
            assert code == KILLED or end in SAID[code], f"{call} {fault} {when}: exit {code}, but the row says {end}"
            witness.compare()
            witness.observe(*next(lives))
        witness.compare()
        witness.mirror.engine.dispose()
    for end, count in sorted(ends.items()):
        print(f"{end}: {count}")
    budget.report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
