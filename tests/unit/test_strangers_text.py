"""What strangers wrote moves no cursor, turns no letters around and is no formula."""

import io
import json

import pytest

from syncer.terminal import printing
from syncer.views.export import _cell
from syncer.views.strangers_text import StillBytes, one_line

MOVES = "\x1b\x9b\x7f\r\u202e\u2066\u200f\u061c\u2028"


def test_a_json_document_means_the_same_and_moves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    printing.print_json({"name": f"a{MOVES}b\n\U0001f600ж"})
    printed = capsys.readouterr().out

    assert json.loads(printed) == {"name": f"a{MOVES}b\n\U0001f600ж"}
    assert not set(MOVES) & set(printed)
    assert "\U0001f600ж" in printed


def test_a_line_keeps_its_lines_alone(capsys: pytest.CaptureFixture[str]) -> None:
    printing.line(f"a{MOVES}\nb")

    assert "a" + "\ufffd" * len(MOVES) + "\nb\n" == capsys.readouterr().out
    assert one_line(f"a{MOVES}\nb") == "a" + "\ufffd" * (len(MOVES) + 1) + "b"


def test_a_space_that_is_not_broken_at_is_a_space() -> None:
    assert "ООО\u00a0Ромашка 12\u202f480" == one_line("ООО\u00a0Ромашка 12\u202f480")


def test_what_a_terminal_is_sent_moves_nothing() -> None:
    out = io.BytesIO()
    StillBytes(out).write(f"ж{MOVES},x\r\n".encode())

    assert out.getvalue().decode() == "ж" + "\ufffd" * len(MOVES) + ",x\n"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d"])
@pytest.mark.parametrize(
    "before",
    ["", " ", "\u00a0", "\u200b", "\u3000", "\ufeff", "\v", "\f", "\x85", "\u00ad", "\u2060", " \u200b\t \ufeff"],
)
def test_what_is_not_seen_makes_no_formula(before: str, sign: str) -> None:
    assert _cell(f"{before}{sign}1") == f"'{before}{sign}1"


@pytest.mark.parametrize("text", ["", "a=1", "Region - 12", "\u200bname", "1-2"])
def test_other_text_is_a_cell_as_it_stands(text: str) -> None:
    assert _cell(text) == text
