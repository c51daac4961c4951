"""The random histories of several accounts are worth something only if they visit every reason, and every way to pass."""

import random
from collections import Counter

from contract_items import Said
from contract_model import ContractModel
from mirror import START
from playing import headers_of
from shared_histories import Approve, Poll, Rename, Retire, steps

HISTORIES = 1_000
REASONS = {"empty", "foreign", "vanished", "flipped deleted", "flipped expired", "flipped restored", "stripped", "older", "shifted"}  # fmt: skip


def visited(seed: int) -> set[str]:
    """What one history reaches, by the model alone."""
    model, now, reached = ContractModel(), START, set()
    chance = random.Random(seed)
    held: list[int] = []
    for step in steps(chance, chance.randint(2, 14)):
        match step:
            case Poll():
                now += step.pause
                outcome = model.observe(step.items, now, step.account, Said(headers_of(step, now), now))
                words = {reason if reason != "flipped" else f"{reason} {kind}" for reason, kind in model.reasons}
                reached |= {f"{'held' if outcome == 'held' else 'passed'} {word}" for word in words}
                reached |= model.kinds | (model.warnings if outcome == "accepted" else set())
                reached |= {"two reasons"} if outcome == "held" and len(words) > 1 else set()
                held = [*held, model.runs] if outcome == "held" else []
            case Approve(back):
                if len(held) >= back:
                    model.approve(held[-back])
            case Rename(old, new) if old in model.accepted:
                reached.add(f"rename {model.rename(old, new)}")
            case Retire(name):
                model.retire(name)
    owners = Counter((event["id_instance"], event["account"]) for event in model.history)
    if len({key for key, _ in owners}) < len(owners):
        reached.add("moved")
    return reached


def test_every_reason_every_warning_and_every_move_is_reached_by_some_history() -> None:
    reached = Counter(word for seed in range(HISTORIES) for word in visited(seed))

    expected = {f"{fate} {reason}" for fate in ("held", "passed") for reason in REASONS}
    expected |= {"partial", "stale", "clock", "overlap", "mass_change", "blind_gap", "zone", "two reasons", "moved"}
    assert expected | {"rename True", "rename False"} == set(reached), reached
