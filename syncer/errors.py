"""What can go wrong, grouped by what the caller does next.

Every message is one line: what was being done, what is wrong, what to do. No message holds a secret.
"""

from collections.abc import Iterable
from datetime import datetime

LIKENESS = 0.6  # of difflib's ratio


class SyncerError(Exception):
    """Base of every error that a user can meet; anything else that escapes is a defect (exit code 1).

    `http_status` and `answered_at`, its `Date`, are those of the answer that it is about, if there was one.
    """

    exit_code = 1
    kind = "defect"

    def __init__(self, message: str, *, kind: str | None = None, http_status: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind or type(self).kind
        self.http_status = http_status
        self.answered_at: datetime | None = None


class ConfigurationError(SyncerError):
    """A setting or an argument is missing or wrong: correct it and start again."""

    exit_code = 2
    kind = "configuration"


class UpstreamUnreachable(SyncerError):
    """No answer after all tries (network, timeout, 429, 5xx): wait for the next run."""

    exit_code = 3
    kind = "network"

    def __init__(
        self,
        message: str,
        *,
        kind: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind)
        self.retry_after_seconds = retry_after_seconds


class FetchStopped(SyncerError):
    """The process was told to stop while it was fetching: the run is given up."""

    exit_code = 0
    kind = "stopped"


class ReceiverFailed(SyncerError):
    """A receiver did not take a message that a person sent it: look there."""

    exit_code = 3
    kind = "receiver"


class UpstreamRefused(SyncerError):
    """The upstream refused the token or the address: tell a person."""

    exit_code = 4
    kind = "refused"


class AnswerUnusable(SyncerError):
    """What arrived is not a usable list: nothing is inferred from it."""

    exit_code = 5
    kind = "not_a_list"


class AnswerHeld(SyncerError):
    """The guard holds the answer until a person approves it."""

    exit_code = 6
    kind = "held"


class ListHeld(SyncerError):
    """A list of the user's would drop most of what is known: it waits until they say that it is meant."""

    exit_code = 6
    kind = "held"


class ClockWrong(SyncerError):
    """This machine's clock is wrong, and what it would write would be history: set it."""

    exit_code = 9
    kind = "clock"


class RunOvertaken(SyncerError):
    """Another run of the account is under way or applied a later answer first: leave quietly."""

    exit_code = 7
    kind = "superseded"


class DatabaseFailed(SyncerError):
    """The database is unreachable, refuses, or has a schema that this code cannot use."""

    exit_code = 8
    kind = "database"


def nearest(word: str, known: Iterable[str], likeness: float = LIKENESS) -> str | None:
    """The known word that was probably meant, if there is one."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), n=1, cutoff=likeness)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to say to somebody who gave a word that is not known: the nearest one, else all of them."""
    known = list(known)
    near = nearest(word, known)
    return f"did you mean {near}?" if near else f"known are: {', '.join(known) or 'none yet'}"
