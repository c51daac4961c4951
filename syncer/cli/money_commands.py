"""The commands about money: what a day of a tariff costs, and what a month comes to."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from syncer.cli.command import (
    SHOWN,
    Command,
    Context,
    Group,
    account_filter,
    gathered,
    json_flag,
    known_accounts,
    now,
    with_settings,
)
from syncer.cli.moments import day_of
from syncer.errors import ConfigurationError, did_you_mean
from syncer.scrub import looks_secret
from syncer.words.errors import in_words

if TYPE_CHECKING:
    from syncer.views.invoice import Invoice


@click.group(cls=Group)
def rates() -> None:
    """Keep prices: what a day of a tariff costs. The API has none."""


@rates.command("set", epilog="syncer rates set PARTNER_23 12.50 RUB --from 2026-11-01")
@with_settings
@click.argument("tariff")
@click.argument("rate")
@click.argument("currency")
@click.option("--from", "valid_from", metavar="DATE", help="The first day (UTC+3) at this price; today if not given.")
def set_rate(context: Context, tariff: str, rate: str, currency: str, valid_from: str | None) -> None:
    """Record that a day of TARIFF costs RATE."""
    from syncer.rules.timeline import billing_day
    from syncer.storage import database, schema
    from syncer.terminal import printing
    from syncer.views import rates as prices

    price, code = prices.parse_rate(rate), prices.parse_currency(currency)
    day = day_of("--from", valid_from) if valid_from else billing_day(now())
    if not tariff.strip() or looks_secret(tariff):
        what = "what looks like a token" if tariff.strip() else "empty"
        raise ConfigurationError(f"TARIFF: it is {what}; name one as the upstream writes it, such as PARTNER_23")
    schema.ensure_current(context.engine, may_migrate=context.settings.auto_migrate)
    with database.writing(context.engine, "setting the rate") as connection:
        in_use = prices.tariffs_in_use(connection)
        prices.set_rate(connection, tariff, price, code, day)
    printing.line(context.words("rate_set", tariff=tariff, price=price, currency=code, day=day))
    if in_use and tariff not in in_use:
        hint = in_words(context.words.language, did_you_mean(tariff, in_use))
        printing.line(context.words("tariff_unused", tariff=tariff, hint=hint))


@rates.command("remove", epilog="syncer rates remove PARTNER_23 --from 2026-11-01")
@with_settings
@click.argument("tariff")
@click.option("--from", "valid_from", metavar="DATE", required=True, help="The day on which the price begins.")
def remove_rate(context: Context, tariff: str, valid_from: str) -> None:
    """Take away the price of TARIFF that begins on a day. The one before it holds on, if there is one."""
    from syncer.storage import database, schema
    from syncer.terminal import printing
    from syncer.views import rates as prices

    day = day_of("--from", valid_from)
    schema.require_current(context.engine)
    with database.writing(context.engine, "removing the rate") as connection:
        prices.remove_rate(connection, tariff, day)
        left = prices.price_on(prices.read_rates(connection), tariff, day)
    words, told = context.words, context.words("has_no_price")
    if left:
        price = f"{left.daily_rate.normalize():f}"
        told = words("costs", price=price, currency=left.currency, day=left.valid_from)
    printing.line(words("rate_removed", tariff=tariff, day=day, told=told))


@rates.command("list", epilog="syncer rates list")
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
        render.console().print(
            render.worded(context.words, context.words("prices"), ("tariff", "rate", "currency", "from"), rows)
        )
    else:
        printing.line(context.words("no_prices"))
    for tariff in unpriced:
        printing.line(context.words("no_price_for", tariff=tariff))


class _BillOptions(NamedTuple):
    """Which bill is asked for."""

    month: str | None
    account_name: str | None
    by: str


class _InvoiceOptions(NamedTuple):
    """The vendor's invoice, and what its columns are called there."""

    invoice_file: Path | None
    id_column: str | None
    tariff_column: str | None
    days_column: str | None
    amount_column: str | None

    def read(self) -> "Invoice | None":
        """None without a file; raises `ConfigurationError`."""
        from syncer.views.invoice import read_invoice

        file, *columns = self
        if file is not None:
            return read_invoice(file, dict(zip(("id", "tariff", "days", "amount"), columns, strict=True)))
        if any(columns):
            raise ConfigurationError("bill: the column options belong to --invoice FILE, which is not given")
        return None


@click.command(cls=Command, epilog="syncer bill 2026-10 --by instance")
@with_settings
@click.argument("month", required=False)
@account_filter
@click.option(
    "--by",
    type=click.Choice(["tariff", "instance", "customer"]),
    default="tariff",
    show_default=True,
    help="What a line is of.",
)
@click.option(
    "--invoice", "invoice_file", type=click.Path(path_type=Path), help="The vendor's invoice (CSV) to compare."
)
@click.option("--id-column", metavar="NAME", help="The invoice's column of instance ids.")
@click.option("--tariff-column", metavar="NAME", help="Its column of tariffs, if it has no ids.")
@click.option("--days-column", metavar="NAME", help="Its column of days.")
@click.option("--amount-column", metavar="NAME", help="Its column of amounts.")
@json_flag
@gathered("asked", _BillOptions)
@gathered("options", _InvoiceOptions)
def bill(context: Context, asked: _BillOptions, options: _InvoiceOptions, as_json: bool) -> int:
    """Show what a month costs by the upstream's rule. MONTH is such as 2026-11, or this one if not given.

    Exit code 1 if an invoice does not agree.
    """
    from syncer.rules.timeline import billing_day
    from syncer.storage import database, schema
    from syncer.terminal import printing
    from syncer.terminal.money import print_bill
    from syncer.views import bill
    from syncer.views.invoice import compare_invoice

    moment = now()
    first = bill.month_of(asked.month, billing_day(moment))
    invoice = options.read()
    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the bill") as connection:
        statuses = known_accounts(context, connection, asked.account_name)
        document = bill.bill(connection, first, moment, asked.account_name, asked.by)
        if invoice is not None:
            charges = bill.charges_by_instance if invoice.key == "id" else bill.charges_by_tariff
            comparison = compare_invoice(invoice, charges(connection, first, asked.account_name))
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
        print_bill(context.words, document, SHOWN)
        for status in statuses:
            if not status.is_fresh and not status.is_retired:
                told = "data_is_none" if status.data_as_of is None else "data_is"
                printing.line(context.words(told, account=status.account, state=status.state))
    return 1 if invoice is not None and not comparison.agrees else 0
