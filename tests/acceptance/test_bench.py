"""The benches run on a handful of instances: one that names what is gone would measure nothing.

`bench/daemon.py` and `bench/history.py` call the program alone, and take their time.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import postgres as postgres_server
import pytest
from waiting import HANG_SECONDS

BENCH = Path(__file__).parent.parent.parent / "bench"
BENCHES = {
    "run": ["--sizes", "60", "--repeat", "1", "--databases", "sqlite", "--tools", "floor rows", "syncer"],
    "phases": ["--instances", "60"],
    "imports": [],
    "views": ["--instances", "60", "--repeats", "1"],
}


@pytest.mark.parametrize("bench", BENCHES)
def test_a_bench_prints_its_figures(bench: str, postgres: postgres_server.Postgres, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, BENCH / f"{bench}.py", *BENCHES[bench]],
        env={**os.environ, "SYNCER_TEST_PG_URL": postgres.admin_url, "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search("sqlite|sqlalchemy", done.stdout)
