"""`syncer run`: every account on its schedule, and what is seen of it from outside."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from queue import SimpleQueue

from syncer.daemon import health
from syncer.daemon.leased_runs import Runs
from syncer.daemon.loop import Daemon, Job
from syncer.daemon.metrics import Grown, Metrics
from syncer.daemon.notify import systemd_notifier, watchdog_seconds
from syncer.daemon.presence import Plans, told
from syncer.daemon.senders import Senders
from syncer.errors import DatabaseFailed
from syncer.rules.schedule import Again
from syncer.settings.config import AccountSettings
from syncer.storage import database, growth, schema
from syncer.views import estate
from syncer.views.receivers import read_receivers

TICK_IS_LATE_SECONDS = 10.0


def run_unattended(runs: Runs, metrics: Metrics, environment: Mapping[str, str]) -> bool:
    """Run until a signal says stop; True if everything had ended by itself within the grace.

    Raises `ConfigurationError` for an address that cannot be listened on.
    """
    notify = systemd_notifier(environment)
    changed: SimpleQueue[str] = SimpleQueue()
    senders = Senders(runs)
    runs.on_prepared = senders.begin

    def run(configured: AccountSettings) -> Again | None:
        try:
            return runs.run_if_due(configured)
        finally:
            senders.wake()

    daemon = Daemon(
        [Job(configured.name, configured.schedule, partial(run, configured)) for configured in runs.settings.accounts],
        runs.stop,
        on_planned=changed.put,
        on_reread=runs.reread,
        on_tick=_watchdog(notify, watchdog_seconds(environment)),
    )
    daemon.listen_to_signals()
    with ExitStack() as stack:
        if runs.settings.listen is not None:
            stack.enter_context(
                health.serve(
                    runs.settings.listen,
                    is_alive=lambda: time.monotonic() - daemon.ticked_at < TICK_IS_LATE_SECONDS,
                    readiness=partial(unready, runs),
                    metrics=partial(_exposition, runs, metrics),
                )
            )
        notify(f"READY=1\nSTATUS=polling {len(runs.settings.accounts)} accounts")
        accounts = frozenset(configured.name for configured in runs.settings.accounts)
        plans = Plans(accounts, daemon.next_run_at, runs.clock, changed)
        stack.enter_context(told(runs.engine, runs.holder, plans))
        stack.enter_context(senders.running(runs.settings.receivers))
        ended = daemon.run_until_stopped()
        notify("STOPPING=1")
    return ended


def unready(runs: Runs) -> list[str]:
    """Why the mirror should not be relied on now, one line a reason."""
    try:
        schema.require_current(runs.engine)
        known = _statuses(runs, runs.clock())
    except DatabaseFailed as error:
        return [str(error)]
    return [
        reason
        for configured in runs.settings.accounts
        if (reason := _why_not_fresh(configured, known.get(configured.name)))
    ]


def _why_not_fresh(configured: AccountSettings, status: estate.AccountStatus | None) -> str | None:
    if status is not None and status.is_retired:
        return None
    if status is None or status.data_as_of is None:
        return f"account {configured.name}: no answer was accepted yet"
    if not status.is_fresh:
        return f"account {configured.name}: {status.state}, its data is {status.age_seconds} s old"
    return None


def _statuses(runs: Runs, now: datetime) -> dict[str, estate.AccountStatus]:
    with database.reading(runs.engine, "reading the accounts' status") as connection:
        return {status.account: status for status in estate.read_accounts(connection, now)}


def _exposition(runs: Runs, metrics: Metrics) -> bytes:
    """The metrics; without the gauges of the mirror while the database does not answer."""
    now = runs.clock()
    try:
        with database.reading(runs.engine, "reading what grows") as connection:
            oldest = growth.oldest_transaction_seconds(connection)
            receivers = read_receivers(connection, [one.receiver for one in runs.settings.receivers])
        expected = [status for status in _statuses(runs, now).values() if not status.is_retired]
        return metrics.text(expected, now, Grown(growth.log_bytes(runs.engine), oldest), receivers)
    except DatabaseFailed:
        return metrics.text([], now)


def _watchdog(notify: Callable[[str], None], seconds: float | None) -> Callable[[], None]:
    """Tells systemd of the loop's ticks, at half the interval that it asks for."""
    if seconds is None:
        return lambda: None
    told_at = 0.0

    def tick() -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= seconds / 2 - 0.5:
            told_at = time.monotonic()
            notify("WATCHDOG=1")

    return tick
