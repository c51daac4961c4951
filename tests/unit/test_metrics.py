"""What Prometheus reads of the daemon."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

import syncer
from syncer.daemon.metrics import FAILURES, OTHER_FAILURE, WARNINGS, Grown, Metrics
from syncer.errors import AnswerHeld, SyncerError, UpstreamUnreachable
from syncer.model import RunResult, RunStatus
from syncer.views.estate import AccountStatus
from syncer.views.receivers import ReceiverStatus

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
    metrics.record(RunResult(1, "default", RunStatus.OK, 5, 5, 0, {"created": 5}, 2, body_bytes=1000), 0.2)
    metrics.record(RunResult(2, "default", RunStatus.FAILED, error=UpstreamUnreachable("x", kind="timeout")), 9)
    metrics.record(RunResult(3, "default", RunStatus.HELD, error=AnswerHeld("x")), 0.1)

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


STATUS = AccountStatus(
    account="default", state="ok", data_as_of=NOW - timedelta(seconds=90), age_seconds=90, last_run_at=NOW,
    last_status="ok", consecutive_failures=0, last_error=None, listed=9, live=7, deleted=2, expired=1, warning=None, is_fresh=True,
)  # fmt: skip


def test_what_grows_in_the_database_is_shown() -> None:
    told = Metrics(["default"]).text([STATUS], NOW, Grown(5, 7.5)).decode()

    assert "\nsyncer_database_wal_bytes 5.0\n" in told
    assert "\nsyncer_database_oldest_transaction_seconds 7.5\n" in told


def test_receivers_are_shown_by_name_and_one_that_takes_everything_fails_since_no_time() -> None:
    receivers = [
        ReceiverStatus("crm", "standard", "ok", behind=0),
        ReceiverStatus("bot", "telegram", "failing", behind=3, behind_seconds=70, failing_since=NOW, tries=2),
        ReceiverStatus("elsewhere", None, "left"),
    ]
    told = Metrics(["default"]).text([STATUS], NOW, receivers=receivers).decode()

    assert 'syncer_receiver_behind{receiver="crm"} 0.0' in told
    assert 'syncer_receiver_behind{receiver="bot"} 3.0' in told
    assert 'syncer_receiver_behind_seconds{receiver="bot"} 70.0' in told
    assert f'failing_since_timestamp_seconds{{receiver="bot"}} {NOW.timestamp():.7e}' in told
    assert 'failing_since_timestamp_seconds{receiver="crm"}' not in told
    assert "elsewhere" not in told


def test_the_mirror_is_shown_by_account() -> None:
    found = samples(Metrics(["default"]), STATUS)
    assert {
        labelled("syncer_listed"): 9, labelled("syncer_live"): 7, labelled("syncer_deleted"): 2, labelled("syncer_expired"): 1,
        labelled("syncer_seconds_since_last_success"): 90,
        labelled("syncer_last_success_timestamp_seconds"): NOW.timestamp() - 90,
    }.items() <= found.items()  # fmt: skip


def test_warnings_are_shown_one_by_one() -> None:
    found = samples(Metrics(["default"]), STATUS._replace(warning="overlap,zone"))

    shown = {word: found[labelled("syncer_warning", warning=word)] for word in WARNINGS}
    assert shown == {"blind_gap": 0, "overlap": 1, "mass_change": 0, "zone": 1}


def test_series_exist_before_the_first_run() -> None:
    assert samples(Metrics(["default"]))[labelled("syncer_runs_total", status="ok", error_kind="")] == 0


def test_every_failure_has_a_series_before_its_first() -> None:
    found = samples(Metrics(["default"]))

    assert {0} == {
        found[labelled("syncer_runs_total", status="failed", error_kind=kind)] for kind in (*FAILURES, OTHER_FAILURE)
    }


def test_every_kind_of_failure_in_the_code_is_known() -> None:
    """A run that fails for a kind that is not in FAILURES is counted, but as one of the others."""
    not_a_failed_run = {"held", "superseded", "stopped", "under_way", "abandoned", "receiver"}
    sources = "".join(path.read_text() for path in Path(*syncer.__path__).glob("*.py") if path.stem != "probe")
    named = set(
        re.findall(r'\bkind ?= ?"(\w+)"|_unreachable\([^\n]*, "(\w+)"\)|"(\w+)" if status == 429 else', sources)
    )

    assert {kind for groups in named for kind in groups if kind} - not_a_failed_run - set(FAILURES) == set()


def test_a_failure_of_an_unknown_kind_makes_no_series_of_its_own() -> None:
    metrics = Metrics(["default"])
    before = set(samples(metrics))
    metrics.record(RunResult(1, "default", RunStatus.FAILED, error=SyncerError("x", kind="never heard of")), 1)

    assert before == set(samples(metrics))
    assert 1 == samples(metrics)[labelled("syncer_runs_total", status="failed", error_kind=OTHER_FAILURE)]


def test_while_the_database_is_silent_the_age_grows_and_counts_are_not_shown() -> None:
    metrics = Metrics(["default"])
    metrics.text([STATUS], NOW)
    silent = metrics.text([], NOW + timedelta(hours=5)).decode()

    assert 'syncer_seconds_since_last_success{account="default"} 18090.0' in silent.splitlines()
    assert "syncer_live{" not in silent
