"""The report on a terminal."""

from typing import Any

from syncer.terminal.printing import line, moment
from syncer.terminal.render import age, console, field, worded
from syncer.words.catalogue import Words

PERIODS = {
    "today": "period_today",
    "last 7 days": "period_week",
    "last 30 days": "period_30_days",
    "this month": "period_month",
}


def print_report(words: Words, figures: dict[str, Any]) -> None:
    """The report for a terminal."""
    out = console()
    totals = figures["totals"]
    line(words("report_live", **{word: totals[word] for word in ("live", "expired", "deleted", "vanished", "purged")}))
    periods = [(words(PERIODS[row["period"]]), row["new"], row["deleted"], row["net"]) for row in figures["periods"]]
    out.print(worded(words, "\n" + words("report_net"), ("period", "new", "deleted", "net"), periods))
    kinds = [tuple(field(column, value) for column, value in row.items()) for row in figures["kinds"]]
    out.print(worded(words, "\n" + words("report_kinds"), ("type", "tariff", "live", "expired"), kinds))
    columns = ("month", "opening", "created", "returned", "moved", "deleted", "vanished", "closing", "lost")
    churn = [
        (*(row[column] for column in columns), "" if row["churn_rate"] is None else f"{100 * row['churn_rate']:.1f} %")
        for row in figures["churn"]
    ]
    out.print(worded(words, "\n" + words("report_months"), (*columns, "churn"), churn))
    attention = [(one["reason"], one["n"]) for one in figures["attention"]]
    out.print(worded(words, "\n" + words("report_attention"), ("reason", "instances"), attention))
    freshness = [
        (one["account"], one["state"], one["data_as_of"], age(words, one["age_seconds"]))
        for one in figures["freshness"]
    ]
    out.print(worded(words, "\n" + words("report_freshness"), ("account", "state", "data_as_of", "age"), freshness))
    for gap in figures["blind_gaps"]:
        line(words("report_blind", account=gap["account"], run=gap["id"], moment=moment(gap["started_at"])))
    if figures["first_answer_at"] is not None:
        line(words("report_first", moment=moment(figures["first_answer_at"])))
