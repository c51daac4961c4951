"""The commands for what people ask of the mirror, from its views; they write nothing."""

import sys
from pathlib import Path
from typing import IO, cast

import click

from syncer.cli.command import (
    INSTANCE_ID,
    SHOWN,
    Context,
    account_filter,
    json_flag,
    known_accounts,
    moment_of,
    now,
    with_settings,
)
from syncer.errors import ConfigurationError, did_you_mean


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
    """Show what changed between two moments. For example: diff yesterday, or diff 2026-10-01 2026-11-01."""
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
        found = past.difference(connection, first, second)
    if as_json:
        printing.print_json(found)
    else:
        render.print_difference(found, SHOWN)


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


@click.command()
@with_settings
@account_filter
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write one self-contained page instead.")
@json_flag
def report(context: Context, account_name: str | None, html_file: Path | None, as_json: bool) -> None:
    """Show the estate in figures; --html FILE writes them with charts."""
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.views import estate, export, figures

    moment = now()
    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the report") as connection:
        known_accounts(estate.read_accounts(connection, moment), account_name)
        found = figures.read_figures(connection, moment, account_name)
    if html_file is not None:
        from syncer.views.report.page import page

        with export.opened(html_file) as out:
            out.write(page(found, context.settings.language).encode())
        printing.line(f"the report is in {html_file}")
    elif as_json:
        printing.print_json(found)
    else:
        render.print_report(found)
