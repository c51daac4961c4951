"""The words that everyone uses."""

from syncer.errors import AnswerHeld
from syncer.model import RunResult, RunStatus


def test_a_result_ends_with_the_exit_code_of_its_error() -> None:
    assert 0 == RunResult(1, "default", RunStatus.OK).exit_code
    assert 6 == RunResult(1, "default", RunStatus.HELD, error=AnswerHeld("held")).exit_code
