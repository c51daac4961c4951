"""The settings as click's options: the first of flag, environment, `syncer.toml` and default counts."""

from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from syncer.settings.declared import CONFIG_FILE, SETTINGS, Setting

DOCUMENT = "syncer.document"  # what was read of syncer.toml, in click's `Context.meta`
PLACES = (
    ParameterSource.COMMANDLINE,
    ParameterSource.ENVIRONMENT,
    ParameterSource.DEFAULT_MAP,
    ParameterSource.DEFAULT,
)


class Given(NamedTuple):
    """A setting's value, what the setting is called where it was found, and how many places go before that one."""

    called: str
    value: Any
    place: int


class SettingOption(click.Option):
    """One setting; one without a flag is found everywhere but on the command line."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(
            # Where there is no flag, click still wants a name that no other option of a command has.
            [setting.flag if setting.has_flag else f"--{setting.variable}", setting.name],
            type=click.UNPROCESSED,  # `config` says what it must look like, and names where it was found
            envvar=setting.variable,
            default=setting.default,
            show_default=False,
            metavar="TEXT",
            help=setting.help,
            hidden=not setting.has_flag,
        )
        self._has_flag = setting.has_flag

    def get_help_record(self, ctx: click.Context) -> None:
        """Nothing: every command has all of them, and `syncer help settings` lists them."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Leave the command line alone where there is no flag."""
        if self._has_flag:
            super().add_to_parser(parser, ctx)

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The variable's text; one that is blank is not set."""
        value = super().resolve_envvar_value(ctx)
        return value if value and value.strip() else None


class _FileOption(click.Option):
    """`--config`, which is told of where the settings are."""

    def get_help_record(self, ctx: click.Context) -> None:
        """Nothing, as of them."""


def setting_options() -> list[click.Parameter]:
    """Options for every setting, and `--config` before them."""
    config_option = _FileOption(
        ["--config", "config_file"],
        type=click.Path(path_type=Path),
        is_eager=True,
        callback=_read_file,
        help=f"The file of settings, else ./{CONFIG_FILE}.",
    )
    return [config_option, *map(SettingOption, SETTINGS.values())]


def given(context: click.Context, name: str) -> Given | None:
    """Where a setting was found first; None when it is set nowhere and has no default."""
    value, source = context.params[name], context.get_parameter_source(name)
    if value is None or source is None:
        return None
    setting = SETTINGS[name]
    called = {PLACES[0]: setting.flag, PLACES[2]: f"{name} in {CONFIG_FILE}"}.get(source, setting.variable)
    return Given(called, value, PLACES.index(source))


def _read_file(context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Make the file's keys the defaults of all options that follow."""
    if not context.resilient_parsing:
        from syncer.settings.config import read_document

        context.meta[DOCUMENT] = document = read_document(path, Path.cwd())
        context.default_map = {name: value for name, value in document.items() if name in SETTINGS}
    return path
