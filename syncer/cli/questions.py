"""The commands that answer what people ask of the mirror, from its views; they write nothing but prices and rights."""

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from syncer.cli.command import INSTANCE_ID, Context, Group, account_filter, json_flag, moment_of, now, with_settings
from syncer.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from datetime import datetime

SHOWN = 200  # lines of a list for people; --json shows all


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


@click.group(cls=Group)
def rates() -> None:
    """Keep prices: what a day of a tariff costs. The API has none."""


@rates.command("set")
@with_settings
@click.argument("tariff")
@click.argument("rate")
@click.argument("currency")
@click.option("--from", "valid_from", metavar="DATE", help="The first day (UTC+3) at this price; today if not given.")
def set_rate(context: Context, tariff: str, rate: str, currency: str, valid_from: str | None) -> None:
    """Record that a day of TARIFF costs RATE. For example: rates set PARTNER_23 12.50 RUB --from 2026-11-01."""
    from syncer.rules.timeline import billing_day
    from syncer.storage import database, schema
    from syncer.terminal import printing
    from syncer.views import rates as prices

    price, code = prices.parse_rate(rate), prices.parse_currency(currency)
    day = prices.parse_day("--from", valid_from) if valid_from else billing_day(now())
    if not tariff.strip():
        raise ConfigurationError("TARIFF: it is empty; name one as the upstream writes it, such as PARTNER_23")
    schema.ensure_current(context.engine, may_migrate=context.settings.auto_migrate)
    with database.writing(context.engine, "setting the rate") as connection:
        in_use = prices.tariffs_in_use(connection)
        prices.set_rate(connection, tariff, price, code, day)
    printing.line(f"a day of {tariff} costs {price} {code} from {day} on")
    if in_use and tariff not in in_use:
        printing.line(f"careful: no live instance has the tariff {tariff}; {did_you_mean(tariff, in_use)}")


@rates.command("list")
@with_settings
@json_flag
def list_rates(context: Context, as_json: bool) -> None:
    """Show every price, and the tariffs in use that have none."""
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.views import rates as prices

    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the rates") as connection:
        known = prices.read_rates(connection)
        priced = {rate.tariff for rate in known}
        unpriced = [tariff for tariff in prices.tariffs_in_use(connection) if tariff not in priced]
    if as_json:
        printing.print_json({"rates": [rate._asdict() for rate in known], "without_rate": unpriced})
        return
    if known:
        rows = [
            (rate.tariff, f"{rate.daily_rate.normalize():f}", rate.currency, str(rate.valid_from)) for rate in known
        ]
        render.console().print(render.table("Prices of a day", ("tariff", "rate", "currency", "from"), rows))
    else:
        click.echo("no prices are known")
    for tariff in unpriced:
        printing.line(f"no price for {tariff}; set it: syncer rates set {tariff} RATE CURRENCY --from DATE")


@click.command()
@with_settings
@click.argument("month", required=False)
@account_filter
@click.option(
    "--by", type=click.Choice(["tariff", "instance"]), default="tariff", show_default=True, help="What a line is of."
)
@click.option(
    "--invoice", "invoice_file", type=click.Path(path_type=Path), help="The vendor's invoice (CSV) to compare."
)
@click.option("--id-column", metavar="NAME", help="The invoice's column of instance ids.")
@click.option("--tariff-column", metavar="NAME", help="Its column of tariffs, if it has no ids.")
@click.option("--days-column", metavar="NAME", help="Its column of days.")
@click.option("--amount-column", metavar="NAME", help="Its column of amounts.")
@json_flag
def bill(
    context: Context,
    month: str | None,
    account_name: str | None,
    by: str,
    invoice_file: Path | None,
    id_column: str | None,
    tariff_column: str | None,
    days_column: str | None,
    amount_column: str | None,
    as_json: bool,
) -> int:
    """Show what a month costs by the upstream's rule. MONTH is such as 2026-11, or this one if not given.

    Exit code 1 if an invoice does not agree.
    """
    from syncer.rules.timeline import billing_day
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.views import bill, estate
    from syncer.views.invoice import compare_invoice, read_invoice

    moment = now()
    first = bill.month_of(month, billing_day(moment))
    names = {"id": id_column, "tariff": tariff_column, "days": days_column, "amount": amount_column}
    if invoice_file is None and any(names.values()):
        raise ConfigurationError("bill: the column options belong to --invoice FILE, which is not given")
    invoice = read_invoice(invoice_file, names) if invoice_file is not None else None
    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the bill") as connection:
        statuses = known_accounts(estate.read_accounts(connection, moment), account_name)
        document = bill.bill(connection, first, moment, account_name, by)
        if invoice is not None:
            charges = bill.charges_by_instance if invoice.key == "id" else bill.charges_by_tariff
            comparison = compare_invoice(invoice, charges(connection, first, account_name))
            document["invoice"] = {
                "key": invoice.key,
                "agrees": comparison.agrees,
                "compared": comparison.compared,
                "differences": [one._asdict() for one in comparison.differences],
            }
    document["data_as_of"] = {status.account: status.data_as_of for status in statuses}
    if as_json:
        printing.print_json(document)
    else:
        render.print_bill(document)
        for status in statuses:
            if not status.is_fresh:
                printing.line(f"careful: the data of {status.account} is {status.state}; later days assume no change")
    return 1 if invoice is not None and not comparison.agrees else 0


def known_accounts(statuses: list[Any], account_name: str | None) -> list[Any]:
    """The statuses of one account or all; raises `ConfigurationError` for one that the database does not know."""
    found = [status for status in statuses if account_name in {None, status.account}]
    if account_name is not None and not found:
        names = [status.account for status in statuses]
        raise ConfigurationError(
            f"--account: the database knows no account {account_name!r}; {did_you_mean(account_name, names)}"
        )
    return found


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


@click.command("grant-reader")
@with_settings
@click.argument("role")
def grant_reader(context: Context, role: str) -> None:
    """Let a PostgreSQL ROLE read what holds no secret. That is the views and most tables; run it after each upgrade."""
    from syncer.storage import database, grants, schema
    from syncer.terminal import printing

    if context.engine.dialect.name == "postgresql":
        schema.require_current(context.engine)
    with database.writing(context.engine, "granting rights") as connection:
        granted = grants.grant_reader(connection, role)
    printing.line(f"{role} may read: {', '.join(granted.readable)}")
    printing.line(f"hidden are the columns {', '.join(sorted(grants.HIDDEN_COLUMNS))}: name the others, not *")
    for right in granted.by_default:
        printing.line(f"careful: like everybody, {role} may {right}")


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


COMMANDS = (explain, rates, bill, diff, export, report)
