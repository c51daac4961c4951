"""The commands that keep the mirror, and the last resort for what any command may raise."""

import errno
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

import click

from syncer import __version__
from syncer.cli.command import (
    INSTANCE_ID,
    RUN_ID,
    Context,
    Group,
    account_filter,
    chosen,
    json_flag,
    moment_of,
    now,
    runs_of,
    scrub,
    with_settings,
)
from syncer.cli.copy_command import copy_database
from syncer.cli.questions import COMMANDS, DATABASE_COMMANDS, known_accounts
from syncer.errors import ConfigurationError, SyncerError
from syncer.model import Transition
from syncer.scrub import secrets_of
from syncer.settings.logs import ScrubbedStream

log = logging.getLogger("syncer")

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from syncer.storage import schema

        click.echo(f"syncer {__version__} (schema {schema.head()})")
        context.exit()


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Show syncer's version and its schema's, and exit.",
)  # fmt: skip
def cli() -> None:
    """Mirror a GREEN-API partner's instances into SQL, with a history of every deletion, expiry and renewal."""


@cli.command()
@with_settings
@account_filter
@json_flag
def sync(context: Context, account_name: str | None, as_json: bool) -> int:
    """One run of every account, then exit."""
    from syncer.terminal import printing

    accounts = chosen(context, account_name)
    runs = runs_of(context)
    reports = []
    for account in accounts:
        reports.append(runs.run_now(account))
        if not as_json:
            printing.print_run(reports[-1])
    if as_json:
        printing.print_json({"runs": [printing.run_document(report) for report in reports]})
    return next((report.exit_code for report in reports if report.exit_code), 0)


@cli.command()
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
    state = schema.examine(context.engine)
    if state is not schema.SchemaState.EMPTY:
        schema.require_current(context.engine)
    engine = None if state is schema.SchemaState.EMPTY else context.engine
    plans: list[dict[str, Any]] = []
    exit_codes: list[int] = []
    for account in accounts:
        try:
            planned = plan_run(engine, runs.account(account), runs.fetcher(account), now)
            made = printing.plan_document(account.name, planned)
            held: SyncerError | None = (
                AnswerHeld(guard.describe(planned.hold, None)) if planned.hold is not None else None
            )
        except SyncerError as error:
            made = {"account": account.name, "status": "failed", "changes": []}
            held = error
        made |= {"error_kind": held.kind if held else None, "error": scrub(str(held)) if held else None}
        exit_codes.append(held.exit_code if held else 0)
        plans.append(made)
        if not as_json:
            printing.print_plan(made)
    if as_json:
        printing.print_json({"plans": plans})
    return next((code for code in exit_codes if code), 0)


@cli.command()
@with_settings
def run(context: Context) -> None:
    """Run as a daemon: now, then on the schedule. SIGTERM or SIGINT ends it."""
    from syncer.daemon.metrics import Metrics
    from syncer.daemon.unattended import run_unattended

    metrics = Metrics(account.name for account in context.settings.accounts)
    if not run_unattended(runs_of(context, metrics.record), metrics, os.environ):
        # A thread that cannot be interrupted must not keep the process; its transaction is rolled back.
        logging.shutdown()
        os._exit(0)


@cli.command()
@with_settings
@click.argument("run_id", metavar="RUN", type=RUN_ID)
def approve(context: Context, run_id: int) -> None:
    """Let through what run RUN was held for, and nothing larger."""
    from syncer.storage import database, runs, schema

    schema.require_current(context.engine)
    with database.writing(context.engine, "approving the run") as connection:
        is_new = runs.approve(connection, run_id, now())
    click.echo(
        f"run {run_id} is approved: the next answer passes if it lacks nothing more"
        if is_new
        else f"run {run_id} was approved before; the next answer passes if it lacks nothing more"
    )


