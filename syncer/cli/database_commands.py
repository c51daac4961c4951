"""The commands of the database: its schema, its rows, its readers."""

import click

from syncer.cli.command import Context, Group, with_settings
from syncer.cli.copy_command import copy_database


@click.group(cls=Group)
def db() -> None:
    """The database's schema and rights."""


def _tell(context: Context, text: str) -> None:
    from syncer.terminal import printing

    printing.told(context.settings.language, text)


@db.command(epilog="syncer db upgrade")
@with_settings
def upgrade(context: Context) -> None:
    """Bring the schema to this syncer's version."""
    from rich.console import Console
    from rich.progress import Progress

    from syncer.storage import schema
    from syncer.words.errors import in_words

    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(
            in_words(context.settings.language, "working out the timeline of each instance"), total=None
        )
        schema.upgrade(context.engine, lambda done, total: progress.update(task, completed=done, total=total))
    _tell(context, f"the schema is at {schema.head()}")


@db.command(epilog="syncer db downgrade 0010")
@with_settings
@click.argument("revision")
def downgrade(context: Context, revision: str) -> None:
    """Bring the schema back to REVISION, for an older syncer. Stop every syncer first."""
    from syncer.storage import schema

    schema.downgrade(context.engine, revision)
    _tell(context, f"the schema is at {revision}; install the syncer that works on it before anything runs")


@db.command(epilog="syncer db current")
@with_settings
def current(context: Context) -> None:
    """Show the schema's version."""
    from syncer.storage import database, schema

    if schema.read_state(context.engine) is schema.SchemaState.EMPTY:
        _tell(context, f"none (this syncer works on {schema.head()})")
        return
    with database.reading(context.engine, "reading the schema's version") as connection:
        _tell(context, f"{schema.current(connection)} (this syncer works on {schema.head()})")


@db.command(epilog="syncer db check")
@with_settings
def check(context: Context) -> None:
    """Check that the schema is what this syncer works on. Exit code 0 only then."""
    from syncer.storage import database, schema

    schema.require_current(context.engine)
    schema.compare(context.engine)
    _tell(context, f"the schema is at {schema.head()} and as it should be")
    if not database.has_write_ahead_log(context.engine):
        _tell(context, "careful: the file is without a write-ahead log, as after a restore; the next run sets it")


@db.command(epilog="syncer db repair")
@with_settings
def repair(context: Context) -> None:
    """Set rows that were edited by hand back. They become what their history says."""
    from syncer.storage import database, schema
    from syncer.storage import repair as rows

    schema.require_current(context.engine)
    with database.writing(context.engine, "repairing rows") as connection:
        ids = rows.repair(connection)
    if not ids:
        _tell(context, "every row is what its history says; nothing was repaired")
        return
    shown = ", ".join(map(str, ids[:20])) + (f" and {len(ids) - 20} more" if len(ids) > 20 else "")
    _tell(context, f"{len(ids)} rows were set back ({shown}); the next answer is compared in full")


@db.command("grant-reader", epilog="syncer db grant-reader bi")
@with_settings
@click.argument("role")
def grant_reader(context: Context, role: str) -> None:
    """Let a PostgreSQL ROLE read what holds no secret. That is the views and most tables; run it after each upgrade."""
    from syncer.storage import database, grants, schema

    if context.engine.dialect.name == "postgresql":
        schema.require_current(context.engine)
    with database.writing(context.engine, "granting rights") as connection:
        granted = grants.grant_reader(connection, role)
    _tell(context, f"{role} may read: {', '.join(granted.readable)}")
    _tell(context, f"hidden are the columns {', '.join(sorted(grants.HIDDEN_COLUMNS))}: name the others, not *")
    for right in granted.by_default:
        _tell(context, f"careful: like everybody, {role} may {right}")


db.add_command(copy_database)
