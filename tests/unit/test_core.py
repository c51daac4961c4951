"""Diff, guard and transitions beside the model of the contract, in memory: the same histories, the same events."""

import os
from datetime import timedelta
from typing import Any

from builders import item
from contract_model import ContractModel
from histories import histories
from hypothesis import given, settings
from memory import Memory

from syncer.model import Transition

EXAMPLES = int(os.environ.get("SYNCER_CORE_EXAMPLES", "200"))


@settings(max_examples=EXAMPLES)
@given(histories(longest=12))
def test_the_core_says_what_the_contract_says(answers: list[tuple[timedelta, list[dict[str, Any]]]]) -> None:
    core, model = Memory(), ContractModel()
    for pause, items in answers:
        assert model.observe(items, core.now + pause) == core.observe(items, pause)
        assert model.rows.keys() == core.rows.keys()
    columns = ("id_instance", "transition", "occurred_at", "time_source", "observed_at", "previous_observed_at")
    expected = [tuple(event[name] for name in columns) for event in model.history]
    assert sorted(expected, key=lambda event: event[0]) == sorted(core.history, key=lambda event: event[0])


@settings(max_examples=EXAMPLES)
@given(histories(longest=12))
def test_opposite_transitions_alternate(answers: list[tuple[timedelta, list[dict[str, Any]]]]) -> None:
    core = Memory()
    for pause, items in answers:
        core.observe(items, pause)

    for opposites in (("deleted", "restored"), ("expired", "renewed"), ("gone", "reappeared")):
        for id_instance in core.rows:
            words = [
                "gone" if word in {Transition.VANISHED, Transition.PURGED} else str(word)
                for key, word, *_ in core.history
                if key == id_instance
            ]
            sequence = [word for word in words if word in opposites]

            assert words[0] == "created"
            assert words.count("created") == 1
            assert sequence == [opposites[place % 2] for place in range(len(sequence))]


def test_the_same_answer_again_decides_nothing() -> None:
    core = Memory()
    core.observe([item(1), item(2, isExpired=True)], timedelta())
    before = list(core.history)

    core.observe([item(2, isExpired=True), item(1)], timedelta(minutes=5))

    assert before == core.history


def test_every_transition_is_reached_by_some_history() -> None:
    """The random histories are worth something only if they visit every move."""
    reached: set[str] = set()

    @settings(max_examples=300, database=None, derandomize=True)
    @given(histories(longest=12))
    def visit(answers: list[tuple[timedelta, list[dict[str, Any]]]]) -> None:
        core = Memory()
        for pause, items in answers:
            core.observe(items, pause)
        reached.update(str(event[1]) for event in core.history)

    visit()

    assert {str(word) for word in Transition} == reached
