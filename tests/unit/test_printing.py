"""Lines for people."""

import pytest

from syncer.terminal import printing


def test_a_line_is_told_whole_and_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    printing.line("\nnäme \x1b[31m\r\x07\x9b2J\u00a0—" + "x" * 300)

    assert "\nnäme �[31m���2J\u00a0—" + "x" * 300 + "\n" == capsys.readouterr().out
