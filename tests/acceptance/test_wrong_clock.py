"""A machine whose clock is wrong, as a real process meets it: it writes no history, says so, and what to do."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import fault_server as fault
import pytest
from builders import body, item
from conftest import RunSyncer
from fault_server import FaultServer
from waiting import HANG_SECONDS

FAKETIME = shutil.which("faketime")


def answer(items: list[object]) -> fault.Behaviour:
    """With the time of now, by this machine's true clock."""
    told = {"Date": format_datetime(datetime.now(UTC), usegmt=True)}  # noqa: TID251 - as a server says it
    return fault.respond(200, body(items), told)


@pytest.mark.skipif(FAKETIME is None, reason="no faketime on this machine")
@pytest.mark.parametrize(("shift", "code"), [("+30 days", 9), ("-30 days", 9), ("+2 minutes", 0)])
def test_a_clock_that_is_wrong_writes_nothing(
    run_syncer: RunSyncer, syncer_environment: dict[str, str], tmp_path: Path, shift: str, code: int
) -> None:
    path = tmp_path / "m.db"
    settings = {"SYNCER_DATABASE_URL": f"sqlite:///{path}"}
    with FaultServer([answer([item(1)])]) as server:
        assert run_syncer("sync", env=settings | {"SYNCER_API_URL": server.url}).returncode == 0
    with FaultServer([answer([item(1, name="n"), item(2)])]) as server:
        done = subprocess.run(
            [str(FAKETIME), "-f", shift, sys.executable, "-m", "syncer", "sync"],
            env=syncer_environment | settings | {"SYNCER_API_URL": server.url},
            cwd=tmp_path, capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
        )  # fmt: skip

    assert done.returncode == code, done.stderr
    with closing(sqlite3.connect(path)) as database:
        (words,) = database.execute("SELECT count(*) FROM instance_history").fetchone()
        (kind,) = database.execute("SELECT error_kind FROM sync_runs ORDER BY id DESC LIMIT 1").fetchone()
    assert (words, kind) == ((1, "clock") if code else (3, None))
    if code:
        assert "set this machine's clock (NTP)" in done.stderr


@pytest.mark.skipif(FAKETIME is None, reason="no faketime on this machine")
def test_doctor_names_data_of_the_future(
    run_syncer: RunSyncer, syncer_environment: dict[str, str], tmp_path: Path
) -> None:
    """As a mirror has it that ran under a wrong clock before that was looked at."""
    settings = {"SYNCER_DATABASE_URL": f"sqlite:///{tmp_path / 'm.db'}"}
    with FaultServer([answer([item(1)])]) as server:
        settings["SYNCER_API_URL"] = server.url
        unchecked = syncer_environment | settings | {"SYNCER_CLOCK_TOLERANCE": "off"}
        subprocess.run(
            [str(FAKETIME), "-f", "+30 days", sys.executable, "-m", "syncer", "sync"],
            env=unchecked, cwd=tmp_path, capture_output=True, timeout=HANG_SECONDS, check=True,
        )  # fmt: skip
        doctor = run_syncer("doctor", env=settings)

    assert doctor.returncode == 9
    assert "database.future: the last accepted answer of account 'default' lies 29 days ahead" in doctor.stdout
    status = run_syncer("status", env=settings)
    assert (status.returncode, "clock" in status.stdout) == (3, True)
