"""What the page says: the figures put into the words of a language, as plain values that the templates show. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from syncer.rules.timeline import billing_day
from syncer.views.rates import next_month
from syncer.views.report.charts import charts
from syncer.views.report.shown import Reason, Row, Seen, Table, Tile, age, past_day, price, share, told
from syncer.views.strangers_text import one_line
from syncer.words import language
from syncer.words.catalogue import Words
from syncer.words.language import number, signed

KINDS = 8  # of messenger and tariff, before the rest is summed up
LONGEST_NAME = 60  # letters
WARNINGS = 3  # accounts, or gaps, that are named
Figures = Mapping[str, Any]


def content(figures: Figures, words: Words) -> dict[str, Any]:
    """All that the page shows, by the names that its template uses."""
    account = figures["account"]
    has_accounts = account is None and len(figures["freshness"]) > 1
    shown: dict[str, Any] = {
        "lang": str(words.language),
        "title": words("title_of", account=one_line(account)) if account else words("title"),
        "as_of": words("as_of", moment=told(words, figures["as_of"])),
        "warnings": list(_warnings(figures, words)),
        "is_empty": not any(figures["totals"].values()),
        "has_answer": figures["first_answer_at"] is not None,
        "words": words,
    }
    if shown["is_empty"]:
        return shown
    return shown | {
        "tiles": _tiles(figures, words),
        "figures": charts(figures, words),
        "kinds": _kinds(figures["kinds"], words),
        "reasons": _reasons(figures, words),
        "has_accounts": has_accounts,
        "notes": list(_notes(words, Seen(figures["first_answer_at"]))),
    }


def _warnings(figures: Figures, words: Words) -> Iterable[str]:
    """What must be known before any figure is believed."""
    bad = [one for one in figures["freshness"] if one["state"] != "ok"]
    for one in bad[:WARNINGS]:
        moment = told(words, one["data_as_of"]) if one["data_as_of"] else ""
        yield words(f"state_{one['state']}", account=one_line(one["account"]), moment=moment)
    if len(bad) > WARNINGS:
        yield words.counted("more_accounts", len(bad) - WARNINGS)
    for gap in figures["blind_gaps"][-WARNINGS:]:
        yield words("blind_gap", account=one_line(gap["account"]), moment=told(words, gap["started_at"]))


def _tiles(figures: Figures, words: Words) -> list[Tile]:
    return [*_of_the_month(figures, words), _cost(figures, words), _wasted(figures, words), _age(figures, words)]


def _of_the_month(figures: Figures, words: Words) -> Iterable[Tile]:
    """What lives, what came and went, and what was lost; each beside the month before."""
    months = figures["churn"]
    running = months[-1] if months and months[-1]["month"] == figures["month_under_way"]["month"] else None
    earlier = months[-2] if running and len(months) > 1 else None
    live = figures["totals"]["live"]
    note = ""
    if running and earlier:
        change = live - running["opening"]
        month = language.of_month(words.language, earlier["month"])
        note = words("live_new", month=month)
        if change == 0:
            note = words("live_same", month=month)
        elif running["opening"]:
            grown = share(words, abs(change) / running["opening"])
            sign = "+" if change > 0 else language.MINUS
            note = words("live_change", change=signed(change), share=sign + grown, month=month)
    yield Tile(words("live"), [number(live)], [note] if note else [])
    if running is None:
        return
    came = running["created"] + running["returned"] + max(0, running["moved"])
    gone = running["deleted"] + running["vanished"] - min(0, running["moved"])
    notes = [words("came_and_went", came=number(came), gone=number(gone))]
    if earlier:
        notes.append(_before(words, earlier, signed(earlier["closing"] - earlier["opening"])))
    yield Tile(words("net_new"), [signed(came - gone)], notes)
    notes = [words.counted("churn_lost", running["lost"], opening=number(running["opening"]))]
    if earlier and earlier["churn_rate"] is not None:
        notes.append(_before(words, earlier, share(words, earlier["churn_rate"])))
    yield Tile(words("churn"), [share(words, running["churn_rate"]) or "–"], notes)


def _before(words: Words, row: Mapping[str, Any], value: str) -> str:
    return words("month_before", month=language.month(words.language, row["month"]), value=value)


def _cost(figures: Figures, words: Words) -> Tile:
    running = figures["month_under_way"]["currencies"]
    if not running:
        return Tile(words("cost"), ["–"], [words("no_prices"), words("no_prices_remedy")])
    last = next_month(billing_day(figures["as_of"])) - timedelta(days=1)
    by = language.short_day(words.language, last)
    return Tile(
        words("cost"),
        [price(words, one["so_far"], one["currency"], 0) for one in running],
        [words("forecast_by", amount=price(words, one["forecast"], one["currency"], 0), day=by) for one in running],
    )


def _wasted(figures: Figures, words: Words) -> Tile:
    """The sums of all leaks, and how many instances each has; a leak that has none is not named."""
    leaks = [leak for leak in figures["paid_for_nothing"] if leak["instances"]]
    sums: dict[str, Any] = {}
    unpriced = 0
    for leak in leaks:
        for row in leak["totals"]:
            if row["currency"] is None:
                unpriced += row["days"]
            else:
                sums[row["currency"]] = sums.get(row["currency"], 0) + row["amount"]
    values = [price(words, sums[currency], currency, 0) for currency in _by_weight(figures, sums)]
    if unpriced and not values:
        values = [words.counted("wasted_unpriced", unpriced)]
    return Tile(
        words("wasted"),
        values or [words("nothing_wasted")],
        [words.counted(f"leak_{leak['leak']}", leak["instances"]) for leak in leaks],
        is_bad=bool(values),
    )


def _by_weight(figures: Figures, currencies: Iterable[str]) -> list[str]:
    """Currencies in the order of the month under way, which has the one of most instance-days first."""
    order = [one["currency"] for one in figures["month_under_way"]["currencies"]]
    return sorted(currencies, key=lambda one: (order.index(one) if one in order else len(order), one))


def _age(figures: Figures, words: Words) -> Tile:
    """That of the account whose data is oldest."""
    accounts = figures["freshness"]
    oldest = max(accounts, key=lambda one: (one["age_seconds"] is None, one["age_seconds"] or 0), default=None)
    if oldest is None or oldest["data_as_of"] is None:
        return Tile(words("age"), [words("age_none")], [], is_bad=True)
    notes = [words("age_seen", moment=told(words, oldest["data_as_of"]))]
    if len(accounts) > 1:
        notes.append(words("age_oldest", n=number(len(accounts)), account=one_line(oldest["account"])))
    return Tile(words("age"), [age(words, oldest["age_seconds"])], notes, is_bad=not oldest["is_fresh"])


def _kinds(kinds: Sequence[Mapping[str, Any]], words: Words) -> Table:
    def named(row: Mapping[str, Any]) -> str:
        messenger = language.messenger(one_line(row["type_instance"])) or words("none")
        return f"{messenger} {one_line(row['tariff']) or words('none')}"

    rows: list[Sequence[str]] = [[named(row), number(row["live"]), number(row["expired"])] for row in kinds[:KINDS]]
    rest = kinds[KINDS:]
    if rest:
        sums = [number(sum(row[word] for row in rest)) for word in ("live", "expired")]
        rows.append([words.counted("more_kinds", len(rest)), *sums])
    return Table([words("messenger_and_tariff"), words("col_live"), words("col_expired")], rows)


def _reasons(figures: Figures, words: Words) -> list[Reason]:
    today = billing_day(figures["as_of"])

    def when(row: Mapping[str, Any]) -> str:
        """What its time or money says: of those that expire soon the day, of others the loss or since when."""
        if row["reason"] == "expiring_soon" and row["expiration_date"] is not None:
            return language.short_day(words.language, billing_day(row["expiration_date"]))
        if row["amount"] is not None or row["since"] is None:
            return price(words, row["amount"], row["currency"])
        return words("since", day=past_day(words, billing_day(row["since"]), today))

    def sums(one: Mapping[str, Any]) -> str:
        amounts = {row["currency"]: row["amount"] for row in one["totals"] if row["amount"] is not None}
        return ", ".join(price(words, amounts[currency], currency) for currency in _by_weight(figures, amounts))

    return [_reason(one, words, sums(one), when) for one in figures["attention"]]


def _reason(one: Mapping[str, Any], words: Words, sums: str, when: Callable[[Mapping[str, Any]], str]) -> Reason:
    key = f"reason_{one['reason']}"
    more = one["n"] - len(one["instances"])
    return Reason(
        title=words(key) if words.known(key) else one["reason"],
        severity=one["severity"],
        severity_text=words(f"severity_{one['severity']}"),
        instances=number(one["n"]),
        sums=sums,
        rows=[
            Row(str(row["id_instance"]), one_line(row["account"]), _short(one_line(row["name"])), when(row))
            for row in one["instances"]
        ],
        more=words.counted("and_more", more) if more else "",
    )


def _short(name: str) -> str:
    """A name that does not push the rest off the page."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _notes(words: Words, seen: Seen) -> Iterable[str]:
    yield words("note_days")
    yield words("note_churn")
    yield words("note_wasted")
    if seen.first:
        yield words("note_first", day=language.day(words.language, billing_day(seen.first)))