@cli.command()
@with_settings
@click.option("--as-of", "as_of", metavar="TIME", help="Show the estate at a past moment instead.")
@json_flag
def status(context: Context, as_of: str | None, as_json: bool) -> int:
    """Show freshness, counts and the last runs. Exit code 0 only when every account is fresh."""
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.views import estate, past

    moment = moment_of("--as-of", as_of)
    if moment is not None and moment > now():
        raise ConfigurationError(f"--as-of: {as_of} has not come yet; name a past moment")
    schema.require_current(context.engine)
    if moment is not None:
        with database.reading(context.engine, "reading the past") as connection:
            found = past.estate_at(connection, moment)
        if as_json:
            printing.print_json(found)
        else:
            render.print_estate_at(found)
        return 0
    with database.reading(context.engine, "reading the status") as connection:
        accounts = estate.read_accounts(connection, now())
        runs = estate.read_runs(connection)
        held = estate.read_held(connection)
        leases = estate.read_leases(connection)
    schedules = {account.name: account.schedule for account in context.settings.accounts}
    for lease in leases:
        schedule = schedules.get(lease["account"])
        lease["next_run_at"] = schedule.due(lease["started_at"]) if schedule and lease["started_at"] else None
    if as_json:
        printing.print_json(render.status_document(accounts, runs, held, leases))
    else:
        render.print_status(accounts, runs, held, leases)
    return 0 if accounts and all(account.is_fresh for account in accounts) else 3


