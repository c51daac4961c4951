"""A mutant whose text is no longer in the code would prove nothing."""

import importlib.util
from collections import Counter
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("mutants", Path(__file__).with_name("mutants.py"))
assert SPEC is not None
assert SPEC.loader is not None
mutants = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mutants)


def test_every_mutant_still_changes_one_place() -> None:
    assert mutants.problems_of(mutants.MUTANTS) == []
    assert len(mutants.MUTANTS) >= 40
    assert [name for name, count in Counter(mutant.name for mutant in mutants.MUTANTS).items() if count > 1] == []
