"""What a run may meet: nine states of a mirror, each with the answer that comes next, played by production's own run.

A run is that of `syncer sync`: the schema, the lease, the fetch from an HTTP server, and what follows from the answer.
"""

import gzip
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from builders import item
from canary import PARTNER_TOKEN
from copies import SEQUENCES, Database, File, Place, Tables
from loading import load
from mirror import START
from sqlalchemy import Engine
from witness import forked

from syncer.daemon.leased_runs import Runs
from syncer.model import RunResult
from syncer.settings.config import Settings
from syncer.storage import database, runs, schema
from syncer.views import verify

Items = list[dict[str, Any]]
BEFORE_TIMELINE = "0007"
INTERVAL = timedelta(minutes=5)
LIVE = range(1, 101)
DEAD = range(101, 104)
TAKEN = frozenset(range(1, 4))
GONE = frozenset(range(1, 21))
TOKEN_KEY = bytes(range(32))
OWN = {"sync_runs", "accounts", "leases"}
"""Where a run that fails may write: that it was there, and why it failed."""
OF_ITS_OWN = {
    "leases": ("holder", "started_at", "beat_at", "expires_at"),
    "instance_tokens": ("ciphertext",),
    "syncer_epoch": ("epoch", "place", "began_at"),
}
"""What no two runs have in common: names of processes, the machine's clock, keys by chance."""


def estate(ids: Iterable[int] = LIVE, **values: Any) -> Items:
    """Live instances, and some that are deleted."""
    deleted = {"deleted": True, "timeDeleted": "2026-10-20T10:00:00"}
    return [item(key, **values) for key in ids] + [item(key, **deleted) for key in DEAD]


def without(ids: Iterable[int]) -> Items:
    """The estate without some of it."""
    left_out = frozenset(ids)
    return [one for one in estate() if one["idInstance"] not in left_out]


class Scenario(NamedTuple):
    """What was answered before, each by an account; whether the last one was approved; the answer to come, and what to.

    `revision` is that of an older syncer's schema, to which the database is taken back.
    """

    name: str
    before: list[tuple[str, Items]]
    items: Items
    status: str
    transitions: Mapping[str, int] = MappingProxyType({})
    account: str = "default"
    is_approved: bool = False
    revision: str = ""


def few_changes() -> Items:
    """Two of a hundred: another name, and a deletion that is told late; and one that cannot be read."""
    changed = estate()
    changed[0] |= {"name": "renamed", "tariff": "BUSINESS"}
    changed[1] |= {"deleted": True, "timeDeleted": "2026-10-31T10:00:00"}
    changed[2] |= {"deleted": None}
    return changed


SCENARIOS = [
    Scenario("unchanged", [("default", estate())], estate(), "unchanged"),
    Scenario("first", [], estate(), "ok", {"created": 103, "deleted": 3}),
    Scenario("1 %", [("default", estate())], few_changes(), "ok", {"changed": 1, "deleted": 1}),
    Scenario("roll", [("default", estate())], estate(expirationDate="2026-12-04T18:39:44"), "ok"),
    Scenario("hold", [("default", estate())], without(GONE), "held"),
    Scenario("approval", [("default", estate()), ("default", without(GONE))], without(GONE), "ok", {"vanished": 20},
             is_approved=True),
    Scenario("move", [("north", estate()), ("south", estate(TAKEN))], without(TAKEN), "ok", {"changed": 3},
             account="north"),
    Scenario("purge", [("default", estate())], without(DEAD), "ok", {"purged": 3}),
    Scenario("upgrade", [("default", estate(range(1, 8))), ("default", estate(range(1, 7)))], estate(range(1, 8)), "ok",
             {"reappeared": 1}, revision=BEFORE_TIMELINE),
]  # fmt: skip


