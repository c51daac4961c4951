"""The short form of each long proof; `make proof` runs them for as long as it is given."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import postgres as postgres_server
import pytest
from canary import find_secrets
from waiting import HANG_SECONDS

PROOFS = Path(__file__).parent
# In pieces, so that the workers share them.
SHORT = {
    "worlds, first part": ("worlds", 10, 1, ["--postgres-every", "0"]),
    "worlds, second part": ("worlds", 10, 2, ["--postgres-every", "0"]),
    "worlds on PostgreSQL": ("worlds", 1, 3, ["--postgres-every", "1"]),
    "models, first half": ("models", 180, 1, ["--databases-every", "8", "--shared-every", "25", "--lives", "200"]),
    "models, second half": ("models", 180, 2, ["--databases-every", "8", "--shared-every", "25", "--lives", "200"]),
    "kills": ("kills", 60, 1, ["--stages", "2"]),
    "upgrades": ("upgrades", 4, 1, []),
    "bodies": ("bodies", 30_000, 1, ["--pieces-every", "5"]),
    "statements": ("statements", 25, 1, ["--stages", "1"]),
    "system calls": ("system_calls", 15, 1, ["--stages", "1"]),
    "honest estates": ("honest", 4_000, 1, ["--large", "8"]),
    "year": ("year", 200, 1, []),
    "customers": ("customers", 40, 1, []),
    "receivers": ("receivers", 40, 1, []),
}


@pytest.mark.parametrize(("proof", "count", "seed", "more"), SHORT.values(), ids=SHORT)
def test_the_short_form_of_a_proof_holds(
    proof: str, count: int, seed: int, more: list[str], postgres: postgres_server.Postgres, tmp_path: Path
) -> None:
    if proof == "system_calls" and shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "error", PROOFS / f"{proof}.py", "--count", str(count), "--seed", str(seed), *more],
        env={**os.environ, "SYNCER_TEST_PG_URL": postgres.admin_url, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )

    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    told = re.search(rf"^[a-z ]+: ([0-9]+) done, seed {seed}, [0-9]+ s", done.stdout, re.MULTILINE)
    assert told
    assert int(told[1]) >= count
    assert find_secrets((done.stdout + done.stderr).encode()) == []
