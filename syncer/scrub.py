"""Takes secrets out of text: exact ones in every spelling met so far, and anything shaped like a GREEN-API token."""

import re
from collections.abc import Iterable

REMOVED = "[removed]"

SHORTEST_TOKEN = 20
"""Characters; no text shorter than this can hold a token by shape."""

SHAPES = (
    r"gac\.[0-9A-Za-z]{16,}"  # partner token (UPSTREAM, The call)
    r"|(?<![0-9A-Za-z])[0-9A-Fa-f]{50}(?![0-9A-Za-z])"  # apiTokenInstance (UPSTREAM, The answer)
    r"|(?<=partner/getInstances/)(?!\{partnerToken\})[^\s\"'<>?#]+"
    r"|(?<=apiTokenInstance)[\\\"']*\s*[:=]\s*[\\\"']*[^\s\"'\\,}&]+"
)

SECRET_KEY = re.compile(r"token|secret|password|passwd|api_?key", re.IGNORECASE)
"""Names of JSON keys whose values are not kept."""


class Scrubber:
    """Removes the given secrets and every token-shaped string; shows none of them in its own `repr`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._pattern = re.compile(SHAPES)
        self._shortest = SHORTEST_TOKEN
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Remove these too from now on; a rotated token is known the moment it is read."""
        new = {secret for secret in secrets if secret} - self._secrets
        if new:
            self._secrets |= new
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._pattern = re.compile("|".join([*map(_any_spelling, longest_first), SHAPES]))
            self._shortest = min(self._shortest, *map(len, new))

    def __call__(self, text: str) -> str:
        return text if len(text) < self._shortest else self._pattern.sub(REMOVED, text)

    def __repr__(self) -> str:
        return "Scrubber()"


def _any_spelling(secret: str) -> str:
    """A pattern for a secret written plainly, percent-encoded (in whole, in part, or twice) or JSON-escaped."""
    return "".join(_any_spelling_of_character(character) for character in secret)


def _any_spelling_of_character(character: str) -> str:
    percent = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    units = character.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"\\u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4))
    spellings = [re.escape(character), percent, escaped]
    if character in "\"'\\/":
        spellings.append(re.escape("\\" + character))
    return f"(?:{'|'.join(spellings)})"
