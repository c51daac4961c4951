"""The words that everyone uses."""

from syncer.errors import AnswerHeld
from syncer.model import RunReport, RunStatus


def test_a_report_ends_with_the_exit_code_of_its_error() -> None:
    assert 0 == RunReport(1, "default", RunStatus.OK).exit_code
    assert 6 == RunReport(1, "default", RunStatus.HELD, error=AnswerHeld("held")).exit_code
