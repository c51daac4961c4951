"""How long one daemon takes until each of its accounts has had its first run, all of them beginning at once.

From the start of the process, the empty database's schema included, to the end of the last account's run. Each account
has ten instances of its own. Ends with 1 when a run failed. `make start` runs it for 200 accounts.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from run import HERE, postgres

sys.path.insert(0, str(HERE.parent / "tests" / "proof"))
from replicas import Upstream

SLOWEST_ANSWER_SECONDS = 0.5
ENDED = {"run_finished", "run_not_started"}


class Start(NamedTuple):
    """Seconds until the first and the last account was served, and what was wrong."""

    first: float
    last: float
    cpu: float
    errors: Sequence[str]


def start(accounts: int, folder: Path, url: str, database_url: str) -> Start:
    tables = "".join(f'[accounts.account{n}]\ntoken_env = "TOKEN_{n}"\n' for n in range(accounts))
    (folder / "syncer.toml").write_text(f'schedule = "1h"\n{tables}')
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SYNCER_")},
        **{f"TOKEN_{n}": f"token-of-a-bench-{n}" for n in range(accounts)},
        "SYNCER_API_URL": url,
        "SYNCER_DATABASE_URL": database_url,
        "SYNCER_LOG_FORMAT": "json",
    }
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "syncer", "run"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None  # noqa: S101 - it is a pipe
    ends: list[float] = []
    errors: list[str] = []
    for line in process.stderr:
        told = json.loads(line)
        errors += [told["error"]] if "error" in told else []
        if told["action"] in ENDED:
            ends.append(time.monotonic() - began)
            if len(ends) == accounts:
                break
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    return Start(ends[0], ends[-1], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), errors)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    wanted = parser.parse_args()
    upstream, pg = Upstream(random.Random(1), SLOWEST_ANSWER_SECONDS), postgres.start()
    failed = 0
    for kind in wanted.databases:
        with tempfile.TemporaryDirectory(prefix="syncer-start-") as folder:
            url = f"sqlite:///{folder}/syncer.db" if kind == "sqlite" else pg.create_database()
            found = start(wanted.accounts, Path(folder), upstream.url, url)
            if kind == "postgresql":
                pg.drop_database(url)
        failed += len(found.errors)
        print(
            f"{kind}: {wanted.accounts:,} accounts: the first was served after {found.first:.1f} s, the last after "
            f"{found.last:.1f} s, {found.cpu:.1f} s of CPU; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; "
            f"{len(found.errors)} errors {found.errors[:1] or ''}",
            flush=True,
        )
    if pg.server is not None:
        pg.server.remove()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
