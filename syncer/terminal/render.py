"""Tables for people on standard output: `fitted` lays them out, `money` and `summary` have those about those."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from rich.console import Console

from syncer.answer.values import canonical_json
from syncer.terminal.daemons import daemon_lines
from syncer.terminal.fitted import FittedTable
from syncer.terminal.printing import field_text, line, moment, print_fields, print_more
from syncer.views.estate import AccountStatus
from syncer.views.strangers_text import one_line
from syncer.words.catalogue import Words
from syncer.words.errors import in_words
from syncer.words.language import MESSENGER_FIELDS, messenger

WIDTH_WITHOUT_TERMINAL = 1_000_000  # columns in a pipe or a file, where a record is a line
PROSE = {"changes", "error", "meaning", "name"}  # columns that may be folded anywhere; a broken id serves nobody


def console() -> Console:
    """Standard output; colours only on a terminal and not with NO_COLOR; upstream's text is never taken for markup."""
    width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=False, width=width)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> FittedTable:
    """What `console` prints as a table, if there is room for one; the columns are headed as they are called."""
    return FittedTable(title, columns, rows, _places_of_prose(columns))


def worded(words: Words, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> FittedTable:
    """The same, each column headed by its word."""
    return FittedTable(title, [words(f"col_{column}") for column in columns], rows, _places_of_prose(columns))


def _places_of_prose(columns: Sequence[str]) -> set[int]:
    return {place for place, column in enumerate(columns) if column in PROSE}


class Standing(NamedTuple):
    """What `syncer status` tells: accounts, their last runs, who runs them, what is held and approved."""

    accounts: Sequence[AccountStatus]
    runs: Sequence[dict[str, Any]]
    leases: Sequence[dict[str, Any]]
    held: Sequence[dict[str, Any]]
    approved: Sequence[dict[str, Any]]
    standby: Mapping[str, datetime | None] | None


def status_document(standing: Standing) -> dict[str, Any]:
    """`syncer status --json`."""
    return {
        "accounts": [one._asdict() for one in standing.accounts],
        "runs": list(standing.runs),
        "leases": list(standing.leases),
        "held": [{**run, "approve": f"syncer approve {run['id']}"} for run in standing.held],
        "approved": list(standing.approved),
        "standby": standing.standby,
    }


def print_status(words: Words, standing: Standing) -> None:
    """`syncer status` for a person."""
    out = console()
    columns = (
        "account", "state", "data_as_of", "age", "live", "expired", "deleted", "listed", "failures", "warning",
    )  # fmt: skip
    rows = [
        (
            one.account,
            words("retired") if one.is_retired else one.state,
            one.data_as_of,
            age(words, one.age_seconds),
            one.live,
            one.expired,
            one.deleted,
            one.listed,
            one.consecutive_failures,
            (one.warning or "").replace(",", ", "),
        )
        for one in standing.accounts
    ]
    out.print(worded(words, words("accounts"), columns, rows))
    out.print()
    out.print(runs_table(words, standing.runs))
    line("")
    retired = {one.account for one in standing.accounts if one.is_retired}
    for text in daemon_lines(words, [lease for lease in standing.leases if lease["account"] not in retired]):
        line(text)
    for run in standing.held:
        line(f"\n{run['account']}: {in_words(words.language, run['error'])}")
    for run in standing.approved:
        reasons = ", ".join(words("reason_of", reason=reason, n=n) for reason, n in run["reasons"].items())
        approved_at = moment(run["approved_at"])
        line("\n" + words("approved", account=run["account"], run=run["id"], moment=approved_at, reasons=reasons))
    if standing.standby is not None:
        replayed_at = standing.standby["replayed_at"]
        line("\n" + (words("standby_until", moment=moment(replayed_at)) if replayed_at else words("standby")))


def runs_table(words: Words, runs: Sequence[dict[str, Any]]) -> FittedTable:
    """Runs, with what each came to or why it failed."""
    return worded(
        words,
        words("runs"),
        ("run", "account", "started", "status", "listed", "new", "updated", "transitions", "rejected", "error"),
        (
            (
                run["id"],
                run["account"],
                run["started_at"],
                run["status"],
                run["listed"],
                run["created"],
                run["updated"],
                run["transitions"],
                run["rejected"],
                in_words(words.language, run["error"]) if run["error"] else run["warning"] or "",
            )
            for run in runs
        ),
    )


def history_table(words: Words, events: Sequence[dict[str, Any]]) -> FittedTable:
    """Transitions, newest last; an observed time is marked, it is not the upstream's word."""
    return worded(
        words,
        words("history"),
        ("id", "occurred", "transition", "instance", "name", "changes"),
        (
            (
                event["id"],
                f"{moment(event['occurred_at'])}{' ' + words('seen') if event['time_source'] == 'observed' else ''}",
                event["transition"],
                event["id_instance"],
                event["name"],
                "; ".join(
                    f"{column} {_word(words, column, old)} → {_word(words, column, new)}"
                    for column, (old, new) in event["changes"].items()
                ),
            )
            for event in events
        ),
    )


def print_estate_at(words: Words, found: dict[str, Any]) -> None:
    """The estate at a past moment for a person."""
    out = console()
    rows = [
        (row["account"], row["status"], messenger(row["type_instance"]), row["tariff"], row["n"])
        for row in found["estate"]
    ]
    title = words("estate_at", moment=moment(found["as_of"]))
    out.print(worded(words, title, ("account", "status", "type", "tariff", "instances"), rows))
    line(", ".join(f"{n} {word}" for word, n in found["totals"].items()))
    first = found["first_answer_at"]
    if first is None or found["as_of"] < first:
        line(words("before_first", first=moment(first) or words("no_time_yet")))


def print_found(words: Words, found: Sequence[dict[str, Any]], shown: int) -> None:
    """Instances that were looked for; so many lines of them."""
    columns = ["id_instance", "status", "name", "type_instance", "tariff", "account", "expiration_date"]
    headings = ["instance", "status", "name", "type", "tariff", "account", "expires"]
    if any(one["customer"] is not None for one in found):
        columns.insert(3, "customer")
        headings.insert(3, "customer")
    rows = [[field(column, one[column]) for column in columns] for one in found[:shown]]
    console().print(worded(words, words("instances"), headings, rows))
    print_more(words, found, shown)


def print_difference(words: Words, found: dict[str, Any], shown: int) -> None:
    """What differs between two moments for a person."""
    out = console()
    title = words("from_to", before=moment(found["from"]), after=moment(found["to"]))
    rows = [(word, before, after, after - before) for word, (before, after) in found["totals"].items()]
    out.print(worded(words, title, ("status", "before", "after", "net"), rows))
    line(", ".join(f"{n} {word}" for word, n in found["transitions"].items()) or words("no_transitions"))
    for change in found["changes"][:shown]:
        line(f"{change['id_instance']}  {one_line(change['name'])}")
        print_fields(words, change["fields"])
    print_more(words, found["changes"], shown)


def field(column: str, value: Any) -> Any:
    """A field for a cell of a table."""
    return messenger(value) if column in MESSENGER_FIELDS else value


def _word(words: Words, column: str, value: object) -> str:
    if column in MESSENGER_FIELDS:
        return field_text(words, column, value)
    return value if isinstance(value, str) else words("none") if value is None else canonical_json(value)


def age(words: Words, seconds: int | None) -> str:
    """An age in its largest unit of which there are two."""
    if seconds is None:
        return ""
    for unit, size in (("age_d", 86_400), ("age_h", 3_600), ("age_min", 60)):
        if seconds >= 2 * size:
            return words(unit, n=seconds // size)
    return words("age_s", n=seconds)
