"""The short form of each long proof; `make proof` runs them for as long as it is given."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import postgres as postgres_server
import pytest

PROOFS = Path(__file__).parent
SHORT = {"models": 12, "kills": 80, "lost_commits": 50, "bodies": 30_000, "year": 200, "disk": 6}


@pytest.mark.parametrize(("proof", "count"), SHORT.items(), ids=SHORT)
def test_the_short_form_of_a_proof_holds(
    proof: str, count: int, postgres: postgres_server.Postgres, tmp_path: Path
) -> None:
    if proof == "disk" and shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(PROOFS / f"{proof}.py"), "--count", str(count), "--seed", "1"],
        env={**os.environ, "SYNCER_TEST_PG_URL": postgres.admin_url, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    assert re.search(rf"^[a-z ]+: {count} done, seed 1, \d+ s", done.stdout, re.MULTILINE)
