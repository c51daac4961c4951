"""Alembic's entry: on a connection that syncer hands over (one locked transaction), or on its own from the checkout."""

import os

from alembic import context
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateColumn
from sqlalchemy.sql.compiler import DDLCompiler

from syncer.storage import database, schema
from syncer.storage.tables import metadata


@compiles(CreateColumn, "sqlite")
def _with_named_key(created: CreateColumn, compiler: DDLCompiler, **options: object) -> str:
    """A key of which SQLite gives no value twice stands with its column, where SQLAlchemy would leave out its name."""
    text = compiler.visit_create_column(created, **options)
    key = compiler.preparer.format_constraint(created.element.table.primary_key)
    return text and text.replace("PRIMARY KEY AUTOINCREMENT", f"CONSTRAINT {key} PRIMARY KEY AUTOINCREMENT")


def run(connection: object) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=schema.is_in_metadata,
        version_table=schema.VERSION_TABLE,
    )
    with context.begin_transaction():
        context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    url = database.parse_database_url(
        os.environ.get("SYNCER_DATABASE_URL") or context.config.get_main_option("sqlalchemy.url", "sqlite:///syncer.db")
    )
    if url.get_backend_name() == "sqlite":
        database.create_sqlite_file(url)
    with schema.locked(database.open_engine(url)) as connection:
        schema.adopt_version_table(connection)
        run(connection)
