"""syncer as its user has it, within this process: settings, token, lease, fetch and database, all of production."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from canary import PARTNER_TOKEN, find_secrets
from loading import load
from mirror import Mirror

from syncer.daemon.leased_runs import Runs
from syncer.model import RunResult
from syncer.storage.tables import instance_history, instance_tokens, instances, rejected_items
from syncer.views import verify

TABLES = (instances, instance_history, rejected_items, instance_tokens)


class Deployment:
    """One account and its mirror; a run is a `syncer sync`."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror

    def sync(self, api_url: str, *, after: timedelta = timedelta(minutes=5), **settings: Any) -> RunResult:
        """One run some time after the one before; what it says and writes is searched for secrets.

        `settings` are fields of `Settings`, which may have values that no user could write.
        """
        self.mirror.now += after
        told = {"SYNCER_API_URL": api_url, "SYNCER_PARTNER_TOKEN": PARTNER_TOKEN}
        chosen = replace(load({}, told, None, Path("/nonexistent")), **settings)
        runs = Runs(chosen, self.mirror.engine, chosen.scrubber(), lambda: self.mirror.now)
        report = runs.run_now(chosen.accounts[0])
        assert find_secrets(f"{report} {report.error} {self.mirror.runs()[-1:]}".encode()) == []
        return report

    def tables(self) -> list[Any]:
        """Every row that an answer may change."""
        return [self.mirror.rows(table) for table in TABLES]

    def broken_promises(self) -> list[str]:
        """What `syncer verify` finds."""
        told = verify.verify(self.mirror.engine)
        return [f"{outcome.check.name}: {outcome.first_ids}" for outcome in told.outcomes if outcome.broken]

    def moves(self, since: int = 0) -> list[tuple[int, str]]:
        """Each instance's transitions after the first so many."""
        return [(row["id_instance"], row["transition"]) for row in self.mirror.history()[since:]]
