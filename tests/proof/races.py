"""Seven processes race for one account, and stall past their lease: no answer is applied out of order or twice.

    python tests/proof/races.py --count 300 --seed 1

Five act as daemons and two as one-shots, on SQLite and on PostgreSQL in turn. Two at a time are stopped by SIGSTOP for
longer than a lease lasts, which is shortened here, and SIGCONT lets them go on with what they held. Every answer differs from the one
before, by a number in the first instance's name; the numbers that were recorded must only grow.
"""

import itertools
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from budget import Budget, scratch
from builders import body, item
from canary import PARTNER_TOKEN
from fault_server import Connection, FaultServer, respond
from loading import load
from mirror import Mirror
from postgres import start as start_postgres
from witness import assert_promises, forked

from syncer.daemon.leased_runs import Runs
from syncer.storage import database, lease
from syncer.storage.tables import sync_runs

RACERS = 7
ONE_SHOTS = 2
LEASE = timedelta(seconds=0.1)
BEAT = 3 * LEASE  # too late for an answer that takes its time
STALLS_SECONDS = (0.25, 0.5)  # longer than the lease
ROUND_SECONDS = 4.0


class Upstream:
    """Each answer has a number, in the order of the requests, and may come late."""

    def __init__(self, chance: Random) -> None:
        self.numbers = itertools.count(1)
        self._chance = chance

    def __call__(self, connection: Connection) -> None:
        number = next(self.numbers)
        connection.pause(self._chance.choice([0.02, 0.1, 0.3]))
        respond(200, body([item(1, name=f"version {number}"), item(2, deleted=number % 3 == 0), item(3)]))(connection)


def race(url: str, api_url: str, *, is_daemon: bool, until: float) -> None:
    """Run again and again, as a daemon that asks whether it is due, or as a one-shot that does not."""
    lease.LEASE, lease.BEAT = LEASE, BEAT
    told = {"SYNCER_API_URL": api_url, "SYNCER_PARTNER_TOKEN": PARTNER_TOKEN, "SYNCER_DATABASE_URL": url}
    settings = replace(
        load({}, told | {"SYNCER_SCHEDULE": "1s"}, None, Path("/nonexistent")), timeout=timedelta(seconds=5)
    )
    engine = database.open_engine(settings.database_url)
    runs = Runs(settings, engine, settings.scrubber(), lambda: datetime.now(UTC))  # noqa: TID251 - as in production
    while time.monotonic() < until:
        if is_daemon:
            runs.run_if_due(settings.accounts[0])
        else:
            runs.run_now(settings.accounts[0])
        time.sleep(0.02)


@contextmanager
def racing(start: Callable[[int], int]) -> Iterator[list[int]]:
    children = [start(number) for number in range(RACERS)]
    try:
        yield children
    finally:
        for child in children:
            os.kill(child, signal.SIGCONT)
        ends = [os.waitpid(child, 0)[1] for child in children]
    assert ends == [0] * RACERS, f"a process ended with {ends}"


def race_on(mirror: Mirror, url: str, budget: Budget) -> Counter[str]:
    """One round; how its runs ended."""
    mirror.observe([item(1, name="version 0"), item(2), item(3)])
    upstream = Upstream(budget.chance)
    until = time.monotonic() + ROUND_SECONDS
    with FaultServer([upstream]) as server:
        mirror.engine.dispose()

        def start(number: int) -> int:
            return forked(lambda: race(url, server.url, is_daemon=number >= ONE_SHOTS, until=until))

        with racing(start) as children:
            while time.monotonic() < until:
                time.sleep(budget.chance.uniform(0.01, 0.1))
                victims = budget.chance.sample(children, 2)
                for victim in victims:
                    os.kill(victim, signal.SIGSTOP)
                    time.sleep(budget.chance.uniform(0, 0.1))
                time.sleep(budget.chance.uniform(*STALLS_SECONDS))
                for victim in victims:
                    os.kill(victim, signal.SIGCONT)
                budget.done += len(victims)
    assert_promises(mirror)
    versions = [
        int(row["name"].removeprefix("version "))
        for row in mirror.history(1)
        if row["transition"] in {"created", "changed"}
    ]
    assert versions == sorted(set(versions)), f"answers were applied out of order or twice: {versions}"
    words = mirror.words(2)[1:]
    assert words == (["deleted", "restored"] * len(words))[: len(words)]
    runs = mirror.rows(sync_runs)
    accepted = sum(run["status"] == "ok" for run in runs)
    assert accepted == len(versions), f"{accepted} answers were accepted and {len(versions)} are in the history"
    return Counter(str(run["status"]) for run in runs)


def main() -> None:
    budget = Budget("races", full=10_000)
    logging.disable()
    server = start_postgres()
    ends: Counter[str] = Counter()
    with scratch() as folder:
        for number in itertools.count():
            url = server.create_database() if number % 2 else f"sqlite:///{folder}/races{number}.db"
            mirror = Mirror(url)
            ends += race_on(mirror, url, budget)
            mirror.engine.dispose()
            if budget.is_over or (budget.done >= budget.chosen.count and number % 2):
                break
    if server.server:
        server.server.remove()
    budget.report(processes=RACERS, runs=sum(ends.values()), **dict(ends))


if __name__ == "__main__":
    main()
