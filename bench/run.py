"""Whole processes beside one another: floor, syncer and peers, on SQLite and PostgreSQL. `make bench` runs it.

Each case is one process that fetches one answer over loopback HTTP; seconds, CPU and peak memory are those of that
process (PostgreSQL's own are not in them), WAL and rows those of the database. `work` is the time without the start of
the process, measured in the same run as a process that imports the same packages and ends. Prints a Markdown table.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import estate
import psycopg

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
import postgres

postgres.SETTINGS = "-c max_connections=50 -c listen_addresses=127.0.0.1 -c shared_buffers=256MB -c max_wal_size=8GB"
TOKEN = "gac." + "0" * 46
LONGEST_SECONDS = 600
STARTS = {"syncer": "import httpx, sqlalchemy", "floor": "import http.client, msgspec, xxhash"}
DRIVERS = {"sqlite": "sqlite3", "postgresql": "psycopg"}
LIGHTLY = "import gc, sys; gc.set_threshold(50_000); sys.modules['httpx._main'] = None"  # as `syncer.cli.main` does
PEERS = {
    "core": ("core_upsert.py", ["sqlalchemy", "psycopg[binary]"], ("sqlite", "postgresql")),
    "polars": (
        "polars_adbc.py",
        ["polars", "pyarrow", "adbc-driver-manager", "adbc-driver-sqlite", "adbc-driver-postgresql"],
        ("sqlite", "postgresql"),
    ),
    "sqlite-utils": ("sqlite_utils_upsert.py", ["sqlite-utils"], ("sqlite",)),
    "dlt": ("dlt_scd2.py", ["dlt[postgres,sqlalchemy]"], ("sqlite", "postgresql")),
}
CASES = ("first", "same", "rows", "1%", "roll", "keys")
"""In this order: after another order of keys every item's bytes are new, which would burden the case that follows."""
CASE_WORDS = {
    "schema": "schema into an empty database",
    "first": "first sync",
    "same": "nothing changed, same body",
    "rows": "nothing changed, other order of rows",
    "1%": "1 % changed",
    "roll": "daily roll",
    "keys": "nothing changed, other order of keys",
}


class Cost(NamedTuple):
    """Of one process; rows and bytes of the database meanwhile, None where it does not tell."""

    seconds: float
    cpu: float
    peak_mb: float
    rows: int | None
    written_kb: float


class Database:
    """A fresh database, and what has been written to it so far."""

    def __init__(self, kind: str, folder: Path, server: postgres.Postgres | None) -> None:
        self.kind = kind
        self._server = server
        self._file = folder / "bench.db"
        self.url = server.create_database() if server else f"sqlite:///{self._file}"

    def settle(self) -> None:
        """Bring everything where it will lie, so that what a process writes is its own.

        PostgreSQL would gather its statistics within a minute by itself; a bench does not wait for it.
        """
        if self._server:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("ANALYZE")
            with psycopg.connect(self._server.admin_url, autocommit=True) as connection:
                connection.execute("CHECKPOINT")
        elif self._file.exists():
            with closing(sqlite3.connect(self._file)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def rows(self) -> int | None:
        if not self._server:
            return None
        time.sleep(0.1)
        with psycopg.connect(self.url) as connection:
            return connection.execute(
                "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables"
            ).fetchone()[0]  # type: ignore[index]  # an aggregate has a row

    def written(self) -> int:
        """Bytes: of WAL on PostgreSQL, of the file on SQLite."""
        if not self._server:
            return sum(path.stat().st_size for path in self._file.parent.glob("bench.db*") if "shm" not in path.name)
        with psycopg.connect(self._server.admin_url) as connection:
            return int(connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()[0])  # type: ignore[index]

    def drop(self) -> None:
        if self._server:
            self._server.drop_database(self.url)
        else:
            for path in self._file.parent.glob("bench.db*"):
                path.unlink()


def measure(command: list[str], environment: dict[str, str], database: Database) -> Cost | None:
    """One process from start to end; None, with a word, if it has not ended after `LONGEST_SECONDS`."""
    database.settle()
    rows, written = database.rows(), database.written()
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    killing = threading.Timer(LONGEST_SECONDS, process.kill)
    killing.start()
    errors = process.stderr.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    killing.cancel()
    seconds = time.monotonic() - began
    if status and seconds > LONGEST_SECONDS:
        print(f"{' '.join(command)} was ended after {LONGEST_SECONDS} s", file=sys.stderr)
        return None
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors.decode()[-3000:]}")
    now = database.rows()
    return Cost(
        seconds,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
        None if rows is None or now is None else now - rows,
        (database.written() - written) / 1024,
    )


def environment_of(tool: str, url: str, database: Database, folder: Path) -> dict[str, str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "BENCH_STATE": str(folder), "LANG": "C.UTF-8"}
    if tool not in {"syncer", "other"}:
        return environment
    environment |= syncer_environment(url, database.url)
    return environment | {"PYTHONPATH": str(folder / "other")} if tool == "other" else environment


