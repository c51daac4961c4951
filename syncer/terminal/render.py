"""Tables for people on standard output; `printing` has lines and JSON, `money` and `summary` the tables about those."""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from syncer.answer.values import canonical_json
from syncer.terminal.daemons import daemon_lines
from syncer.terminal.printing import field_text, line, moment, print_fields, print_more, value_text
from syncer.terminal.width import cells
from syncer.views.estate import AccountStatus
from syncer.views.strangers_text import one_line
from syncer.words.catalogue import Words
from syncer.words.errors import in_words
from syncer.words.language import MESSENGER_FIELDS, messenger

WIDTH_WITHOUT_TERMINAL = 1_000_000  # columns in a pipe or a file, where a record is a line
WIDEST_ALIGNED = 60  # columns; in a pipe a longer cell moves the rest of its own line, and of no other
PROSE = {"changes", "error", "meaning", "name"}  # columns that may be folded anywhere; a broken id serves nobody
NARROWEST_PROSE = 12  # columns


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """The reader has gone, which `main` knows how to end with; the library would exit with 1."""
        raise BrokenPipeError


def console() -> Console:
    """Standard output; colours only on a terminal and not with NO_COLOR; upstream's text is never taken for markup."""
    width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
    return _Console(markup=False, highlight=False, emoji=False, soft_wrap=False, width=width)


class FittedTable:
    """A plain table; numbers stand right. Where it is too wide for a terminal, each row is a line of named values."""

    def __init__(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], prose: Collection[int]
    ) -> None:
        self._title = title
        self._columns = columns
        self._rows = [list(row) for row in rows]
        self._prose = prose
        self._cells = [[value_text(cell) if cell is not None else "" for cell in row] for row in self._rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not console.is_terminal:
            yield from self._records()
            return
        widest = options.update(max_width=10_000)
        made = Table(
            title=self._title, title_justify="left", box=None, pad_edge=False, header_style="bold",
            min_width=min(len(self._title.strip()), options.max_width),
        )  # fmt: skip
        least, wanted = [], []
        for place in range(len(self._columns)):
            column = [row[place] for row in [self._columns, *self._cells]]
            longest_word = max(Measurement.get(console, widest, Text(cell)).minimum for cell in column)
            least.append(min(longest_word, NARROWEST_PROSE) if place in self._prose else longest_word)
            wanted.append(max(map(cells, column)))
        room = options.max_width - 2 * (len(self._columns) - 1)
        if sum(least) > room:
            yield from self._lines(console, options.max_width)
            return
        for place, width in enumerate(self._widths(least, wanted, room)):
            made.add_column(
                self._columns[place], justify="right" if self._is_number(place) else "left", overflow="fold",
                width=width, no_wrap=wanted[place] <= width,
            )  # fmt: skip
        for row in self._cells:
            made.add_row(*row)
        yield made

    def _widths(self, least: Sequence[int], wanted: Sequence[int], room: int) -> list[int]:
        """How wide each column is: what all have at least, and the rest for those that want more, prose last.

        The library may shrink a column below its least and then show it wider than it folds it: letters were lost.
        """
        widths = list(least)
        more = [place for place, width in enumerate(least) if wanted[place] > width]
        more.sort(key=lambda place: (place in self._prose, wanted[place] - least[place]))
        for served, place in enumerate(more):
            share = (room - sum(widths)) // (len(more) - served) if place in self._prose else room - sum(widths)
            widths[place] += min(wanted[place] - least[place], share)
        return widths

    def _is_number(self, place: int) -> bool:
        return bool(self._rows) and all(isinstance(row[place], int) or row[place] is None for row in self._rows)

    def _records(self) -> RenderResult:
        """One line a record, for what reads lines; columns are aligned where that makes them no wider than need be."""
        yield Text(self._title, no_wrap=True)
        rows = [list(self._columns), *self._cells]
        widths = [
            max((min(cells(row[place]), WIDEST_ALIGNED) for row in rows), default=0)
            for place in range(len(self._columns))
        ]
        for row in rows:
            padded = [
                " " * (width - cells(cell)) + cell if self._is_number(place) else cell + " " * (width - cells(cell))
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            yield Text("  ".join(padded).rstrip(), no_wrap=True)

    def _lines(self, console: Console, width: int) -> RenderResult:
        yield Text(self._title, style="bold")
        for row in self._cells:
            named = "  ".join(
                f"{column} {cell}" if column else cell for column, cell in zip(self._columns, row, strict=True) if cell
            )
            first, *others = Text(named, overflow="fold").wrap(console, width - 4)
            yield first
            for other in others:
                yield Text("    ") + other


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
    columns = ("id_instance", "status", "name", "type_instance", "tariff", "account", "expiration_date")
    headings = ("instance", "status", "name", "type", "tariff", "account", "expires")
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
