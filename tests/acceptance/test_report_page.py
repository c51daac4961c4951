"""The page of the report: what it says in each language, and how it looks in a real browser."""

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import browser
import pytest
import report_estates
from builders import item, paid
from conftest import CHECKOUT, RunSyncer
from mirror import Mirror, account
from sqlalchemy import select

from syncer.rules.timeline import billing_day
from syncer.storage import database
from syncer.storage.tables import instances
from syncer.views import bill, figures, rates
from syncer.views.catalogue import bi_expiring
from syncer.views.report.page import page
from syncer.words.language import Language

needs_browser = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium on this machine")
WIDTHS = (360, 390, 820, 1280)
Found = dict[str, Any]


def real_now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the views' clock is the database's


class Page(HTMLParser):
    """What a page asks of the network, its language, its tags and its texts by class."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.language: str | None = None
        self.tags: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self._classes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.tags.append(tag)
        self.links += [value or "" for name, value in named.items() if name in {"src", "href", "xlink:href"}]
        self.language = named.get("lang") if tag == "html" else self.language
        self._classes.append(named.get("class") or tag)

    def handle_data(self, data: str) -> None:
        if data.strip() and self._classes:
            self.texts.append((self._classes[-1], " ".join(data.split())))

    def all(self, of: str) -> list[str]:
        return [text for place, text in self.texts if place == of]


def read(mirror: Mirror, now: datetime) -> Found:
    with database.reading(mirror.engine, "reading the report") as connection:
        return figures.read_figures(connection, now, None)


@pytest.fixture
def lived(mirror: Mirror) -> tuple[Mirror, datetime]:
    """An estate of 25 that shows nearly everything, and the moment that it is looked at."""
    now = real_now()
    report_estates.grow(mirror, 25, now)
    return mirror, now


def test_the_command_writes_a_page_that_stands_by_itself(
    run_syncer: RunSyncer, lived: tuple[Mirror, datetime], tmp_path: Path
) -> None:
    env = {"SYNCER_DATABASE_URL": lived[0].engine.url.render_as_string(hide_password=False)}
    path = tmp_path / "report.html"

    done = run_syncer("report", "--html", str(path), "--lang", "ru", env=env)

    assert (0, f"отчёт: {path}\n") == (done.returncode, done.stdout), done.stderr
    content = path.read_text("utf-8")
    shown = Page(content)
    assert "ru" == shown.language
    assert [] == [link for link in shown.links if not link.startswith("#")]
    assert [] == re.findall(r"url\((?!#)|@import|https?:", content)
    assert "script" not in shown.tags
    assert "<b>bold" not in content
    assert "\u202e" not in content
    assert content.count('role="img"') == shown.tags.count("figure") + 1
    assert shown.tags.count("details") == shown.tags.count("figure")


@pytest.mark.parametrize(("variables", "language"), [({"LANG": "ru_RU.UTF-8"}, "ru"), ({"LANG": "de_DE.UTF-8"}, "en")])
def test_the_page_speaks_the_locales_language(
    run_syncer: RunSyncer, sqlite_template: Path, tmp_path: Path, variables: dict[str, str], language: str
) -> None:
    (tmp_path / "syncer.db").write_bytes(sqlite_template.read_bytes())

    assert run_syncer("report", "--html", "report.html", env=variables | {"LC_ALL": ""}).returncode == 0

    assert language == Page((tmp_path / "report.html").read_text("utf-8")).language


def test_the_headline_and_the_waterfall_add_up(lived: tuple[Mirror, datetime]) -> None:
    mirror, now = lived
    found = read(mirror, now)
    running = found["churn"][-1]

    assert running["month"] == found["month_under_way"]["month"]
    assert found["totals"]["live"] == running["closing"]
    for row in found["churn"]:
        came = row["opening"] + row["created"] + row["returned"] + row["moved"]
        assert row["closing"] == came - row["deleted"] - row["vanished"]
    values = Page(page(found, Language.EN)).all("value")
    assert str(running["closing"]) in values


def test_what_was_paid_for_nothing_is_counted_day_by_day_at_the_days_price(mirror: Mirror) -> None:
    """Expired at noon of a day, it is charged at each 00:00 UTC+3 since: so many days, each at the price that it had."""
    now = real_now()
    midnight = (now + timedelta(hours=3)).replace(hour=0, minute=0, second=0) - timedelta(hours=3)
    expired = midnight - timedelta(days=5, hours=12)  # five nights ago and one more since
    dearer = (midnight + timedelta(hours=3)).date() - timedelta(days=1)
    with database.writing(mirror.engine, "setting prices") as connection:
        for tariff, price, day in (
            ("BUSINESS", "10", date(2020, 1, 1)), ("BUSINESS", "20", dearer), ("PARTNER_23", "3.5", date(2020, 1, 1)),
        ):  # fmt: skip
            rates.set_rate(connection, tariff, Decimal(price), "RUB", day)
    born = report_estates.local(midnight - timedelta(days=60))
    items = [
        paid(1, timeCreated=born, expirationDate=report_estates.local(expired)),
        item(2, timeCreated=report_estates.local(midnight - timedelta(days=3, hours=20))),
        item(3, timeCreated=born, expirationDate=report_estates.local(now + timedelta(days=1))),
    ]
    mirror.now = midnight - timedelta(days=10)
    mirror.observe([items[0], items[2]], after=timedelta())
    items[0] |= {"isExpired": True}
    items[1] |= {"deleted": True, "timeDeleted": report_estates.local(midnight - timedelta(days=3, hours=10))}
    mirror.now = now - timedelta(minutes=1)
    mirror.observe(items, after=timedelta())

    leaks = {leak["leak"]: leak for leak in read(mirror, now)["paid_for_nothing"]}

    # nights: 5, 4, 3 and 2 days ago at 10, yesterday's and today's at 20
    assert [{"days": 6, "amount": Decimal(80), "currency": "RUB"}] == leaks["expired_not_deleted"]["totals"]
    assert [{"days": 1, "amount": Decimal("3.5"), "currency": "RUB"}] == leaks["lived_under_a_day"]["totals"]
    assert "84\u00a0RUB" in page(read(mirror, now), Language.EN)


def test_the_forecast_is_that_of_the_bill(lived: tuple[Mirror, datetime]) -> None:
    mirror, now = lived
    with database.reading(mirror.engine, "reading the bill") as connection:
        today = (now + timedelta(hours=3)).date()
        document = bill.bill(connection, today.replace(day=1), now, None)
    found = {
        row["currency"]: (row["so_far"], row["forecast"]) for row in read(mirror, now)["month_under_way"]["currencies"]
    }

    billed = {row["currency"]: row["amount"] for row in document["totals"] if row["currency"]}
    forecast = {row["currency"]: row["amount"] for row in document["forecast"] if row["currency"]}
    assert {currency: (billed.get(currency, 0), amount) for currency, amount in forecast.items()} == found
    assert len(found) == 2
    for words, language in (("forecast ", Language.EN), ("прогноз: ", Language.RU)):
        notes = Page(page(read(mirror, now), language)).all("note")
        assert len([note for note in notes if note.startswith(words)]) == 2


def test_what_expires_is_counted_by_the_day_at_which_it_does(lived: tuple[Mirror, datetime]) -> None:
    mirror, now = lived
    with database.reading(mirror.engine, "reading the view") as connection:
        rows = connection.execute(select(bi_expiring.c.expiration_date).where(bi_expiring.c.days_left.between(0, 30)))
        ends = list(rows.scalars())

    found = read(mirror, now)

    assert {row["day"]: row["instances"] for row in found["expiries"]} == Counter(map(billing_day, ends))
    assert ends
    shown = [row for one in found["attention"] for row in one["instances"]]
    stored = {row["id_instance"]: row["expiration_date"] for row in mirror.rows(instances)}
    assert [stored[row["id_instance"]] for row in shown] == [row["expiration_date"] for row in shown]


def test_attention_has_a_few_of_each_reason_the_worst_first(lived: tuple[Mirror, datetime]) -> None:
    mirror, now = lived
    reasons = read(mirror, now)["attention"]

    assert [one["severity"] for one in reasons] == sorted(one["severity"] for one in reasons)
    assert all(1 <= len(one["instances"]) <= 3 and one["n"] >= len(one["instances"]) for one in reasons)


def test_more_than_a_few_are_counted_in_either_language(lived: tuple[Mirror, datetime]) -> None:
    mirror, now = lived
    found = read(mirror, now)
    row = {"id_instance": 7, "account": "default", "name": "x", "reason": "vanished", "since": now, "severity": 3,
           "amount": None, "currency": None}  # fmt: skip
    found["attention"] = [{"reason": "vanished", "severity": 3, "n": 44, "totals": [], "instances": [row] * 3}]

    assert "and 41 more" in page(found, Language.EN)
    assert "и ещё 41" in page(found, Language.RU)


def test_an_instance_without_a_name_is_said_to_have_none(lived: tuple[Mirror, datetime]) -> None:
    mirror, now = lived
    found = read(mirror, now)
    found["attention"][0]["instances"][0] |= {"name": ""}

    assert ["no name"] == [said for said in Page(page(found, Language.EN)).all("bdi") if said.startswith("no")]
    assert "без названия" in Page(page(found, Language.RU)).all("bdi")


def test_max_is_called_so_where_people_read(mirror: Mirror) -> None:
    mirror.now = real_now()
    mirror.observe([item(1, typeInstance="v3", messenger="v3")], after=timedelta())

    content = page(read(mirror, mirror.now), Language.EN)

    assert "MAX" in content
    assert "v3" not in content


@pytest.mark.parametrize("language", Language)
def test_an_empty_estate_is_one_friendly_page(mirror: Mirror, language: Language) -> None:
    before = page(read(mirror, real_now()), language)
    mirror.now = real_now()
    mirror.observe([], after=timedelta())
    after = page(read(mirror, mirror.now), language)

    assert "syncer sync" in before
    assert "syncer sync" not in after
    for content in (before, after):
        shown = Page(content)
        assert {"figure", "table", "dl"} & set(shown.tags) == set()
        assert shown.tags.count("h2") == 1


def test_stale_data_and_blind_gaps_are_said_before_any_figure(mirror: Mirror) -> None:
    mirror.now = real_now() - timedelta(days=100)
    mirror.observe([item(1)], of=account("north"))
    mirror.observe([item(1)], after=timedelta(days=90), of=account("north"))

    english, russian = (Page(page(read(mirror, real_now()), language)).all("warning") for language in Language)

    assert [True, False] == ["data is old" in said for said in english]
    assert "more than 80 days" in english[1]
    assert ["данные устарели" in russian[0], "больше 80 дней" in russian[1]] == [True, True]


# How it looks


@needs_browser
@pytest.mark.parametrize("mirror", ["sqlite"], indirect=True)
@pytest.mark.parametrize("size", [0, 25, 12_000])
def test_nothing_overlaps_or_leaves_its_box_on_screen_and_paper(mirror: Mirror, tmp_path: Path, size: int) -> None:
    now = real_now()
    if size:
        report_estates.grow(mirror, size, now, ("default",) if size < 100 else ("north", "south"))
    found = read(mirror, now)
    for language in Language:
        path = tmp_path / "page.html"
        path.write_text(page(found, language), "utf-8")

        assert {} == browser.faults(path, *WIDTHS)
        assert browser.sheets(path) == (2 if size else 1)


@needs_browser
@pytest.mark.parametrize("mirror", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("style", "fault"),
    [
        ("main { width: 2000px; max-width: none; }", "the page is"),
        (".tile .note { margin-top: -20px; }", "overlap"),
        (".picture text { font-size: 26px; }", "words of"),
        (".picture { height: 60px; }", "outside of"),
        (".reason h3 { white-space: nowrap; width: 900px; }", "leaves its box"),
    ],
)  # fmt: skip
def test_a_page_that_is_laid_out_badly_is_seen(
    lived: tuple[Mirror, datetime], tmp_path: Path, style: str, fault: str
) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(read(*lived), Language.RU).replace("</style>", f"{style}</style>"), "utf-8")

    found = browser.faults(path, 390)

    assert any(fault in line for line in found["page 390"])


@needs_browser
@pytest.mark.parametrize("mirror", ["sqlite"], indirect=True)
def test_years_of_cohorts_and_three_currencies_print_on_two_sheets(
    lived: tuple[Mirror, datetime], tmp_path: Path
) -> None:
    mirror, now = lived
    found = read(mirror, now)
    found["survival"] = [
        {"cohort_month": f"{2022 + n // 12}-{n % 12 + 1:02}", "size": 9, "survival": [0.9] * (60 - n)}
        for n in range(60)
    ]
    found["cost_by_month"] += [row | {"currency": "USD"} for row in found["cost_by_month"] if row["currency"] == "RUB"]
    found["freshness"] = [found["freshness"][0] | {"state": "stale"}] * 3
    path = tmp_path / "page.html"
    path.write_text(page(found, Language.RU), "utf-8")

    assert 2 == browser.sheets(path)


@needs_browser
@pytest.mark.parametrize("mirror", ["sqlite"], indirect=True)
def test_the_largest_figures_fit_as_well(lived: tuple[Mirror, datetime], tmp_path: Path) -> None:
    """Millions of instances, five years of cohorts, every reason and state, long names without a place to break."""
    mirror, now = lived
    found = read(mirror, now)
    _enlarge(found, now)
    for language in Language:
        path = tmp_path / "page.html"
        path.write_text(page(found, language), "utf-8")

        assert {} == browser.faults(path, min(WIDTHS), max(WIDTHS))


def _enlarge(found: Found, now: datetime) -> None:
    large = 1_234_567
    for rows in (found["churn"], found["statuses_by_week"], found["moves_by_week"], found["kinds"]):
        for row in rows:
            row |= {name: value * large for name, value in row.items() if isinstance(value, int)}
    found["totals"] = {name: value * large for name, value in found["totals"].items()}
    for row in found["cost_by_month"]:
        row["amount"] = row["amount"] and row["amount"] * 1000
    for row in found["month_under_way"]["currencies"]:
        row |= {"so_far": row["so_far"] * 1000, "forecast": row["forecast"] * 1100}
    found["survival"] = [
        {"cohort_month": f"{2022 + n // 12}-{n % 12 + 1:02}", "size": large, "survival": [0.987] * (60 - n)}
        for n in range(60)
    ]
    found["expiries"] = [{"day": billing_day(now) + timedelta(days=n), "instances": 1_034} for n in range(29)]
    reasons = (
        "expired_not_deleted",
        "not_renewed",
        "expiring_soon",
        "vanished",
        "lived_under_a_day",
        "claimed_twice",
        "new",
    )
    found["attention"] = [
        {
            "reason": reason, "severity": 1 + n % 3, "n": large,
            "totals": [{"currency": code, "amount": Decimal("12345678.90"), "days": 9} for code in ("RUB", "KZT", "USD")],
            "instances": [
                {"id_instance": 2**63 - 1, "account": "a-long-name-of-an-account" * 3, "name": "W" * 200, "reason": reason,
                 "since": now - timedelta(days=400), "expiration_date": now + timedelta(days=6), "amount": Decimal("1234567.89") if n % 2 else None, "currency": "RUB"}
            ] * 3,
        }
        for n, reason in enumerate(reasons)
    ]  # fmt: skip
    found["paid_for_nothing"].append(
        {"leak": "customer_left", "instances": large,
         "totals": [{"currency": "RUB", "amount": Decimal("12345678.9"), "days": 9}]}
    )  # fmt: skip
    states = ("never", "held", "clock", "stale", "failing")
    found["freshness"] = [found["freshness"][0] | {"state": state, "account": "n" * 64} for state in states]


PALETTES = re.findall(
    r":root \{(.*?)\}", (CHECKOUT / "syncer/views/report/templates/page.css").read_text("utf-8"), re.DOTALL
)
READ_ON = [  # a colour of words, and what lies behind them
    ("ink", "paper"), ("ink", "card"), ("faint", "paper"), ("faint", "card"), ("ink", "loss-soft"), ("loss", "loss-soft"),
    ("loss", "card"), ("accent", "card"), ("ink", "accent-soft"), ("ink", "veil"), ("faint", "veil"),
    *((f"on{n}", f"heat{n}") for n in range(6)),
]  # fmt: skip
SEEN_ON = [("accent", "card"), ("loss", "card"), ("base", "card")]


def _light(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours."""
    dark, light = sorted(map(_light, (one, other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", PALETTES, ids=["light", "dark", "print"])
def test_every_word_can_be_read_and_every_mark_be_seen(palette: str) -> None:
    """WCAG AA: 4.5 for words, 3 for what a picture is made of."""
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", palette))

    weak = [(one, other, round(contrast(colours[one], colours[other]), 2)) for one, other in READ_ON
            if contrast(colours[one], colours[other]) < 4.5]  # fmt: skip
    assert [] == weak
    faint = [(one, other, round(contrast(colours[one], colours[other]), 2)) for one, other in SEEN_ON
             if contrast(colours[one], colours[other]) < 3]  # fmt: skip
    assert [] == faint
