"""The commands for what people ask of the mirror, from its views; they write nothing."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, cast

import click

from syncer.cli.command import (
    INSTANCE_ID,
    SHOWN,
    Command,
    Context,
    account_filter,
    gathered,
    json_flag,
    now,
    require_account,
    with_settings,
)
from syncer.cli.moments import moment_of
from syncer.errors import ConfigurationError, did_you_mean
from syncer.words.language import Language
from syncer.words.terminal import terminal_words


@click.command(cls=Command, epilog="syncer explain 1101000001")
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
    if as_json:
        printing.print_json(explain.document(life, explain.tell(terminal_words(Language.EN), life)))
    else:
        for text in explain.tell(context.words, life):
            printing.line(text)


@click.command(cls=Command, epilog="syncer find Такси")
@with_settings
@click.argument("wanted", metavar="TEXT")
@account_filter
@json_flag
def find(context: Context, wanted: str, account_name: str | None, as_json: bool) -> None:
    """Find instances by a part of their name, id or customer. Capital letters make no difference."""
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.views.find import read_found

    if not wanted.strip():
        raise ConfigurationError("find: TEXT is empty; give a part of a name, an id or a customer")
    schema.require_current(context.engine)
    with database.reading(context.engine, "looking for instances") as connection:
        require_account(context, connection, account_name)
        found = read_found(connection, wanted.strip(), account_name)
    if as_json:
        printing.print_json({"found": found})
    elif found:
        render.print_found(context.words, found, SHOWN)
    else:
        printing.line(context.words("found_none"))


@click.command(cls=Command, epilog="syncer diff 2026-10-01 2026-11-01")
@with_settings
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", default="now")
@account_filter
@json_flag
def diff(context: Context, before: str, after: str, account_name: str | None, as_json: bool) -> None:
    """Show what changed between two moments. They are days, times, or words such as yesterday and 7d."""
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.views import past

    moment = now()
    first, second = moment_of("A", before, moment), moment_of("B", after, moment)
    assert first is not None  # noqa: S101 - both are given
    assert second is not None  # noqa: S101 - the same
    if first > second:
        raise ConfigurationError(f"diff: A ({before}) lies after B ({after}); exchange them")
    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the past") as connection:
        require_account(context, connection, account_name)
        found = past.difference(connection, first, second, account_name)
    if as_json:
        printing.print_json(found)
    else:
        render.print_difference(context.words, found, SHOWN)


class _ExportOptions(NamedTuple):
    """Which file is asked for."""

    view: str
    account_name: str | None
    format_: str | None
    reader: str | None
    output: Path | None

    def format(self) -> str:
        """By the flag, else by the file's ending; raises `ConfigurationError`."""
        from syncer.views.export import FORMATS

        ending = self.output.suffix.removeprefix(".").lower() if self.output is not None else ""
        chosen = (self.format_ or ending or "csv").lower()
        known = ", ".join(FORMATS)
        if chosen not in FORMATS and self.format_:
            raise ConfigurationError(f"--format: {self.format_!r} is none of {known}")
        if chosen not in FORMATS:
            raise ConfigurationError(
                f"export: the ending of {self.output} is none of {known}; name the format by --format"
            )
        if chosen in {"parquet", "xlsx"} and self.output is None and sys.stdout.isatty():
            raise ConfigurationError(f"export: {chosen} is not for a terminal; name a file with -o FILE")
        if self.reader is not None and chosen not in {"csv", "xlsx"}:
            raise ConfigurationError(f"--for {self.reader}: it reads csv and xlsx, not {chosen}; leave out --for")
        return "csv for excel" if self.reader is not None and chosen == "csv" else chosen


@click.command(cls=Command, epilog="syncer export bi_costs_monthly --for excel -o costs.csv")
@with_settings
@click.argument("view")
@account_filter
@click.option("--format", "format_", help="csv, jsonl, parquet or xlsx; by the file's ending if not given.")
@click.option(
    "--for", "reader", type=click.Choice(["excel"]),
    help="CSV as Excel opens it: semicolons, decimal commas, ids as text, times at UTC+3.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file; standard output if not given.")
@gathered("asked", _ExportOptions)
def export(context: Context, asked: _ExportOptions) -> None:
    """Write a view as csv, jsonl, parquet or xlsx."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from syncer.storage import database, schema
    from syncer.terminal import printing
    from syncer.views import export as files
    from syncer.views.catalogue import VIEWS
    from syncer.views.strangers_text import StillBytes

    if asked.view not in VIEWS:
        raise ConfigurationError(f"export: there is no view {asked.view!r}; {did_you_mean(asked.view, VIEWS)}")
    view, format_ = VIEWS[asked.view], asked.format()
    schema.require_current(context.engine)
    errors = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        database.reading(context.engine, f"reading {view.name}") as connection,
        Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress,
    ):
        require_account(context, connection, asked.account_name)
        task = progress.add_task(context.words.counted("rows_so_far", 0, view=view.name), total=None)

        def told(rows: int) -> None:
            progress.update(task, description=context.words.counted("rows_so_far", rows, view=view.name))

        rows = files.batches(connection, view, asked.account_name)
        if asked.output is None:
            # A channel of its own: when whoever reads it has gone, no more rows are read, they may be millions.
            with suppress(BrokenPipeError), open(sys.stdout.fileno(), "wb", closefd=False) as plain:
                # What is sent on stays as it is; what is looked at must not move the terminal's cursor.
                out = cast("IO[bytes]", StillBytes(plain)) if sys.stdout.isatty() else plain
                files.write(format_, view, rows, out, told)
            return
        with files.opened(asked.output) as file:
            written = files.write(format_, view, rows, file, told)
    printing.line(context.words.counted("rows_written", written, view=view.name, file=asked.output))


class _ReportOptions(NamedTuple):
    """Whose report is asked for, and where it goes."""

    account_name: str | None
    customer: str | None
    month: str | None
    html_file: Path | None


@click.command(cls=Command, epilog="syncer report --html report.html --lang ru")
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
    from syncer.terminal import printing
    from syncer.terminal.summary import print_report
    from syncer.views import export, figures

    moment = now()
    with database.reading(context.engine, "reading the report") as connection:
        require_account(context, connection, asked.account_name)
        found = figures.read_figures(connection, moment, asked.account_name)
    if asked.html_file is not None:
        from syncer.views.report.page import page

        with export.opened(asked.html_file) as out:
            out.write(page(found, context.settings.language).encode())
        printing.line(context.words("report_written", file=asked.html_file))
    elif as_json:
        printing.print_json(found)
    else:
        print_report(context.words, found)


def _statement(context: Context, asked: _ReportOptions, as_json: bool) -> None:
    from syncer.rules.timeline import billing_day
    from syncer.storage import database
    from syncer.terminal import printing, render
    from syncer.terminal.customers import statement_table
    from syncer.terminal.money import money
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
        printing.line(context.words("statement_written", file=asked.html_file))
    elif as_json:
        printing.print_json(found.document())
    else:
        render.console().print(statement_table(context.words, found))
        for currency, amount in found.totals.items():
            printing.line(context.words("in_all", sums=money(context.words, amount, currency)))
