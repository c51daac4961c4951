"""The product seen in one command: production's fetch, run and store; only the server and the clock are simulated."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import URL, Engine, select, text

from syncer.answer.item import Decoder
from syncer.demo.fake_api import DEFAULT_TOKEN, UPSTREAM_ZONE, FakeApi
from syncer.demo.scenarios import SCENARIOS, scenario
from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.model import RunResult, Trigger
from syncer.rules.guard import Bounds
from syncer.rules.timeline import billing_day
from syncer.scrub import Scrubber
from syncer.storage import database, schema
from syncer.storage.tables import accounts
from syncer.sync import Terms, run_once
from syncer.terminal import printing, render
from syncer.upstream import client
from syncer.views import estate, export, figures, rates
from syncer.words.errors import in_words
from syncer.words.language import Language, messenger
from syncer.words.terminal import terminal_words

ACCOUNT = "demo"
PRICES = (("PARTNER_23", "12.5", "RUB"), ("BUSINESS", "41", "RUB"), ("BUSINESS_KZT", "240", "KZT"))  # of a day
QUERIES = {
    "What happened last": """\
SELECT id_instance, name, transition, occurred_at
FROM instance_history ORDER BY id DESC LIMIT 5""",
    "What lives": """\
SELECT messenger, tariff, COUNT(*) AS live
FROM bi_instances WHERE status IN ('active', 'expired')
GROUP BY messenger, tariff ORDER BY live DESC, messenger, tariff LIMIT 5""",
    "What it costs": """\
SELECT month, currency, SUM(instance_days) AS instance_days, SUM(amount) AS amount
FROM bi_billing_monthly GROUP BY month, currency ORDER BY month DESC, currency LIMIT 5""",
}
PAGE_OF_OURS = b'<meta name="generator" content="syncer">'
HEAD_BYTES = 1024  # of a page, within which it says who made it


def serve(scenario_name: str, host: str, port: int, now: datetime) -> None:
    """Serve a scenario until interrupted; each request with the fake token is answered by the script's next step."""
    if scenario_name == "list":
        for name, description in SCENARIOS.items():
            click.echo(f"{name:16} {description}")
        return
    steps = scenario(scenario_name, _start(now))

    def report(title: str, status: int, size: int) -> None:
        click.echo(f"answered: {title} (HTTP {status}, {size} bytes)", err=True)

    with FakeApi(DEFAULT_TOKEN, steps, port, host, on_request=report) as api:
        click.echo(f"export SYNCER_API_URL={api.url}")
        click.echo(f"export SYNCER_PARTNER_TOKEN={DEFAULT_TOKEN}   # a fake that only this server knows")
        threading.Event().wait()


def play(path: Path, now: datetime, language: Language) -> None:
    """Poll the demo scenario into a new SQLite file at `path`, show what happened, and write the report's page.

    An earlier demo's files are replaced; raises `ConfigurationError` for any others.
    """
    page_path = _make_room(path)
    engine = _engine_of(path)
    schema.upgrade(engine)
    _set_prices(engine, billing_day(now))
    steps = scenario("demo", _start(now))
    steps.append(replace(steps[-1], at=now, title="a moment ago: nothing changed"))  # so that the page is of today
    out = render.console()
    with (
        FakeApi(DEFAULT_TOKEN, steps, advance="manual", in_script_time=True) as api,
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=out,
            transient=True,
            disable=not out.is_terminal,
        ) as progress,
    ):
        task = progress.add_task("polling", total=len(steps))
        for step in steps:
            api.show(step)
            run = _poll(engine, api, step.at)
            title, outcome = in_words(language, step.title), in_words(language, _outcome(run))
            progress.console.print(f"{printing.moment(step.at)}  {title}\n    {run.status}: {outcome}", soft_wrap=True)
            progress.advance(task)
    _show(engine, language)
    _answer(engine, language)
    _write_page(engine, page_path, now, language)
    printing.line(in_words(language, f"The mirror is {path.absolute()}, and the report of it:"))
    printing.line(f"  {page_path.absolute()}")
    printing.line(f"  {page_path.absolute().as_uri()}")


def _engine_of(path: Path) -> Engine:
    return database.open_engine(URL.create("sqlite+pysqlite", database=str(path)))


