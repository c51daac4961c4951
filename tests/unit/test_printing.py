"""Lines for people."""

import io
from collections import Counter
from datetime import UTC, datetime

import pytest
from rich.console import Console

from syncer.terminal import printing, render
from syncer.words.language import Language
from syncer.words.terminal import terminal_words


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


@pytest.mark.parametrize("width", [80, 100, 130])
def test_a_run_is_one_line_of_a_terminal_and_its_error_stands_below(width: int) -> None:
    out = io.StringIO()
    error = "8 of 24 live instances are missing from the answer (310001989851, 410001570935 and 6 more); " * 2
    run = {
        "account": "demo",
        "started_at": datetime(2026, 11, 23, 6, tzinfo=UTC),
        "rejected": 0,
        "error": None,
        "warning": None,
    }
    ok = {"id": 10, "status": "ok", "listed": 29, "created": 0, "updated": 17, "transitions": 1, **run}
    held = ok | {"id": 11, "status": "held", "created": None, "updated": None, "transitions": None, "error": error}

    table = render.runs_table(terminal_words(Language.EN), [ok, held, ok | {"id": 12}])
    Console(file=out, width=width, force_terminal=True, color_system=None, highlight=False).print(table)

    title, head, first, second, *below, last = out.getvalue().splitlines()
    assert ["Runs", "run"] == [title.strip(), head.split()[0]]
    assert ["10", "11", "12"] == [line.split()[0] for line in (first, second, last)]
    assert error.split() == " ".join(below).split()
    assert all(line.startswith("    ") for line in below)
