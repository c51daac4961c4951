"""`syncer db copy`: the mirror in another database."""

from pathlib import Path

import click

from syncer.cli.command import Command, Context, with_settings
from syncer.errors import ConfigurationError, DatabaseFailed


@click.command("copy", cls=Command, epilog="syncer db copy --to-file postgresql-url.secret")
@with_settings
@click.option("--to", "url", metavar="URL", help="The other database, by a URL without a password.")
@click.option("--to-file", type=click.Path(path_type=Path), help="The file that holds its URL, password and all.")
def copy_database(context: Context, url: str | None, to_file: Path | None) -> None:
    """Copy the mirror into another database. Stop every syncer first; a copy that was interrupted goes on."""
    from syncer.settings.reading import read_secret_file
    from syncer.storage import copying, database
    from syncer.terminal import printing
    from syncer.views import verify as promises
    from syncer.words.errors import in_words

    if (url is None) == (to_file is None):
        raise ConfigurationError("db copy: name the other database by --to URL or by --to-file FILE")
    called, read = ("--to", url) if url else ("--to-file", read_secret_file("--to-file", to_file or Path()))
    other = database.parse_database_url(read.strip(), called)
    if url is not None and other.password:
        raise ConfigurationError(
            "--to: a process list shows the password; write the URL into a file, and use --to-file"
        )
    context.scrub.learn(*filter(None, [other.password]))
    target = database.open_engine(other)
    copying.refuse_same(context.engine, target)
    language = context.settings.language
    copied = copying.copy(
        context.engine,
        target,
        lambda table, rows: click.echo(in_words(language, f"{table}: {rows} rows so far"), err=True),
    )
    for table, rows in copied.items():
        printing.told(language, f"{table}: {rows} rows, the same in both")
    if not promises.verify(target).holds:
        raise DatabaseFailed("verifying the copy: a promise is broken; run syncer verify on both databases")
    printing.told(language, "the copy is whole; set SYNCER_DATABASE_URL to it before syncer starts again")
