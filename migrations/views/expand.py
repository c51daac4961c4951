"""One text for two databases: the few words in which SQLite and PostgreSQL differ, written `@word(arguments)`.

A *day* is a day at UTC+3, where the upstream bills; a month is `YYYY-MM` text.
"""

import re

# The conditions of the partial indexes; the views repeat them word for word, or the databases would not use them.
_IRREGULAR = (
    "(transition IN ('restored', 'reappeared') OR (transition = 'changed' AND ("
    "@has_key(changes, account) OR @has_key(changes, time_created) OR @has_key(changes, time_deleted)"
    " OR (deleted AND (@has_key(changes, tariff) OR @has_key(changes, type_instance))))))"
)
_REGROUPED = (
    "(transition = 'changed' AND NOT deleted AND (@has_key(changes, tariff) OR @has_key(changes, type_instance)))"
)
_DATED_AT_CREATION = (
    "(deleted AND time_deleted <= CASE WHEN time_created <= first_seen_at THEN time_created ELSE first_seen_at END)"
)
_TOLD_LATE = "(transition = 'deleted' AND occurred_at <= previous_observed_at)"

WORDS = {
    # the moment of the query
    "now": ("strftime('%Y-%m-%d %H:%M:%f000', 'now')", "now()"),
    "today": ("date('now', '+3 hours')", "CAST(now() AT TIME ZONE 'UTC' + INTERVAL '3 hours' AS date)"),
    # the day on which a moment falls; SQLite would round 23:59:59.9996 up into the next one
    "day": ("date(substr({0}, 1, 19), '+3 hours')", "CAST({0} AT TIME ZONE 'UTC' + INTERVAL '3 hours' AS date)"),
    "month_of_day": ("substr({0}, 1, 7)", "to_char({0}, 'YYYY-MM')"),
    "month": (
        "substr(date(substr({0}, 1, 19), '+3 hours'), 1, 7)",
        "to_char({0} AT TIME ZONE 'UTC' + INTERVAL '3 hours', 'YYYY-MM')",
    ),
    "next_day": ("date({0}, '+1 day')", "({0} + 1)"),
    "day_before": ("date({0}, '-1 day')", "({0} - 1)"),
    "days_between": ("CAST(julianday({1}) - julianday({0}) AS INTEGER)", "({1} - {0})"),
    "seconds_between": (
        "(CAST(strftime('%s', {1}) AS INTEGER) - CAST(strftime('%s', {0}) AS INTEGER))",
        "CAST(floor(extract(epoch FROM {1} - {0})) AS bigint)",
    ),
    "minutes_between": (
        "CAST(round((CAST(strftime('%s', {1}) AS INTEGER) - CAST(strftime('%s', {0}) AS INTEGER)) / 60.0) AS INTEGER)",
        "round(extract(epoch FROM {1} - {0}) / 60)",
    ),
    # the moment at which a day begins, and whether a moment is such a one
    "midnight": (
        "(datetime({0}, '-3 hours') || '.000000')",
        "((CAST({0} AS timestamp) - INTERVAL '3 hours') AT TIME ZONE 'UTC')",
    ),
    "is_midnight": (
        "substr({0}, 12) = '21:00:00.000000'",
        "CAST({0} AT TIME ZONE 'UTC' AS time) = TIME '21:00:00'",
    ),
    # of 24 hours each
    "whole_days_later": (
        "strftime('%Y-%m-%d %H:%M:%f000', {0}, '{1} days')",
        "({0} + {1} * INTERVAL '24 hours')",
    ),
    # for views of before revision 0016 alone: days of 23 or 25 hours where a PostgreSQL session's clocks change
    "days_later": (
        "strftime('%Y-%m-%d %H:%M:%f000', {0}, '{1} days')",
        "({0} + INTERVAL '{1} days')",
    ),
    # months as numbers that can be subtracted
    "month_number": (
        "(CAST(substr({0}, 1, 4) AS INTEGER) * 12 + CAST(substr({0}, 6, 2) AS INTEGER))",
        "(CAST(substr({0}, 1, 4) AS integer) * 12 + CAST(substr({0}, 6, 2) AS integer))",
    ),
    # money, from a sum of whole millionths, in which SQLite's floating point loses nothing
    "amount": ("CAST({0} / 1000000.0 AS REAL)", "CAST({0} / 1000000.0 AS numeric(30, 6))"),
    # PostgreSQL takes a sub-select for large and reads the whole table; for an array it looks each id up
    "irregular_ids": (
        "IN (SELECT id_instance FROM irregular_instances)",
        "= ANY (ARRAY(SELECT id_instance FROM irregular_instances))",
    ),
    # what the views from revision 0008 on are made of
    "date": ("'{0}'", "DATE '{0}'"),
    "earlier": ("min({0}, {1})", "least({0}, {1})"),
    "later": ("max({0}, {1})", "greatest({0}, {1})"),
    "first_of_month": ("date({0}, 'start of month')", "CAST(date_trunc('month', CAST({0} AS timestamp)) AS date)"),
    "next_month": (
        "date({0}, 'start of month', '+1 month')",
        "CAST(date_trunc('month', CAST({0} AS timestamp)) + INTERVAL '1 month' AS date)",
    ),
    "first_day_of": ("({0} || '-01')", "CAST({0} || '-01' AS date)"),
    # the day that had begun two hours before a moment: by then its dates have moved
    "settled_day": ("date(substr({0}, 1, 19), '+1 hours')", "CAST({0} AT TIME ZONE 'UTC' + INTERVAL '1 hour' AS date)"),
    # a computed column has a declared type on SQLite (from 3.41) where it is cast; days and moments are text there
    "as_text": ("CAST({0} AS TEXT)", "CAST({0} AS text)"),
    "as_day": ("CAST({0} AS TEXT)", "{0}"),
    "as_moment": ("CAST({0} AS TEXT)", "{0}"),
    # what a transition changed: a column, and its value before
    "old_value": ("json_extract({0}, '$.{1}[0]')", "({0} -> '{1}' ->> 0)"),
    "has_key": ("json_type({0}, '$.{1}') IS NOT NULL", "({0} -> '{1}') IS NOT NULL"),
    "irregular": (_IRREGULAR, _IRREGULAR),
    "regrouped": (_REGROUPED, _REGROUPED),
    "told_late": (_TOLD_LATE, _TOLD_LATE),
    "dated_at_creation": (_DATED_AT_CREATION, _DATED_AT_CREATION),
}

_USE = re.compile(r"@([a-z_]+)(\(?)")


def expand(text: str, dialect: str) -> str:
    """The text in the words of `sqlite` or `postgresql`; raises `KeyError` for a word that is not known."""
    place = ("sqlite", "postgresql").index(dialect)
    text = re.sub(r"--.*", "", text)
    while uses := list(_USE.finditer(text)):
        use = uses[-1]  # no use is left in the arguments of the last one
        arguments, end = _arguments(text, use.end()) if use[2] else ([], use.end())
        text = text[: use.start()] + WORDS[use[1]][place].format(*arguments) + text[end:]
    return text


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """What stands between the parenthesis opened before `start` and its partner, split at its own commas."""
    arguments, depth, begin = [], 0, start
    for place, character in enumerate(text[start:], start):
        depth += (character == "(") - (character == ")")
        if depth < 0 or (depth == 0 and character == ","):
            arguments.append(text[begin:place].strip())
            begin = place + 1
        if depth < 0:
            return arguments, begin
    raise ValueError("a parenthesis is not closed")
