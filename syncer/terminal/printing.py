"""Results for standard output: lines for people, one JSON document for machines; `render` has the tables.

Nothing here needs a library: a poll that cron starts shall not wait for one.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from syncer.model import Instance, RunResult
from syncer.sync import Plan
from syncer.terminal.width import folded, terminal_width
from syncer.views.strangers_text import one_line, still, still_json
from syncer.words.catalogue import Words
from syncer.words.errors import in_words
from syncer.words.language import MESSENGER_FIELDS, Language, messenger

SHOWN_CHANGES = 200  # lines of a plan for people; --json shows all


def print_json(document: object) -> None:
    """One JSON document, with times as ISO 8601 in UTC; in ASCII where standard output cannot take all of Unicode."""
    takes_all = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    text = json.dumps(document, ensure_ascii=not takes_all, default=_plain, indent=2)
    print(still_json(text))  # noqa: T201 - results go to standard output


def _plain(value: object) -> object:
    return moment(value) if isinstance(value, datetime) else str(value)


def moment(value: datetime | None) -> str:
    """A moment as `2026-11-23T07:00:00Z`; whole seconds are enough for people."""
    return "" if value is None else value.isoformat(timespec="seconds").replace("+00:00", "Z")


def run_document(result: RunResult) -> dict[str, Any]:
    """A run as `syncer sync --json` shows it (CONTRACT 2)."""
    return {
        "id": result.id,
        "account": result.account,
        "status": str(result.status),
        "listed": result.listed,
        "created": result.created,
        "updated": result.updated,
        "transitions": dict(result.transitions),
        "rejected": result.rejected,
        "error_kind": result.error.kind if result.error else None,
        "error": str(result.error) if result.error else None,
    }


def print_run(words: Words, result: RunResult) -> None:
    """A run in one line."""
    if result.error:
        line(f"{result.account}: {result.status}: {in_words(words.language, str(result.error))}")
        return
    line(
        words(
            "run_done",
            account=result.account,
            status=result.status,
            listed=result.listed,
            created=result.created,
            updated=result.updated,
            happened=", ".join(f"{n} {word}" for word, n in result.transitions.items()) or words("no_transitions"),
            rejected=words.counted("items_rejected", result.rejected) if result.rejected else "",
        )
    )


def plan_document(account: str, plan: Plan) -> dict[str, Any]:
    """What would change, field by field."""
    created = sum(1 for decision in plan.decisions if decision.before is None)
    changes = []
    for decision in plan.decisions:
        before = decision.before
        after = decision.row
        fields: dict[str, Any] = {}
        if before is not None:
            fields = {
                name: [getattr(before.instance, name), getattr(after.instance, name)]
                for name in Instance._fields
                if getattr(before.instance, name) != getattr(after.instance, name)
            }
            fields |= {
                name: [getattr(before, name), getattr(after, name)]
                for name in ("account", "missing_since")
                if getattr(before, name) != getattr(after, name)
            }
        changes.append(
            {
                "id_instance": decision.id_instance,
                "name": after.instance.name,
                "transitions": [str(event.transition) for event in decision.events],
                "fields": fields,
            }
        )
    status = "held" if plan.hold else "ok" if changes else "unchanged"
    return {
        "account": account,
        "status": status,
        "listed": plan.listing.listed,
        "created": created,
        "updated": len(changes) - created,
        "rejected": len(plan.listing.rejects),
        "changes": changes,
        "error_kind": None,
        "error": None,
    }


def print_plan(words: Words, plan: dict[str, Any]) -> None:
    """A plan for a person."""
    if plan["error"]:
        line(f"{plan['account']}: {in_words(words.language, plan['error'])}")
    for change in plan["changes"][:SHOWN_CHANGES]:
        transitions = ", ".join(change["transitions"]) or words("no_transition")
        line(f"{change['id_instance']}  {transitions}  {one_line(change['name'])}")
        print_fields(words, change["fields"])
    print_more(words, plan["changes"], SHOWN_CHANGES)
    if plan["status"] in {"ok", "unchanged", "held"}:
        counts = {name: plan[name] for name in ("account", "listed", "created", "updated", "rejected")}
        line(words("plan_done", **counts))


def print_fields(words: Words, fields: Mapping[str, Sequence[object]]) -> None:
    """What changed of an instance, one field a line."""
    for name, (old, new) in fields.items():
        line(f"    {name}: {field_text(words, name, old)} -> {field_text(words, name, new)}")


def print_more(words: Words, rows: Sequence[object], shown: int) -> None:
    """How many of a list's rows are not shown, if any."""
    if len(rows) > shown:
        line(words.counted("more_json", len(rows) - shown))


def line(text: str) -> None:
    """A line of text that cannot move a terminal's cursor; on a terminal it is broken at words, in a pipe never."""
    shown = still(text)
    print(folded(shown, terminal_width(sys.stdout)))  # noqa: T201 - results go to standard output


def told(language: Language, text: str) -> None:
    """The same of a line that the catalogue has by its English text."""
    line(in_words(language, text))


def field_text(words: Words, name: str, value: object) -> str:
    """A field's value for people: what the upstream calls `v3` is MAX for everybody else."""
    if value is None:
        return words("none")
    text = value_text(value)
    return messenger(text) if name in MESSENGER_FIELDS else text


def value_text(value: object) -> str:
    """A value of a row for people, on one line."""
    return moment(value) if isinstance(value, datetime) else one_line(str(value))
