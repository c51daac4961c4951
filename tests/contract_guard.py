"""CONTRACT 6 once more, written from its text alone: for which reasons an answer is held, and what an approval covers."""

from collections import defaultdict
from datetime import datetime
from typing import Any, NamedTuple

Reasons = dict[tuple[str, str], set[int]]
"""The instances that each reason counts, by the reason and its kind (`flipped`: the word; `shifted`: the amount in seconds)."""

STRIPPED = ("tariff", "is_partner", "expiration_date", "time_created")


class Shares(NamedTuple):
    """The settings of the guard, in per cent."""

    vanished: int = 5
    changed: int = 30


class Shown(NamedTuple):
    """What an answer of an account shows, beside what was known of it."""

    own: dict[int, dict[str, Any]]  # the rows of the account before the answer
    claims: set[int]  # what it claims of others
    states: dict[int, dict[str, Any]]  # what can be read, settled
    seen: set[int]  # also what was rejected
    lists_nothing: bool
    proves_absence: bool
    moving: set[int]  # what goes to other accounts by this answer
    now: datetime


def renews_itself(state: dict[str, Any]) -> bool:
    partner = state["is_partner"]
    return bool(partner) if partner is not None else (state["tariff"] or "").startswith("PARTNER")


def live_of(rows: dict[int, dict[str, Any]]) -> set[int]:
    return {key for key, row in rows.items() if not row["missing"] and not row["deleted"]}


def reasons_of(shown: Shown, shares: Shares) -> Reasons:
    """Every reason for which the answer is held."""
    listed_before = {key for key, row in shown.own.items() if not row["missing"]}

    live = live_of(shown.own) - shown.moving
    if shown.lists_nothing:
        return {("empty", ""): live} if live else {}
    if listed_before and not shown.seen & (shown.own.keys() | shown.claims):
        return {("foreign", ""): live | shown.seen}
    found: Reasons = {}
    lost = live - shown.seen if shown.proves_absence else set()
    if is_more(lost, shares.vanished, of=len(live)):
        found["vanished", ""] = lost
    still = listed_before & shown.seen
    pairs = {key: (shown.own[key], shown.states[key]) for key in still & shown.states.keys()}
    for word, flipped in _flipped(pairs, shown.now).items():
        if is_more(flipped, shares.changed, of=len(live)):
            found["flipped", word] = flipped
    stripped = {
        key
        for key, (old, new) in pairs.items()
        if any(old[column] is not None and new[column] is None for column in STRIPPED)
    }
    if is_more(stripped, shares.changed, of=len(still)):
        found["stripped", ""] = stripped
    renewing = {key for key in still & live if renews_itself(shown.own[key])}
    renewing -= {key for key, (_, new) in pairs.items() if new["deleted"] or not renews_itself(new)}
    older = {key for key in renewing & pairs.keys() if is_earlier(*pairs[key])}
    if is_more(older, 5, of=len(renewing)):
        found["older", ""] = older
    shifted: dict[str, set[int]] = defaultdict(set)
    for key, (old, new) in pairs.items():
        if None not in {old["time_created"], new["time_created"]} and old["time_created"] != new["time_created"]:
            shifted[f"{(new['time_created'] - old['time_created']).total_seconds():.0f}"].add(key)
    for amount, moved in shifted.items():
        if is_more(moved, 5, of=len(still)):
            found["shifted", amount] = moved
    return found


def is_more(counted: set[int], per_cent: int, *, of: int) -> bool:
    return len(counted) > 3 and len(counted) * 100 > of * per_cent


def _flipped(pairs: dict[int, tuple[dict[str, Any], dict[str, Any]]], now: datetime) -> dict[str, set[int]]:
    flipped: dict[str, set[int]] = {"deleted": set(), "expired": set(), "restored": set()}
    for key, (old, new) in pairs.items():
        if old["deleted"] != new["deleted"]:
            flipped["deleted" if new["deleted"] else "restored"].add(key)
        elif not new["deleted"] and new["is_expired"] and not old["is_expired"]:
            due = old["expiration_date"] is not None and old["expiration_date"] <= now
            if not due or renews_itself(old):
                flipped["expired"].add(key)
    return flipped


def is_earlier(old: dict[str, Any], new: dict[str, Any]) -> bool:
    before, after = old["expiration_date"], new["expiration_date"]
    return before is not None and after is not None and after < before


def is_covered(reasons: Reasons, approved: list[Reasons]) -> bool:
    """Whether every reason was approved, each for a set that holds what it counts now."""
    return all(
        any(
            ids <= allowed
            for approval in approved
            for held, allowed in approval.items()
            if held == reason or (reason[0] == "vanished" and held[0] in {"empty", "foreign"})
        )
        for reason, ids in reasons.items()
    )