def _make_room(path: Path) -> Path:
    """Remove an earlier demo's files; gives the path of the page."""
    export.require_file_name(path)
    if not path.parent.is_dir():
        raise ConfigurationError(f"demo: there is no folder {path.parent}; create it, or name another file: --database")
    if path.exists() and not _is_of_a_demo(path):
        raise ConfigurationError(f"demo: {path} is there, and no demo made it; name another file: --database FILE")
    page_path = path.with_suffix(".html")
    if page_path == path:
        raise ConfigurationError(f"demo: {path} is where the page goes; name a file such as demo.db: --database FILE")
    if page_path.exists() and not _is_a_page(page_path):
        raise ConfigurationError(f"demo: {page_path} is there, and no demo made it; name another file: --database FILE")
    for old in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm"), page_path):
        old.unlink(missing_ok=True)
    return page_path


def _is_a_page(path: Path) -> bool:
    try:
        return PAGE_OF_OURS in path.read_bytes()[:HEAD_BYTES]
    except OSError:
        return False


def _is_of_a_demo(path: Path) -> bool:
    try:
        with database.reading(_engine_of(path), "reading the earlier demo") as connection:
            return set(connection.scalars(select(accounts.c.account))) <= {ACCOUNT}
    except DatabaseFailed:
        return False


def _start(now: datetime) -> datetime:
    """The midnight from which the demo plays, so that its last poll is at today's."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=7)


def _poll(engine: Engine, api: FakeApi, at: datetime) -> RunResult:
    scrub = Scrubber([DEFAULT_TOKEN])
    terms = Terms(
        name=ACCOUNT,
        decoder=Decoder(UPSTREAM_ZONE.utcoffset(None), scrub),
        expiry_grace=timedelta(minutes=5),
        bounds=Bounds(vanished=Fraction(5, 100), declared=Fraction(30, 100)),
        clock_tolerance=timedelta(minutes=5),
        interval_seconds=12 * 3600,
    )
    source = client.Upstream(api.url, DEFAULT_TOKEN, timeout_seconds=10, largest_body=2**20, scrub=scrub)
    return run_once(
        engine,
        terms,
        partial(client.fetch_into, source, stop=threading.Event(), clock=lambda: at),
        lambda: at,
        Trigger.SCHEDULE,
    )


def _outcome(run: RunResult) -> str:
    if run.error:
        return str(run.error)
    return ", ".join(f"{n} {word}" for word, n in run.transitions.items()) or (
        f"{run.updated} rows updated, no transition" if run.updated else "nothing to write"
    )


def _set_prices(engine: Engine, today: date) -> None:
    """Prices of a day, of the demo's own; one tariff has none, as it happens."""
    since = today.replace(year=today.year - 1, month=1, day=1)
    with database.writing(engine, "setting the demo's prices") as connection:
        for tariff, price, currency in PRICES:
            rates.set_rate(connection, tariff, Decimal(price), currency, since)


def _show(engine: Engine, language: Language) -> None:
    out, words = render.console(), terminal_words(language)
    with database.reading(engine, "reading the demo") as connection:
        by_status = estate.count_by_status(connection)
        events = estate.read_history(connection, estate.HistoryFilter())
        runs = estate.read_runs(connection, limit=100)
    first_answer = sum(1 for event in events if event["run_id"] == runs[0]["id"])
    out.print()
    named = [(status, messenger(kind), n) for status, kind, n in by_status]
    by_status_title = in_words(language, "The estate by status")
    out.print(render.worded(words, by_status_title, ("status", "type", "instances"), named))
    out.print()
    out.print(render.history_table(words, events[first_answer:]))
    out.print(in_words(language, f"({first_answer} transitions of the first answer are left out)") + "\n")
    out.print(render.runs_table(words, runs))


def _answer(engine: Engine, language: Language) -> None:
    """Questions in SQL, with what the mirror answers."""
    out = render.console()
    with database.reading(engine, "asking the demo's mirror") as connection:
        for title, query in QUERIES.items():
            result = connection.execute(text(query))
            out.print(f"\n{query};", soft_wrap=True)
            out.print(render.table(in_words(language, title), tuple(result.keys()), [tuple(row) for row in result]))
    out.print()


def _write_page(engine: Engine, path: Path, now: datetime, language: Language) -> None:
    from syncer.views.report.page import page

    with database.reading(engine, "reading the report") as connection:
        found = figures.read_figures(connection, now, None)
    with export.opened(path) as out:
        out.write(page(found, language).encode())
