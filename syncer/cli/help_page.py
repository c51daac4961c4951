"""A page of help in the language of who reads it: click lays it out, and each text passes here."""

import re
from collections.abc import Iterable
from inspect import cleandoc
from typing import Any

import click

from syncer.words.help_texts import help_in_words
from syncer.words.language import Language

USAGE = {Language.EN: "Usage: ", Language.RU: "Использование: "}
EXTRA = re.compile(r"(.*?)  \[(.*)\]", re.DOTALL)  # what stands behind a meaning, in brackets
EXTRAS = {"default: ": "по умолчанию: ", "required": "обязательно"}  # click's own


class HelpPage(click.HelpFormatter):
    """What click writes, in a language."""

    def __init__(self, language: Language, **layout: Any) -> None:
        super().__init__(**layout)
        self._language = language

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """The line of usage; places to fill in keep their names."""
        super().write_usage(prog, args, prefix or USAGE[self._language])

    def write_heading(self, heading: str) -> None:
        """The heading of a section."""
        super().write_heading(help_in_words(self._language, heading))

    def write_text(self, text: str) -> None:
        """What a command does."""
        super().write_text(help_in_words(self._language, text))

    def write_dl(self, rows: Iterable[tuple[str, str]], *columns: Any, **spacing: Any) -> None:
        """Options or commands, each with its meaning."""
        super().write_dl([(name, self._meaning(told)) for name, told in rows], *columns, **spacing)

    def _meaning(self, told: str) -> str:
        found = EXTRA.fullmatch(told)
        if found is None:
            return help_in_words(self._language, told)
        meaning, extra = (help_in_words(self._language, part) for part in found.groups())
        if self._language is Language.RU:
            for english, russian in EXTRAS.items():
                extra = extra.replace(english, russian)
        return f"{meaning}  [{extra}]"


def short_help(language: Language, text: str | None, limit: int) -> str:
    """The first sentence of a command's help, cut where a line has room for so many signs."""
    return click.Command(None, help=help_in_words(language, cleandoc(text or ""))).get_short_help_str(limit)
