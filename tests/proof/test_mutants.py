"""What `make mutants` would plant faults in is there, and its tests are; the faults themselves are planted on demand."""

import importlib.util
from pathlib import Path

import pytest
from conftest import CHECKOUT

SPEC = importlib.util.spec_from_file_location("mutants", Path(__file__).with_name("mutants.py"))
assert SPEC is not None
assert SPEC.loader is not None
mutants = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mutants)


@pytest.mark.parametrize("target", mutants.TARGETS)
def test_every_target_is_a_function_or_class_of_the_code(target: str) -> None:
    mutants.find(target)


def test_every_step_names_tests_that_exist() -> None:
    assert [path for step in mutants.STEPS for path in step if not (CHECKOUT / path).exists()] == []


def test_a_seed_draws_the_same_faults_again_and_each_changes_the_code() -> None:
    target = mutants.TARGETS[0]

    drawn = mutants.drawn([target], 7, 5)

    assert mutants.drawn([target], 7, 5) == drawn
    assert len({fault.text for fault in drawn}) == len(drawn) > 0
