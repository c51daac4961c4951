"""How any setting is read from its text or its file, and what is said of one that is wrong; nothing shows a secret."""

import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from syncer.errors import ConfigurationError, did_you_mean
from syncer.scrub import MISPLACED, looks_secret, shown


def read_secret_file(called: str, path: Path) -> str:
    """The file's text; raises `ConfigurationError` if it cannot be read or anybody may read it."""
    named = shown(str(path))
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8")
    except OSError as error:
        problem = f"{error.strerror or type(error).__name__}; correct the path, or let syncer's user read it"
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text; write it anew"
    else:
        if not mode & stat.S_IROTH:
            return text
        problem = f"everybody may read it; run: chmod 600 {named}"
    raise ConfigurationError(f"{called}: reading the secret file {named}: {problem}")


def refuse_unknown(table: Mapping[str, Any], known: list[str], where: str) -> None:
    """Raise `ConfigurationError` for a key that is none; `where` is what the table is called."""
    for key in table:
        if key not in known:
            if looks_secret(key):
                raise ConfigurationError(f"{where}: it names a setting by {MISPLACED}; correct it there")
            raise ConfigurationError(f"{key} in {where}: there is no such setting; {did_you_mean(key, known)}")


def parsed(called: str, parse: Callable[[str], Any], text: str, *, is_told_blindly: bool = False) -> Any:
    """A value that is named so; a `ValueError` of `parse` becomes the message, which may show none of it at all."""
    try:
        return parse(text)
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(f"{called}: {problem if is_told_blindly else unless_secret(text, problem)}")


def unless_secret(text: str, problem: str) -> str:
    """What is wrong with a setting; of a secret in the wrong place nothing is repeated, not even a part."""
    if looks_secret(text) and any(word in problem for word in re.findall(r"\w{3,}", text)):
        return f"it is {MISPLACED}; give what belongs there"
    return problem
