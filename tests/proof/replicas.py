"""Several daemons on one PostgreSQL, killed at random: every account keeps its schedule and no answer is applied out of order.

    python tests/proof/replicas.py --replicas 3 --accounts 20 --interval 5 --seconds 120 --kill-every 4 --seed 1

Prints what it did and what it found; exit code 1 if a promise was broken. `make replicas` runs it.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

CHECKOUT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests")]

import postgres  # noqa: E402 - found by the line above
import psycopg  # noqa: E402

NAME_PREFIX = "version "
LONGEST_STOP = 600  # seconds; how long it took is told


class Upstream:
    """Every answer differs from the one before: the first instance's name counts an account's answers."""

    def __init__(self, chance: random.Random, slowest: float, instances: int) -> None:
        self.requests: dict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                number = int(self.path.rpartition("-")[2])
                with upstream._lock:
                    requests = upstream.requests[f"account{number}"]
                    requests.append(time.monotonic())
                    version = len(requests)
                    pause = chance.uniform(0, slowest)
                time.sleep(pause)
                items = [
                    {"idInstance": (number + 1) * 1000 + place, "deleted": False, "isExpired": False,
                     "name": f"{NAME_PREFIX}{version}" if place == 0 else "steady"}
                    for place in range(instances)
                ]  # fmt: skip
                body = json.dumps(items).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # the daemon that asked was killed
                    return

            def log_message(self, *_arguments: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


class Replicas:
    """The daemons; each starts from the same configuration file."""

    def __init__(self, folder: Path, url: str, database_url: str, accounts: int, interval: int) -> None:
        tables = "".join(f'[accounts.account{n}]\ntoken_env = "TOKEN_{n}"\n' for n in range(accounts))
        (folder / "syncer.toml").write_text(f'schedule = "{interval}s"\n{tables}')
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SYNCER_")},
            **{f"TOKEN_{n}": f"token-of-a-test-{n}" for n in range(accounts)},
            "PYTHONPATH": str(CHECKOUT),
            "SYNCER_API_URL": url,
            "SYNCER_DATABASE_URL": database_url,
            "SYNCER_LOG_LEVEL": "warning",
        }
        self.running: list[subprocess.Popen[bytes]] = []
        self.kills = 0
        self.log = (folder / "replicas.log").open("ab")

    def start(self) -> None:
        command = [sys.executable, "-m", "syncer", "run"]
        self.running.append(subprocess.Popen(command, cwd=self._folder, env=self._environment, stderr=self.log))

    def kill_one(self, chance: random.Random) -> None:
        victim = self.running.pop(chance.randrange(len(self.running)))
        victim.kill()
        victim.wait()
        self.kills += 1
        self.start()

    def stop(self) -> list[int]:
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        return [process.wait(LONGEST_STOP) for process in self.running]

    def cpu_seconds(self) -> list[float]:
        ticks = os.sysconf("SC_CLK_TCK")
        found = []
        for process in self.running:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            found.append((int(fields[11]) + int(fields[12])) / ticks)
        return found

    def threads(self) -> int:
        """Of the replica that has most of them."""
        return max(len(list(Path(f"/proc/{process.pid}/task").iterdir())) for process in self.running)

    def memory_mb(self) -> list[float]:
        page = os.sysconf("SC_PAGE_SIZE")
        return [int(Path(f"/proc/{p.pid}/statm").read_text().split()[1]) * page / 1e6 for p in self.running]


def connections(url: str) -> int:
    """Those to the database, but for this one."""
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        (count,) = connection.execute(query).fetchone() or (0,)
        return int(count)


def broken_promises(url: str, instances: int) -> list[str]:
    """What the tables say against the promise."""
    broken = []
    with psycopg.connect(url) as connection:

        def rows(query: str) -> list[Any]:
            return connection.execute(query).fetchall()

        versions: dict[int, list[int]] = defaultdict(list)
        for id_instance, name in rows(
            "SELECT id_instance, name FROM instance_history WHERE name LIKE 'version %' ORDER BY id"
        ):
            versions[id_instance].append(int(name.removeprefix(NAME_PREFIX)))
        broken += [
            f"instance {key}: answers out of order or twice"
            for key, seen in versions.items()
            if seen != sorted(set(seen))
        ]
        for id_instance, name in rows("SELECT id_instance, name FROM instances WHERE name LIKE 'version %'"):
            if versions[id_instance][-1] != int(name.removeprefix(NAME_PREFIX)):
                broken.append(f"instance {id_instance}: its row is not its history's last state")
        accepted = dict(rows("SELECT account, count(*) FROM sync_runs WHERE status = 'ok' GROUP BY account"))
        applied = {f"account{key // 1000 - 1}": len(seen) for key, seen in versions.items()}
        broken += [f"{name}: {accepted.get(name, 0)} accepted runs, {applied.get(name, 0)} in the history"
                   for name in {*accepted, *applied} if accepted.get(name) != applied.get(name)]  # fmt: skip
        (count,) = rows("SELECT count(*) FROM instance_history WHERE transition = 'created'")[0]
        if count != instances:
            broken.append(f"{count} instances were created, {instances} exist")
        ids = [row[0] for row in rows("SELECT id FROM instance_history ORDER BY run_id, id")]
        if len(ids) != len(set(ids)):
            broken.append("history ids repeat")
    return broken


def main() -> int:
    parser = argparse.ArgumentParser()
    for name, default in (
        ("replicas", 3),
        ("accounts", 20),
        ("instances", 10),
        ("interval", 5),
        ("seconds", 120),
        ("kill-every", 4),
        ("seed", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    server = postgres.start()
    upstream = Upstream(chance, slowest=0.3, instances=options.instances)
    with tempfile.TemporaryDirectory() as folder:
        url = server.create_database()
        replicas = Replicas(Path(folder), upstream.url, url, options.accounts, options.interval)
        began = time.monotonic()
        for _ in range(options.replicas):
            replicas.start()
        all_seen_after = None
        next_kill = next_look = began + 10
        most_threads = most_connections = 0
        while time.monotonic() - began < options.seconds:
            time.sleep(0.1)
            if all_seen_after is None and len(upstream.requests) == options.accounts:
                all_seen_after = time.monotonic() - began
            if time.monotonic() > next_look:
                most_threads = max(most_threads, replicas.threads())
                most_connections = max(most_connections, connections(url))
                next_look = time.monotonic() + 5
            if options.kill_every and time.monotonic() > next_kill:
                replicas.kill_one(chance)
                next_kill = time.monotonic() + chance.uniform(0.2, 2) * options.kill_every
        cpu, memory = replicas.cpu_seconds(), replicas.memory_mb()
        asked_to_stop = time.monotonic()
        exit_codes = replicas.stop()
        stopped_after = time.monotonic() - asked_to_stop
        log = (Path(folder) / "replicas.log").read_text()
        gaps = [later - earlier for asked in upstream.requests.values() for earlier, later in pairwise(asked)]
        settled = [
            later - earlier
            for asked in upstream.requests.values()
            for earlier, later in pairwise(asked)
            if all_seen_after is not None and earlier > began + all_seen_after
        ]
        broken = broken_promises(url, options.accounts * options.instances)
        broken += [f"a replica ended with {code}" for code in exit_codes if code]
        broken += [f"{log.count('Traceback')} tracebacks in the log"] if "Traceback" in log else []
        if len(upstream.requests) != options.accounts:
            broken.append(f"only {len(upstream.requests)} accounts were ever polled")
        with psycopg.connect(url) as connection:
            statuses = dict(connection.execute("SELECT status, count(*) FROM sync_runs GROUP BY status").fetchall())
        server.drop_database(url)
    if server.server:
        server.server.remove()
    gaps.sort()
    print(f"{options.replicas} replicas, {options.accounts} accounts of {options.instances} every {options.interval} s, seed {options.seed}, "
          f"{time.monotonic() - began:.0f} s, {replicas.kills} kills")  # fmt: skip
    print(f"runs by status: {statuses}")
    print(f"every account was polled within {all_seen_after or float('nan'):.1f} s of the start")
    if gaps:
        print(f"seconds between polls of an account: median {median(gaps):.2f}, 99th percentile "
              f"{gaps[int(len(gaps) * 0.99)]:.2f}, shortest {gaps[0]:.2f}, longest {gaps[-1]:.2f}")  # fmt: skip
    if settled:
        print(f"the longest since every account had been polled once: {max(settled):.2f}")
    print(f"stopped within {stopped_after:.1f} s")
    print(f"at most {most_threads} threads in a replica, {most_connections} connections in all")
    print(f"CPU seconds per replica: {[round(one, 1) for one in cpu]}, resident MB: {[round(one) for one in memory]}")
    print("\n".join(broken) if broken else "every promise held: in order, nothing lost, nothing doubled")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
