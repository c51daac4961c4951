"""The commands in which a person decides: what a held answer was held for, and what becomes of an account."""

import sys
from typing import Any

import click

from syncer.cli.command import RUN_ID, Command, Context, Group, json_flag, now, with_settings


@click.command(cls=Command, epilog="syncer approve 12")
@with_settings
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option("--yes", is_flag=True, help="Do not ask.")
def approve(context: Context, run_id: int, yes: bool) -> int:
    """Let through what run RUN was held for, and nothing larger. On a terminal it shows all of it, and asks."""
    from syncer.storage import database, runs, schema
    from syncer.terminal import printing
    from syncer.views import approvals
    from syncer.views.strangers_text import one_line

    words = context.words
    schema.require_current(context.engine)
    with database.reading(context.engine, "reading what the run was held for") as connection:
        runs.require_held(connection, run_id)
        reasons = approvals.read_held_for(connection, run_id)
    for one in reasons:
        printing.line(words.counted("held_for", len(one.instances), reason=f"{one.reason} {one.what}".rstrip()))
        if sys.stdout.isatty():
            for id_instance, name, status in one.instances:
                printing.line(f"  {id_instance}  {status or words('not_in_mirror')}  {one_line(name)}")
    asks = sys.stdin.isatty() and sys.stdout.isatty() and not yes
    if asks and not click.confirm(words("ask_approval")):
        printing.line(words("not_approved", run=run_id))
        return 0
    with database.writing(context.engine, "approving the run") as connection:
        is_new = runs.approve(connection, run_id, now())
    printing.line(words("is_approved" if is_new else "was_approved", run=run_id))
    return 0


@click.group(cls=Group)
def accounts() -> None:
    """Accounts that the database knows: list, rename or retire them."""


@accounts.command("list", epilog="syncer accounts list")
@with_settings
@json_flag
def list_accounts(context: Context, as_json: bool) -> None:
    """Show every account with its state and instances. It says which are configured here, and which are retired."""
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.views import estate

    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the accounts") as connection:
        found = estate.read_accounts(connection, now())
    names = {configured.name for configured in context.settings.accounts}
    documents: list[dict[str, Any]] = [
        {
            "account": one.account,
            "state": "retired" if one.is_retired else one.state,
            "data_as_of": one.data_as_of,
            "live": one.live,
            "listed": one.listed,
            "claimed": one.claimed,
            "configured": one.account in names,
        }
        for one in found
    ]
    if as_json:
        printing.print_json({"accounts": documents})
        return
    words = context.words
    columns = ("account", "state", "data_as_of", "live", "listed", "claimed", "configured")
    shown = [
        {
            **one,
            "state": words("retired") if one["state"] == "retired" else one["state"],
            "configured": words("yes" if one["configured"] else "no"),
        }
        for one in documents
    ]
    rows = [[one[column] for column in columns] for one in shown]
    render.console().print(render.worded(words, words("accounts"), columns, rows))


@accounts.command("rename", epilog="syncer accounts rename default north")
@with_settings
@click.argument("old")
@click.argument("new")
def rename_account(context: Context, old: str, new: str) -> None:
    """Give account OLD the name NEW. Its history, claims and status follow; name it NEW in the settings too."""
    from syncer.errors import ConfigurationError
    from syncer.settings.forms import parse_account_name
    from syncer.storage import accounts as known
    from syncer.storage import database, schema
    from syncer.terminal import printing

    schema.require_current(context.engine)
    try:
        name = parse_account_name(new)
    except ValueError as error:
        raise ConfigurationError(f"NEW: {error}") from None
    with database.writing(context.engine, "renaming the account") as connection:
        known.rename(connection, old, name, now())
    printing.line(context.words("renamed", old=old, new=name))


@accounts.command("retire", epilog="syncer accounts retire north")
@with_settings
@click.argument("name")
def retire_account(context: Context, name: str) -> None:
    """Expect no answer of account NAME any more. Another account that lists its instances takes them over."""
    from syncer.storage import accounts as known
    from syncer.storage import database, schema
    from syncer.terminal import printing

    schema.require_current(context.engine)
    with database.writing(context.engine, "retiring the account") as connection:
        known.retire(connection, name, now())
    printing.line(context.words("account_retired", account=name))
    if name in {configured.name for configured in context.settings.accounts}:
        printing.line(context.words("still_configured"))
