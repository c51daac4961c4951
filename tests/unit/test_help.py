"""What the help of each command says."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from syncer.cli.command import Command, Group
from syncer.cli.main import cli
from syncer.settings.declared import SETTINGS


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
