"""The commands about customers: whose instance is it, from which day to which, and for what."""

from pathlib import Path

import click

from syncer.cli.command import SHOWN, Context, Group, json_flag, with_settings


@click.group(cls=Group)
def customers() -> None:
    """Keep whose instance it is, and what its day is sold for. The API knows no customers."""


@customers.command("load", epilog="syncer customers load customers.csv --dry-run")
@with_settings
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--yes", is_flag=True, help="Load it even if it drops more than half of what is known.")
def load(context: Context, file: Path, dry_run: bool, yes: bool) -> None:
    """Make FILE the customers: a whole list, so what it lacks is removed.

    FILE is a CSV file with the columns id, customer, from, to, price and currency, by these names or Russian ones;
    from and to are the first and the last day, price is that of a day. What changes is shown. A list that would drop
    more than half of what is known is held, with exit code 6, until --yes.
    """
    from syncer.errors import ListHeld
    from syncer.rules.customers import changes
    from syncer.storage import customers as table
    from syncer.storage import database, schema
    from syncer.terminal import printing
    from syncer.terminal.customers import sum_up, tell_changes
    from syncer.views import customers as lists

    wanted = lists.read_list(file)
    schema.ensure_current(context.engine, may_migrate=context.settings.auto_migrate and not dry_run)
    opened = database.reading if dry_run else database.writing
    with opened(context.engine, "loading the customers") as connection:
        if not dry_run:
            table.keep_others_out(connection)
        found = changes(table.read_assignments(connection), wanted.assignments)
        is_held = found.drops_most and not yes
        if not (dry_run or is_held):
            table.apply(connection, found)
        unlisted = table.without_instance(connection, wanted.assignments)
    words = context.words
    told = list(tell_changes(words, found))
    for line in told[:SHOWN]:
        printing.line(line)
    if len(told) > SHOWN:
        printing.line(words.counted("more", len(told) - SHOWN))
    printing.line(sum_up(words, found) + (words("nothing_written") if dry_run or is_held else ""))
    if wanted.unread:
        printing.line(words("unread", columns=", ".join(wanted.unread)))
    if unlisted:
        few = ", ".join(map(str, unlisted[:5])) + (", …" if len(unlisted) > 5 else "")
        printing.line(words.counted("never_listed", len(unlisted), ids=few))
    if is_held:
        raise ListHeld(
            f"customers load: {file} would drop {len(found.removed)} of "
            f"{len(found.removed) + len(found.changed) + found.kept} rows; if that is meant, add --yes"
        )


@customers.command("list", epilog="syncer customers list --json")
@with_settings
@json_flag
def list_customers(context: Context, as_json: bool) -> None:
    """Show whose every instance was and is."""
    from syncer.storage import customers as table
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.terminal.customers import assignments_table

    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the customers") as connection:
        known = table.read_assignments(connection)
    if as_json:
        printing.print_json({"customers": [one._asdict() for one in known]})
        return
    if not known:
        printing.line(context.words("no_customers"))
        return
    render.console().print(assignments_table(context.words, known[:SHOWN]))
    printing.print_more(context.words, known, SHOWN)
