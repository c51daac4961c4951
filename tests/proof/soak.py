"""Hours of polls a second: 10,000 instances, a third of the answers faulty, a replica killed now and then.

    python tests/proof/soak.py --minutes 30 --seed 1

Two daemons share one account on PostgreSQL; one is killed at random instants, the other lives throughout, and its
memory and descriptors are measured. Every minute the promises are checked. Exit code 1 if one was broken.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import linear_regression

import psycopg
from budget import Budget
from builders import item
from fault_server import (
    Connection,
    FaultServer,
    bad_chunk_size,
    close_without_answer,
    compressed,
    not_http,
    redirect_to,
    reset_amid_body,
    reset_before_answer,
    respond,
)
from postgres import start as start_postgres
from sqlalchemy import Engine

from syncer.storage import database
from syncer.views import verify

CHECKOUT = Path(__file__).parent.parent.parent
INSTANCES = 10_000
FAULTY = 1 / 3
POLLED_EVERY = "1s"
MEASURED_EVERY_SECONDS = 5
WARMED_UP_AFTER_SECONDS = 120


class Upstream:
    """Each good answer differs from the one before: the first instance's name counts them."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._lock = threading.Lock()
        self.version = 0
        self.faults = 0
        self._others = [item(number) for number in range(2, INSTANCES + 1)]
        self._rest = json.dumps(self._others)[1:].encode()

    def __call__(self, connection: Connection) -> None:
        with self._lock:
            faulty = self._chance.random() < FAULTY
            fault = self._chance.randrange(12)
            if faulty:
                self.faults += 1
            else:
                self.version += 1
                if self.version % 5 == 0:
                    self._change()
            body = b"[" + json.dumps(item(1, name=f"version {self.version}")).encode() + b", " + self._rest
        if not faulty:
            compressed(body)(connection)
            return
        (
            reset_before_answer, close_without_answer, bad_chunk_size, not_http, reset_amid_body(body),
            respond(500), respond(502, b"<html></html>"), respond(200, body[: len(body) // 2]), respond(200, b"[]"),
            respond(200, b'{"code":401,"description":"Unauthorized"}'), redirect_to("http://127.0.0.1:9/"),
            compressed(body, cut=5),
        )[fault](connection)  # fmt: skip

    def _change(self) -> None:
        """Some instances are renamed, deleted or restored."""
        for known in self._chance.sample(self._others, 20):
            if self._chance.random() < 0.5:
                known["name"] = f"client {self.version}"
            else:
                known["deleted"] = not known["deleted"]
        self._rest = json.dumps(self._others)[1:].encode()


def resident_kilobytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def descriptors(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def main() -> int:
    budget = Budget("soak", full=1_000_000)
    chance = Random(budget.chosen.seed)
    server = start_postgres()
    url = server.create_database()
    engine = database.open_engine(database.parse_database_url(url))
    broken: list[str] = []
    upstream = Upstream(budget.chance)
    samples: list[tuple[float, int, int]] = []
    kills = verified = 0
    with FaultServer([upstream]) as source, tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder) / "daemons.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SYNCER_")} | {
            "PYTHONPATH": str(CHECKOUT), "SYNCER_API_URL": source.url, "SYNCER_DATABASE_URL": url,
            "SYNCER_PARTNER_TOKEN": "token-of-a-soak", "SYNCER_SCHEDULE": POLLED_EVERY, "SYNCER_LOG_LEVEL": "info",
            "SYNCER_LOG_FORMAT": "json",
        }  # fmt: skip
        with log_path.open("ab") as log:

            def start() -> subprocess.Popen[bytes]:
                command = [sys.executable, "-m", "syncer", "run"]
                return subprocess.Popen(command, cwd=folder, env=environment, stderr=log)

            steady = start()
            time.sleep(10)
            victim = start()
            next_kill = next_verify = budget.seconds + 30
            while not budget.is_over and upstream.version < budget.chosen.count:
                time.sleep(MEASURED_EVERY_SECONDS)
                if steady.poll() is not None:
                    broken.append(f"the daemon ended with {steady.returncode}")
                    break
                samples.append((budget.seconds, resident_kilobytes(steady.pid), descriptors(steady.pid)))
                if budget.seconds > next_kill:
                    victim.kill()
                    victim.wait()
                    kills += 1
                    victim = start()
                    next_kill = budget.seconds + chance.uniform(5, 120)
                if budget.seconds > next_verify:
                    broken += broken_promises(engine)
                    verified += 1
                    seconds, kilobytes, count = samples[-1]
                    print(
                        f"{seconds:.0f} s: {upstream.version} answers, {kilobytes} kB, {count} descriptors", flush=True
                    )
                    next_verify = budget.seconds + 60
            for process in (steady, victim):
                process.terminate()
            for process in (steady, victim):
                if process.wait(60):
                    broken.append(f"a daemon ended with {process.returncode}")
        if "Traceback" in log_path.read_text():
            broken.append("there is a traceback in the log")
    broken += broken_promises(engine)
    broken += answers_out_of_order(url)
    with psycopg.connect(url) as connection:
        statuses = dict(connection.execute("SELECT status, count(*) FROM sync_runs GROUP BY 1 ORDER BY 1").fetchall())
    engine.dispose()
    if server.server:
        server.server.remove()
    budget.done = sum(statuses.values())
    print(f"runs by status: {statuses}")
    slopes = tell_slopes([sample for sample in samples if sample[0] > WARMED_UP_AFTER_SECONDS] or samples)
    print("\n".join(broken) if broken else "every promise held: in order, nothing lost, nothing doubled")
    faulty = f"{upstream.faults} of {upstream.faults + upstream.version}"
    budget.report(kills=kills, verified=f"{verified + 1} times", faulty_answers=faulty, **slopes)
    return 1 if broken else 0


def broken_promises(engine: Engine) -> list[str]:
    return [
        f"{outcome.check.name}: {outcome.first_ids}" for outcome in verify.verify(engine).outcomes if outcome.broken
    ]


def answers_out_of_order(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT name FROM instance_history WHERE id_instance = 1 AND transition IN ('created', 'changed') ORDER BY id"
        ).fetchall()
    versions = [int(name.removeprefix("version ")) for (name,) in rows]
    return [f"version {later} after {earlier}" for earlier, later in pairwise(versions) if later <= earlier]


def tell_slopes(samples: list[tuple[float, int, int]]) -> dict[str, str]:
    """How memory and descriptors of the steady daemon went; a line of least squares through them."""
    told = {}
    hours = [seconds / 3600 for seconds, _, _ in samples]
    for what, unit, values in (
        ("memory", "kB", [kilobytes for _, kilobytes, _ in samples]),
        ("descriptors", "", [count for _, _, count in samples]),
    ):
        slope = linear_regression(hours, values).slope if len(set(hours)) > 1 else 0.0
        told[what] = f"{values[0]} to {values[-1]} {unit}, at most {max(values)}, slope {slope:+.1f} {unit} an hour"
    return told


if __name__ == "__main__":
    sys.exit(main())