class Upstream:
    """A process that answers every request alike, until it is told otherwise; it ends with the one that made it."""

    def __init__(self, folder: Path) -> None:
        self._answer = folder / "answer"
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(1)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        parent = os.getpid()
        self._process = forked(lambda: self._serve(listener, parent))
        listener.close()

    def _serve(self, listener: socket.socket, parent: int) -> None:
        while os.getppid() == parent:
            with suppress(OSError):  # whoever asked was killed, or nobody asks
                client, _address = listener.accept()
                with client:
                    client.settimeout(10)
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        received = client.recv(65536)
                        if not received:
                            break
                        head += received
                    else:
                        client.sendall(self._answer.read_bytes())

    def answer(self, items: Items, at: datetime) -> None:
        """From now on, this."""
        body = gzip.compress(json.dumps(items).encode(), 1)
        head = (
            f"HTTP/1.1 200 OK\r\nDate: {format_datetime(at, usegmt=True)}\r\nContent-Type: application/json\r\n"
            f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        written = self._answer.with_suffix(".new")
        written.write_bytes(head.encode() + body)
        written.replace(self._answer)

    def close(self) -> None:
        """Answer nobody any more."""
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def settings_of(upstream: Upstream, account: str) -> Settings:
    """Those of a user of this account who keeps tokens."""
    told = {"SYNCER_API_URL": upstream.url, "SYNCER_PARTNER_TOKEN": PARTNER_TOKEN, "SYNCER_ACCOUNT": account}
    return replace(load({}, told, None, Path("/nonexistent")), token_key=TOKEN_KEY)


class Stage:
    """A scenario on a database, ready to be played any number of times from the same state."""

    def __init__(self, place: Place, engine: Engine, upstream: Upstream, scenario: Scenario) -> None:
        self.place, self.scenario, self.engine = place, scenario, engine
        self.name = f"{place.name}, {scenario.name}"
        self._upstream = upstream
        self._kept = re.sub("[^a-z0-9]", "_", scenario.name)
        self.now = START
        place.put("empty")
        for account, items in scenario.before:
            self._sync(account, items, self.now)
            self.now += INTERVAL
        if scenario.is_approved:
            with database.writing(engine, "approving the last run") as connection:
                runs.approve(connection, len(scenario.before), self.now)
        if scenario.revision:
            schema.downgrade(engine, scenario.revision)
        engine.dispose()
        place.keep(self._kept)
        self.before = place.read()
        self.settings = settings_of(upstream, scenario.account)
        self.milestones = [steady(self.before)]
        with self._after_each_commit(lambda: self.milestones.append(steady(place.read()))):
            self.result = self.sync()
        assert (self.result.status, dict(self.result.transitions)) == (scenario.status, dict(scenario.transitions))
        self.expected = self._end()
        self._seen: set[str] = set()
        self.put()

    def put(self) -> None:
        """The state before the run, and the upstream ready for it."""
        self.place.put(self._kept)
        self._upstream.answer(self.scenario.items, self.now)

    def run(self) -> RunResult:
        """One run at the moment of the scenario."""
        return self._run(self.settings, self.now)

    def sync(self) -> RunResult:
        """The same, of which nothing stays open."""
        return self._sync(self.scenario.account, self.scenario.items, self.now)

    def _sync(self, account: str, items: Items, at: datetime) -> RunResult:
        self._upstream.answer(items, at)
        try:
            return self._run(settings_of(self._upstream, account), at)
        finally:
            self.engine.dispose()

    def _run(self, settings: Settings, at: datetime) -> RunResult:
        return Runs(settings, self.engine, settings.scrubber(), lambda: at).run_now(settings.accounts[0])

    def read(self) -> Tables:
        """What is there, as soon as nothing is done to it any more."""
        self.place.wait_until_alone()
        return self.place.read()

    @contextmanager
    def _after_each_commit(self, then: Callable[[], None]) -> Iterator[None]:
        dialect = self.engine.dialect
        commit = dialect.do_commit

        def do_commit(connection: Any) -> None:
            commit(connection)
            then()

        dialect.do_commit = do_commit  # type: ignore[method-assign]
        try:
            yield
        finally:
            dialect.do_commit = commit  # type: ignore[method-assign]

    def has_applied(self, tables: Tables) -> bool:
        """Whether a run of the account ended as the undisturbed one did."""
        begun = {run["id"] for run in self.before["sync_runs"]}
        return any(run["status"] == self.result.status for run in tables["sync_runs"] if run["id"] not in begun)

    def check_rest(self, tables: Tables) -> bool:
        """From what is there: every promise holds, and further runs end in the state of one that nobody disturbed.

        Once for each state; whether it is a new one.
        """
        told = steady(tables, with_sequences=True)
        told["sync_runs"] = [run | {"error": run["error"] is not None} for run in told["sync_runs"]]
        state = repr(told)
        if state in self._seen:
            return False
        self._seen.add(state)
        if schema.read_state(self.engine) is schema.SchemaState.CURRENT:
            self.verify()
        if not self.has_applied(tables):
            result = self.sync()
            assert result.exit_code == self.result.exit_code, f"the next run ended with {result.error}"
        assert self._end() == self.expected, "the next run did not end in the state of one that nobody disturbed"
        return True

    @property
    def states(self) -> int:
        """How many different ones there were."""
        return len(self._seen)

    def verify(self) -> None:
        """What `syncer verify` and `syncer db check` look at."""
        told = verify.verify(self.engine)
        schema.compare(self.engine)
        self.engine.dispose()
        assert told.holds, [(outcome.check.name, outcome.first_ids) for outcome in told.outcomes if outcome.broken]

    def _end(self) -> Any:
        """The answer comes once more, a little later; then all that is to be the same, however it came about."""
        again = self._sync(self.scenario.account, self.scenario.items, self.now + INTERVAL)
        assert again.exit_code == self.result.exit_code, f"the run after ended with {again.error}"
        self.verify()
        return story(self.read())


def steady(tables: Tables, *, with_sequences: bool = False) -> Tables:
    """The rows without what no two runs have in common; of that only whether it is there."""
    told = {name: rows for name, rows in tables.items() if with_sequences or name != SEQUENCES}
    for name, columns in OF_ITS_OWN.items():
        told[name] = [row | {column: row[column] is not None for column in columns} for row in tables.get(name, [])]
    return told


def others(tables: Tables) -> Tables:
    """What a run that fails must not touch."""
    return {name: rows for name, rows in steady(tables).items() if name not in OWN}


def story(tables: Tables) -> Any:
    """The rows without runs that came to nothing, and ids in their order instead of the ids themselves."""
    told = {name: [dict(row) for row in rows] for name, rows in steady(tables).items()}
    told["sync_runs"] = [run for run in told["sync_runs"] if run["status"] not in {"failed", "abandoned", "running"}]
    numbers = {run["id"]: place for place, run in enumerate(sorted(told["sync_runs"], key=lambda run: run["id"]), 1)}
    for name, rows in told.items():
        for row in rows:
            for column in row:
                if column.endswith("run_id") or (name == "sync_runs" and column == "id"):
                    row[column] = row[column] and numbers.get(row[column], f"no run {row[column]}")
            if name == "sync_runs" and row["error"]:
                row["error"] = re.sub(r"approve \d+", "approve", row["error"])
    for place, row in enumerate(sorted(told["instance_history"], key=lambda row: row["id"]), 1):
        row["id"] = place
    return {name: sorted(map(repr, rows)) for name, rows in told.items()}


@contextmanager
def stages(folder: Path, *databases: str) -> Iterator[list[Callable[[], Stage]]]:
    """What makes the stage of each scenario on each of these databases.

    One engine serves all scenarios of a database: what it has compiled takes longer to compile than a run.
    """
    upstream = Upstream(folder)
    places: list[Place] = [File(folder)] if "SQLite" in databases else []
    if "PostgreSQL" in databases:
        folder.chmod(0o755)
        places.append(Database(folder))
    engines = [database.open_engine(database.parse_database_url(place.url)) for place in places]
    try:
        for place in places:
            place.keep("empty")
        yield [
            partial(Stage, place, engine, upstream, scenario)
            for place, engine in zip(places, engines, strict=True)
            for scenario in SCENARIOS
        ]
    finally:
        for engine in engines:
            engine.dispose()
        for place in places:
            place.close()
        upstream.close()
