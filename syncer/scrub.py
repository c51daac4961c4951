"""Takes secrets out of text: known ones in every spelling that is read as them, and anything shaped like a token.

A text is read in three ways: as it stands, with its escapes resolved and invisible characters left out, and without
any white space and case. What is found in a reading is traced back to the text, and removed there.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from urllib.parse import unquote

from syncer.readings import SPACE, Reading, has_escapes, has_invisible, seen, solid

REMOVED = "[removed]"
MISPLACED = "what looks like a token"
"""What a message calls a secret that was given where something else belongs."""

SHORTEST_TOKEN = 20
"""Characters; no text shorter than this can hold a token by shape."""
SHORTEST_SECRET = 4
"""Characters; what is shorter is in every text."""
SHORTEST_IN_ANY_SPELLING = 12
"""Characters; a shorter secret would be seen in innocent words if case and white space did not count."""

_PREFIX = "gac."
_NAMED_TOKEN = re.compile(
    r"(?i:gac\.)[0-9A-Za-z]{16,}"  # partner token (UPSTREAM, The call)
    r"|(?<=partner/getInstances/)(?!\{partnerToken\})[^\s\"'<>?#]+"
    r"|(?<=apiTokenInstance)[\\\"']*\s*[:=]\s*[\\\"']*[^\s\"'\\,}&]+"
    r"|Z2FjL[0-9A-Za-z+/_-]{16,}"  # a partner token in base64
)
# apiTokenInstance (UPSTREAM, The answer), whatever it was pasted to, and a partner token without its beginning
_HEX_TOKEN = re.compile(r"[0-9A-Fa-f]{46,}")
_HEX_TOKEN_LENGTHS = (46, 50)
_BROKEN_TOKEN = re.compile(r"gac\.[0-9a-f]{46}|[0-9a-f]{50}|[0-9a-f]{46}")
_FEWEST_LETTERS = 6  # in a broken token; a list of numbers has none

_SECRET_KEY = re.compile(r"token|secret|passw|pwd|api[-_ ]?key|authorization|cookie|credential", re.IGNORECASE)

# Beside a token's shape: beginnings of secrets, addresses of chats and others with a path or a query, a bot's token,
# a key of 32 bytes in base64, hex digits. A path has lost all slashes but one where it was an address.
_SECRET_SETTING = re.compile(
    r"^\s*gac\.|^\s*whsec_|whsec_[0-9A-Za-z+/]{16}|hooks\.slack\.com/+services/|api\.telegram\.org/+bot[0-9]"
    r"|(?i:https?):/+[^\s/?#]+[/?]+[^\s/?]|(?<![0-9])[0-9]{8,12}:[0-9A-Za-z_-]{30}"
    r"|^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[0-9A-Za-z+/_-]{43}=?\s*$|^\s*[0-9A-Fa-f]{32,}\s*$|\bpassword\s*="
)
_BASE64 = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[0-9A-Za-z+/_-]{32,}={0,2}")  # of 24 bytes and more
_WORD = re.compile("[a-z]{4,}")
_TURN = re.compile("(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")
_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
_SCHEME = re.compile("[0-9A-Za-z+.-]{2}:/")


def looks_secret(text: str) -> bool:
    """Whether a setting or an argument could be a token, a key, a receiver's address or one with a password."""
    return (
        _SECRET_SETTING.search(text) is not None
        or holds_password(text)
        or _is_random(text.strip())
        or Scrubber()(text) != text
    )


def holds_password(text: str) -> bool:
    """Whether an address that names a user stands in it, at whatever place."""
    scheme = _SCHEME.search(text)
    return scheme is not None and "@" in text[scheme.end() :]


def _is_random(text: str) -> bool:
    """Whether it is base64 and less than half words; what may be a file's name turns from letters to digits often."""
    if _BASE64.fullmatch(text) is None or 2 * sum(map(len, _WORD.findall(text))) >= len(text):
        return False
    return text.endswith("=") or not re.search("[/_-]", text) or 6 * len(_TURN.findall(text)) >= len(text)


