"""The commands about receivers: who is told of what happens, and whether it arrives."""

import secrets
import threading

import click

from syncer.cli.command import Context, Group, json_flag, now, with_settings
from syncer.errors import ConfigurationError, ReceiverFailed, did_you_mean


@click.group(cls=Group)
def receivers() -> None:
    """Who is told of what happens: list, test, resume."""


@receivers.command("list", epilog="syncer receivers list")
@with_settings
@json_flag
def list_receivers(context: Context, as_json: bool) -> None:
    """Show every receiver, and what is behind.

    What it was not told yet and since when, and why. Addresses are not shown.
    """
    from syncer.storage import database, schema
    from syncer.terminal import printing
    from syncer.terminal.receivers import print_receivers
    from syncer.views.receivers import read_receivers

    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the receivers") as connection:
        found = read_receivers(connection, [one.receiver for one in context.settings.receivers])
    if as_json:
        printing.print_json({"receivers": [one._asdict() for one in found]})
    elif found:
        print_receivers(context.words, found)
    else:
        printing.line(context.words("no_receivers"))


@receivers.command("test", epilog="syncer receivers test crm")
@with_settings
@click.argument("name")
def try_receiver(context: Context, name: str) -> None:
    """Send NAME one marked message, and show its answer.

    It says that it is a test, and is not repeated.
    """
    from syncer.post.client import Letter, post
    from syncer.receivers.formats import message_of
    from syncer.receivers.news import Trial
    from syncer.receivers.outcome import Verdict, verdict_of
    from syncer.storage import database, epoch, schema
    from syncer.terminal import printing

    known = {one.name: one for one in context.settings.receivers}
    if name not in known:
        raise ConfigurationError(f"NAME: there is no receiver {name!r} in the settings; {did_you_mean(name, known)}")
    address = known[name].read_address()
    context.scrub.learn(*address.secrets())
    schema.require_current(context.engine)
    with database.writing(context.engine, "reading the database's epoch") as connection:
        epoch_now = epoch.current(connection)
    trial = Trial(now(), secrets.token_hex(6))
    message = message_of(known[name].receiver, address, trial, epoch_now, trial.sent_at)
    reply = post(Letter(address, message.headers, message.body, name), threading.Event(), now)
    if verdict_of(reply) is not Verdict.DELIVERED:
        setting = known[name].url_setting
        raise ReceiverFailed(f"testing receiver {name!r}: {reply.problem}; check the receiver, and {setting}")
    printing.line(context.words("receiver_took_test", name=name, status=reply.status, id=message.id))


@receivers.command("resume", epilog="syncer receivers resume crm")
@with_settings
@click.argument("name")
def resume_receiver(context: Context, name: str) -> None:
    """Send to NAME again, from where it stopped.

    At once, and nothing is left out.
    """
    from syncer.storage import database, schema
    from syncer.storage import receivers as kept
    from syncer.terminal import printing

    schema.require_current(context.engine)
    with database.writing(context.engine, "resuming the receiver") as connection:
        was_held_up = kept.resume(connection, name)
    printing.line(context.words("receiver_tried_again" if was_held_up else "receiver_not_stopped", name=name))