@cli.command()
@with_settings
@click.argument("id_instance", metavar="[ID]", type=INSTANCE_ID, required=False)
@account_filter
@click.option("--transition", "words", multiple=True, type=click.Choice([str(word) for word in Transition]))
@click.option(
    "--since",
    metavar="TIME",
    help="Observed at or after this time; a date is 00:00 UTC+3, else UTC.",
)
@click.option("--until", metavar="TIME", help="Observed before this time.")
@click.option("--limit", type=click.IntRange(min=1), help="At most the newest so many; 1000 on a terminal.")
@json_flag
def history(
    context: Context,
    id_instance: int | None,
    account_name: str | None,
    words: tuple[str, ...],
    since: str | None,
    until: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show transitions, newest last."""
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.views import estate, explain

    wanted = estate.HistoryFilter(
        id_instance=id_instance,
        account=account_name,
        transitions=[Transition(word) for word in words],
        since=moment_of("--since", since),
        until=moment_of("--until", until),
        limit=limit or (1000 if sys.stdout.isatty() else None),
    )
    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the history") as connection:
        events = estate.read_history(connection, wanted)
        if not events:
            known_accounts(estate.read_accounts(connection, now()), account_name)
        if not events and id_instance is not None and explain.read_life(connection, id_instance) is None:
            raise ConfigurationError(
                f"history: {explain.unknown(id_instance, explain.near_ids(connection, id_instance))}"
            )
    if as_json:
        printing.print_json({"history": events})
    elif events:
        render.console().print(render.history_table(events))
    else:
        click.echo("no transitions match")


@cli.command()
@with_settings
@account_filter
@json_flag
def doctor(context: Context, account_name: str | None, as_json: bool) -> int:
    """Check settings, upstream, database, schema and clock. Each finding has its remedy."""
    from syncer.daemon.leased_runs import log_try
    from syncer.doctor import checks as examination
    from syncer.settings import config
    from syncer.terminal import printing

    found = []
    for finding in examination.examine(
        context.settings,
        context.engine,
        scrub=context.scrub,
        secret_files=examination.secret_files(context.flags, os.environ, context.config_file, Path.cwd()),
        accounts=chosen(context, account_name),
        unknown_variables=config.unknown_variables(os.environ),
        stop=threading.Event(),
        clock=now,
        on_try=log_try,
    ):
        found.append(finding)
        if not as_json:
            for text in examination.lines(finding):
                printing.line(text)
    if as_json:
        printing.print_json(examination.document(found))
    return examination.exit_code(found)


@cli.command()
@with_settings
@account_filter
@json_flag
def probe(context: Context, account_name: str | None, as_json: bool) -> int:
    """Show the shape of an answer, never a name or a secret. Calls the upstream once."""
    from syncer.answer.reader import read_body
    from syncer.doctor import probe as shape
    from syncer.terminal import printing

    accounts = chosen(context, account_name)
    runs = runs_of(context)
    documents = []
    exit_codes = []
    for account in accounts:
        headers: dict[str, str] = {}

        def keep_last(told: Mapping[str, str], headers: dict[str, str] = headers) -> None:
            headers.clear()
            headers.update(told)

        began = time.monotonic()
        try:
            answer = runs.fetcher(account, keep_last)(b"".join)
        except SyncerError as error:
            exit_codes.append(_complain(f"{account.name}: {error}", error.exit_code))
            documents.append({"account": account.name, "error_kind": error.kind, "error": context.scrub(str(error))})
            continue
        document = shape.examine(
            answer.body,
            headers,
            time.monotonic() - began,
            now(),
            upstream_offset=context.settings.upstream_offset,
            scrub=context.scrub,
        )
        documents.append({"account": account.name, **document})
        if not as_json:
            printing.line(f"account {account.name}")
            for text in shape.lines(document):
                printing.line(text)
        try:
            read_body(answer.body, runs.account(account).decoder)
        except SyncerError as error:
            exit_codes.append(_complain(f"{account.name}: {error}", error.exit_code))
    if as_json:
        printing.print_json({"probes": documents})
    return next(iter(exit_codes), 0)


@cli.command()
@with_settings
@json_flag
def verify(context: Context, as_json: bool) -> int:
    """Check the promises of the tables on this database. Exit code 1 when one is broken."""
    from syncer.storage import schema
    from syncer.terminal import printing
    from syncer.views import verify as promises

    schema.require_current(context.engine)
    verification = promises.verify(context.engine)
    if as_json:
        printing.print_json(promises.document(verification))
    else:
        for text in promises.lines(verification):
            printing.line(text)
    return 0 if verification.holds else 1


@cli.group(cls=Group)
def db() -> None:
    """The database's schema and rights."""


@db.command()
@with_settings
def upgrade(context: Context) -> None:
    """Bring the schema to this syncer's version."""
    from rich.console import Console
    from rich.progress import Progress

    from syncer.storage import schema

    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("working out the timeline of each instance", total=None)
        schema.upgrade(context.engine, lambda done, total: progress.update(task, completed=done, total=total))
    click.echo(f"the schema is at {schema.head()}")


@db.command()
@with_settings
@click.argument("revision")
def downgrade(context: Context, revision: str) -> None:
    """Bring the schema back to REVISION, for an older syncer. Stop every syncer first."""
    from syncer.storage import schema

    schema.downgrade(context.engine, revision)
    click.echo(f"the schema is at {revision}; install the syncer that works on it before anything runs")


@db.command()
@with_settings
def current(context: Context) -> None:
    """Show the schema's version."""
    from syncer.storage import database, schema

    if schema.examine(context.engine) is schema.SchemaState.EMPTY:
        click.echo(f"none (this syncer works on {schema.head()})")
        return
    with database.reading(context.engine, "reading the schema's version") as connection:
        click.echo(f"{schema.current(connection)} (this syncer works on {schema.head()})")


@db.command()
@with_settings
def check(context: Context) -> None:
    """Check that the schema is what this syncer works on. Exit code 0 only then."""
    from syncer.storage import database, schema

    schema.require_current(context.engine)
    schema.compare(context.engine)
    click.echo(f"the schema is at {schema.head()} and as it should be")
    if not database.has_write_ahead_log(context.engine):
        click.echo("careful: the file is without a write-ahead log, as after a restore; the next run sets it")


@db.command()
@with_settings
def repair(context: Context) -> None:
    """Set rows of `instances` that were edited by hand back to what their history says."""
    from syncer.storage import database, schema
    from syncer.storage import repair as rows

    schema.require_current(context.engine)
    with database.writing(context.engine, "repairing rows") as connection:
        ids = rows.repair(connection)
    if not ids:
        click.echo("every row is what its history says; nothing was repaired")
        return
    shown = ", ".join(map(str, ids[:20])) + (f" and {len(ids) - 20} more" if len(ids) > 20 else "")
    click.echo(f"{len(ids)} rows were set back ({shown}); the next answer is compared in full")


for answer in COMMANDS:
    cli.add_command(answer)
for answer in (copy_database, *DATABASE_COMMANDS):
    db.add_command(answer)


@cli.command("fake-api")
@click.option("--scenario", default="demo", show_default=True, help="What it answers, poll by poll; 'list' lists them.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
def fake_api(scenario: str, port: int, host: str) -> None:
    """Serve a local stand-in for the partner API. Its answers follow a script."""
    from syncer.demo import demo

    demo.serve(scenario, host, port, now())


@cli.command("demo")
@click.option(
    "--database", type=click.Path(path_type=Path), default=Path("demo.db"), show_default=True,
    help="The SQLite file to write; that of an earlier demo is replaced.",
)  # fmt: skip
def demo_command(database: Path) -> None:
    """See syncer at work, no token needed. It polls a fake API over simulated days and shows what it knows then."""
    from syncer.demo import demo

    logging.getLogger().addHandler(logging.NullHandler())  # each run is told on standard output
    demo.play(database, now())


def main() -> NoReturn:
    """Run a command and exit with its code; what no command foresaw ends here."""
    start_lightly()
    _open_missing_channels()
    standard_output = sys.stdout
    if isinstance(standard_output, TextIOWrapper):
        standard_output.reconfigure(errors="replace")  # a name that this locale cannot show is no reason to end
    _scrub_errors()
    try:
        code = _run()
        sys.stdout.flush()  # here an error of writing can still be told
    except BrokenPipeError:
        # The reader of standard output has gone, as `head` does; the interpreter must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except SystemExit as ended:
        # When the reader has gone, click wraps standard output and exits with 1, which is our word for a defect.
        code = 0 if sys.stdout is not standard_output else ended.code
    except OSError as error:
        if error.filename is not None or error.errno not in FULL:
            code = _report_defect(error)
        else:
            # Whatever is left in the buffer cannot be written either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = _complain(f"writing the result: {error.strerror}; free some room, or write elsewhere", 2)
    except Exception as error:  # noqa: BLE001 - the last resort: a defect, shown with its traceback but no secret
        code = _report_defect(error)
    try:
        sys.stderr.flush()
    except OSError:  # a log that is lost costs no run; the interpreter must not fail by it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    gc.freeze()  # the interpreter's last look for garbage would walk all that was imported: 0.07 s of 0.45
    sys.exit(code if isinstance(code, int) else 0)


def start_lightly() -> None:
    """Spare the process what it has no use for; measured as CPU seconds of Python 3.11."""
    # Rows come by the thousand and stay: with Python's own 700, a first sync of 100,000 spends 1.1 s of 9 on looking
    # for garbage that is not there, with this 0.2.
    gc.set_threshold(5_000)
    # `import httpx` brings its own command line, and with it rich and pygments: 0.08 s of 0.21, at every run by cron.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None says: not to be imported


def _scrub_errors() -> None:
    """Let no secret out by standard error, not even one that was given where something else belongs."""
    scrub.learn(*secrets_of(os.environ))
    scrub.learn_misplaced(*(part for argument in sys.argv[1:] for part in (argument, argument.partition("=")[2])))
    sys.stderr = ScrubbedStream(sys.stderr, scrub)


def _open_missing_channels() -> None:
    """Let standard channels that are closed lead nowhere.

    The next file that is opened would get the number of a missing one, and log lines would go into the database.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


def _run() -> object:
    """The command's exit code; an error that a user can meet is one line on standard error."""
    try:
        return cli.main(prog_name="syncer", standalone_mode=False)
    except SyncerError as error:
        return _complain(str(error), error.exit_code)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        hint = f" (see: {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        return _complain(error.format_message() + hint, 2)
    except (click.Abort, KeyboardInterrupt):
        return _complain("stopped", 130)


def _report_defect(error: Exception) -> int:
    import traceback

    text = "".join(traceback.format_exception(error))
    return _complain(f"{text}this is a defect in syncer, please report it", 1)


def _complain(message: str, code: int) -> int:
    from syncer.views.strangers_text import still

    with suppress(OSError):  # nobody can be told; the exit code is all that is left
        click.echo(f"syncer: {still(message)}", err=True)
    return code
