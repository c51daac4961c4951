"""`syncer help`: what a command does, and the settings that all of them share."""

import sys

import click

from syncer.cli.command import Command, Group
from syncer.settings.declared import CONFIG_FILE, SETTINGS

TOPIC = "settings"


@click.command("help", cls=Command, epilog="syncer help settings")
@click.argument("words", metavar="[COMMAND | settings]", nargs=-1)
@click.pass_context
def help_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show how a command is used, or the settings that all share."""
    if words == (TOPIC,):
        _print_settings()
        return
    command, called = context.find_root().command, context.find_root()
    rest = list(words)
    while rest:
        if not isinstance(command, Group):
            context.fail(f"{called.command_path} has no command {rest[0]!r}")
        name, command, rest = command.resolve_command(called, rest)
        called = click.Context(command, called, name)
    click.echo(command.get_help(called))


def _print_settings() -> None:
    from syncer.terminal import printing, render

    printing.line(
        f"A flag goes before the environment, that before {CONFIG_FILE} (in this folder, or --config FILE), the file "
        "before the default. A setting's key in the file is its variable without SYNCER_, in lower case."
    )
    printing.line("")
    rows = [
        (
            setting.variable,
            setting.flag if setting.has_flag else "no flag",
            setting.default or setting.otherwise or "none",
            setting.meaning,
        )
        for setting in SETTINGS.values()
    ]
    if sys.stdout.isatty():  # no terminal has room for four columns of these
        for variable, flag, default, meaning in rows:
            printing.line(f"{variable}  {flag}  [{default}]")
            printing.line(f"    {meaning}")
        return
    render.console().print(render.table("Settings", ("variable", "flag", "default", "meaning"), rows))
