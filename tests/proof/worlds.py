"""The whole system in one seed: daemons, upstream, clocks, databases and people, all of them simulated but syncer.

    python tests/proof/worlds.py --count 60 --seed 1
    python tests/proof/worlds.py --count 1 --seed 1 --first 17 --days 30

World after world of so many days is drawn from the seed, and played: production's daemon code of one to five processes
against an upstream that lives and lies, with kills at lines, statements and commits, commits that are lost, clocks that
jump, stalls past a lease, restores of backups, and an operator who approves, renames, retires and rotates tokens. After
each run the tables are what the contract's model says; at the end every account becomes fresh again by itself, and of
every fifth world all figures are their model's.
With `--postgres-every 10` every tenth is on PostgreSQL, the others on SQLite; what happens in it without deaths and
faults of the database is then the same on both. The first that fails is made small and
printed as a test.
"""

import logging
import random
import sys
from collections import Counter
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

from budget import Budget, scratch
from canary import find_secrets
from mirror import Mirror
from postgres import Postgres
from postgres import start as start_postgres
from world.databases import File, Home, Server
from world.flat import kept, let_go, resident_kb, slope
from world.receivers import WAYS
from world.scene import World, laws
from world.shrinking import as_test, shrunk
from world.steps import Break, Kill, Setting, Step, Unlink, drawn
from world.upstream import KINDS

DAYS_OF_A_YEAR = 365
TWO_DATABASES = "two databases"
FIGURES_EVERY = 5  # worlds; the figures of each are compared at its end


class Places:
    """Makes homes for worlds."""

    def __init__(self, folder: Path, *, with_server: bool, template: Path | None = None) -> None:
        self._folder = folder
        self._template = template or folder / "template"
        if template is None:
            Mirror(f"sqlite:///{self._template}").engine.dispose()
        self._server: Postgres | None = start_postgres() if with_server else None
        self._made = 0
        self._server_template = Server.template(self._server) if self._server else ""

    def home(self, *, is_on_server: bool) -> Home:
        """An empty database."""
        self._made += 1
        if is_on_server and self._server is not None:
            return Server(self._server, self._server_template, self._folder)
        return File(self._template, self._folder / f"world{self._made}.db")

    def leave(self) -> None:
        if self._server is not None and self._server.server is not None:
            self._server.server.remove()


class Heard(logging.Handler):
    """Everything that is logged, to be searched for secrets."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(f"{record.getMessage()} {getattr(record, 'fields', '')}")


def play(home: Home, setting: Setting, script: list[Step], *, with_figures: bool = False) -> World:
    """One world to its end; an `AssertionError` says what did not hold."""
    before = kept()
    try:
        world = World(setting, home, with_figures=with_figures)
        try:
            world.play(script)
        finally:
            world.close()
        let_go(before)
    finally:
        home.leave()
    return world


def failure_of(home: Home, setting: Setting, script: list[Step], *, with_figures: bool = False) -> str | None:
    """How it fails, if it does."""
    try:
        play(home, setting, script, with_figures=with_figures)
    except Exception as error:  # noqa: BLE001 - a world that cannot go on has failed, too
        return f"{error}" if isinstance(error, AssertionError) else repr(error)
    return None


def differing(places: Places, setting: Setting, script: list[Step]) -> str | None:
    """Where SQLite and PostgreSQL part, if they do; deaths and faults are left out, their statements are not the same."""
    alike = [step for step in script if not isinstance(step, Kill | Break | Unlink)]
    one, other = (play(places.home(is_on_server=place), setting, alike).trace for place in (False, True))
    pairs = zip_longest(one, other)
    return next(
        (f"{TWO_DATABASES}: SQLite {mine!r}, PostgreSQL {theirs!r}" for mine, theirs in pairs if mine != theirs), None
    )


def main() -> int:
    budget = Budget("worlds", full=12_000, numbers={"first": 0, "days": 30, "postgres-every": 10})
    chosen = budget.chosen
    counted: Counter[str] = Counter()
    requests = 0
    traces = sha256()
    resident: list[int] = []
    heard = Heard()
    for name in ("syncer", "httpx", "httpcore"):
        logging.getLogger(name).addHandler(heard)
        logging.getLogger(name).setLevel(logging.INFO)
        logging.getLogger(name).propagate = False
    with scratch() as folder, laws():
        places = Places(folder, with_server=0 < chosen.postgres_every <= chosen.first + chosen.count)
        try:
            for number in budget:
                number_of_it = chosen.first + number
                chance = random.Random(f"{chosen.seed} {number_of_it}")
                setting, script = drawn(chance, list(KINDS), list(WAYS), chosen.days)
                is_on_server = (
                    chosen.postgres_every > 0 and number_of_it % chosen.postgres_every == chosen.postgres_every - 1
                )
                with_figures = number_of_it % FIGURES_EVERY == 0
                heard.said.clear()
                home = places.home(is_on_server=is_on_server)
                try:
                    world = play(home, setting, script, with_figures=with_figures)
                    parted = differing(places, setting, script) if is_on_server else None
                    assert parted is None, parted
                    assert (leaks := find_secrets("\n".join(heard.said).encode())) == [], (
                        f"secrets were logged: {leaks}"
                    )
                except Exception as error:  # noqa: BLE001 - whatever it is, it is told with its world
                    print(f"world {number_of_it} of seed {chosen.seed} failed: {error!r}"[:3000], flush=True)

                    parts = f"{error}".startswith(TWO_DATABASES)

                    def fails(
                        other: Setting,
                        steps: list[Step],
                        on_server: bool = is_on_server,
                        figures: bool = with_figures,
                        parts: bool = parts,
                    ) -> str | None:
                        if parts:
                            return differing(places, other, steps)
                        return failure_of(places.home(is_on_server=on_server), other, steps, with_figures=figures)

                    small = shrunk(setting, script, fails)  # type: ignore[arg-type]
                    print(as_test(*small, str(error)))
                    return 1
                counted.update(world.counted)
                traces.update("\n".join(world.trace).encode())
                requests += world.upstream.asked
                del world
                resident.append(resident_kb())
        finally:
            places.leave()
    print("what happened in them:", ", ".join(f"{what} {n}" for what, n in sorted(counted.items())))
    years = budget.done * chosen.days / DAYS_OF_A_YEAR
    grown = slope(resident)
    budget.report(
        years=f"{years:.1f}",
        requests=requests,
        messages=sum(n for what, n in counted.items() if what.startswith("told ")),
        killed=counted["killed"],
        **({} if grown is None else {"memory a month": grown, "descriptors left open": 0}),
        traces=traces.hexdigest()[:12],
    )
    assert grown is None or grown.is_flat, f"memory grows with each world: {grown}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
