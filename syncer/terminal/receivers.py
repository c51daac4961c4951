"""Receivers as people see them: a table, and one line for each that is not well."""

from collections.abc import Sequence

from syncer.terminal import printing, render
from syncer.views.receivers import ReceiverStatus
from syncer.views.strangers_text import one_line
from syncer.words.catalogue import Words

COLUMNS = ("receiver", "format", "state", "behind", "behind_since", "delivered_at", "next_try_at", "last_error")

TO_DO = {"stopped": "receiver_stopped", "new": "receiver_new", "left": "receiver_left"}
"""What is said below the table of a receiver in this state."""


def print_receivers(words: Words, found: Sequence[ReceiverStatus]) -> None:
    """The table, and below it what to do."""
    rows = [["" if (value := getattr(one, name)) is None else value for name in COLUMNS] for one in found]
    render.console().print(render.worded(words, words("receivers"), COLUMNS, rows))
    for one in found:
        if one.state in TO_DO:
            printing.line(words(TO_DO[one.state], name=one_line(one.receiver)))
