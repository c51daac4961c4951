"""What every command starts from: settings by flag, environment and file, an engine, a clock, and log lines."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncer.errors import ConfigurationError, did_you_mean, nearest
from syncer.model import LARGEST_ID
from syncer.scrub import Scrubber
from syncer.settings.declared import SETTINGS
from syncer.settings.options import Given, SettingOption, given, setting_options
from syncer.words.catalogue import Words
from syncer.words.language import Language, language_of
from syncer.words.terminal import terminal_words

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

    from syncer.daemon.leased_runs import Runs
    from syncer.model import RunResult
    from syncer.settings.config import AccountSettings, Settings
    from syncer.views.estate import AccountStatus


SHOWN = 200  # lines of a list for people; --json shows all


@dataclass(frozen=True)
class Context:
    """What every command starts from."""

    settings: "Settings"
    scrub: Scrubber
    engine: "Engine"
    flags: dict[str, str]
    config_file: Path | None

    @property
    def words(self) -> Words:
        """What people are told on standard output."""
        return terminal_words(self.settings.language)


def now() -> datetime:
    """The clock of production."""
    return datetime.now(UTC)  # noqa: TID251 - the one place


class Called(click.Context):
    """A call of a command, whose help is in the language that is spoken."""

    def make_formatter(self) -> click.HelpFormatter:
        """What lays a page of help out."""
        from syncer.cli.help_page import HelpPage

        return HelpPage(spoken.language, width=self.terminal_width, max_width=self.max_content_width)


class Command(click.Command):
    """A command whose epilog is an example of it, and whose help says where the common settings are listed."""

    context_class = Called

    def get_short_help_str(self, limit: int = 45) -> str:
        """Its line among the commands of a group."""
        from syncer.cli.help_page import short_help

        return short_help(spoken.language, self.help, limit)

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            with formatter.section("Example"):
                formatter.write(f"{'':{formatter.current_indent}}{self.epilog}\n")
        if any(isinstance(parameter, SettingOption) for parameter in self.params):
            formatter.write_paragraph()
            formatter.write_text("Database, token and other settings that commands share: syncer help settings")


class Group(click.Group):
    """A group that suggests what was probably meant: another command, one of a group below, a flag behind it."""

    command_class = Command
    context_class = Called

    def get_short_help_str(self, limit: int = 45) -> str:
        """Its line among the commands of a group above."""
        from syncer.cli.help_page import short_help

        return short_help(spoken.language, self.help, limit)

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        flag = arguments[0].partition("=")[0] if arguments else ""
        own = {name for parameter in self.get_params(context) for name in parameter.opts}
        if flag.startswith("--") and flag not in own and not context.resilient_parsing:
            near = nearest(flag, _flags_below(self), 0.8)
            if near is not None:
                context.fail(f"{near} belongs behind the command, as in: {context.command_path} COMMAND {near} …")
        return super().parse_args(context, arguments)

    def resolve_command(self, context: click.Context, arguments: list[str]) -> Any:
        if self.get_command(context, arguments[0]) is None:
            below = {
                name: f"{group} {name}"
                for group, command in self.commands.items()
                if isinstance(command, Group)
                for name in command.commands
            }
            known = below | {name: name for name in self.commands}
            near = nearest(arguments[0], known)
            if near is not None:
                context.fail(f"There is no command {arguments[0]!r}; did you mean {known[near]!r}?")
        return super().resolve_command(context, arguments)


def _shown(parameter: click.Parameter) -> list[str]:
    return [] if getattr(parameter, "hidden", False) else [name for name in parameter.opts if name.startswith("--")]


def _flags_below(group: click.Group) -> set[str]:
    """Every flag of a command of the group."""
    flags: set[str] = set()
    for command in group.commands.values():
        flags |= {name for option in command.params for name in _shown(option)}
        if isinstance(command, click.Group):
            flags |= _flags_below(command)
    return flags


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of all settings, and a `Context` as its first argument."""

    def run(**arguments: Any) -> Any:
        config_file = arguments.pop("config_file")
        own = {name: value for name, value in arguments.items() if name not in SETTINGS}
        return command(_start(click.get_current_context(), config_file), **own)

    run.__name__ = command.__name__
    run.__doc__ = command.__doc__
    own = getattr(command, "__click_params__", [])  # click's own place, last first
    run.__click_params__ = [*reversed(setting_options()), *own]  # type: ignore[attr-defined]  # the same
    return run


