"""Tables for people on standard output; `printing` has lines and JSON.

Over 300 lines: one function a table, and nothing that two of them could share.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from syncer.answer.values import canonical_json
from syncer.terminal.daemons import daemon_lines
from syncer.terminal.printing import field_text, line, moment, value_text
from syncer.terminal.width import cells
from syncer.views.estate import AccountStatus
from syncer.views.strangers_text import one_line
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

    def __init__(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        self._title = title
        self._columns = columns
        self._rows = [list(row) for row in rows]
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
        needed = 2 * (len(self._columns) - 1)
        for place, column in enumerate(self._columns):
            is_number = self._is_number(place)
            words = [
                Measurement.get(console, widest, Text(row[place])).minimum for row in [self._columns, *self._cells]
            ]
            width = min(max(words), NARROWEST_PROSE) if column in PROSE else max(words)
            needed += width
            is_whole = all(cells(row[place]) <= width for row in [self._columns, *self._cells])
            made.add_column(
                column, justify="right" if is_number else "left", overflow="fold", min_width=width, no_wrap=is_whole
            )
        if needed > options.max_width:
            yield from self._lines(console, options.max_width)
            return
        for row in self._cells:
            made.add_row(*row)
        yield made

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
    """What `console` prints as a table, if there is room for one."""
    return FittedTable(title, columns, rows)


def status_document(
    accounts: Sequence[AccountStatus],
    runs: Sequence[dict[str, Any]],
    leases: Sequence[dict[str, Any]],
    *,
    held: Sequence[dict[str, Any]],
    approved: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """`syncer status --json`."""
    return {
        "accounts": [account._asdict() for account in accounts],
        "runs": list(runs),
        "leases": list(leases),
        "held": [{**run, "approve": f"syncer approve {run['id']}"} for run in held],
        "approved": list(approved),
    }


def print_status(
    accounts: Sequence[AccountStatus],
    runs: Sequence[dict[str, Any]],
    leases: Sequence[dict[str, Any]],
    *,
    held: Sequence[dict[str, Any]],
    approved: Sequence[dict[str, Any]],
) -> None:
    """`syncer status` for a person."""
    out = console()
    out.print(
        table(
            "Accounts",
            ("account", "state", "data as of", "age", "live", "expired", "deleted", "listed", "failures", "warning"),
            (
                (
                    one.account,
                    "retired" if one.is_retired else one.state,
                    one.data_as_of,
                    _age(one.age_seconds),
                    one.live,
                    one.expired,
                    one.deleted,
                    one.listed,
                    one.consecutive_failures,
                    (one.warning or "").replace(",", ", "),
                )
                for one in accounts
            ),
        )
    )
    out.print()
    out.print(runs_table(runs))
    line("")
    retired = {one.account for one in accounts if one.is_retired}
    for text in daemon_lines([lease for lease in leases if lease["account"] not in retired]):
        line(text)
    for run in held:
        line(f"\n{run['account']}: {run['error']}")
    for run in approved:
        reasons = ", ".join(f"{reason} of {n}" for reason, n in run["reasons"].items())
        line(
            f"\n{run['account']}: run {run['id']} is approved since {moment(run['approved_at'])} ({reasons}); "
            "the next answer that is accepted uses it up"
        )


def print_standby(standby: Mapping[str, datetime | None] | None) -> None:
    """That the database is a standby, for a person: what is younger is in its primary alone."""
    if standby is not None:
        until = f" until {moment(standby['replayed_at'])}" if standby["replayed_at"] else ""
        line(f"\nthe database is a standby, a read replica: it has what its primary committed{until}")


def runs_table(runs: Sequence[dict[str, Any]]) -> FittedTable:
    """Runs, with what each came to or why it failed."""
    return table(
        "Runs",
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
                run["error"] or run["warning"] or "",
            )
            for run in runs
        ),
    )


def history_table(events: Sequence[dict[str, Any]]) -> FittedTable:
    """Transitions, newest last; an observed time is marked, it is not the upstream's word."""
    return table(
        "History",
        ("id", "occurred", "transition", "instance", "name", "changes"),
        (
            (
                event["id"],
                f"{moment(event['occurred_at'])}{' (seen)' if event['time_source'] == 'observed' else ''}",
                event["transition"],
                event["id_instance"],
                event["name"],
                "; ".join(
                    f"{column} {_word(column, old)} → {_word(column, new)}"
                    for column, (old, new) in event["changes"].items()
                ),
            )
            for event in events
        ),
    )


