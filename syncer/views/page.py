"""The report as one self-contained HTML page: charts as SVG with a table under each, light, dark, small and printed.

Over 300 lines for the sake of the pictures, which are drawn here by hand.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from html import escape
from typing import Any

import pygal
from pygal.style import Style

# Each pair of neighbours differs in lightness too, so that print and the colour-blind can tell them apart.
COLOURS = ("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)")
MOST_LABELS = 12  # of a time axis
REASONS = {
    "expired_not_deleted": "expired, and not deleted: dead weight that is paid for",
    "not_renewed": "renews itself, but did not since the last 00:00 UTC+3",
    "expiring_soon": "expires within 7 days",
    "vanished": "not listed any more, though nobody said that it was deleted",
    "lived_under_a_day": "deleted within a day of its creation",
}
CSS = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --faint: #57606a; --rule: #d0d7de; --card: #f6f8fa;
  --c1: #1f6feb; --c2: #c2410c; --c3: #57606a; --c4: #8250df; --c5: #1a7f37; --c6: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --faint: #9da7b3; --rule: #30363d;
  --card: #161b22; --c1: #6cb6ff; --c2: #ff9a5c; --c3: #b1bac4; --c4: #d2a8ff; --c5: #56d364; --c6: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; } .faint { color: var(--faint); }
.warning { border-left: .3rem solid var(--c2); padding: .3rem .8rem; background: var(--card); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .75rem; padding: 0; }
.tiles div { background: var(--card); border: 1px solid var(--rule); border-radius: .5rem; padding: .6rem .8rem; }
.tiles dt { color: var(--faint); } .tiles dd { margin: 0; font-size: 1.6rem; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; min-width: 0; } figure svg { width: 100%; height: auto; display: block; }
figcaption { font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td { overflow-wrap: break-word; } .legend { margin: 0; padding: 0; font-size: .9rem; }
.legend li { display: inline-block; margin-right: 1rem; }
.legend li::before { content: ""; display: inline-block; width: .8em; height: .8em; margin-right: .4em;
  background: var(--series); print-color-adjust: exact; }
details summary { cursor: pointer; color: var(--faint); padding: .3rem 0; }
@media print { :root { --paper: #fff; --ink: #000; --faint: #333; --rule: #999; --card: #fff; --c1: #1f6feb;
  --c2: #c2410c; --c3: #57606a; --c4: #8250df; --c5: #1a7f37; --c6: #9a6700; color-scheme: light; }
  body { max-width: none; padding: 0; } figure, tr, .tiles div { break-inside: avoid; } .charts { display: block; } }
"""
STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground="var(--ink)",
    foreground_strong="var(--ink)",
    foreground_subtle="var(--faint)",
    guide_stroke_color="var(--rule)",
    major_guide_stroke_color="var(--rule)",
    opacity=".85",
    opacity_hover="1",
    transition="none",
    colors=COLOURS,
    font_family="system-ui, sans-serif",
    label_font_size=19,
    major_label_font_size=19,
    legend_font_size=16,
    value_font_size=14,
    no_data_font_size=20,
)

Rows = Sequence[Sequence[object]]
_SCRIPT = re.compile(
    r"<script\b.*?</script>", re.DOTALL
)  # the library's tooltips; a page without scripts is safe to mail


