"""What CI asks of a test run: nothing is skipped there that an installed package would have let run."""

import subprocess
from pathlib import Path

import pytest
from conftest import CHECKOUT


@pytest.mark.parametrize(
    ("line", "may_be"),
    [
        ("SKIPPED [2] tests/postgres.py:47: the server of SYNCER_TEST_PG_URL is not ours to stop", True),
        ("SKIPPED [1] tests/x.py:1: no Chromium on this machine", False),
        ("SKIPPED [1] tests/x.py:1: written for sqlite", False),
        ("PASSED tests/x.py", True),
    ],
)
def test_a_skip_that_need_not_be_fails_the_run_of_ci(line: str, may_be: bool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"....s....\n{line}\n12 passed\n")
    done = subprocess.run([CHECKOUT / ".ci/skipped", log], capture_output=True, text=True, check=False)

    assert done.returncode == (0 if may_be else 1)
    assert (line in done.stdout) is not may_be
    assert ("install what they need in .ci/install" in done.stderr) is not may_be