_SECRET_VARIABLES = ("SYNCER_PARTNER_TOKEN", "SYNCER_TOKEN_KEY", "SYNCER_PING_URL", "PGPASSWORD")
_ADDRESS_VARIABLES = ("SYNCER_DATABASE_URL", "SYNCER_API_URL", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """What the environment holds that no output may show; known before any setting is read."""
    found = [environment.get(name, "").strip() for name in _SECRET_VARIABLES]
    for name in _ADDRESS_VARIABLES:
        for variable in (name, name.lower()):
            found += passwords_in(environment.get(variable, ""))
    return [secret for secret in found if len(secret) >= SHORTEST_SECRET]


def passwords_in(address: str) -> list[str]:
    """The password of an address, also where a sign in it should have been encoded and was not."""
    match = re.match(r"(?:[a-z0-9+.-]+://)?[^/@:]*:(?!/)(.*)@", address, re.DOTALL)
    if match is None:
        return []
    return list(dict.fromkeys(form for part in (match[1], *match[1].split("@")) for form in (part, unquote(part))))


def looks_misplaced(place: str) -> bool:
    """Whether what should name a file or a variable is a secret itself; an address is one, as a receiver's is."""
    return looks_secret(place) or _ADDRESS.match(place) is not None


def shown(place: str) -> str:
    """What should name a file or a variable, as a message may show it."""
    return MISPLACED if looks_misplaced(place) else place


def without(secret: str, text: str) -> str:
    """A text without this secret, which is not empty, as it stands or broken up by characters that nobody sees."""
    text = text.replace(secret, REMOVED)
    if len(text) < len(secret) or not has_invisible(text):
        return text
    known = seen(secret).text
    if len(known) < min(len(secret), SHORTEST_IN_ANY_SPELLING):
        return text
    read = seen(text)
    return _without([read.back(*span) for span in _occurrences(known, read.text)], text)


class Scrubber:
    """Removes the given secrets and every token-shaped string; shows none of them in its own `repr`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._misplaced: list[str] = []
        self._short: list[str] = []  # secrets that are known as they are alone
        self._spellings: list[str] = []  # of the others, as `solid` reads them
        self._shortest = SHORTEST_TOKEN
        self._shortest_solid = _HEX_TOKEN_LENGTHS[0]  # what is found in a solid text alone is no shorter
        self._enough = _enough(SHORTEST_TOKEN - len(_PREFIX))
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Remove these too from now on; a rotated token is known the moment it is read."""
        new = [secret for secret in dict.fromkeys(secrets) if secret and secret not in self._secrets]
        if not new:
            return
        self._secrets.update(new)
        for secret in new:
            if len(secret) < SHORTEST_IN_ANY_SPELLING:
                self._short.append(secret)
            else:
                self._spellings += _spellings(secret)
        known = [*self._short, *self._spellings]
        self._shortest = min([SHORTEST_TOKEN, *map(len, known)])
        self._shortest_solid = min([_HEX_TOKEN_LENGTHS[0], *map(len, self._spellings)])
        self._enough = _enough(min([SHORTEST_TOKEN - len(_PREFIX), *map(_alphanumerics, known)]))

    def learn_misplaced(self, *values: str) -> None:
        """Call these what they look like if they look like secrets: they were given, and may be in the wrong place."""
        found = [value for value in values if looks_secret(value)]
        found += [
            path for value in found if (path := re.sub("/+", "/", value)) != value
        ]  # as of a file that is missing
        self._misplaced += sorted((value for value in found if value not in self._misplaced), key=len, reverse=True)
        self.learn(*found)

    def __call__(self, text: str) -> str:
        if len(text) < self._shortest:
            return text
        for value in self._misplaced:
            text = text.replace(value, MISPLACED)
        if has_escapes(text) and not self._enough.match(text):
            return text
        spans = list(_shapes(text))
        read = seen(text)
        if read.steps:
            spans += [read.back(*span) for span in _shapes(read.text)]
        for secret in self._short:
            spans += _occurrences(secret, text)
            spans += [read.back(*span) for span in _occurrences(secret, read.text)]
        if len(read.text) >= self._shortest_solid:
            spans += self._spans_of_solid(text, read, is_clean=not spans)
        return _without(spans, text) if spans else text

    def _spans_of_solid(self, text: str, read: Reading, *, is_clean: bool) -> list[tuple[int, int]]:
        """The spans in the text of what shows in it without white space and case; `is_clean` so far."""
        joined = solid(read.text)
        found = [
            _with_prefix(span, joined)
            for spelling in self._spellings
            if spelling in joined
            for span in _occurrences(spelling, joined)
        ]
        if is_clean and not found and len(joined) != len(text):  # else a letter beside a token would go with it
            found += _broken_shapes(joined)
        if not found:
            return []
        reading = read.after(SPACE, "")
        return [reading.back(*span) for span in found]

    def fingerprint(self) -> str:
        """The same for the same secrets, whatever the order in which they were learned."""
        return sha256("\0".join(sorted(self._secrets)).encode("utf-8", "surrogatepass")).hexdigest()

    def __repr__(self) -> str:
        return "Scrubber()"


def is_secret_value(key: str, value: object) -> bool:
    """Whether a value of JSON is not kept because of its key: all of it, but for nothing and a plain yes or no."""
    return bool(value) and not isinstance(value, bool) and _SECRET_KEY.search(key) is not None


@lru_cache(maxsize=4096)
def _spellings(secret: str) -> tuple[str, ...]:
    """A secret as it is written plainly, backwards, in hex and in base64 behind any bytes; as `solid` gives it."""
    body = secret.removeprefix(_PREFIX)
    if len(body) < SHORTEST_IN_ANY_SPELLING:
        body = secret
    plain = solid(seen(body).text)
    raw = body.encode("utf-8", "surrogatepass")
    written = [plain, plain[::-1], raw.hex()]
    for skipped in range(3):  # the digits that are the same whatever stands before and after
        whole = raw[skipped : skipped + (len(raw) - skipped) // 3 * 3]
        written.append(solid(b64encode(whole).decode("ascii")))
    return tuple(dict.fromkeys(filter(None, written)))


def _with_prefix(span: tuple[int, int], text: str) -> tuple[int, int]:
    """The span of a secret, with the beginning that all of them have."""
    first, last = span
    if text.endswith(_PREFIX, 0, first):
        return first - len(_PREFIX), last
    if text.startswith(_PREFIX[::-1], last):
        return first, last + len(_PREFIX)
    return span


def _occurrences(secret: str, text: str) -> Iterator[tuple[int, int]]:
    at = text.find(secret)
    while at >= 0:
        yield at, at + len(secret)
        at = text.find(secret, at + len(secret))


def _shapes(text: str) -> Iterator[tuple[int, int]]:
    # To look for a word is a hundred times as quick as the pattern, and few texts have one.
    lowered = text.lower()
    if "gac." in lowered or "getinstances/" in lowered or "apitokeninstance" in lowered or "z2fjl" in lowered:
        yield from (found.span() for found in _NAMED_TOKEN.finditer(text))
    if len(text) >= _HEX_TOKEN_LENGTHS[0]:
        for found in _HEX_TOKEN.finditer(text):
            if len(found[0]) in _HEX_TOKEN_LENGTHS or not found[0].isdecimal():
                yield found.span()


def _broken_shapes(text: str) -> Iterator[tuple[int, int]]:
    if len(text) >= _HEX_TOKEN_LENGTHS[0]:
        for found in _BROKEN_TOKEN.finditer(text):
            if sum(found[0].count(letter) for letter in "abcdef") >= _FEWEST_LETTERS:
                yield found.span()


def _without(spans: Iterable[tuple[int, int]], text: str) -> str:
    pieces: list[str] = []
    end = -1
    for first, last in sorted(spans):
        if first > end:
            pieces += (text[max(end, 0) : first], REMOVED)
        end = max(end, last)
    return "".join(pieces) + text[max(end, 0) :]


def _alphanumerics(text: str) -> int:
    return sum(character.isascii() and character.isalnum() for character in text)


@lru_cache(maxsize=64)
def _enough(letters: int) -> re.Pattern[str]:
    """Matches what has so many letters and digits: each spelling of a secret has as many as it, or more."""
    return re.compile(rf"(?:[^0-9A-Za-z]*+[0-9A-Za-z]){{{letters}}}")
