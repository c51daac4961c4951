"""What Prometheus reads of the daemon."""

from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from syncer.errors import AnswerHeld, UpstreamUnreachable
from syncer.estate import AccountStatus
from syncer.metrics import Metrics
from syncer.model import RunStatus
from syncer.sync import RunReport

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def samples(metrics: Metrics, *statuses: AccountStatus) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text(statuses, NOW).decode())
        for sample in family.samples
    }


def labelled(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted({"account": "default", **labels}.items()))


def test_runs_are_counted_by_how_they_ended() -> None:
    metrics = Metrics(["default"])
    metrics.record(RunReport(1, "default", RunStatus.OK, 5, 5, 0, {"created": 5}, 2, body_bytes=1000), 0.2)
    metrics.record(RunReport(2, "default", RunStatus.FAILED, error=UpstreamUnreachable("x", kind="timeout")), 9)
    metrics.record(RunReport(3, "default", RunStatus.HELD, error=AnswerHeld("x")), 0.1)

    found = samples(metrics)
    assert {
        labelled("syncer_runs_total", status="ok", error_kind=""): 1,
        labelled("syncer_runs_total", status="failed", error_kind="timeout"): 1,
        labelled("syncer_runs_total", status="held", error_kind=""): 1,
        labelled("syncer_transitions_total", transition="created"): 5,
        labelled("syncer_transitions_total", transition="deleted"): 0,
        labelled("syncer_guard_holds_total"): 1,
        labelled("syncer_rejected_items_total"): 2,
        labelled("syncer_body_bytes_total"): 1000,
        labelled("syncer_run_seconds_count"): 3,
    }.items() <= found.items()


def test_the_mirror_is_shown_by_account() -> None:
    status = AccountStatus(
        account="default", state="ok", data_as_of=NOW - timedelta(seconds=90), age_seconds=90, last_run_at=NOW,
        last_status="ok", consecutive_failures=0, last_error=None, listed=9, live=7, deleted=2, expired=1,
    )  # fmt: skip

    found = samples(Metrics(["default"]), status)
    assert {
        labelled("syncer_listed"): 9, labelled("syncer_live"): 7, labelled("syncer_deleted"): 2, labelled("syncer_expired"): 1,
        labelled("syncer_seconds_since_last_success"): 90,
    }.items() <= found.items()  # fmt: skip


def test_series_exist_before_the_first_run() -> None:
    assert samples(Metrics(["default"]))[labelled("syncer_runs_total", status="ok", error_kind="")] == 0
