"""What Prometheus reads: counters of this process's runs, and gauges of the mirror as the database tells it.

Labels are accounts and closed sets of words; no name, id or secret is among them.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from syncer.model import RunResult, RunStatus, Transition
from syncer.views.estate import AccountStatus
from syncer.views.receivers import ReceiverStatus

SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600)
FAILURES = (
    "network", "timeout", "rate_limited", "server_error", "refused", "redirected", "not_a_list", "partial", "stale",
    "clock", "too_large", "too_many_rejects", "configuration", "database", "defect",
)  # fmt: skip
WARNINGS = ("blind_gap", "overlap", "mass_change", "zone")
OTHER_FAILURE = "other"  # a word that is not known here must not make a series of its own


class Grown(NamedTuple):
    """What grows while somebody reads for long; None where it is not known."""

    log_bytes: int | None = None
    oldest_transaction_seconds: float | None = None


NOTHING_KNOWN = Grown()


class Metrics:
    """The process's metrics; every account's series exist from the start."""

    def __init__(self, accounts: Iterable[str]) -> None:
        # They would double the series and say nothing of an estate.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types there
        self._registry = CollectorRegistry()
        self._runs = self._counter("runs", "Runs by how they ended.", "account", "status", "error_kind")
        self._transitions = self._counter("transitions", "Transitions recorded.", "account", "transition")
        self._holds = self._counter("guard_holds", "Answers held by the guard.", "account")
        self._rejects = self._counter("rejected_items", "Items that were rejected.", "account")
        self._bytes = self._counter("body_bytes", "Bytes of answers, decompressed.", "account")
        self._seconds = Histogram(
            "syncer_run_seconds", "How long runs took.", ["account"], registry=self._registry, buckets=SECONDS_BUCKETS
        )
        self._succeeded_at: dict[str, datetime] = {}
        for account in accounts:
            for status in RunStatus:
                if status not in {RunStatus.RUNNING, RunStatus.FAILED}:
                    self._runs.labels(account, status, "")
            for kind in (*FAILURES, OTHER_FAILURE):  # a series that begins at 1 shows no increase
                self._runs.labels(account, RunStatus.FAILED, kind)
            for word in Transition:
                self._transitions.labels(account, word)
            for counter in (self._holds, self._rejects, self._bytes, self._seconds):
                counter.labels(account)

    def record(self, result: RunResult, seconds: float) -> None:
        """Count a run that has ended."""
        account = result.account
        kind = ""
        if result.status is RunStatus.FAILED:
            kind = result.error.kind if result.error and result.error.kind in FAILURES else OTHER_FAILURE
        self._runs.labels(account, result.status, kind).inc()
        self._seconds.labels(account).observe(seconds)
        self._bytes.labels(account).inc(result.body_bytes or 0)
        self._rejects.labels(account).inc(result.rejected)
        if result.status is RunStatus.HELD:
            self._holds.labels(account).inc()
        for word, n in result.transitions.items():
            self._transitions.labels(account, word).inc(n)

    def text(
        self,
        statuses: Collection[AccountStatus],
        now: datetime,
        grown: Grown = NOTHING_KNOWN,
        receivers: Collection[ReceiverStatus] = (),
    ) -> bytes:
        """The exposition, with gauges of these; the age of the last success goes on growing without them."""
        gauges = CollectorRegistry()  # anew each time: what the database does not tell now is not shown as if it did
        for name in ("listed", "live", "expired", "deleted"):
            gauge = Gauge(f"syncer_{name}", f"Instances {name} in the mirror.", ["account"], registry=gauges)
            for status in statuses:
                gauge.labels(status.account).set(getattr(status, name))
        warning = Gauge(
            "syncer_warning", "What the last accepted answer is not sure of.", ["account", "warning"], registry=gauges
        )
        for status in statuses:
            for word in WARNINGS:
                warning.labels(status.account, word).set(word in (status.warning or "").split(","))
        for name, meaning, value in (
            ("wal_bytes", "Size of SQLite's write-ahead log; it grows while somebody reads.", grown.log_bytes),
            (
                "oldest_transaction_seconds",
                "Age of the oldest transaction in PostgreSQL's database that this role may see.",
                grown.oldest_transaction_seconds,
            ),
        ):
            if value is not None:
                Gauge(f"syncer_database_{name}", meaning, registry=gauges).set(value)
        _add_receivers(gauges, receivers)
        self._succeeded_at |= {s.account: s.data_as_of for s in statuses if s.data_as_of is not None}
        last = Gauge(
            "syncer_last_success_timestamp_seconds",
            "When the last accepted answer was seen; none before the first.",
            ["account"],
            registry=gauges,
        )
        age = Gauge(
            "syncer_seconds_since_last_success",
            "Age of the last accepted answer; none before the first.",
            ["account"],
            registry=gauges,
        )
        for account, moment in sorted(self._succeeded_at.items()):
            last.labels(account).set(moment.timestamp())
            age.labels(account).set(max(0.0, (now - moment).total_seconds()))
        return generate_latest(self._registry) + generate_latest(gauges)

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(f"syncer_{name}", description, labels, registry=self._registry)


def _add_receivers(gauges: CollectorRegistry, receivers: Collection[ReceiverStatus]) -> None:
    """What each was not told yet, and for how long; one that is not configured here is somebody else's to watch."""
    behind, seconds, failing, stopped = (
        Gauge(f"syncer_receiver_{name}", meaning, ["receiver"], registry=gauges)
        for name, meaning in (
            ("behind", "Events that a receiver was not told yet."),
            ("behind_seconds", "Since when: the age of the first of them."),
            ("failing_since_timestamp_seconds", "Since when a receiver takes nothing; none while it does."),
            ("stopped", "Whether a receiver said that it wants no more."),
        )
    )
    for one in receivers:
        if one.behind is None:
            continue
        behind.labels(one.receiver).set(one.behind)
        seconds.labels(one.receiver).set(one.behind_seconds or 0)
        stopped.labels(one.receiver).set(one.state == "stopped")
        if one.failing_since is not None:
            failing.labels(one.receiver).set(one.failing_since.timestamp())
