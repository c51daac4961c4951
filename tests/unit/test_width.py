"""Where lines for a terminal are broken."""

import pytest

from syncer.terminal.width import cells, folded


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("short", 80, "short"),
        ("one two three", 8, "one two\n  three"),
        ("    one two three", 12, "    one two\n      three"),
        ("one\ntwo three four", 9, "one\ntwo three\n  four"),
        ("такси такси", 8, "такси\n  такси"),
        ("宝宝 宝宝", 6, "宝宝\n  宝宝"),
        ("a 710300733103710300733103 b", 10, "a\n  710300733103710300733103\n  b"),
        ("one two three", None, "one two three"),
    ],
)
def test_a_line_is_broken_between_words_and_no_word_is(text: str, width: int | None, expected: str) -> None:
    assert expected == folded(text, width)


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("Ёж", 2), ("宝", 2), ("e\u0301", 1), ("🥐", 2)])
def test_a_sign_is_as_wide_as_a_terminal_shows_it(text: str, columns: int) -> None:
    assert columns == cells(text)
