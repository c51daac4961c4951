"""What `syncer status` says of daemons, in lines."""

from collections.abc import Sequence
from typing import Any

from syncer.views.strangers_text import one_line
from syncer.words.catalogue import Words

SHOWN_NEXT = 5  # accounts of a daemon by name; --json shows all


def daemon_lines(words: Words, leases: Sequence[dict[str, Any]]) -> list[str]:
    """Which daemons live, when they run what, and what is under way now."""
    lines = [
        words("under_way", account=one_line(lease["account"]), process=_process(lease["holder"]))
        for lease in leases
        if lease["holder"] is not None
    ]
    of_daemons: dict[str, list[dict[str, Any]]] = {}
    for lease in sorted(leases, key=lambda lease: lease["next_run_in_seconds"] or 0):
        if lease["daemon"] is not None:
            of_daemons.setdefault(lease["daemon"], []).append(lease)
    for daemon, its in sorted(of_daemons.items()):
        if len(leases) == 1:
            told = words("next_run", soon=_soon(words, its[0]["next_run_in_seconds"]))
        else:
            runs = [f"{one_line(one['account'])} {_soon(words, one['next_run_in_seconds'])}" for one in its]
            told = words("next_runs", runs=_few(words, runs))
        lines.append(words("daemon", process=_process(daemon), n=its[0]["beat_age_seconds"], told=told))
    alone = [one_line(lease["account"]) for lease in leases if lease["daemon"] is None]
    if not of_daemons:
        lines.append(words("no_daemon"))
    elif alone:
        lines.append(words("no_daemon_of", accounts=_few(words, alone)))
    return lines


def _few(words: Words, named: Sequence[str]) -> str:
    more = words.counted("and_more", len(named) - SHOWN_NEXT) if len(named) > SHOWN_NEXT else ""
    return f"{', '.join(named[:SHOWN_NEXT])}{more}"


def _process(holder: str) -> str:
    """A holder's host and process, without what tells it from later ones."""
    return one_line(":".join(holder.split(":")[:2]))


def _soon(words: Words, seconds: int) -> str:
    for unit, size in (("soon_d", 86_400), ("soon_h", 3_600), ("soon_min", 60)):
        if seconds >= 2 * size:
            return words(unit, n=seconds // size)
    return words("soon_s", n=seconds) if seconds else words("soon_now")
