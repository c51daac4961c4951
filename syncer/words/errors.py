"""An error in the words of a language, for who reads it at a terminal.

An error is made, logged and kept in `sync_runs` in English. Here its text is recognised: the longest one of the
catalogue that fits counts, and what stands in its places is looked for likewise. So an error of last week, which is
nothing but text in a column, is told in Russian too, and whoever raises one writes one sentence.
What is not recognised stays as it is.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from syncer.words.catalogue import Text
from syncer.words.language import Language

_PLACE = re.compile(r"\{(\w+)\}")
_BRACKETED = r"(?:(?!\); ).)+?"
_SEPARATOR = re.compile("[:;] ")  # between what was being done, what is wrong and what to do
COUNTS = {"n", "of"}  # places in which nothing but a number stands
DEEPEST = 6  # parts within parts; what a stranger made longer stays as it is


class _Sentence(NamedTuple):
    """A text that can be recognised, and what it is in another language."""

    pattern: re.Pattern[str]
    said: str


def in_words(language: Language, message: str) -> str:
    """The message in a language, as far as it is known."""
    return message if language is Language.EN else _translated(message) or message


def _translated(message: str, depth: int = DEEPEST) -> str | None:
    return _translated_whole(message, depth) or _translated_in_parts(message, depth)


def _translated_whole(message: str, depth: int) -> str | None:
    whole, sentences = _russian()
    if message in whole:
        return whole[message]
    for sentence in sentences:
        found = sentence.pattern.fullmatch(message)
        if found:
            places = {name: _translated_place(value, depth) for name, value in found.groupdict().items()}
            return sentence.said.format_map(places)
    return None


def _translated_place(value: str, depth: int) -> str:
    return (_translated(value, depth - 1) if depth else None) or value


def _translated_in_parts(message: str, depth: int) -> str | None:
    """The first part that is known, and what follows it; where none is, what follows the first part."""
    separators = list(_SEPARATOR.finditer(message))[: 2 * DEEPEST]
    for separator in separators:
        said = _translated_whole(message[: separator.start()], max(depth - 1, 0))
        if said is not None:
            return f"{said}{separator[0]}{_translated_place(message[separator.end() :], depth)}"
    if not separators or not depth:
        return None
    head = separators[0].end()
    said = _translated(message[head:], depth - 1)
    return None if said is None else f"{message[:head]}{said}"


@cache
def _russian() -> tuple[Mapping[str, str], list[_Sentence]]:
    """Texts without places, and those with some, of which what says most comes first."""
    from syncer.words.error_texts import ERRORS
    from syncer.words.finding_texts import FINDINGS
    from syncer.words.line_texts import LINES, PROMISES, STORY

    texts = (*ERRORS, *FINDINGS, *LINES, *PROMISES, *STORY)
    whole = {str(text.en): str(text.ru) for text in texts if not _PLACE.search(str(text.en))}
    with_places = sorted((text for text in texts if str(text.en) not in whole), key=_said_without_places)
    return whole, [_Sentence(pattern_of(text), str(text.ru)) for text in with_places]


def _said_without_places(text: Text) -> int:
    return -len(_PLACE.sub("", str(text.en)))


def pattern_of(text: Text) -> re.Pattern[str]:
    """What an English message looks like that says this text. A place in brackets ends where they do."""
    parts = _PLACE.split(str(text.en))
    written = [re.escape(part) for part in parts]
    for place in range(1, len(parts), 2):
        is_bracketed = parts[place - 1].endswith("(") and parts[place + 1].startswith(")")
        form = "[0-9]+" if parts[place] in COUNTS else _BRACKETED if is_bracketed else ".+?"
        written[place] = f"(?P<{parts[place]}>{form})"
    return re.compile("".join(written), re.DOTALL)