def print_estate_at(found: dict[str, Any]) -> None:
    """The estate at a past moment for a person."""
    out = console()
    rows = [
        (row["account"], row["status"], messenger(row["type_instance"]), row["tariff"], row["n"])
        for row in found["estate"]
    ]
    title = f"The estate at {moment(found['as_of'])}"
    out.print(table(title, ("account", "status", "type", "tariff", "instances"), rows))
    line(", ".join(f"{n} {word}" for word, n in found["totals"].items()))
    first = found["first_answer_at"]
    if first is None or found["as_of"] < first:
        line(
            f"careful: syncer saw its first answer at {moment(first) or 'no time yet'}; of the time before it knows "
            "what that told, and instances deleted more than three months before are unknown"
        )


def print_found(found: Sequence[dict[str, Any]], shown: int) -> None:
    """Instances that were looked for; so many lines of them."""
    columns = ("id_instance", "status", "name", "type_instance", "tariff", "account", "expiration_date")
    headings = ("instance", "status", "name", "type", "tariff", "account", "expires")
    rows = [[_field(column, one[column]) for column in columns] for one in found[:shown]]
    console().print(table("Instances", headings, rows))
    _print_more(found, shown)


def print_difference(found: dict[str, Any], shown: int) -> None:
    """What differs between two moments for a person."""
    out = console()
    title = f"From {moment(found['from'])} to {moment(found['to'])}"
    rows = [(word, before, after, after - before) for word, (before, after) in found["totals"].items()]
    out.print(table(title, ("status", "before", "after", "net"), rows))
    line(", ".join(f"{n} {word}" for word, n in found["transitions"].items()) or "no transitions")
    for change in found["changes"][:shown]:
        line(f"{change['id_instance']}  {one_line(change['name'])}")
        for name, (old, new) in change["fields"].items():
            line(f"    {name}: {field_text(name, old)} -> {field_text(name, new)}")
    _print_more(found["changes"], shown)


def print_bill(document: dict[str, Any], shown: int) -> None:
    """A month's bill for a person, and where the vendor's invoice differs; so many lines of a list."""
    if document["by"] == "customer":
        from syncer.terminal.customers import bill_table

        console().print(bill_table(document["month"], document["lines"][:shown]))
    else:
        console().print(_bill_table(document, shown))
    _print_more(document["lines"], shown)
    line(f"in all: {_sums(document['totals'])}")
    if "forecast" in document:
        line(f"forecast to the month's end, if nothing changes: {_sums(document['forecast'])}")
        line(f"tonight at {moment(document['tonight']['at'])}: {_sums(document['tonight']['totals'])}")
    unpriced = sum(row["unpriced_days"] for row in document["lines"])
    if unpriced:
        line(f"no price for {unpriced} of the days; set it: syncer rates set TARIFF RATE CURRENCY --from DATE")
    _print_uncertain(document)
    if "invoice" in document:
        _print_invoice(document["invoice"], shown)


def _bill_table(document: dict[str, Any], shown: int) -> FittedTable:
    by_instance = document["by"] == "instance"
    headings = ("instance", "name", "account", "tariff") if by_instance else ("tariff", "type")
    columns = ("id_instance", "name", "account", "tariff") if by_instance else ("tariff", "type_instance")
    rows = [
        (
            *(_field(column, row[column]) or "none" for column in columns),
            row["days"],
            _money(row["amount"], row["currency"]),
        )
        for row in document["lines"][:shown]
    ]
    return table(f"{document['month']}", (*headings, "instance-days", "amount"), rows)


def _print_more(rows: Sequence[object], shown: int) -> None:
    if len(rows) > shown:
        line(f"… and {len(rows) - shown} more; --json shows all")


