"""Takes secrets out of text: exact ones in every spelling met so far, and anything shaped like a GREEN-API token."""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from urllib.parse import unquote

REMOVED = "[removed]"

DEEPEST_ENCODING = 4  # times that a text is taken to have been encoded
SHORTEST_TOKEN = 20
"""Characters; no text shorter than this can hold a token by shape."""

_NAMES = ("gac.", "partner/getInstances/", "apiTokenInstance")
_NAMED_TOKEN = re.compile(
    r"gac\.[0-9A-Za-z]{16,}"  # partner token (UPSTREAM, The call)
    r"|(?<=partner/getInstances/)(?!\{partnerToken\})[^\s\"'<>?#]+"
    r"|(?<=apiTokenInstance)[\\\"']*\s*[:=]\s*[\\\"']*[^\s\"'\\,}&]+"
)
_HEX_TOKEN = re.compile(r"[0-9A-Fa-f]{50,}")  # apiTokenInstance (UPSTREAM, The answer), whatever it was pasted to

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\([\"'\\/])")

SECRET_KEY = re.compile(r"token|secret|password|passwd|api_?key", re.IGNORECASE)
"""Names of JSON keys whose values are not kept."""


class Scrubber:
    """Removes the given secrets and every token-shaped string; shows none of them in its own `repr`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: dict[str, str] = {}  # a secret, and how `_without_escapes` shows it
        self._shortest = SHORTEST_TOKEN
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Remove these too from now on; a rotated token is known the moment it is read."""
        known = self._secrets | {secret: _without_escapes(secret) for secret in secrets if secret}
        self._secrets = dict(sorted(known.items(), key=lambda pair: -len(pair[0])))
        self._shortest = min([self._shortest, *map(len, known)])

    def __call__(self, text: str) -> str:
        if len(text) < self._shortest:
            return text
        # A pattern for every spelling of every secret is slow; it is used only for a secret that is there.
        plain = _without_escapes(text)
        for secret, plain_secret in self._secrets.items():
            if plain_secret in plain:
                text = _any_spelling(secret).sub(REMOVED, text)
        # To look for a word is a hundred times as quick as the pattern, and few texts have one.
        if any(name in text for name in _NAMES):
            text = _NAMED_TOKEN.sub(REMOVED, text)
        return _HEX_TOKEN.sub(_unless_number, text)

    def fingerprint(self) -> str:
        """The same for the same secrets, whatever the order in which they were learned."""
        return sha256("\0".join(sorted(self._secrets)).encode("utf-8", "surrogatepass")).hexdigest()

    def __repr__(self) -> str:
        return "Scrubber()"


def _unless_number(found: re.Match[str]) -> str:
    return found[0] if len(found[0]) > 50 and found[0].isdecimal() else REMOVED


def _without_escapes(text: str) -> str:
    """The text with percent-encodings, however often applied, and JSON escapes resolved; only good for searching."""
    for _nested in range(DEEPEST_ENCODING):
        if "%" not in text and "\\" not in text:
            break
        text = _ESCAPE.sub(_resolved, unquote(text))
    return text


def _resolved(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else escape[2]


@lru_cache(maxsize=64)
def _any_spelling(secret: str) -> re.Pattern[str]:
    """A pattern for a secret written plainly, percent-encoded (in whole, in part, or repeatedly) or JSON-escaped."""
    return re.compile("".join(_any_spelling_of_character(character) for character in secret))


def _any_spelling_of_character(character: str) -> str:
    percent = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    units = character.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"\\u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4))
    spellings = [re.escape(character), percent, escaped]
    if character in "\"'\\/":
        spellings.append(re.escape("\\" + character))
    return f"(?:{'|'.join(spellings)})"