def syncer_environment(api_url: str, database_url: str) -> dict[str, str]:
    """All that syncer is told, and where it is found."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "SYNCER_API_URL": api_url,
        "SYNCER_PARTNER_TOKEN": TOKEN,
        "SYNCER_DATABASE_URL": database_url,
        "SYNCER_LOG_LEVEL": "warning",
        **({"SYNCER_TOKEN_KEY": os.environ["SYNCER_TOKEN_KEY"]} if "SYNCER_TOKEN_KEY" in os.environ else {}),
    }


def command_of(case: str, tool: str, url: str, database: Database, pythons: dict[str, Path]) -> list[str]:
    if tool in {"syncer", "other"}:
        return [sys.executable, "-P", "-m", "syncer", *(("db", "upgrade") if case == "schema" else ("sync",))]
    if tool.startswith("floor"):
        return [sys.executable, str(HERE / "floor.py"), url, database.url, tool.partition(" ")[2]]
    return [str(pythons[tool]), str(HERE / "peers" / PEERS[tool][0]), url, database.url]


def install_peers(wanted: list[str]) -> dict[str, Path]:
    """Each peer into a virtual environment of its own; one that does not install is skipped with a word."""
    pythons = {}
    for name in wanted:
        folder = HERE / ".peers" / name
        python = folder / "bin" / "python"
        if not (folder / "installed").exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            made = subprocess.run(
                [str(python), "-m", "pip", "install", "-q", *PEERS[name][1]], capture_output=True, check=False
            )
            if made.returncode:
                last = made.stderr.decode().strip().splitlines()[-1:]
                print(f"{name} is skipped, it does not install: {' '.join(last)[:200]}", file=sys.stderr)
                continue
            (folder / "installed").touch()
        pythons[name] = python
    return pythons


def bodies(folder: Path, count: int, seed: int, cases: Collection[str] = CASES) -> dict[str, Path]:
    """The answers of these cases, as files."""

    def both(number: int, item: dict[str, Any]) -> dict[str, Any]:
        return estate.daily_roll(number, estate.one_percent(number, item))

    made: dict[str, tuple[estate.Change, bool]] = {
        "first": (estate.unchanged, False),
        "rows": (estate.unchanged, True),
        "1%": (estate.one_percent, False),
        "roll": (both, False),
        "keys": (lambda number, item: estate.keys_shuffled(number, both(number, item)), False),
    }
    for name, (change, shuffled) in made.items():
        if name in {"first", *cases}:
            estate.write_body(str(folder / name), count, seed, change, shuffled=shuffled)
    paths = {name: folder / name for name in made} | {"same": folder / "first"}
    return {case: paths[case] for case in CASES if case in cases}


def run(
    tool: str, database: Database, paths: dict[str, Path], server: estate.Server, pythons: dict[str, Path], folder: Path
) -> Iterator[tuple[str, Cost]]:
    """These cases of one tool, one after the other on one database."""
    environment = environment_of(tool, server.url, database, folder)
    for case in (*(["schema"] if tool in {"syncer", "other"} else []), *paths):
        if case in paths:
            server.show(str(paths[case]))
        cost = measure(command_of(case, tool, server.url, database, pythons), environment, database)
        if cost is None:
            return  # what it was killed at would burden the cases that follow
        yield case, cost


def note(file: Path | None, size: int, kind: str, tool: str, case: str, cost: Cost) -> None:
    """Tell what one process took, and append it to a file: whoever compares may want the spread, too."""
    print(size, kind, tool, case, cost, file=sys.stderr, flush=True)
    if file is None:
        return
    is_new = not file.exists()
    with file.open("a", newline="") as lines:
        table = csv.writer(lines)
        if is_new:
            table.writerow(("instances", "database", "tool", "case", *Cost._fields))
        table.writerow((size, kind, tool, case, *("" if one is None else round(one, 3) for one in cost)))


def median(costs: list[Cost]) -> Cost:
    return Cost(*(None if None in column else statistics.median(column) for column in zip(*costs, strict=True)))  # type: ignore[arg-type, type-var]  # columns of numbers, or of None


def seconds_of_start(tool: str, kind: str, repeat: int) -> float:
    """What a process costs that imports the packages the tool is built on, and does nothing."""
    spent = []
    for _ in range(repeat):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", f"{LIGHTLY}; {STARTS[tool]}, {DRIVERS[kind]}; gc.freeze()"], check=True)
        spent.append(time.monotonic() - began)
    return statistics.median(spent)


def picture(found: dict[tuple[str, str, str], Cost], kind: str, case: str, tools: list[str], size: int) -> str:
    """A chart of one case, as Mermaid draws it."""
    costs = {tool: found[kind, tool, case].seconds for tool in tools if (kind, tool, case) in found}
    return "\n".join(
        (
            "\n```mermaid",
            "xychart-beta horizontal",
            f'    title "{CASE_WORDS[case]}, {size:,} instances, {kind}: seconds"',
            f"    x-axis {json.dumps(list(costs))}",
            f"    bar {json.dumps([round(seconds, 2) for seconds in costs.values()])}",
            "```",
        )
    )


def table(
    found: dict[tuple[str, str, str], Cost], kinds: list[str], tools: list[str], starts: dict[tuple[str, str], float]
) -> Iterator[str]:
    """The seconds of one size as Markdown, and what else syncer took.

    `floor` is the one that fits the case; `work` is what is left of the seconds without the start of the process.
    """
    beside = [tool for tool in tools if not tool.startswith("floor") and tool != "syncer"]
    for kind in kinds:
        written = "kB of WAL" if kind == "postgresql" else "kB of file"
        names = ("floor", *beside, "syncer", "its CPU", "its peak MB", "its rows", written, "s / floor", "work / floor")
        yield f"\n{kind}, seconds\n"
        yield f"| case | {' | '.join(names)} |"
        yield f"|{'---|' * (len(names) + 1)}"
        for case, words in CASE_WORDS.items():
            cost = found.get((kind, "syncer", case))
            if cost is None:
                continue
            floor = found.get((kind, "floor hash" if case == "same" else "floor rows", case))
            others = [found.get((kind, tool, case)) for tool in beside]
            cells = ["" if one is None else f"{one.seconds:.2f}" for one in (floor, *others, cost)]
            cells += [f"{cost.cpu:.2f}", f"{cost.peak_mb:.0f}", "" if cost.rows is None else f"{cost.rows:.0f}"]
            cells += [f"{cost.written_kb:.0f}"]
            if floor is not None:
                work = (cost.seconds - starts["syncer", kind]) / (floor.seconds - starts["floor", kind])
                cells += [f"{cost.seconds / floor.seconds:.2f}", f"{work:.2f}"]
            yield f"| {words} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000])
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--tools", nargs="+", default=["floor hash", "floor rows", "syncer", *PEERS])
    parser.add_argument("--other", type=Path, help="another checkout of syncer, as the tool `other` beside this one's")
    parser.add_argument("--repeat", type=int, default=3, help="medians of so many")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES, help="these alone, in their order")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pictures", nargs="*", choices=CASES, default=[], help="cases to draw a chart of")
    parser.add_argument("--output", type=Path, help="write the tables here too")
    parser.add_argument("--csv", type=Path, help="append what was measured, one line a process, to this file")
    wanted = parser.parse_args()
    pythons = install_peers([tool for tool in wanted.tools if tool in PEERS])
    tools = [
        tool for tool in (*wanted.tools, *(["other"] if wanted.other else [])) if tool not in PEERS or tool in pythons
    ]
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, seed {wanted.seed}"
    starts = {(tool, kind): seconds_of_start(tool, kind, 5) for tool in STARTS for kind in wanted.databases}
    lines = [f"{machine}, medians of {wanted.repeat}"]
    lines += [
        f"- start of {tool} on {kind}, `{STARTS[tool]}, {DRIVERS[kind]}`: {seconds:.2f} s"
        for (tool, kind), seconds in starts.items()
    ]
    pg = postgres.start() if "postgresql" in wanted.databases else None
    server = estate.Server()
    try:
        for size in wanted.sizes:
            found: dict[tuple[str, str, str], list[Cost]] = {}
            with tempfile.TemporaryDirectory(prefix="syncer-bench-") as name:
                folder = Path(name)
                if wanted.other:
                    (folder / "other").symlink_to(wanted.other.resolve())
                paths = bodies(folder, size, wanted.seed, wanted.cases)
                megabytes = (folder / "first").stat().st_size / 1e6
                for _ in range(wanted.repeat):
                    for kind in wanted.databases:
                        for tool in tools:
                            if tool in PEERS and kind not in PEERS[tool][2]:
                                continue
                            database = Database(kind, folder, pg if kind == "postgresql" else None)
                            try:
                                for case, cost in run(tool, database, paths, server, pythons, folder):
                                    found.setdefault((kind, tool, case), []).append(cost)
                                    note(wanted.csv, size, kind, tool, case, cost)
                            finally:
                                database.drop()
                                shutil.rmtree(folder / "dlt", ignore_errors=True)
            lines.append(f"\n## {size:,} instances, {megabytes:.0f} MB")
            medians = {key: median(costs) for key, costs in found.items()}
            lines += table(medians, wanted.databases, tools, starts)
            lines += [
                picture(medians, kind, case, tools, size) for kind in wanted.databases for case in wanted.pictures
            ]
        print("\n".join(lines), flush=True)
        if wanted.output:
            wanted.output.write_text("\n".join(lines) + "\n")
    finally:
        server.close()
        if pg is not None and pg.server is not None:
            pg.server.remove()


if __name__ == "__main__":
    main()
