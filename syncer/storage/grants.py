"""What a BI role may read on PostgreSQL: the views, and the tables without secrets."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, text

from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.storage.schema import VERSION_TABLE, view_names
from syncer.storage.tables import (
    accounts,
    births,
    claims,
    customers,
    ended_lives,
    instance_history,
    instances,
    metadata,
    past_versions,
    receivers,
    rejected_items,
    sync_runs,
    syncer_epoch,
    tariff_rates,
)

READABLE_TABLES = (
    accounts,
    births,
    claims,
    customers,
    ended_lives,
    instance_history,
    instances,
    past_versions,
    receivers,
    rejected_items,
    sync_runs,
    syncer_epoch,
    tariff_rates,
)
HIDDEN_COLUMNS = {"token_fingerprint", "hash_seed", "body_digest", "item_hash", "rest_hash"}
"""What tells of tokens, and what only syncer can make use of."""

_LARGE_OBJECTS = "lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea)"


class Granted(NamedTuple):
    """What a role may read now, and what it may do besides, as everybody may."""

    readable: list[str]
    by_default: list[str]  # each with the statement that ends it


def grant_reader(connection: Connection, role: str) -> Granted:
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
    in_part = [table for table in READABLE_TABLES if HIDDEN_COLUMNS & set(table.columns.keys())]
    whole = sorted(set(readable) - {table.name for table in in_part})
    others = sorted({*metadata.tables, VERSION_TABLE} - set(readable))
    statements = [
        f"GRANT USAGE ON SCHEMA {quoted_schema} TO {quoted_role}",
        f"REVOKE ALL ON {_listed(connection, schema, [*readable, *others])} FROM {quoted_role}",
        f"GRANT SELECT ON {_listed(connection, schema, whole)} TO {quoted_role}",
    ]
    for table in in_part:
        shown = [column.name for column in table.columns if column.name not in HIDDEN_COLUMNS]
        named = ", ".join(_quoted(connection, name) for name in shown)
        statements.append(f"GRANT SELECT ({named}) ON {_listed(connection, schema, [table.name])} TO {quoted_role}")
    for statement in statements:
        connection.exec_driver_sql(statement)
    return Granted(readable, list(_by_default(connection, role)))


def _by_default(connection: Connection, role: str) -> Iterator[str]:
    """What PostgreSQL lets everybody do; it cannot be taken from one role alone, and from all only by the owner."""
    rights = connection.execute(
        text(
            "SELECT current_database() AS database, current_schema() AS schema,"
            " has_database_privilege(:role, current_database(), 'TEMPORARY') AS temporary,"
            " has_schema_privilege(:role, current_schema(), 'CREATE') AS makes_tables,"
            " has_function_privilege(:role, 'lo_create(oid)', 'EXECUTE') AS large_objects"
        ),
        {"role": role},
    ).one()
    if rights.makes_tables:
        yield f"make tables: REVOKE CREATE ON SCHEMA {_quoted(connection, rights.schema)} FROM PUBLIC"
    if rights.temporary:
        yield f"make temporary tables: REVOKE TEMPORARY ON DATABASE {_quoted(connection, rights.database)} FROM PUBLIC"
    if rights.large_objects:
        yield f"store large objects: REVOKE EXECUTE ON FUNCTION {_LARGE_OBJECTS} FROM PUBLIC (as a superuser)"


def _listed(connection: Connection, schema: str, names: list[str]) -> str:
    return ", ".join(f"{_quoted(connection, schema)}.{_quoted(connection, name)}" for name in names)


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)
