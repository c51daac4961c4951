"""The figures as pictures, each with its table: from what was read to shapes in a language's words. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from syncer.rules.timeline import billing_day
from syncer.views.report import pictures
from syncer.views.report.pictures import Bar, Cell, Column, Step
from syncer.views.report.shown import Drawing, Figure, Seen, Table, price, share
from syncer.words import language
from syncer.words.catalogue import Words
from syncer.words.language import number

EXPIRY_DAYS = 30
SOON_DAYS = 7
MONTHS = 12  # of costs in a picture; the table has all
MOVES = ("created", "returned", "moved", "deleted", "vanished")
GOING = ("deleted", "vanished")  # moves that take away
Figures = Mapping[str, Any]


def charts(figures: Figures, words: Words) -> list[Figure]:
    """Every picture of the page, in its order."""
    seen = Seen(figures["first_answer_at"])
    return [
        _estate(figures, words, seen),
        *_waterfalls(figures, words, seen),
        *_costs(figures, words, seen),
        _cohorts(figures["survival"], words, seen),
        _expiries(figures, words),
    ]


def _estate(figures: Figures, words: Words, seen: Seen) -> Figure:
    weeks = figures["statuses_by_week"]
    moved = {row["week"]: row for row in figures["moves_by_week"]}
    moves = [moved.get(row["week"], {"created": 0, "deleted": 0}) for row in weeks]
    named = [language.short_day(words.language, row["week"]) for row in weeks]
    labels = _months_of(weeks, words) if len(weeks) > 10 else named
    watched = [seen.covers(row["week"] + timedelta(days=6)) for row in weeks]
    layers = ("active", "expired")
    estate = [
        Column(label, tuple(row[layer] for layer in layers), known)
        for label, row, known in zip(labels, weeks, watched, strict=True)
    ]
    changes = [
        Column(label, (row["created"], row["deleted"]), known)
        for label, row, known in zip(labels, moves, watched, strict=True)
    ]
    tips = [
        f"{words('week_of')} {day}: +{number(row['created'])} {language.MINUS}{number(row['deleted'])}"
        for day, row in zip(named, moves, strict=True)
    ]
    statuses = ("active", "expired", "deleted", "vanished")
    return Figure(
        words("estate"),
        [
            Drawing(
                pictures.over_time(words("estate"), estate, layers, number),
                [
                    *((layer, words(layer)) for layer in layers if any(row[layer] for row in weeks)),
                    *_grey(words, seen, all(watched)),
                ],
            ),
            Drawing(
                pictures.up_and_down(words("moves"), changes, tips, number),
                [("came", words("came")), ("went", words("went"))],
            ),
        ],
        Table(
            [words("week_of"), *map(words, statuses), words("col_created"), words("col_deleted")],
            [
                [
                    language.day(words.language, row["week"]),
                    *(number(row[word]) for word in statuses),
                    number(move["created"]),
                    number(move["deleted"]),
                ]
                for row, move in zip(reversed(weeks), reversed(moves), strict=True)
            ],
        ),
        words("estate_remark"),
        is_wide=True,
    )


def _months_of(weeks: Sequence[Mapping[str, Any]], words: Words) -> list[str]:
    """Each month at the first week that begins in it; the others have no name."""
    months = [f"{row['week']:%Y-%m}" for row in weeks]
    return [
        "" if before == month else language.short_month(words.language, month)
        for before, month in zip(["", *months], months, strict=False)
    ]


def _grey(words: Words, seen: Seen, is_all_known: bool) -> tuple[tuple[str, str], ...]:
    return () if is_all_known else (seen.key(words),)


def _waterfalls(figures: Figures, words: Words, seen: Seen) -> Iterable[Figure]:
    """The month before and this one so far; the table of all months stands under this one's."""
    months = figures["churn"]
    running = f"{billing_day(figures['as_of']):%Y-%m}"
    for row in months[-2:]:
        is_running = row["month"] == running
        name = language.month(words.language, row["month"])
        steps = [
            Step(words("opening"), row["opening"], number(row["opening"]), is_level=True),
            *(
                Step(words(f"move_{move}"), change, language.signed(change))
                for move in MOVES
                for change in [-row[move] if move in GOING else row[move]]
            ),
            Step(words("now" if is_running else "closing"), row["closing"], number(row["closing"]), is_level=True),
        ]
        title = words("waterfall_running" if is_running else "waterfall", month=name)
        picture, begin = pictures.waterfall(title, steps, seen.covers_month(row["month"]))
        notes = [words("waterfall_cut", n=number(begin))] if begin else []
        if seen.first and seen.began_in(row["month"]):
            notes.append(words("waterfall_partly", day=language.day(words.language, billing_day(seen.first))))
        yield Figure(
            title,
            [Drawing(picture, _grey(words, seen, seen.covers_month(row["month"])))],
            _months_table(months if row is months[-1] else [row], words),
            notes=tuple(notes),
        )


def _months_table(months: Sequence[Mapping[str, Any]], words: Words) -> Table:
    counted = ("opening", *MOVES, "closing", "lost")
    return Table(
        [words("month"), *(words(f"col_{word}") for word in counted), words("col_churn")],
        [
            [
                language.month(words.language, row["month"]),
                *(number(row[word]) for word in counted),
                share(words, row["churn_rate"]),
            ]
            for row in reversed(months)
        ],
    )


