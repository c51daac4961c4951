"""What a poll costs in the running daemon when nothing has changed: CPU, bytes and rows written, per poll.

One `syncer run` polls an unchanged estate every second. What it costs while it waits is measured first and taken off.
On PostgreSQL the bytes are WAL; on SQLite, the file with its write-ahead log folded in. `make bench-daemon` runs it.
"""

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import estate
import psycopg
from run import postgres, syncer_environment

START_SECONDS = 5
IDLE_SECONDS = 20


class Spent(NamedTuple):
    """By a daemon between two moments."""

    seconds: float
    cpu: float
    polls: int


def cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(environment: dict[str, str], schedule: str, until: Callable[[float, int], bool], url: str) -> Spent:
    """Run a daemon; measure from when its start is over until `until(seconds, polls)`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "syncer", "run"],
        env=environment | {"SYNCER_SCHEDULE": schedule},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(START_SECONDS)
        first, began, cpu = polls(url), time.monotonic(), cpu_seconds(process)
        while not until(time.monotonic() - began, polls(url) - first):
            time.sleep(0.5)
        return Spent(time.monotonic() - began, cpu_seconds(process) - cpu, polls(url) - first)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def one(url: str, statement: str) -> int:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return int(connection.execute(statement).fetchone()[0])
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()  # type: ignore[arg-type]  # our own statements
        return int(row[0]) if row else 0


def polls(url: str) -> int:
    return one(url, "SELECT count(*) FROM sync_runs WHERE status IN ('ok', 'unchanged')")


def written(url: str) -> int:
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size
    return one(url, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")


def dead_rows(url: str) -> str:
    if url.startswith("sqlite"):
        return ""
    time.sleep(1.5)  # until the statistics are there
    found = one(url, "SELECT n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'instances'")
    return f", {found} rows of instances updated"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--polls", type=int, default=60)
    wanted = parser.parse_args()
    server, pg = estate.Server(), postgres.start()
    with tempfile.TemporaryDirectory(prefix="syncer-bench-") as folder:
        estate.write_body(f"{folder}/body", wanted.instances, 1)
        server.show(f"{folder}/body")
        for url in (f"sqlite:///{folder}/bench.db", pg.create_database()):
            environment = syncer_environment(server.url, url)
            subprocess.run([sys.executable, "-m", "syncer", "sync"], env=environment, check=True, capture_output=True)
            idle = watch(environment, "1h", lambda seconds, _polls: seconds >= IDLE_SECONDS, url)
            before = written(url)
            busy = watch(environment, "1s", lambda _seconds, count: count >= wanted.polls, url)
            grown = written(url) - before
            cpu = (busy.cpu - idle.cpu / idle.seconds * busy.seconds) / busy.polls
            print(
                f"{url.partition(':')[0]}: {wanted.instances:,} instances, {busy.polls} polls that changed nothing: "
                f"{1000 * cpu:.0f} ms of CPU and {grown / busy.polls:,.0f} bytes written per poll{dead_rows(url)}; "
                f"idle {1000 * idle.cpu / idle.seconds:.1f} ms of CPU per second",
                flush=True,
            )
    server.close()
    if pg.server is not None:
        pg.server.remove()


if __name__ == "__main__":
    main()
