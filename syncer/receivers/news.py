"""What a receiver can be told, each with the id that it keeps however often it is told."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from syncer.model import Transition


class Happened(NamedTuple):
    """A row of the history."""

    row: Mapping[str, Any]

    def id_within(self, epoch: str) -> str:
        """The id: the row's own."""
        return f"{epoch}_{self.row['id']}"


class Noticed(NamedTuple):
    """A row of `bi_attention` that came, or went."""

    row: Mapping[str, Any]
    seen_at: datetime
    has_come: bool = True

    def id_within(self, epoch: str) -> str:
        """The id: that of the row's key; where it goes, its end is another event than its beginning."""
        key = f"{self.row['id_instance']}_{self.row['reason']}_{self.row['since']:%Y%m%dT%H%M%S%fZ}"
        return f"{epoch}_{key}" if self.has_come else f"{epoch}_{key}_over"


class Digest(NamedTuple):
    """What happened between two rows of the history, and how many rows `bi_attention` has, by severity and reason.

    `names` are those of some of the instances that a transition happened to; `attention` of None is not asked for.
    """

    due_at: datetime
    after_id: int
    until_id: int
    transitions: Mapping[Transition, int]
    names: Mapping[Transition, Sequence[str]]
    attention: Mapping[tuple[int, str], int] | None = None

    def id_within(self, epoch: str) -> str:
        """The id: when it was due."""
        return f"{epoch}_digest_{self.due_at:%Y%m%dT%H%M%SZ}"


class Trial(NamedTuple):
    """What `syncer receivers test` sends: nothing happened."""

    sent_at: datetime
    number: str

    def id_within(self, epoch: str) -> str:
        """The id: one of its own."""
        return f"{epoch}_test_{self.number}"


News = Happened | Noticed | Digest | Trial
