"""Receivers as people see them: a table, and one line for each that is not well."""

from collections.abc import Iterator, Sequence

from syncer.terminal import printing, render
from syncer.views.receivers import ReceiverStatus
from syncer.views.strangers_text import one_line

COLUMNS = ("receiver", "format", "state", "behind", "behind_since", "delivered_at", "next_try_at", "last_error")


def print_receivers(found: Sequence[ReceiverStatus]) -> None:
    """The table, and below it what to do."""
    rows = [["" if (value := getattr(one, name)) is None else value for name in COLUMNS] for one in found]
    headings = [column.replace("_", " ").removeprefix("last ") for column in COLUMNS]
    render.console().print(render.table("Receivers", headings, rows))
    for text in remedies(found):
        printing.line(text)


def remedies(found: Sequence[ReceiverStatus]) -> Iterator[str]:
    """What to do about those that are not well."""
    for one in found:
        name = one_line(one.receiver)
        if one.state == "stopped":
            yield f"{name} answered that it wants no more (HTTP 410); to go on, run: syncer receivers resume {name}"
        elif one.state == "new":
            yield f"{name} is started by the daemon, at the present: syncer run"
        elif one.state == "left":
            yield f"{name} is not among the receivers of these settings"
