"""What Prometheus reads: counters of this process's runs, and gauges of the mirror as the database tells it.

Labels are accounts and closed sets of words; no name, id or secret is among them.
"""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from syncer.estate import AccountStatus
from syncer.model import RunStatus, Transition
from syncer.sync import RunReport

SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600)


class Metrics:
    """The process's metrics; every account's series exist from the start."""

    def __init__(self, accounts: Iterable[str]) -> None:
        # They would double the series and say nothing of an estate.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types there
        self._registry = CollectorRegistry()
        self._runs = self._counter("runs", "Runs by how they ended.", "account", "status", "error_kind")
        self._transitions = self._counter("transitions", "Transitions recorded.", "account", "transition")
        self._holds = self._counter("guard_holds", "Answers held by the guard.", "account")
        self._rejects = self._counter("rejected_items", "Items that could not be taken.", "account")
        self._bytes = self._counter("body_bytes", "Bytes of answers, decompressed.", "account")
        self._seconds = Histogram(
            "syncer_run_seconds", "How long runs took.", ["account"], registry=self._registry, buckets=SECONDS_BUCKETS
        )
        self._gauges = {
            name: Gauge(f"syncer_{name}", f"Instances {name} in the mirror.", ["account"], registry=self._registry)
            for name in ("listed", "live", "expired", "deleted")
        }
        self._age = Gauge(
            "syncer_seconds_since_last_success",
            "Age of the last accepted answer; none before the first.",
            ["account"],
            registry=self._registry,
        )
        for account in accounts:
            for status in RunStatus:
                if status not in {RunStatus.RUNNING, RunStatus.FAILED}:
                    self._runs.labels(account, status, "")
            for word in Transition:
                self._transitions.labels(account, word)
            for counter in (self._holds, self._rejects, self._bytes, self._seconds):
                counter.labels(account)

    def record(self, report: RunReport, seconds: float) -> None:
        """Count a run that has ended."""
        account = report.account
        kind = report.error.kind if report.error and report.status is RunStatus.FAILED else ""
        self._runs.labels(account, report.status, kind).inc()
        self._seconds.labels(account).observe(seconds)
        self._bytes.labels(account).inc(report.body_bytes or 0)
        self._rejects.labels(account).inc(report.rejected)
        if report.status is RunStatus.HELD:
            self._holds.labels(account).inc()
        for word, n in report.transitions.items():
            self._transitions.labels(account, word).inc(n)

    def text(self, statuses: Iterable[AccountStatus], now: datetime) -> bytes:
        """The exposition, with gauges of these accounts."""
        for status in statuses:
            for name, gauge in self._gauges.items():
                gauge.labels(status.account).set(getattr(status, name))
            if status.data_as_of is not None:
                self._age.labels(status.account).set(max(0.0, (now - status.data_as_of).total_seconds()))
        return generate_latest(self._registry)

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(f"syncer_{name}", description, labels, registry=self._registry)
