"""The schema's version: what the database has, what this code needs, and the way from one to the other by Alembic.

Over 300 lines: going up, going back and comparing share what a version is, and what users may have added.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, column, inspect, select, text
from sqlalchemy import table as sa_table

from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.storage import timeline
from syncer.storage.additions import keeping_additions
from syncer.storage.database import (
    UPGRADE_LOCK,
    become_sole_writer,
    create_sqlite_file,
    reading,
    use_write_ahead_log,
    writing,
)
from syncer.storage.sqlite_file import is_there, sqlite_path
from syncer.storage.surroundings import has, refuse_strangers, refuse_taken

if TYPE_CHECKING:
    from alembic.config import Config

UPGRADE_COMMAND = "syncer db upgrade"
NO_VIEWS = {"estate_as_of", "irregular_instances", "irregular_lives", "daily_moves"}
"""Files of `migrations/views` that are no view: a function, and what only earlier revisions had."""
VERSION_TABLE = "syncer_version"
FORMER_VERSION_TABLE = "alembic_version"  # everybody's name, before FIRST_WITH_OWN_NAME
FIRST_WITH_OWN_NAME = "0009"
ADDED_TABLES = {
    "customers": "0011",
    "receivers": "0013",
}  # of names that others use, too, each with the revision that makes it
WRITES_NOTHING = "UPDATE syncer_version SET version_num = version_num WHERE 1 = 0"

log = logging.getLogger(__name__)


class SchemaState(Enum):
    """How a database's schema stands to this code's."""

    EMPTY = "empty"
    OLDER = "older"
    UNFINISHED = "unfinished"  # the tables are this code's, the upgrade's work on their rows was broken off
    CURRENT = "current"
    NEWER = "newer"


def migrations_folder() -> Path:
    """The migrations: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).parent.parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


@cache
def revisions() -> tuple[str, ...]:
    """Every revision that this code knows, oldest first; a revision's file is named after it.

    Those that were there when it was first asked: an installation that is renewed on the disk is not yet this process.
    """
    return tuple(sorted(path.name.split("_")[0] for path in (migrations_folder() / "versions").glob("[0-9]*.py")))


def head() -> str:
    """The revision that this code works on."""
    return revisions()[-1]


def current(connection: Connection) -> str | None:
    """The revision of the database; None when it has no schema of ours."""
    for table in (VERSION_TABLE, FORMER_VERSION_TABLE):
        if has(connection, table) and (table == VERSION_TABLE or _is_ours(connection)):
            return _revision_in(connection, table)
    return None


def _revision_in(connection: Connection, table: str) -> str | None:
    return connection.execute(select(column("version_num")).select_from(sa_table(table))).scalar()


def _is_ours(connection: Connection) -> bool:
    return all(has(connection, name) for name in ("instances", "instance_history", "sync_runs"))


def adopt_version_table(connection: Connection) -> None:
    """Give the table of the version its own name, where an earlier syncer made it under everybody's."""
    if not has(connection, VERSION_TABLE) and has(connection, FORMER_VERSION_TABLE) and _is_ours(connection):
        _rename(connection, FORMER_VERSION_TABLE, VERSION_TABLE)


def _rename(connection: Connection, old: str, new: str) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:  # or it would look through every view, a user's broken one included
        connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")
    connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")
    if is_sqlite:
        connection.exec_driver_sql("PRAGMA legacy_alter_table = OFF")


def state_of(revision: str | None) -> SchemaState:
    """Compare a database's revision with the code's; one that the code does not know is a later one."""
    if revision is None:
        return SchemaState.EMPTY
    if revision == head():
        return SchemaState.CURRENT
    return SchemaState.OLDER if revision in revisions() else SchemaState.NEWER


def read_state(engine: Engine) -> SchemaState:
    """How the database stands; a missing SQLite file is empty, and stays missing."""
    if engine.dialect.name == "sqlite" and not is_there(sqlite_path(engine.url)):
        return SchemaState.EMPTY
    with reading(engine, "reading the schema's version") as connection:
        state = state_of(current(connection))
        if state is SchemaState.CURRENT and not timeline.is_whole(connection):
            return SchemaState.UNFINISHED
        return state


def require_current(engine: Engine) -> None:
    """Raise `DatabaseFailed` with the command to run unless the schema is this code's and wholly upgraded."""
    state = read_state(engine)
    if state is SchemaState.EMPTY:
        where, problem = "", "it has no syncer tables yet"
        if engine.dialect.name == "sqlite":
            path = sqlite_path(engine.url)
            where, problem = f" {path}", problem if is_there(path) else "there is no such file, so no syncer tables yet"
        else:  # the command below would not help where no tables can be made
            with reading(engine, "opening the database") as connection:
                refuse_what_is_there(connection)
        raise DatabaseFailed(f"opening the database{where}: {problem}; run: {UPGRADE_COMMAND}")
    if state is SchemaState.OLDER:
        raise _older()
    _refuse_newer(state)
    if state is SchemaState.UNFINISHED:
        raise DatabaseFailed(f"opening the database: its upgrade was broken off; run: {UPGRADE_COMMAND}")


def _older() -> DatabaseFailed:
    return DatabaseFailed(f"opening the database: its schema is older than this syncer; run: {UPGRADE_COMMAND}")


def require_own(connection: Connection) -> None:
    """Raise `DatabaseFailed` unless the schema is this code's at this moment: another syncer may have changed it since.

    For transactions that write what was decided before they began.
    """
    state = state_of(_revision_in(connection, VERSION_TABLE))
    _refuse_newer(state)
    if state is not SchemaState.CURRENT:
        raise _older()


