"""The commands that need no token: a local upstream, and the demo that polls it."""

import logging
import os
from pathlib import Path

import click

from syncer.cli.command import Command, now
from syncer.settings.declared import SETTINGS


@click.command("fake-api", cls=Command, epilog="syncer fake-api --scenario quiet --port 8080")
@click.option("--scenario", default="demo", show_default=True, help="What it answers, poll by poll; 'list' lists them.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Its port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
def fake_api(scenario: str, port: int, host: str) -> None:
    """Serve a local stand-in for the partner API. Its answers follow a script."""
    from syncer.demo import demo

    demo.serve(scenario, host, port, now())


@click.command("demo", cls=Command, epilog="syncer demo --lang ru")
@click.option(
    "--database", type=click.Path(path_type=Path), default=Path("demo.db"), show_default=True,
    help="The SQLite file to write; that of an earlier demo is replaced.",
)  # fmt: skip
@click.option("--lang", envvar="SYNCER_LANG", help=SETTINGS["lang"].help)
def demo_command(database: Path, lang: str | None) -> None:
    """See syncer at work, no token needed. It polls a fake API over simulated days and shows what it knows then."""
    from syncer.demo import demo
    from syncer.settings.forms import parse_language
    from syncer.settings.reading import parsed
    from syncer.words.language import language_of

    logging.getLogger().addHandler(logging.NullHandler())  # each run is told on standard output
    language = parsed(SETTINGS["lang"].variable, parse_language, lang) if lang else language_of(os.environ)
    demo.play(database, now(), language)
