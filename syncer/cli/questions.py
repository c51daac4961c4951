"""The commands for what people ask of the mirror, from its views; they write nothing."""

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, cast

import click

from syncer.cli.command import (
    INSTANCE_ID,
    SHOWN,
    Context,
    account_filter,
    gathered,
    json_flag,
    known_accounts,
    moment_of,
    now,
    with_settings,
)
from syncer.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from datetime import datetime


@click.command()
@with_settings
@click.argument("id_instance", metavar="ID", type=INSTANCE_ID)
@json_flag
def explain(context: Context, id_instance: int, as_json: bool) -> None:
    """Tell one instance's life in plain words. Each step names the run that saw it."""
    from syncer.storage import database, schema
    from syncer.terminal import printing
    from syncer.views import explain

    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the instance") as connection:
        life = explain.read_life(connection, id_instance)
        near = [] if life else explain.near_ids(connection, id_instance)
    if life is None:
        raise ConfigurationError(f"explain: {explain.unknown(id_instance, near)}")
    lines = explain.tell(life)
    if as_json:
        printing.print_json(explain.document(life, lines))
    else:
        for text in lines:
            printing.line(text)


@click.command()
@with_settings
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", default="now")
@json_flag
def diff(context: Context, before: str, after: str, as_json: bool) -> None:
    """Show what changed between two moments. For example: diff 2026-10-01 now."""
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.views import past

    first, second = _moment_or_now("A", before), _moment_or_now("B", after)
    if first > second:
        raise ConfigurationError(f"diff: A ({before}) lies after B ({after}); exchange them")
    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the past") as connection:
        found = past.difference(connection, first, second)
    if as_json:
        printing.print_json(found)
    else:
        render.print_difference(found, SHOWN)


def _moment_or_now(name: str, text: str) -> "datetime":
    return (moment_of(name, text) if text != "now" else None) or now()


@click.command()
@with_settings
@click.argument("view")
@click.option("--format", "format_", default=None, help="csv, jsonl or parquet; by the file's ending if not given.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file; standard output if not given.")
def export(context: Context, view: str, format_: str | None, output: Path | None) -> None:
    """Write a view as csv, jsonl or parquet."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from syncer.storage import database, schema
    from syncer.terminal import printing
    from syncer.views import export as files
    from syncer.views.catalogue import VIEWS
    from syncer.views.strangers_text import StillBytes

    if view not in VIEWS:
        raise ConfigurationError(f"export: there is no view {view!r}; {did_you_mean(view, VIEWS)}")
    ending = output.suffix.removeprefix(".").lower() if output is not None else ""
    chosen_format = (format_ or ending or "csv").lower()
    if chosen_format not in files.FORMATS:
        known = ", ".join(files.FORMATS)
        if format_:
            raise ConfigurationError(f"--format: {format_!r} is none of {known}")
        raise ConfigurationError(f"export: the ending of {output} is none of {known}; name the format by --format")
    if output is None and chosen_format == "parquet" and sys.stdout.isatty():
        raise ConfigurationError("export: Parquet is not for a terminal; name a file with -o FILE")
    schema.require_current(context.engine)
    errors = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        database.reading(context.engine, f"reading {view}") as connection,
        Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress,
    ):
        task = progress.add_task(f"{view}: 0 rows", total=None)

        def told(rows: int) -> None:
            progress.update(task, description=f"{view}: {rows} rows")

        rows = files.batches(connection, VIEWS[view])
        if output is None:
            # What is sent on stays as it is; what is looked at must not move the terminal's cursor.
            out = cast("IO[bytes]", StillBytes(sys.stdout.buffer)) if sys.stdout.isatty() else sys.stdout.buffer
            files.write(chosen_format, VIEWS[view], rows, out, told)
            return
        with files.opened(output) as file:
            written = files.write(chosen_format, VIEWS[view], rows, file, told)
    printing.line(f"{written} rows of {view} are in {output}")


class _ReportOptions(NamedTuple):
    """Whose report is asked for, and where it goes."""

    account_name: str | None
    customer: str | None
    month: str | None
    html_file: Path | None


@click.command()
@with_settings
@click.argument("month", required=False)
@account_filter
@click.option("--customer", metavar="NAME", help="This customer's statement of MONTH: days and price, nothing else.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write one self-contained page instead.")
@json_flag
@gathered("asked", _ReportOptions)
def report(context: Context, asked: _ReportOptions, as_json: bool) -> None:
    """Show the estate in figures; --html FILE adds charts.

    With --customer it is what one customer is charged for MONTH, such as 2026-11, or this one if not given.
    """
    from syncer.storage import schema

    if asked.customer is None and asked.month is not None:
        raise ConfigurationError(f"report: {asked.month} is a month of a customer's statement; add --customer NAME")
    if asked.customer is not None and asked.account_name is not None:
        raise ConfigurationError("report: a statement is of all accounts; leave out --account")
    schema.require_current(context.engine)
    if asked.customer is None:
        _report(context, asked, as_json)
    else:
        _statement(context, asked, as_json)


def _report(context: Context, asked: _ReportOptions, as_json: bool) -> None:
    from syncer.storage import database
    from syncer.terminal import printing, render
    from syncer.views import estate, export, figures

    moment = now()
    with database.reading(context.engine, "reading the report") as connection:
        known_accounts(estate.read_accounts(connection, moment), asked.account_name)
        found = figures.read_figures(connection, moment, asked.account_name)
    if asked.html_file is not None:
        from syncer.views.report.page import page

        with export.opened(asked.html_file) as out:
            out.write(page(found, context.settings.language).encode())
        printing.line(f"the report is in {asked.html_file}")
    elif as_json:
        printing.print_json(found)
    else:
        render.print_report(found)


def _statement(context: Context, asked: _ReportOptions, as_json: bool) -> None:
    from syncer.rules.timeline import billing_day
    from syncer.storage import database
    from syncer.terminal import printing, render
    from syncer.terminal.customers import statement_table
    from syncer.views import export
    from syncer.views.bill import month_of
    from syncer.views.statement import known_customers, read_statement

    moment = now()
    month = month_of(asked.month, billing_day(moment))
    with database.reading(context.engine, "reading the statement") as connection:
        known = known_customers(connection)
        if asked.customer not in known:
            raise ConfigurationError(
                f"--customer: nothing is {asked.customer!r}'s; {did_you_mean(asked.customer or '', known)}"
            )
        found = read_statement(connection, asked.customer, month, moment)
    if asked.html_file is not None:
        from syncer.views.report.page import statement_page

        with export.opened(asked.html_file) as out:
            out.write(statement_page(found, context.settings.language).encode())
        printing.line(f"the statement is in {asked.html_file}")
    elif as_json:
        printing.print_json(found.document())
    else:
        render.console().print(statement_table(found))
        for currency, amount in found.totals.items():
            printing.line(f"in all: {amount:,.2f} {currency}")
