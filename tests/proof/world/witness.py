"""What must hold in a world: what was accepted is what the contract's model says, and nothing else changed anything."""

import copy
import json
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from canary import find_secrets
from contract_items import Said
from contract_model import ContractModel, as_the_model_has_it
from playing import OUTCOMES, by_instance, same
from sqlalchemy import Engine, select

from syncer.storage import database, tokens
from syncer.storage.tables import accounts, claims, instance_history, instances, sync_runs
from syncer.views import estate, verify
from world.databases import Home
from world.figures import Figures
from world.process import Process, Schema, Task
from world.receivers import A_TICK, Receivers
from world.upstream import Told

LONGEST_HOLD_BACK_SECONDS = 3600


class Seen(Protocol):
    """The world, as its witness sees it."""

    now: datetime
    hand: Engine
    home: Home
    restores: int
    versions: Schema
    with_figures: bool
    receivers: Receivers

    def tell(self, line: str) -> None: ...

    def count(self, what: str) -> None: ...


class Witness:
    """Follows every run; a restore brings back the witness of the backup."""

    def __init__(self, world: Seen) -> None:
        self.world = world
        self.model = ContractModel()
        self.figures = Figures(are_asked=world.with_figures)
        self._voided: dict[str, int] = {}  # how often something else than a run changed an account's base
        self._accepted: dict[str, int] = {}  # runs by account
        self._quiet_until: dict[str, datetime] = {}  # by account; no schedule asks the upstream before
        self._compared = 0  # of the history's ids
        self._events = 0  # of the model's

    def copy(self) -> "Witness":
        made = Witness(self.world)
        made.model = copy.deepcopy(self.model)
        made.figures = self.figures.copy()
        made._voided, made._accepted = dict(self._voided), dict(self._accepted)
        made._quiet_until = dict(self._quiet_until)
        made._compared, made._events = self._compared, self._events
        return made

    def asked(self, task: Task, told: Told, others: list[Task]) -> None:
        """A run has begun, and calls the upstream; `others` are at the same account."""
        task.told = told
        beside = [one for one in others if one.run_row and not one.was_stalled and one.restores == self.world.restores]
        if not task.is_manual and task.run_row is None:
            quiet_until = self._quiet_until.get(task.account.name, self.world.now)
            assert self.world.now >= quiet_until - A_TICK, f"{task.account.name} is asked before it wants to be"
        is_of_before = task.run_row is not None and task.restores != self.world.restores  # its lease is in no table now
        assert not beside or is_of_before, f"{task.account.name} is run beside a run whose lease lives"
        if task.run_row is None:
            assert not self.world.versions.is_other(), "a run begins in a schema that is not its own"
            name = task.account.name
            query = select(sync_runs.c.id, sync_runs.c.started_at).where(sync_runs.c.account == name)
            with database.reading(self.world.hand, "reading the run") as connection:
                row = connection.execute(query.order_by(sync_runs.c.id.desc()).limit(1)).one()
            task.run_row = row.id, row.started_at
            task.based_on, task.restores = self._basis(name), self.world.restores

    def _basis(self, name: str) -> tuple[int, int, int]:
        """What changes when the account's base does, and what does not change unless something was written."""
        return self._voided.get(name, 0), self._accepted.get(name, 0), sum(self._accepted.values())

    def judge(self, task: Task) -> None:
        """A run has ended, by itself or not."""
        world, process, name = self.world, task.process, task.account.name
        assert task.failure is None, f"{task.failure!r} escaped from a run"
        row = self._row(task)
        status = row.status if row else None
        result = task.result
        is_untold = status == "running" or row is None  # where what a run came to could not be noted
        if result is not None and result.id is not None and not (is_untold and result.error is not None):
            assert status == result.status, f"told {result.status}, but the row says {status}"
        kinds = {row.error_kind if row else None, result.error.kind if result and result.error else None}
        assert "defect" not in kinds, "a defect, see the log"
        if "database" in kinds:
            assert task.was_struck or task.restores != world.restores, f"the database refused: {result or row.error}"
        world.count(f"run {status} {row.error_kind or ''}".strip() if row else "no run")
        world.tell(f"process {process.number} {name}: {_told_of(row, task)}")
        if row is None or task.told is None:
            return
        basis = self._basis(name)
        if status == "superseded":
            assert basis != task.based_on or task.restores != world.restores, (
                "superseded, though nothing got in between"
            )
        if status in OUTCOMES and not (
            status == "failed" and (task.told.items is None or row.error_kind == "database")
        ):
            self._follow(task, row, process)
        elif status not in {"failed", "abandoned", "running", "superseded"}:
            raise AssertionError(f"it is {status}")
        if status in {"ok", "unchanged"}:
            assert basis[:2] == task.based_on[:2], "an answer was applied onto another base than it was fetched against"
            self._accepted[name] = basis[1] + 1
            self._quiet_until.pop(name, None)
        if status == "failed" and row.error_kind == "rate_limited":
            seconds = min(int(task.told.headers["retry-after"]), LONGEST_HOLD_BACK_SECONDS)
            self._quiet_until[name] = world.now + timedelta(seconds=seconds)
        self.compare(is_changed=status == "ok")
        if process.doom.struck and process.doom.struck != process.told_of:
            process.told_of = list(process.doom.struck)
            world.count(f"struck {process.doom.struck[-1]}")
            self.verify()

    def _row(self, task: Task) -> Any:
        if task.run_row is None:
            return None
        is_it = (sync_runs.c.id == task.run_row[0]) & (sync_runs.c.started_at == task.run_row[1])
        with database.reading(self.world.hand, "reading the run") as connection:
            return connection.execute(select(sync_runs).where(is_it)).one_or_none()

    def _follow(self, task: Task, row: Any, process: Process) -> None:
        """The model takes the answer too, and must come to the same."""
        model, told = self.model, task.told
        assert told is not None
        assert told.items is not None, f"{row.status}, though it was no usable list"
        model.runs = row.id - 1
        owned = {key: one["account"] for key, one in model.rows.items()}
        read_at = task.read_at or process.clock()  # what it then waited for is no matter of the answer's
        came_to = model.observe(told.items, read_at, task.account.name, Said(told.headers, task.arrived_at))
        assert came_to == OUTCOMES[row.status], (
            f"{came_to} expected, {row.status}: {row.error} {sorted(model.kinds)} {model.reasons}"
        )
        if row.status == "failed" and model.kinds and self._basis(task.account.name) == task.based_on:
            assert row.error_kind in model.kinds, f"{model.kinds} expected, {row.error_kind}"
        if row.status in {"ok", "unchanged"}:
            assert (model.listed, model.rejected) == (row.listed, row.rejected)
            self.figures.take(task.account.name, told.items, owned, model)

    def compare(self, *, is_changed: bool = True) -> None:
        """Rows, claims and the history since the last comparison are the model's."""
        query = select(instance_history).where(instance_history.c.id > self._compared).order_by(instance_history.c.id)
        with database.reading(self.world.hand, "reading the tables") as connection:
            told = [dict(row._mapping) for row in connection.execute(query)]
            rows = [dict(row._mapping) for row in connection.execute(select(instances))] if is_changed else []
            claimed = connection.execute(select(claims)).all() if is_changed else []
            known = connection.execute(select(accounts)).all() if is_changed else []
        model = self.model
        expected = [
            event | {"columns": columns}
            for event, columns in zip(model.history[self._events :], model.columns[self._events :], strict=True)
        ]
        names = list(expected[0])[:-1] if expected else ["id_instance"]
        stored = [{name: row[name] for name in names} | {"columns": set(json.loads(row["changes"]))} for row in told]
        same("history", by_instance(expected), by_instance(stored))
        self._events = len(model.history)
        self._compared = told[-1]["id"] if told else self._compared
        if is_changed:
            same("rows", model.rows, {row["id_instance"]: as_the_model_has_it(row) for row in rows})
            same("claims", model.claims, {(row.id_instance, row.account): row.since_run_id for row in claimed})
            times = {row.account: row.last_accepted_at for row in known if row.last_accepted_at}
            same("last accepted", model.accepted, times)
            assert model.retired == {row.account for row in known if row.retired_at}, "retired"

    def verify(self) -> None:
        """What `syncer verify` promises."""
        told = verify.verify(self.world.hand)
        assert told.holds, f"promises: {[one.check.name for one in told.outcomes if one.broken]}"

    def knows(self, name: str) -> bool:
        with database.reading(self.world.hand, "reading the accounts") as connection:
            return connection.execute(select(accounts).where(accounts.c.account == name)).first() is not None

    def held(self, name: str, back: int) -> int | None:
        """A held run of the account: the last one, or the one so many before."""
        query = select(sync_runs.c.id).where(sync_runs.c.account == name, sync_runs.c.status == "held")
        with database.reading(self.world.hand, "reading the held runs") as connection:
            return connection.execute(query.order_by(sync_runs.c.id.desc()).limit(1).offset(back)).scalar()

    def _neighbours(self, name: str) -> set[str]:
        """Accounts that claim instances of this one, or whose instances it claims."""
        owned = [(self.model.rows[key]["account"], claimant) for key, claimant in self.model.claims]
        return {one for pair in owned if name in pair for one in pair} - {name}

    def _void(self, names: set[str]) -> None:
        """A run of these that is under way is overtaken; one of another account is not concerned."""
        for name in names:
            self._voided[name] = self._voided.get(name, 0) + 1

    def renamed(self, old: str, new: str) -> None:
        """The operator renamed an account; what was told of it bears the new name."""
        self._void({new, *self._neighbours(old)} - {old})
        assert self.model.rename(old, new), f"{old} may not be called {new}"
        self.figures.rename(old, new, self.model)
        self._accepted[new] = self._accepted.pop(old, 0)
        self._quiet_until.pop(new, None)
        if old in self._quiet_until:
            self._quiet_until[new] = self._quiet_until.pop(old)

    def retired(self, name: str) -> None:
        self._void({name, *self._neighbours(name)})
        self.model.retire(name)

    def is_after_restore(self) -> None:
        """All that follows is another history."""
        self.compare()
        self.verify()

    def is_fresh(self, name: str, interval: timedelta) -> None:
        """Three intervals after the last fault the account's data is no older than they are."""
        with database.reading(self.world.hand, "reading the accounts") as connection:
            found = [one for one in estate.read_accounts(connection, self.world.now) if one.account == name]
        assert found, f"{name} was never polled"
        assert found[0].is_fresh, (
            f"{name} is {found[0].state}, {found[0].age_seconds} s old, at {interval} ({found[0].last_error})"
        )

    def at_the_end(self, token_key: bytes | None) -> None:
        """Everything once more, the tokens that are kept, and no secret in what is left behind."""
        self._events = self._compared = 0
        self.compare()
        self.verify()
        self.world.receivers.at_the_end()
        if self.world.with_figures:
            with database.reading(self.world.hand, "reading the figures") as connection:
                differences = self.figures.differences(connection, self.world.now)
            assert not differences, f"figures: {len(differences)}, the first: {differences[0]}"
        if token_key is not None:
            with database.reading(self.world.hand, "reading the tokens") as connection:
                kept = {key: tokens.read_token(connection, token_key, key) for key in self.model.rows}
            told = {key: sha256(token.encode()).hexdigest()[:16] if token else None for key, token in kept.items()}
            same("tokens", {key: row["token_fingerprint"] for key, row in self.model.rows.items()}, told)
        leaks = find_secrets(self.world.home.contents())
        assert leaks == [], f"secrets: {leaks}"


def _told_of(row: Any, task: Task) -> str:
    if row is not None:
        counts = f"listed {row.listed}, created {row.created}, updated {row.updated}, transitions {row.transitions}"
        return f"run {row.id} {row.status} {row.error_kind or ''} {row.warning or ''} {counts}"
    if task.result is not None and task.result.error is not None:
        return f"no run, {task.result.error.kind}"
    return "no run" if task.again is None else "not run"
