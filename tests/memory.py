"""Decode, diff, guard and transitions over a dictionary instead of a database: the core alone, at speed."""

from datetime import timedelta
from typing import Any

from builders import body
from mirror import START, account

from syncer.answer.decode import decode
from syncer.errors import SyncerError
from syncer.model import MirrorRow
from syncer.rules import guard
from syncer.rules.diff import diff
from syncer.rules.transitions import Observation, decide_absent, decide_listed, decide_new

ACCOUNT = account()


class Memory:
    """The core over a dictionary instead of a database."""

    def __init__(self) -> None:
        self.rows: dict[int, MirrorRow] = {}
        self.history: list[tuple[Any, ...]] = []
        self.now = START
        self.accepted: dict[str, Any] = {}

    def observe(self, items: list[Any], pause: timedelta) -> str:
        self.now += pause
        try:
            listing = decode(body(items), ACCOUNT.decoder)
        except SyncerError:
            return "failed"
        found = diff(self.rows, listing, account="default", observed_at=self.now, expiry_grace=ACCOUNT.expiry_grace)
        share = ACCOUNT.tolerated_vanished
        if guard.examine(self.rows, listing, found, account="default", tolerated_share=share, approved=[]):
            return "held"
        observation = Observation("default", self.now, self.accepted)
        decisions = [
            *(decide_new(instance, observation) for instance in found.new),
            *(decide_listed(row, instance, observation) for row, instance in found.changed),
            *(decide_absent(row, observation) for row in found.absent),
        ]
        for decision in decisions:
            self.rows[decision.id_instance] = decision.row
            self.history += [
                (
                    decision.id_instance,
                    event.transition,
                    event.occurred_at,
                    event.time_source,
                    self.now,
                    decision.previous_observed_at,
                )
                for event in decision.events
            ]
        self.accepted = {"default": self.now}
        return "accepted"
