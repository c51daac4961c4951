"""The commands that need no token: a local upstream, and the demo that polls it."""

import logging
from pathlib import Path

import click

from syncer.cli.command import now


@click.command("fake-api")
@click.option("--scenario", default="demo", show_default=True, help="What it answers, poll by poll; 'list' lists them.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
def fake_api(scenario: str, port: int, host: str) -> None:
    """Serve a local stand-in for the partner API. Its answers follow a script."""
    from syncer.demo import demo

    demo.serve(scenario, host, port, now())


@click.command("demo")
@click.option(
    "--database", type=click.Path(path_type=Path), default=Path("demo.db"), show_default=True,
    help="The SQLite file to write; that of an earlier demo is replaced.",
)  # fmt: skip
def demo_command(database: Path) -> None:
    """See syncer at work, no token needed. It polls a fake API over simulated days and shows what it knows then."""
    from syncer.demo import demo

    logging.getLogger().addHandler(logging.NullHandler())  # each run is told on standard output
    demo.play(database, now())