def _costs(figures: Figures, words: Words, seen: Seen) -> Iterable[Figure]:
    """A picture for each currency; of days where there are no prices at all."""
    rows, running = figures["cost_by_month"], figures["month_under_way"]
    forecasts = {one["currency"]: one["forecast"] for one in running["currencies"]}
    currencies = list(forecasts)
    currencies += sorted({row["currency"] for row in rows if row["currency"] is not None} - {*forecasts})
    table = Table(
        [words("month"), words("currency"), words("instance_days"), words("amount")],
        [
            [
                language.month(words.language, row["month"]),
                row["currency"] or words("without_price"),
                number(row["instance_days"]),
                price(words, row["amount"], None),
            ]
            for row in sorted(rows, key=lambda row: row["month"], reverse=True)
        ],
        words=2,
    )
    months = sorted({row["month"] for row in rows})[-MONTHS:]
    is_all_known = all(map(seen.covers_month, months))
    grey = _grey(words, seen, is_all_known)
    unpriced: tuple[str, ...] = ()
    if running["unpriced_days"]:
        part = running["unpriced_days"] / running["instance_days"]
        unpriced = (words("unpriced", share=share(words, part)),)
    for currency in currencies:
        amounts = {row["month"]: row["amount"] for row in rows if row["currency"] == currency}
        shown = []
        for month in months:
            amount = amounts.get(month, 0)
            forecast = forecasts.get(currency, amount) if month == running["month"] else amount
            shown.append(
                Bar(
                    language.short_month(words.language, month),
                    float(amount),
                    price(words, amount or None, None, 0) or "0",
                    float(forecast - amount),
                    f"{words('forecast')} {price(words, forecast, None, 0)}" if forecast != amount else "",
                    seen.covers_month(month),
                )
            )
        title = words("cost_per_month", currency=currency)
        hatched = (("hatched", words("forecast_key")),) if any(bar.more for bar in shown) else ()
        yield Figure(title, [Drawing(pictures.bars(title, shown), [*hatched, *grey])], table, notes=unpriced)
    if not currencies:
        days = Counter[str]()
        for row in rows:
            days[row["month"]] += row["instance_days"]
        title = words("days_per_month")
        shown = [
            Bar(
                language.short_month(words.language, month),
                days[month],
                number(days[month]),
                seen=seen.covers_month(month),
            )
            for month in months
        ]
        yield Figure(title, [Drawing(pictures.bars(title, shown), grey)], table, notes=(words("no_prices_at_all"),))


def _cohorts(cohorts: Sequence[Mapping[str, Any]], words: Words, seen: Seen) -> Figure:
    rows = []
    for cohort in cohorts:
        name = language.month(words.language, cohort["cohort_month"])
        rows.append(
            [
                Cell(part, f"{100 * part:.0f}", f"{name} + {age}: {share(words, part)}")
                if seen.covers_month(_months_later(cohort["cohort_month"], age))
                else Cell(None, "", f"{name} + {age}")
                for age, part in enumerate(cohort["survival"])
            ]
        )
    oldest = max((len(row) for row in rows), default=0)
    return Figure(
        words("cohorts"),
        [
            Drawing(
                pictures.heat_map(
                    words("cohorts"),
                    [language.short_month(words.language, cohort["cohort_month"]) for cohort in cohorts],
                    rows,
                    words("age_in_months"),
                ),
                [
                    *((f"heat{shade}", f"{20 * shade}+") for shade in range(5)),
                    ("heat5", language.percent(words.language, 1, 0)),
                    *_grey(words, seen, all(cell.share is not None for row in rows for cell in row)),
                ],
            )
        ],
        Table(
            [words("created_in"), words("size"), *map(str, range(oldest))],
            [
                [
                    language.month(words.language, cohort["cohort_month"]),
                    number(cohort["size"]),
                    *(share(words, part) for part in cohort["survival"]),
                    *[""] * (oldest - len(cohort["survival"])),
                ]
                for cohort in cohorts
            ],
        ),
        words("cohorts_remark"),
    )


def _months_later(month: str, months: int) -> str:
    years, rest = divmod(int(month[5:7]) - 1 + months, 12)
    return f"{int(month[:4]) + years:04}-{rest + 1:02}"


def _expiries(figures: Figures, words: Words) -> Figure:
    today = billing_day(figures["as_of"])
    by_day = Counter[date]({row["day"]: row["instances"] for row in figures["expiries"]})
    days = [today + timedelta(days=n) for n in range(EXPIRY_DAYS + 1)]
    slots = [
        (
            language.short_day(words.language, day),
            by_day[day],
            f"{language.day(words.language, day)}: {words.counted('counted_instances', by_day[day])}",
        )
        for day in days
    ]
    return Figure(
        words("expiries"),
        [
            Drawing(
                pictures.slots(words("expiries"), slots, SOON_DAYS, number),
                [("soon", words("within_a_week")), ("later", words("later"))] if by_day else [],
            )
        ],
        Table(
            [words("day"), words("instances")],
            [[language.day(words.language, day), number(by_day[day])] for day in days if by_day[day]],
        ),
        words("expiries_remark" if by_day else "expiries_none"),
    )