def ensure_current(engine: Engine, *, may_migrate: bool, may_create: bool = True) -> None:
    """Give an empty database the schema and upgrade an older one, unless that is switched off; refuse a newer one."""
    state = read_state(engine) if may_migrate else None
    if state is None or (state is SchemaState.EMPTY and not may_create):
        require_current(engine)
        return
    _refuse_newer(state)
    if state is not SchemaState.CURRENT:
        upgrade(engine)


def upgrade(engine: Engine, told: Callable[[int, int], None] | None = None) -> None:
    """Bring the schema to `head` in one locked transaction; a second process waits, then finds nothing to do.

    Then every instance that has no timeline is given it, in many transactions; what is interrupted goes on from there
    the next time. `told` hears how many are done, and of how many.
    """
    if engine.dialect.name == "sqlite":
        create_sqlite_file(engine.url)
        use_write_ahead_log(engine)
    with locked(engine) as connection:
        found = current(connection)
        state = state_of(found)
        _refuse_newer(state)
        if state is SchemaState.EMPTY:
            refuse_what_is_there(connection)
        elif found is not None:
            refuse_taken(connection, [name for name, revision in ADDED_TABLES.items() if found < revision])
        if state is not SchemaState.CURRENT:
            from alembic import command

            adopt_version_table(connection)
            with keeping_additions(connection):
                command.upgrade(_migrating(connection), "head")
    if state is SchemaState.EMPTY:
        log.info(
            "the database was empty: its tables were made",
            extra={"fields": {"action": "database_created", "schema": head()}},
        )
    elif state is SchemaState.OLDER:
        log.info(
            "the schema was upgraded", extra={"fields": {"action": "schema_upgraded", "from": found, "to": head()}}
        )
    timeline.build(engine, told)


def downgrade(engine: Engine, revision: str) -> None:
    """Bring the schema back to an earlier revision, for an older syncer; what only later revisions hold is lost.

    Raises `ConfigurationError` for a revision that is none of this code's, `DatabaseFailed` for one that is later.
    """
    if revision not in revisions():
        raise ConfigurationError(f"REVISION: there is no revision {revision!r}; known are: {', '.join(revisions())}")
    if read_state(engine) is SchemaState.EMPTY:
        require_current(engine)
    with locked(engine) as connection:
        state, found = state_of(current(connection)), current(connection)
        _refuse_newer(state)
        if found is not None and revision > found:
            raise DatabaseFailed(f"downgrading the schema: it is at {found} already; to go up, run: {UPGRADE_COMMAND}")
        from alembic import command

        adopt_version_table(connection)
        with keeping_additions(connection):
            command.downgrade(_migrating(connection), revision)
        if revision < FIRST_WITH_OWN_NAME:
            _rename(connection, VERSION_TABLE, FORMER_VERSION_TABLE)


def _migrating(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def refuse_what_is_there(connection: Connection) -> None:
    """Raise `DatabaseFailed` where the tables cannot be made beside what an empty database holds."""
    refuse_strangers(connection, VERSION_TABLE, [*metadata_names(), *view_names()])


def metadata_names() -> list[str]:
    """The tables of this code."""
    from syncer.storage.tables import metadata

    return list(metadata.tables)


def view_names() -> set[str]:
    """The views that the migrations install; each has a file, of which the last version counts."""
    return {path.name.rpartition("_v")[0] for path in (migrations_folder() / "views").glob("*_v*.sql")} - NO_VIEWS


def is_in_metadata(_thing: object, name: str | None, kind: str, reflected: bool, _compared_with: object) -> bool:
    """Whether Alembic should compare it with `tables`: not what SQLite keeps for itself, nor indexes of the views."""
    return not (reflected and ((kind == "table" and name == "sqlite_sequence") or (name or "").startswith("ix_views_")))


def compare(engine: Engine) -> None:
    """Raise `DatabaseFailed` if a table, column, index, constraint or view is not as this code expects it."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from syncer.storage.tables import metadata

    with reading(engine, "checking the schema") as connection:
        opts = {"include_object": is_in_metadata, "version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=opts)
        differences = [one for one in compare_metadata(context, metadata) if not _is_addition(one)]
        missing = sorted(view_names() - set(inspect(connection).get_view_names()))
    if differences:
        first = differences[0][0] if isinstance(differences[0], list) else differences[0]
        raise DatabaseFailed(
            f"checking the schema: {len(differences)} differences, the first is {first[0]} "
            f"{getattr(first[-1], 'name', first[-1])}; restore a backup or undo what was changed by hand"
        )
    if missing:
        raise DatabaseFailed(
            f"checking the schema: the view {missing[0]} is missing; "
            "restore a backup, or downgrade the schema and upgrade it again"
        )


def _is_addition(difference: object) -> bool:
    """Whether it is something that users have added: an index, a column or a table of their own is no error."""
    return isinstance(difference, tuple) and str(difference[0]).startswith("remove_")


@contextmanager
def locked(engine: Engine) -> Iterator[Connection]:
    """A transaction in which no other process migrates or writes history."""
    with writing(engine, "upgrading the schema") as connection:
        if current(connection) is not None:
            become_sole_writer(connection)
        elif connection.dialect.name == "postgresql":  # anybody may take this lock, but there is no table of ours yet
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": UPGRADE_LOCK})
        yield connection


def _refuse_newer(state: SchemaState) -> None:
    if state is SchemaState.NEWER:
        raise DatabaseFailed(
            "opening the database: its schema is newer than this syncer, which would misread it; "
            "install the syncer that made it"
        )