def page(figures: Mapping[str, Any]) -> str:
    """The whole page. It loads nothing, so it opens without a network, and every text in it is escaped."""
    of_account = f" of {figures['account']}" if figures["account"] else ""
    title = f"Instances{of_account}, {_moment(figures['as_of'])}"
    body = [
        f"<h1>{escape(title)}</h1>",
        _freshness(figures),
        _tiles(figures["totals"]),
        '<div class="charts">',
        *_charts(figures),
        "</div>",
        _section(
            "New, deleted, net",
            ("period", "new", "deleted", "net"),
            [tuple(row.values()) for row in figures["periods"]],
        ),
        _section(
            "By type and tariff",
            ("type", "tariff", "live", "expired"),
            [tuple(row.values()) for row in figures["kinds"]],
        ),
        _section(
            "Month by month",
            ("month", "opening", "created", "returned", "deleted", "vanished", "closing", "lost", "churn"),
            [(*list(row.values())[:-1], _percent(row["churn_rate"])) for row in figures["churn"]],
            "Lost is what lived when the month began and not when it ended, churn its share. "
            "Returned: restored, or listed again after a deletion.",
        ),
        _attention(figures["attention"]),
        _section(
            "Expiring within 30 days",
            ("instance", "name", "tariff", "expires", "days left"),
            [
                (str(row["id_instance"]), row["name"], row["tariff"], _moment(row["expiration_date"]), row["days_left"])
                for row in figures["expiring"]
            ],
        ),
        _notes(figures),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _freshness(figures: Mapping[str, Any]) -> str:
    lines = []
    for one in figures["freshness"]:
        said = (
            f"{one['account']}: data as of {_moment(one['data_as_of'])}"
            if one["data_as_of"]
            else f"{one['account']}: no data yet"
        )
        bad = one["state"] != "ok"
        reason = f" ({one['state']}{': ' + one['last_error'] if one['last_error'] else ''})" if bad else ""
        lines.append(f'<p class="{"warning" if bad else "faint"}">{escape(said + reason)}</p>')
    lines += [f'<p class="warning">{escape(_gap(gap))}</p>' for gap in figures["blind_gaps"]]
    return "\n".join(lines)


def _gap(gap: Mapping[str, Any]) -> str:
    return (
        f"{gap['account']}: before run {gap['id']} ({_moment(gap['started_at'])}) nothing was seen "
        "for more than 80 days; deletions of that time may be unknown, "
        "as the upstream forgets them after about three months."
    )


def _tiles(totals: Mapping[str, int]) -> str:
    tiles = "".join(f"<div><dt>{escape(word)}</dt><dd>{n:,}</dd></div>" for word, n in totals.items())
    return f'<dl class="tiles">{tiles}</dl>'


def _charts(figures: Mapping[str, Any]) -> Iterable[str]:
    weeks = figures["statuses_by_week"]
    statuses = ("active", "expired", "deleted", "vanished")
    yield _figure(
        "Estate over time by status",
        _time_chart(pygal.StackedLine, weeks, statuses, fill=True),
        ("week of", *statuses),
        [tuple(row.values()) for row in weeks],
    )
    moves = figures["moves_by_week"]
    yield _figure(
        "Created and deleted per week",
        _time_chart(pygal.Bar, moves, ("created", "deleted")),
        ("week of", "created", "deleted"),
        [tuple(row.values()) for row in moves],
    )
    yield _survival(figures["survival"])
    yield _cost(figures["cost_by_month"])
    days: dict[date, int] = {}
    for row in figures["expiring"]:
        days[row["expiration_date"].date()] = days.get(row["expiration_date"].date(), 0) + 1
    chart = _chart(pygal.Bar)
    chart.x_labels = [f"{day:%d %b}" for day in days]
    chart.add("expiring", list(days.values()))
    chart.y_labels = _whole_steps(max(days.values(), default=0))
    yield _figure("Upcoming expiries", chart, ("day (UTC)", "instances"), list(days.items()))


def _survival(cohorts: Sequence[Mapping[str, Any]]) -> str:
    shown = cohorts[-6:]
    chart = _chart(pygal.Line, range=(0, 100), dots_size=4, stroke_style={"width": 3})
    oldest = max((len(row["survival"]) for row in shown), default=0)
    chart.x_labels = [str(age) for age in range(oldest)]
    chart.value_formatter = lambda value: f"{value:.0f} %"
    for row in shown:
        chart.add(row["cohort_month"], [100 * share for share in row["survival"]])
    oldest = max((len(row["survival"]) for row in cohorts), default=0)
    return _figure(
        "Survival by month of creation, in % after so many months",
        chart,
        ("created in", "size", *map(str, range(oldest))),
        [
            (
                row["cohort_month"],
                row["size"],
                *(_percent(share) for share in row["survival"]),
                *[""] * (oldest - len(row["survival"])),
            )
            for row in cohorts
        ],
    )


def _cost(rows: Sequence[Mapping[str, Any]]) -> str:
    months = sorted({row["month"] for row in rows})[-12:]
    currencies = sorted({row["currency"] for row in rows if row["currency"] is not None})
    chart = _chart(pygal.StackedBar if len(currencies) < 2 else pygal.Bar)
    chart.x_labels = months
    for currency in currencies:
        by_month = {row["month"]: row["amount"] for row in rows if row["currency"] == currency}
        chart.add(currency, [float(by_month.get(month) or 0) for month in months])
    title = "Cost per month"
    if not currencies:
        title = "Instance-days per month (no prices are set: syncer rates set)"
        days = {month: sum(row["instance_days"] for row in rows if row["month"] == month) for month in months}
        chart.add("instance-days", list(days.values()))
    return _figure(
        title,
        chart,
        ("month", "currency", "instance-days", "amount"),
        [(row["month"], row["currency"] or "no price", row["instance_days"], _money(row["amount"])) for row in rows],
    )


def _chart(kind: Any, **options: Any) -> Any:
    return kind(
        style=STYLE,
        width=720,
        height=420,
        margin=8,
        js=[],
        disable_xml_declaration=True,
        pretty_print=False,
        show_legend=False,  # a legend in HTML can be read at any width
        no_data_text="nothing yet",
        x_label_rotation=35,
        **options,
    )


def _time_chart(kind: Any, rows: Sequence[Mapping[str, Any]], words: Sequence[str], **options: Any) -> Any:
    chart = _chart(kind, show_dots=len(rows) < 3, show_minor_x_labels=False, **options)
    labels = [f"{row['week']:%d %b %Y}" for row in rows]
    chart.x_labels = labels
    chart.x_labels_major = labels[:: max(1, -(-len(labels) // MOST_LABELS))]
    for word in words:
        chart.add(word, [row[word] for row in rows])
    tops = [sum(row[word] for word in words) if options else max(row[word] for word in words) for row in rows]
    chart.y_labels = _whole_steps(max(tops, default=0))
    return chart


def _figure(title: str, chart: Any, columns: Sequence[str], rows: Rows) -> str:
    svg = _SCRIPT.sub("", chart.render(is_unicode=True)).replace(
        "<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1
    )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>{svg}{_legend(chart)}"
        f"<details><summary>the figures</summary>{_table(columns, rows)}</details></figure>"
    )


def _legend(chart: Any) -> str:
    names = [options["title"] for _, options in chart.raw_series]
    items = "".join(
        f'<li style="--series: {colour}">{escape(name)}</li>' for name, colour in zip(names, COLOURS, strict=False)
    )
    return f'<ul class="legend">{items}</ul>' if len(names) > 1 else ""


def _whole_steps(largest: int) -> list[int]:
    """Labels of an axis that counts: whole numbers, at most seven."""
    step = next(
        step for power in range(20) for step in (10**power, 2 * 10**power, 5 * 10**power) if largest <= 6 * step
    )
    return list(range(0, largest + step, step))


def _section(title: str, columns: Sequence[str], rows: Rows, remark: str = "") -> str:
    said = f'<p class="faint">{escape(remark)}</p>' if remark else ""
    content = _table(columns, rows) if rows else "<p>none</p>"
    return f"<section><h2>{escape(title)}</h2>{said}{content}</section>"


def _attention(attention: Mapping[str, Any]) -> str:
    counts = [(reason, n, REASONS.get(reason, "")) for reason, n in attention["counts"].items()]
    rows = [
        (row["reason"], str(row["id_instance"]), row["name"], _moment(row["since"])) for row in attention["instances"]
    ]
    content = _table(("reason", "instances", "meaning"), counts) if counts else "<p>nothing</p>"
    more = sum(n for _, n, _ in counts) - len(rows)
    remark = f'<p class="faint">and {more:,} more in the view bi_attention</p>' if more > 0 else ""
    listed = _table(("reason", "instance", "name", "since"), rows) + remark if rows else ""
    return f"<section><h2>What needs attention</h2>{content}{listed}</section>"


def _notes(figures: Mapping[str, Any]) -> str:
    first = _moment(figures["first_answer_at"]) or "now"
    return (
        '<section><h2>How to read this</h2><p class="faint">Days are days at UTC+3, where the upstream bills, '
        f"and weeks begin on Monday. syncer saw the first answer at {escape(first)}: instances deleted more "
        "than three months before are unknown, so older months show too few created and too high a survival."
        "</p></section>"
    )


def _table(columns: Sequence[str], rows: Rows) -> str:
    numeric = [
        all(isinstance(row[place], int | Decimal) for row in rows) and bool(rows) for place in range(len(columns))
    ]

    def line(cells: Iterable[object], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=number' if is_number else ''}{' scope=col' if tag == 'th' else ''}>{_cell(cell)}</{tag}>"
            for cell, is_number in zip(cells, numeric, strict=True)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    head = f"<thead><tr>{line(columns, 'th')}</tr></thead>"
    return f'<div class="scroll" tabindex="0"><table>{head}<tbody>{body}</tbody></table></div>'


def _cell(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else escape(str(value))
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


def _money(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:,.2f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
