"""What `syncer status` says of daemons, in lines."""

from collections.abc import Sequence
from typing import Any

from syncer.views.strangers_text import one_line

SHOWN_NEXT = 5  # accounts of a daemon by name; --json shows all


def daemon_lines(leases: Sequence[dict[str, Any]]) -> list[str]:
    """Which daemons live, when they run what, and what is under way now."""
    lines = [
        f"a run of {one_line(lease['account'])} is under way in {_process(lease['holder'])}"
        for lease in leases
        if lease["holder"] is not None
    ]
    of_daemons: dict[str, list[dict[str, Any]]] = {}
    for lease in sorted(leases, key=lambda lease: lease["next_run_in_seconds"] or 0):
        if lease["daemon"] is not None:
            of_daemons.setdefault(lease["daemon"], []).append(lease)
    for daemon, its in sorted(of_daemons.items()):
        if len(leases) == 1:
            told = f"next run {_soon(its[0]['next_run_in_seconds'])}"
        else:
            runs = [f"{one_line(one['account'])} {_soon(one['next_run_in_seconds'])}" for one in its[:SHOWN_NEXT]]
            told = f"next runs: {', '.join(runs)}"
            told += f" and {len(its) - SHOWN_NEXT} more" if len(its) > SHOWN_NEXT else ""
        lines.append(f"daemon {_process(daemon)}, beat {its[0]['beat_age_seconds']} s ago, {told}")
    alone = [one_line(lease["account"]) for lease in leases if lease["daemon"] is None]
    if not of_daemons:
        lines.append("no daemon is running")
    elif alone:
        more = f" and {len(alone) - SHOWN_NEXT} more" if len(alone) > SHOWN_NEXT else ""
        lines.append(f"no daemon runs {', '.join(alone[:SHOWN_NEXT])}{more}")
    return lines


def _process(holder: str) -> str:
    """A holder's host and process, without what tells it from later ones."""
    return one_line(":".join(holder.split(":")[:2]))


def _soon(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"in {seconds // size} {unit}"
    return f"in {seconds} s" if seconds else "now"
