"""What a BI role may read on PostgreSQL: the views, and the tables without secrets."""

from sqlalchemy import Connection, text

from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.storage.schema import view_names
from syncer.storage.tables import (
    accounts,
    ended_lives,
    instance_history,
    instances,
    metadata,
    past_versions,
    rejected_items,
    sync_runs,
    tariff_rates,
)

READABLE_TABLES = (
    accounts,
    ended_lives,
    instance_history,
    instances,
    past_versions,
    rejected_items,
    sync_runs,
    tariff_rates,
)


def grant_reader(connection: Connection, role: str) -> list[str]:
    """Let a role read the views and these tables, and nothing else of the schema; gives what it may read now.

    What it was granted before on other tables of syncer's is taken back. Raises `ConfigurationError`.
    """
    if connection.dialect.name != "postgresql":
        raise ConfigurationError(
            "db grant-reader: SQLite has no roles; give the reader rights on the file, or a copy of it"
        )
    found = connection.execute(
        text("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = :role"), {"role": role}
    ).one_or_none()
    if found is None:
        raise ConfigurationError(
            f"db grant-reader: there is no role {role!r}; "
            f"create it first: CREATE ROLE {_quoted(connection, role)} LOGIN"
        )
    if found.rolsuper:
        raise DatabaseFailed(f"granting rights: {role!r} is a superuser, who may read everything; name another role")
    schema = connection.execute(text("SELECT current_schema()")).scalar_one()
    quoted_role, quoted_schema = _quoted(connection, role), _quoted(connection, schema)
    readable = sorted({*view_names(), *(table.name for table in READABLE_TABLES)})
    others = sorted({*metadata.tables, "alembic_version"} - set(readable))
    statements = [
        f"GRANT USAGE ON SCHEMA {quoted_schema} TO {quoted_role}",
        f"REVOKE ALL ON {_listed(connection, schema, [*readable, *others])} FROM {quoted_role}",
        f"GRANT SELECT ON {_listed(connection, schema, readable)} TO {quoted_role}",
    ]
    for statement in statements:
        connection.exec_driver_sql(statement)
    return readable


def _listed(connection: Connection, schema: str, names: list[str]) -> str:
    return ", ".join(f"{_quoted(connection, schema)}.{_quoted(connection, name)}" for name in names)


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)
