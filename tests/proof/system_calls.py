"""Each system call of a run on its SQLite files fails once in each way, or is the last one; then all is as before.

    python tests/proof/system_calls.py --seed 1
    python tests/proof/system_calls.py --count 12 --stages 1 --seed 1

strace tells every call of a run on the database, its log, its shared memory and their folder, and lets one of them fail:
with the errors that the system may give it, or by a SIGKILL at the call itself. Then the file is sound, the exit code is
that of what is in the tables, and beside the run's own rows nothing differs from the state after one of the transactions
of a run that nobody disturbed. From each state that was left behind, every promise holds, and the next runs end in the
rows of a run that nobody disturbed.
"""

import ctypes
import gc
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

from budget import Budget, scratch
from canary import find_secrets
from copies import File
from exhaustive import OPTIONS, do_all
from scenarios import Stage, others, stages, steady
from waiting import HANG_SECONDS
from witness import forked

from syncer.storage import runs

KILLED = "signal=KILL"
ERRORS = {
    "openat": ("EIO", "EACCES", "EMFILE", "ENOSPC"),
    "pread64": ("EIO",),
    "pwrite64": ("EIO", "ENOSPC", KILLED),
    "fdatasync": ("EIO", "ENOSPC", KILLED),
    "fsync": ("EIO", "ENOSPC", KILLED),
    "ftruncate": ("EIO", "ENOSPC", KILLED),
    "fallocate": ("EIO", "ENOSPC", KILLED),
    "fcntl": ("EAGAIN", "ENOLCK", "EIO"),
    "mmap": ("ENOMEM",),
    "munmap": (KILLED,),
    "unlink": ("EIO", "EACCES", KILLED),
    "close": (KILLED,),
    "lseek": ("EIO",),
    "fchown": ("EPERM",),
    "fchmod": ("EPERM",),
}
LOOKS = ("EIO", "EACCES")
"""Of calls that only look whether a file is there, and what it is."""
PTRACER = 0x59616D61  # prctl's: who may trace this process
NOTHING_TOLD = (1, "its process ended without a result")
Call = tuple[str, int]
"""Its name, and which one of that name."""


class Fault(NamedTuple):
    """A call, and what befalls it."""

    call: Call
    kind: str


class Outcome(NamedTuple):
    """How a run's process ended, and what strace saw of its calls."""

    status: int
    exit_code: int
    error: str
    calls: list[str]
    is_struck: bool


def run(log: Path, stage: Stage, fault: Fault | None) -> Outcome:
    """A run in a process that strace looks at from its first call on."""
    reading, writing = os.pipe()
    waiting, starting = os.pipe()

    def work() -> None:
        gc.disable()  # it would touch, and so copy, everything
        os.close(starting)
        ctypes.CDLL(None).prctl(PTRACER, -1, 0, 0, 0)
        os.read(waiting, 1)
        result = stage.run()
        with os.fdopen(writing, "w") as pipe:
            json.dump([result.exit_code, str(result.error or "")], pipe)

    child = forked(work)
    os.close(writing)
    os.close(waiting)
    log.unlink(missing_ok=True)
    path = File.path_of(stage.place.url)
    paths = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal")), path.parent]
    command = ["strace", "-f", "-qq", "-o", str(log), "-p", str(child)]
    command += [part for one in paths for part in ("-P", str(one))]
    if fault is not None:
        (name, number), kind = fault
        command += ["-e", f"inject={name}:{kind if kind == KILLED else f'error={kind}'}:when={number}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        while "TracerPid:\t0" in Path(f"/proc/{child}/status").read_text():
            assert tracer.poll() is None, tracer.stderr and tracer.stderr.read()
            time.sleep(0.001)
        os.close(starting)
        with os.fdopen(reading) as pipe:
            told = pipe.read()
        status = os.waitpid(child, 0)[1]
        tracer.wait(HANG_SECONDS)
    seen = log.read_text()
    calls = re.findall(r"^\d+ +(\w+)\(", seen, re.MULTILINE)
    is_struck = "(INJECTED)" in seen or os.WIFSIGNALED(status)
    return Outcome(status, *(json.loads(told) if told else NOTHING_TOLD), calls, is_struck)


def faults_of(log: Path, stage: Stage) -> list[Fault]:
    """Each that can befall each call of a run that nobody disturbs."""
    stage.put()
    outcome = run(log, stage, None)
    assert outcome.exit_code == stage.result.exit_code, outcome.error
    found, counted = [], Counter[str]()
    for name in outcome.calls:
        counted[name] += 1
        found += [Fault((name, counted[name]), kind) for kind in ERRORS.get(name, LOOKS)]
    return found


def fail(log: Path, stage: Stage, fault: Fault) -> str:
    """A run of which one call fails, and what is to hold after it; in a word what came of it."""
    stage.put()
    outcome = run(log, stage, fault)
    assert outcome.is_struck, "the run did not come to the call"
    left = stage.read()
    has_applied = stage.has_applied(left)
    assert find_secrets(repr((outcome.error, left["sync_runs"])).encode()) == []
    assert others(left) in [others(one) for one in stage.milestones], "the rows are those after no COMMIT"
    if os.WIFSIGNALED(outcome.status):
        assert os.WTERMSIG(outcome.status) == signal.SIGKILL
        assert steady(left) in stage.milestones, "the rows are those after no COMMIT"
    else:
        wanted = stage.result.exit_code if has_applied else 8
        assert outcome.exit_code == wanted, f"exit code {outcome.exit_code} instead of {wanted}: {outcome.error}"
        assert "\n" not in outcome.error
    stage.check_rest(left)
    ended = "killed" if outcome.status else f"exit {outcome.exit_code}"
    return f"{fault.call[0]} {fault.kind}: {ended}, {'applied' if has_applied else 'nothing written'}"


def main() -> int:
    budget = Budget("system calls", full=sys.maxsize, numbers=OPTIONS)
    if shutil.which("strace") is None:
        print("system calls: there is no strace here, so nothing was proven")
        return 1
    logging.disable()  # most runs end badly, as they are meant to
    runs.COMMIT_LOOKUP_PAUSE_SECONDS = 0.001
    with scratch() as folder, stages(folder, "SQLite") as every:
        log = folder / "calls"
        faults = do_all(budget, every, partial(faults_of, log), partial(fail, log))
    calls = {(stage, fault.call) for stage, found in faults.items() for fault in found}
    budget.report(stages=len(faults), calls=f"{len(calls):,}", faults=budget.share)
    return 0


if __name__ == "__main__":
    sys.exit(main())
