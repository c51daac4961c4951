"""What the help of each command says."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from syncer.cli.command import Command, Group, spoken
from syncer.cli.main import cli
from syncer.settings.declared import SETTINGS
from syncer.words.help_texts import HELP
from syncer.words.language import Language


def commands(group: Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(cli))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_an_example_that_it_understands(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # where no syncer.toml is
    command = COMMANDS[name]
    program, *words = shlex.split(command.epilog or "")
    length = len(name.split())

    assert isinstance(command, Command)
    assert ("syncer", name.split()) == (program, words[:length])
    command.make_context(name, words[length:]).close()


@pytest.mark.parametrize("name", COMMANDS)
def test_its_help_shows_its_own_options_and_where_the_others_are(name: str) -> None:
    shown = CliRunner().invoke(cli, [*name.split(), "--help"]).output
    is_given_settings = any(parameter.name in SETTINGS for parameter in COMMANDS[name].params)

    assert "Example:\n  syncer " in shown
    assert (is_given_settings and name != "demo") == (
        "syncer help settings\n" in shown.partition("Example:")[2].partition("\n\n")[2]
    )
    assert "--database-url" not in shown.partition("Example:")[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_may_be_asked_for_in_words(name: str) -> None:
    asked, shown = (
        CliRunner().invoke(cli, words, prog_name="syncer").output
        for words in (["help", *name.split()], [*name.split(), "--help"])
    )

    assert shown == asked


def test_help_of_nothing_is_that_of_the_program_and_a_wrong_word_is_told() -> None:
    assert CliRunner().invoke(cli, ["--help"]).output == CliRunner().invoke(cli, ["help"]).output
    for words, told in (
        (["help", "raets"], "did you mean 'rates'?"),
        (["help", "rates", "lsit"], "did you mean 'list'?"),
        (["help", "find", "x"], "find has no command 'x'"),
    ):
        done = CliRunner().invoke(cli, words)
        assert (2, True) == (done.exit_code, told in done.output), done.output


def test_a_setting_may_still_be_a_flag_of_any_command_and_a_mistyped_one_is_told() -> None:
    done = CliRunner().invoke(cli, ["status", "--databse-url", "x"])

    assert "'--database-url'" in done.output


# In Russian

OF_CLICK = {"Options", "Commands", "Show this message and exit."}
ENGLISH = re.compile(r"\b[a-z]{3,}\b")
CODES = re.compile(
    r"syncer( [a-z-]+)+|--[a-z-]+|\S*[_@/=\d.:\[\]|]\S*|'[^']*'|(?m:^  [a-z-]+  )|(?m:^  syncer .*$)|"
    r"\b(syncer|list|rename|retire|test|resume|csv|jsonl|parquet|xlsx|yesterday|customer|from|price|currency|console|json|"
    r"debug|info|warning|error|off|true|default|cron|isExpired|host|port|tariff)\b"
)


@pytest.fixture
def _in_russian() -> Iterator[None]:
    before, spoken.language = spoken.language, Language.RU
    yield
    spoken.language = before


def english_help() -> set[str]:
    """Every text that help may show."""
    found = {"Example", cli.epilog or ""}
    every: list[click.Command] = [cli]
    while every:
        command = every.pop()
        found |= {inspect.cleandoc(command.help or "")}
        found |= {
            one.help or "" for one in command.params if isinstance(one, click.Option) and one.name not in SETTINGS
        }
        every += command.commands.values() if isinstance(command, Group) else []
    return (found - {"", SETTINGS["lang"].help}) | {
        text for setting in SETTINGS.values() for text in (setting.meaning, setting.otherwise) if text
    }


def test_every_text_of_help_is_there_in_russian_and_no_other() -> None:
    assert english_help() | OF_CLICK == {str(text.en) for text in HELP}
    assert len(HELP) == len({text.en for text in HELP})
    assert [] == [text.ru for text in HELP if not re.search("[а-я]{2}", str(text.ru)) and "debug" not in text.ru]


@pytest.mark.usefixtures("_in_russian")
@pytest.mark.parametrize("name", ["", "help settings", "rates", "customers", "accounts", "receivers", "db", *COMMANDS])
def test_help_is_in_russian(name: str) -> None:
    words = name.split() if name == "help settings" else [*name.split(), "--help"]
    shown = CliRunner().invoke(cli, words, prog_name="syncer").output

    assert ("Использование: syncer" in shown) == (name != "help settings")
    assert "Usage" not in shown
    assert [] == ENGLISH.findall(CODES.sub("", shown)), shown


@pytest.mark.usefixtures("_in_russian")
def test_the_first_sentence_in_russian_fits_a_line_of_a_usual_terminal() -> None:
    shown = CliRunner().invoke(cli, ["--help"], prog_name="syncer", terminal_width=80).output

    assert "..." not in shown.partition("Команды:")[2]
    assert "  verify     Проверить на этой базе всё, что обещают таблицы.\n" in shown
