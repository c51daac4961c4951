"""A mirror and the model of the contract play the same steps; whatever happened, they must agree."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from builders import body
from contract_items import Said
from contract_model import ContractModel, as_the_model_has_it
from mirror import Mirror, account, serving
from shared_histories import Approve, Poll, Rename, Retire, Step
from sqlalchemy import select

from syncer.errors import ConfigurationError
from syncer.model import RunResult
from syncer.storage import database
from syncer.storage.tables import accounts, claims, held_answers, held_sets, instance_history, instances, sync_runs
from syncer.views import verify

OUTCOMES = {"ok": "accepted", "unchanged": "accepted", "held": "held", "failed": "failed"}
Reasons = dict[tuple[str, str], set[int]]


def headers_of(poll: Poll, now: datetime) -> dict[str, str]:
    """What comes with the answer when it is asked for at this moment."""
    if poll.age is None:
        return dict(poll.headers)
    return {**poll.headers, "date": format_datetime((now - poll.age).replace(microsecond=0), usegmt=True)}


class Players:
    """Both sides of it; a difference is an `AssertionError` that says what differs."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.model = ContractModel()
        self.held: list[tuple[int, str]] = []  # runs that may still be approved, and whose
        self.seen: set[str] = set()  # what the histories reached

    def play(self, steps: Iterable[Step]) -> None:
        """Every step, with a comparison of everything after each."""
        for step in steps:
            match step:
                case Poll():
                    self._poll(step)
                case Approve(back):
                    if len(self.held) >= back:
                        run, _ = self.held[-back]
                        self.mirror.approve(run)
                        self.model.approve(run)
                case Rename(old, new):
                    if old in self.model.accepted:
                        allowed = self.model.rename(old, new)
                        self.seen.add(f"rename {'done' if allowed else 'refused'}")
                        assert allowed == self._renames(old, new), f"rename of {old} to {new}: {allowed} expected"
                        if allowed:
                            self.held = [(run, new if name == old else name) for run, name in self.held if name != new]
                case Retire(name):
                    if name in self.model.accepted:
                        self.model.retire(name)
                        self.mirror.retire(name)
                        self.seen.add("retire")
            self.compare()
        broken = [outcome.check.name for outcome in verify.verify(self.mirror.engine).outcomes if outcome.broken]
        assert broken == [], f"promises: {broken}"

    def _renames(self, old: str, new: str) -> bool:
        try:
            self.mirror.rename(old, new)
        except ConfigurationError:
            return False
        return True

    def _poll(self, poll: Poll) -> None:
        model, now = self.model, self.mirror.now + poll.pause
        headers = headers_of(poll, now)
        expected = model.observe(poll.items, now, poll.account, Said(headers, now))
        fetch = serving(body(poll.items), 10_000, headers, now)
        report = self.mirror.observe([], after=poll.pause, of=account(poll.account), fetch=fetch)
        assert expected == OUTCOMES.get(report.status), f"{expected} expected, {report.status}: {report.error}"
        if model.kinds:
            kind = report.error.kind if report.error else None
            assert kind in model.kinds, f"{model.kinds} expected, {kind}: {report.error}"
            self.seen |= model.kinds
        if expected == "held":
            self.held.append((report.id or 0, poll.account))
            stored = self._reasons(report.id)
            assert model.reasons == stored, f"held for {model.reasons}, stored {stored}"
            self.seen |= {f"held {reason} {kind if reason == 'flipped' else ''}".strip() for reason, kind in stored}
        if expected == "accepted":
            self.held = [(run, name) for run, name in self.held if name != poll.account]
            self._compare_accepted(report)

    def _compare_accepted(self, result: RunResult) -> None:
        model = self.model
        assert (model.listed, model.rejected) == (result.listed, result.rejected)
        with database.reading(self.mirror.engine, "reading the run") as connection:
            warning = connection.execute(select(sync_runs.c.warning).where(sync_runs.c.id == result.id)).scalar_one()
        warned = set(filter(None, (warning or "").split(",")))
        assert model.warnings == warned, f"warnings {model.warnings}, stored {warning}"
        self.seen |= warned | {f"passed {reason}" for reason, _ in model.reasons}

    def _reasons(self, run_id: int | None) -> Reasons:
        query = select(held_answers.c.reason, held_answers.c.what, held_sets.c.ids)
        query = query.join(held_sets, held_sets.c.sha256 == held_answers.c.ids_sha256)
        with database.reading(self.mirror.engine, "reading the reasons") as connection:
            rows = connection.execute(query.where(held_answers.c.run_id == run_id)).all()
        return {
            (row.reason, _seconds(row.what) if row.reason == "shifted" else row.what): set(json.loads(row.ids))
            for row in rows
        }

    def compare(self) -> None:
        """Rows, claims and history are the model's."""
        mirror, model = self.mirror, self.model
        stored = {row["id_instance"]: as_the_model_has_it(row) for row in mirror.rows(instances)}
        same("rows", model.rows, stored)
        stored_claims = {(row["id_instance"], row["account"]): row["since_run_id"] for row in mirror.rows(claims)}
        same("claims", model.claims, stored_claims)
        columns = list(model.history[0]) if model.history else []
        same(
            "history",
            by_instance(
                [event | {"columns": changed} for event, changed in zip(model.history, model.columns, strict=True)]
            ),
            by_instance(
                [
                    {name: row[name] for name in columns} | {"columns": set(json.loads(row["changes"]))}
                    for row in mirror.rows(instance_history)
                ]
            ),
        )
        known = {row["account"]: row for row in mirror.rows(accounts)}
        stored_times = {name: row["last_accepted_at"] for name, row in known.items() if row["last_accepted_at"]}
        same("last accepted", model.accepted, stored_times)
        assert model.retired == {name for name, row in known.items() if row["retired_at"]}


def _seconds(amount: str) -> str:
    """Of `-3:00:00` or `+2 days, 1:00:00`, as the model has it."""
    days, time = re.fullmatch(r"[+-](?:([0-9]+) days?, )?([0-9:]+)", amount).groups()  # type: ignore[union-attr]
    hours, minutes, seconds = (int(part) for part in time.split(":"))
    whole = timedelta(days=int(days or 0), hours=hours, minutes=minutes, seconds=seconds)
    return f"{'-' if amount.startswith('-') else ''}{whole.total_seconds():.0f}"


def by_instance(events: list[dict[str, Any]]) -> dict[tuple[int, int], dict[str, Any]]:
    """Each instance's events by their place in its history; between instances the contract states no order."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    places: Counter[int] = Counter()
    for event in events:
        key = event["id_instance"]
        found[key, places[key]] = event
        places[key] += 1
    return found


def same(what: str, expected: dict[Any, Any], stored: dict[Any, Any]) -> None:
    """Say only what differs."""
    if expected == stored:
        return
    keys = sorted(key for key in expected.keys() | stored.keys() if expected.get(key) != stored.get(key))
    told = []
    for key in keys[:5]:
        one, other = expected.get(key), stored.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            columns = [column for column in one if one[column] != other.get(column)]
            one, other = ({column: side.get(column) for column in columns} for side in (one, other))
        told.append(f"{key}: {one} expected, {other} stored")
    raise AssertionError(f"{what}: " + "; ".join(told))
