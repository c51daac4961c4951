"""`syncer help`: what a command does, and the settings that all of them share."""

import sys

import click

from syncer.cli.command import Command, Group, spoken
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
        called = command.context_class(command, called, name)
    click.echo(command.get_help(called))


def _print_settings() -> None:
    from syncer.terminal import printing, render
    from syncer.words.help_texts import help_in_words
    from syncer.words.terminal import terminal_words

    words = terminal_words(spoken.language)
    printing.line(words("settings_order", file=CONFIG_FILE))
    printing.line("")
    rows = [
        (
            setting.variable,
            setting.flag if setting.has_flag else words("no_flag"),
            setting.default or help_in_words(spoken.language, setting.otherwise) or words("none"),
            help_in_words(spoken.language, setting.meaning),
        )
        for setting in SETTINGS.values()
    ]
    if sys.stdout.isatty():  # no terminal has room for four columns of these
        for variable, flag, default, meaning in rows:
            printing.line(f"{variable}  {flag}  [{default}]")
            printing.line(f"    {meaning}")
        return
    render.console().print(render.worded(words, words("settings"), ("variable", "flag", "default", "meaning"), rows))