def _print_uncertain(document: dict[str, Any]) -> None:
    uncertain = document["uncertain"]
    if uncertain["days"]:
        ids = uncertain["instances"]
        named = ", ".join(map(str, ids[:5])) + (", …" if len(ids) > 5 else "")
        line(
            f"careful: {uncertain['days']} of the days are not certain: nobody looked for more than a day before "
            f"{len(ids)} vanished: {named}"
        )
    for gap in document["blind_gaps"]:
        line(
            f"careful: {gap['account']} saw nothing from {moment(gap['since'])} to {moment(gap['until'])}; "
            "deletions of that time may be unknown, and their days are counted"
        )


def _print_invoice(invoice: dict[str, Any], shown: int) -> None:
    from syncer.views.invoice import KINDS

    line("")
    if invoice["agrees"]:
        line("the invoice agrees")
    elif not invoice["compared"]:
        line("the invoice does not agree: nothing could be compared; set prices: syncer rates set TARIFF RATE CURRENCY")
    for kind, meaning in KINDS.items():
        found = [one for one in invoice["differences"] if one["kind"] == kind]
        if not found:
            continue
        columns = (invoice["key"], "their days", "their amount", "our days", "our amount")
        rows = [
            (
                one["key"] or "none",
                one["invoiced_days"],
                _money(one["invoiced_amount"]),
                one["our_days"],
                _money(one["our_amount"]),
            )
            for one in found[:shown]
        ]
        sums = [
            sum(one[name] for one in found if one[name] is not None)
            for name in ("invoiced_days", "invoiced_amount", "our_days", "our_amount")
        ]
        console().print(table(f"{meaning}: {len(found)}", columns, rows))
        _print_more(found, shown)
        line(
            f"sum: theirs {sums[0]} days, {_money(sums[1])}; ours {sums[2]} days, {_money(sums[3])}; "
            f"difference {sums[0] - sums[2]} days, {_money(sums[1] - sums[3])}"
        )


def _sums(totals: Sequence[dict[str, Any]]) -> str:
    return "; ".join(f"{one['days']} days, {_money(one['amount'], one['currency'])}" for one in totals) or "nothing"


def _money(amount: Any, currency: str | None = None) -> str:
    if amount is None:
        return "no amount"
    return f"{amount:,.2f}{' ' + currency if currency else ''}"


def print_report(figures: dict[str, Any]) -> None:
    """The report for a terminal."""
    out = console()
    totals = figures["totals"]
    line(
        f"{totals['live']} live, of which {totals['expired']} expired; "
        + ", ".join(f"{totals[word]} {word}" for word in ("deleted", "vanished", "purged"))
    )
    periods = [tuple(row.values()) for row in figures["periods"]]
    out.print(table("\nNew, deleted, net", ("period", "new", "deleted", "net"), periods))
    kinds = [tuple(_field(column, value) for column, value in row.items()) for row in figures["kinds"]]
    out.print(table("\nBy type and tariff", ("type", "tariff", "live", "expired"), kinds))
    words = ("month", "opening", "created", "returned", "moved", "deleted", "vanished", "closing", "lost")
    churn = [
        (*(row[word] for word in words), "" if row["churn_rate"] is None else f"{100 * row['churn_rate']:.1f} %")
        for row in figures["churn"]
    ]
    out.print(table("\nMonth by month", (*words, "churn"), churn))
    attention = [(one["reason"], one["n"]) for one in figures["attention"]]
    out.print(table("\nWhat needs attention (SELECT * FROM bi_attention)", ("reason", "instances"), attention))
    freshness = [
        (one["account"], one["state"], one["data_as_of"], _age(one["age_seconds"])) for one in figures["freshness"]
    ]
    out.print(table("\nFreshness", ("account", "state", "data as of", "age"), freshness))
    for gap in figures["blind_gaps"]:
        line(
            f"careful: {gap['account']} saw nothing for more than 80 days before run {gap['id']} "
            f"({moment(gap['started_at'])}); deletions of that time may be unknown"
        )
    if figures["first_answer_at"] is not None:
        line(
            f"the first answer was seen at {moment(figures['first_answer_at'])}; "
            "instances deleted more than three months before are unknown"
        )


def _field(column: str, value: Any) -> Any:
    return messenger(value) if column in MESSENGER_FIELDS else value


def _word(column: str, value: object) -> str:
    if column in MESSENGER_FIELDS:
        return field_text(column, value)
    return value if isinstance(value, str) else "none" if value is None else canonical_json(value)


def _age(seconds: int | None) -> str:
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
