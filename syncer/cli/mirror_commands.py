"""The commands that keep the mirror: runs, plans, the daemon."""

import logging
import os
import sys
from typing import Any

import click

from syncer.cli.command import Command, Context, account_filter, chosen, json_flag, now, runs_of, scrub, with_settings
from syncer.errors import SyncerError
from syncer.settings.logs import leave_out


@click.command(cls=Command, epilog="syncer sync --account north")
@with_settings
@account_filter
@json_flag
def sync(context: Context, account_name: str | None, as_json: bool) -> int:
    """One run of every account, then exit."""
    from syncer.terminal import printing

    accounts = chosen(context, account_name)
    runs = runs_of(context)
    if sys.stdout.isatty() and sys.stderr.isatty() and not as_json and context.settings.log_format is None:
        leave_out("run_finished", "run_not_started")  # the results stand on the same terminal
    results = []
    for configured in accounts:
        results.append(runs.run_now(configured))
        if not as_json:
            printing.print_run(context.words, results[-1])
    if as_json:
        printing.print_json({"runs": [printing.run_document(result) for result in results]})
    return next((result.exit_code for result in results if result.exit_code), 0)


@click.command(cls=Command, epilog="syncer plan")
@with_settings
@account_filter
@json_flag
def plan(context: Context, account_name: str | None, as_json: bool) -> int:
    """Show what a run would change, field by field; write nothing."""
    from syncer.errors import AnswerHeld
    from syncer.rules import guard
    from syncer.storage import schema
    from syncer.sync import plan as plan_run
    from syncer.terminal import printing

    accounts = chosen(context, account_name)
    runs = runs_of(context)
    state = schema.read_state(context.engine)
    if state is not schema.SchemaState.EMPTY:
        schema.require_current(context.engine)
    engine = None if state is schema.SchemaState.EMPTY else context.engine
    plans: list[dict[str, Any]] = []
    exit_codes: list[int] = []
    for configured in accounts:
        try:
            planned = plan_run(engine, runs.terms(configured), runs.fetcher(configured), now)
            made = printing.plan_document(configured.name, planned)
            held: SyncerError | None = (
                AnswerHeld(guard.describe(planned.hold, None)) if planned.hold is not None else None
            )
        except SyncerError as error:
            made = {"account": configured.name, "status": "failed", "changes": []}
            held = error
        made |= {"error_kind": held.kind if held else None, "error": scrub(str(held)) if held else None}
        exit_codes.append(held.exit_code if held else 0)
        plans.append(made)
        if not as_json:
            printing.print_plan(context.words, made)
    if as_json:
        printing.print_json({"plans": plans})
    return next((code for code in exit_codes if code), 0)


@click.command(cls=Command, epilog="syncer run --schedule 15m --listen 127.0.0.1:9464")
@with_settings
def run(context: Context) -> None:
    """Run as a daemon: now, then on the schedule. SIGTERM or SIGINT ends it."""
    from syncer.daemon.metrics import Metrics
    from syncer.daemon.unattended import run_unattended
    from syncer.settings.receivers import check_receivers

    check_receivers(context.settings.receivers)
    is_read = context.settings.listen is not None  # an account's series take 25 kB
    metrics = Metrics(configured.name for configured in context.settings.accounts if is_read)
    runs = runs_of(context, metrics.record) if is_read else runs_of(context)
    if not run_unattended(runs, metrics, os.environ):
        # A thread that cannot be interrupted must not keep the process; its transaction is rolled back.
        logging.shutdown()
        os._exit(0)
