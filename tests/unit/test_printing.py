"""Lines for people."""

import io
from collections import Counter

import pytest
from rich.console import Console

from syncer.terminal import printing, render


def test_a_line_is_told_whole_and_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    printing.line("\nnäme \x1b[31m\r\x07\x9b2J\u00a0—" + "x" * 300)

    assert "\nnäme �[31m���2J\u00a0—" + "x" * 300 + "\n" == capsys.readouterr().out


def test_where_a_name_may_be_folded_no_time_is_broken_for_it() -> None:
    """79 columns would do with the name on two lines, and all of it takes 83."""
    out = io.StringIO()
    columns = ("instance", "status", "name", "type", "tariff", "account", "expires")
    row = (310002932412, "active", "Доставка MAX", "MAX", "PARTNER_23", "default", "2026-11-27T03:58:00Z")

    Console(file=out, width=80, force_terminal=True, color_system=None).print(render.table("T", columns, [row]))

    assert {"310002932412", "PARTNER_23", "2026-11-27T03:58:00Z", "Доставка", "MAX"} <= set(out.getvalue().split())


@pytest.mark.parametrize("width", range(60, 140))
def test_a_table_loses_no_letter_whatever_the_terminals_width(width: int) -> None:
    out = io.StringIO()
    columns = ("id", "occurred", "transition", "instance", "name", "changes")
    rows = [
        (42, "2026-11-24T12:00:00Z (seen)", "purged", 710300209458, "Нұр-Жол ЖШС", "missing false → true"),
        (45, "2026-11-26T00:00:00Z (seen)", "restored", 310000418916, "ИП Смирнова А. В. 🥐",
         "deleted true → false; time_deleted 2026-11-19T00:00:00Z → none"),
    ]  # fmt: skip

    Console(file=out, width=width, force_terminal=True, color_system=None).print(render.table("T", columns, rows))

    shown = Counter(out.getvalue())
    assert {} == {sign: n for sign, n in Counter(f"{rows}").items() if sign.isalnum() and shown[sign] < n}
