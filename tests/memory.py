"""The road of an answer over a dictionary instead of a database: what decides alone, at speed."""

from array import array
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from builders import body
from mirror import START, account

from syncer.answer.known import DELETED, MISSING, RENEWING, Known, Remembered
from syncer.answer.listing import Listing
from syncer.answer.reader import Reader
from syncer.model import MirrorRow
from syncer.rules import guard
from syncer.rules.decisions import Rows, decisions_of, told_one_by_one
from syncer.rules.transitions import Observation, is_auto_renewing

ACCOUNT = account()


def known_of(
    rows: Mapping[int, MirrorRow], name: str = "default", hashes: Mapping[int, tuple[int, int]] | None = None
) -> Known:
    """What a database would say is known of an account; `hashes` are those of whole items and of their rests."""
    ids = sorted(key for key, row in rows.items() if row.account == name)
    return Known(
        array("q", ids),
        array("Q", [(hashes or {}).get(key, (0, 0))[0] for key in ids]),
        array("Q", [(hashes or {}).get(key, (0, 0))[1] for key in ids]),
        bytearray(_flags_of(rows[key]) for key in ids),
    )


def _flags_of(row: MirrorRow) -> int:
    renewing = is_auto_renewing(row.instance.is_partner, row.instance.tariff)
    return DELETED * row.instance.deleted | MISSING * (row.missing_since is not None) | RENEWING * renewing


def rows_in(mirror: Mapping[int, MirrorRow], claimants: Mapping[int, str] | None = None) -> Rows:
    """What a database would say of these rows."""
    return Rows(
        lambda ids: {key: mirror[key] for key in ids if key in mirror},
        lambda ids: {key: mirror[key].instance.expiration_date for key in ids},
        lambda ids: {key: name for key, name in (claimants or {}).items() if key in ids},
        shared=False,
    )


class Memory:
    """Holds rows and history as the tables would, of one account."""

    def __init__(self) -> None:
        self.rows: dict[int, MirrorRow] = {}
        self.history: list[tuple[Any, ...]] = []
        self.rolled = 0
        """How often an expiration date moved by itself and nothing else did."""
        self.now = START
        self.accepted: dict[str, datetime | None] = {}
        self._hashes: dict[int, tuple[int, int]] = {}
        self._seed: int | None = None

    def read(self, text: bytes) -> Listing:
        """An answer beside what is known."""
        remembered = Remembered(self._seed, None, 0, "")
        listing = Reader(ACCOUNT.decoder, (), lambda: known_of(self.rows, hashes=self._hashes), remembered)([text])
        assert listing is not None
        return listing

    def _keep_hashes(self, id_instance: int, item_hash: int, rest_hash: int) -> None:
        self._hashes[id_instance] = item_hash, rest_hash

    def observe(self, items: list[Any], pause: timedelta) -> str:
        """`accepted`, `held` or `failed`, as `contract_model.ContractModel.observe` says it."""
        self.now += pause
        listing = self.read(body(items))
        if listing.problem is not None:
            return "failed"
        observation = Observation("default", self.now, self.accepted, ACCOUNT.expiry_grace)
        known_rows = rows_in(self.rows)
        decided = list(decisions_of(listing, observation, known_rows))
        tally = guard.Tally()
        for some in decided:
            tally.count(some.decisions)
        if guard.examine(listing, tally, ACCOUNT.bounds, {}):
            return "held"
        for some in decided:
            self.rolled += len(some.rolled.ids)
            for decision in told_one_by_one(some, observation, known_rows):
                self.rows[decision.id_instance] = decision.row
                if decision.item is not None and decision.item.instance == decision.row.instance:
                    self._keep_hashes(decision.id_instance, decision.item.item_hash, decision.item.rest_hash)
                elif decision.row is not decision.before:
                    self._hashes.pop(decision.id_instance, None)
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
        self._seed = listing.seed
        return "accepted"
