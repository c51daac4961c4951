"""A receiver: what it wants to be told, and how."""

from base64 import b64encode
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from syncer.model import Transition
from syncer.rules.schedule import Cron
from syncer.scrub import SHORTEST_SECRET
from syncer.words.language import Language

TOLD_BY_DEFAULT = frozenset(
    {Transition.DELETED, Transition.EXPIRED, Transition.RENEWED, Transition.VANISHED, Transition.REAPPEARED}
)

SHORTEST_PART = 8  # signs of a part of an address that could be a secret
SHORTEST_WITHOUT_DIGITS = 20


class Format(StrEnum):
    """What a message looks like on the wire."""

    STANDARD = "standard"
    SLACK = "slack"
    TELEGRAM = "telegram"


class Receiver(NamedTuple):
    """What one receiver is told, by `[receivers.NAME]`; `accounts` of None are all of them.

    With a `digest` it is told sums at its times, instead of single events.
    """

    name: str
    format: Format = Format.STANDARD
    transitions: frozenset[Transition] = TOLD_BY_DEFAULT
    accounts: frozenset[str] | None = None
    wants_attention: bool = False
    digest: Cron | None = None
    language: Language = Language.EN

    @property
    def is_chat(self) -> bool:
        """Whether people read it: there the first answer about an account is no news, what it tells had been before."""
        return self.format is not Format.STANDARD

    @property
    def most_a_second(self) -> float:
        """How many messages it is sent at most; chats refuse more than one."""
        return 1.0 if self.is_chat else 10.0


class Address(NamedTuple):
    """Where a receiver is reached, and what its messages are signed with; no part of it is shown anywhere.

    `parameters` are those that a format takes out of the address and into the body.
    """

    url: str
    keys: tuple[bytes, ...] = ()
    parameters: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return "Address()"

    def secrets(self) -> list[str]:
        """What of it may be a secret: all of it, its host, path and query, each part that is no word, and the keys."""
        parts = urlsplit(self.url)
        pieces = [*parts.path.split("/"), parts.query, *parts.query.split("&"), *self.parameters.values()]
        pieces += [piece.partition("=")[2] for piece in parts.query.split("&")]
        pieces += [piece.partition(":")[2] for piece in parts.path.split("/")]  # a bot's token behind its number
        found = [piece for piece in dict.fromkeys(pieces) if _could_be_secret(piece)]
        host = [] if parts.scheme == "http" else [parts.hostname or ""]  # loopback is everybody's
        asked = [piece for piece in _asked_for(parts) if len(piece) >= SHORTEST_SECRET and piece[1:] not in found]
        keys = (b64encode(key).decode("ascii") for key in self.keys)
        return list(dict.fromkeys([self.url, *host, *found, *asked, *keys]))


def _asked_for(address: SplitResult) -> list[str]:
    """What a server may repeat of the request, each also decoded; a single word is known with its slash alone."""
    words = address.path.strip("/").split("/")
    paths = ["/".join(words[first:]) for first in range(len(words) - 1)] or [f"/{words[0]}"]  # a proxy takes words off
    queries = [address.query, f"{address.path}?{address.query}"] if address.query else []
    asked = [*paths, *queries]
    return [*asked, *map(unquote, asked), *map(unquote_plus, queries)]


def _could_be_secret(piece: str) -> bool:
    has_digit = any(sign.isdigit() for sign in piece)
    return len(piece) >= (SHORTEST_PART if has_digit else SHORTEST_WITHOUT_DIGITS)