def _start(called: click.Context, config_file: Path | None) -> Context:
    from syncer.settings import config
    from syncer.settings.forms import default_log_format
    from syncer.settings.logs import start_logging
    from syncer.storage import database

    spoken.hear(given(called, "lang"))
    settings = config.settings_of(called)
    found = {name: given(called, name) for name in SETTINGS}
    spoken.language = settings.language
    flags = {name: str(one.value) for name, one in found.items() if one is not None and one.place == 0}
    scrub.learn(*settings.secrets())
    start_logging(settings.log_format or default_log_format(sys.stderr.isatty()), settings.log_level, scrub)
    reread = settings.reread_database_url

    def reread_url() -> "URL":
        assert reread is not None  # noqa: S101 - asked where there is one alone
        url = reread()
        scrub.learn(*filter(None, [url.password]))
        return url

    return Context(
        settings, scrub, database.open_engine(settings.database_url, reread_url if reread else None), flags, config_file
    )


class Spoken:
    """The language in which errors are told, guessed until the settings have been read."""

    def __init__(self) -> None:
        self.language = Language.EN

    def guess(self, environment: Mapping[str, str], arguments: Sequence[str]) -> None:
        """By the variables and the flag, before anything has been checked."""
        self.language = language_of(environment)
        flags = [*arguments, ""]
        said = [flags[place + 1] for place, word in enumerate(arguments) if word == "--lang"]
        said += [word.partition("=")[2] for word in arguments if word.startswith("--lang=")]
        self._take(*said, environment.get(SETTINGS["lang"].variable, ""))

    def hear(self, found: Given | None) -> None:
        """By the setting, wherever it was found, and whatever else is wrong."""
        self._take(str(found.value) if found is not None else "")

    def _take(self, *said: str) -> None:
        for word in said:
            if word.lower() in set(Language):
                self.language = Language(word.lower())
                return


spoken = Spoken()
"""Of this process, as the scrubber is: an error may come before there is anything else."""

scrub = Scrubber()
"""Of this process: it learns each secret as soon as it is read, and everything on standard error passes it."""


class Number(click.ParamType[int]):
    """A whole number from 1, of the kind that a person is told of when it is none."""

    name = "number"

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 19 and 1 <= int(text) <= LARGEST_ID):
            self.fail(f"{str(value)!r} is no {self._kind}", param, ctx)
        return int(text)


INSTANCE_ID = Number("instance's id such as 1101000001")
RUN_ID = Number("run's number such as 12; held runs are shown by: syncer status")


json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
account_filter = click.option("--account", "account_name", metavar="NAME", help="Only this account.")


def gathered(name: str, kind: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Hand options that belong together to a command as one named tuple: those that bear the names of its fields."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(context: Context, **arguments: Any) -> Any:
            values = {field: arguments.pop(field) for field in kind._fields}
            return command(context, **arguments, **{name: kind(**values)})

        return run

    return decorate


def chosen(context: Context, account_name: str | None) -> list["AccountSettings"]:
    accounts = context.settings.accounts
    chosen = [configured for configured in accounts if account_name in {None, configured.name}]
    if not chosen:
        names = [configured.name for configured in accounts]
        raise ConfigurationError(
            f"--account: there is no account {account_name!r}; {did_you_mean(account_name or '', names)}"
        )
    return chosen


def known_accounts(context: Context, connection: "Connection", account_name: str | None) -> "list[AccountStatus]":
    """How one account stands, or every one that the database knows or the settings expect.

    Raises `ConfigurationError` for one that neither does.
    """
    from syncer.views import estate

    known = estate.with_expected(estate.read_accounts(connection, now()), context.settings.expected)
    found = [status for status in known if account_name in {None, status.account}]
    if account_name is not None and not found:
        names = [status.account for status in known]
        raise ConfigurationError(
            f"--account: the database knows no account {account_name!r}; {did_you_mean(account_name, names)}"
        )
    return found


def require_account(context: Context, connection: "Connection", account_name: str | None) -> None:
    """Raise `ConfigurationError` for an account that is named and that neither the database nor the settings know."""
    if account_name is not None:
        known_accounts(context, connection, account_name)


def runs_of(context: Context, on_end: Callable[["RunResult", float], None] = lambda _result, _seconds: None) -> "Runs":
    """What runs accounts by these settings; every token is checked before anything starts."""
    from syncer.daemon.leased_runs import Runs
    from syncer.settings.config import check_tokens
    from syncer.upstream.proxy import check_certificates, proxy_for

    check_tokens(context.settings)
    for api_url in {configured.api_url for configured in context.settings.accounts}:
        proxy_for(api_url)
        check_certificates(api_url)
    return Runs(context.settings, context.engine, context.scrub, now, on_end)


def complain(message: str, code: int) -> int:
    """Tell on standard error; a line that is too long for a terminal is broken at words, a traceback is left alone."""
    from syncer.terminal.width import folded, terminal_width
    from syncer.views.strangers_text import still
    from syncer.words.errors import in_words

    said = message if "\n" in message else in_words(spoken.language, message)  # a traceback is of no language
    text = f"syncer: {still(said)}"
    with suppress(OSError):  # nobody can be told; the exit code is all that is left
        click.echo(text if "\n" in text else folded(text, terminal_width(sys.stderr)), err=True)
    return code
