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

    What it was granted before on other tables of syncer's is taken back. Raises `ConfigurationError`, and
    `DatabaseFailed` where PostgreSQL did not do it, of which it only warns, or where the role can read more.
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
    refused = _unreadable(connection, role, readable)
    if refused:
        raise DatabaseFailed(
            f"granting rights: this role may not grant them, so {role!r} cannot read {', '.join(refused)}; "
            "run it as the role that owns the tables"
        )
    ways = _ways_to_hidden(connection, role, others)
    if ways:
        raise DatabaseFailed(
            f"granting rights: {role!r} can read what it must not, so nothing was granted; "
            f"run as the owner: {'; '.join(ways)}"
        )
    return Granted(readable, list(_by_default(connection, role)))


def _unreadable(connection: Connection, role: str, names: list[str]) -> list[str]:
    """Of these the ones that the role cannot read all shown columns of."""
    return list(
        connection.scalars(
            text(
                "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0"
                " AND NOT attisdropped WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (:names)"
                " AND attname <> ALL (:hidden) GROUP BY relname"
                " HAVING NOT bool_and(has_column_privilege(:role, pg_class.oid, attnum, 'SELECT'))"
                " OR NOT has_schema_privilege(:role, current_schema(), 'USAGE') ORDER BY relname"
            ),
            {"names": names, "hidden": list(HIDDEN_COLUMNS), "role": role},
        )
    )


def _ways_to_hidden(connection: Connection, role: str, names: list[str]) -> list[str]:
    """The statements that end it, where the role can read one of these tables or a hidden column by another way.

    That is what everybody was granted, or a role that it is a member of.
    """
    rows = connection.execute(
        text(
            "WITH hidden AS (SELECT pg_class.oid, relname, relowner, attname, relacl, attacl FROM pg_class"
            " JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped"
            " WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
            " AND (relname = ANY (:names) OR relname = ANY (:partly) AND attname = ANY (:hidden))"
            " AND has_column_privilege(:role, pg_class.oid, attnum, 'SELECT')),"
            " ways AS (SELECT relname, relowner AS grantee FROM hidden"
            " UNION SELECT relname, grantee FROM hidden, aclexplode(relacl) WHERE privilege_type = 'SELECT'"
            " UNION SELECT relname, grantee FROM hidden, aclexplode(attacl) WHERE privilege_type = 'SELECT'"
            " UNION SELECT relname, pg_roles.oid FROM hidden, pg_roles WHERE rolname = 'pg_read_all_data')"
            " SELECT relname, rolname AS by FROM ways"
            " LEFT JOIN pg_roles ON pg_roles.oid = grantee"
            " WHERE grantee = 0 OR pg_has_role(:role, grantee, 'USAGE') ORDER BY rolname NULLS FIRST, relname"
        ),
        {
            "names": names,
            "partly": [table.name for table in READABLE_TABLES],
            "hidden": list(HIDDEN_COLUMNS),
            "role": role,
        },
    ).all()
    tables: dict[str | None, list[str]] = {}
    for row in rows:
        tables.setdefault(row.by, []).append(row.relname)
    return [_ending(connection, role, by, found) for by, found in tables.items()]


def _ending(connection: Connection, role: str, by: str | None, tables: list[str]) -> str:
    """The statement after which a role reads these tables no more by what another one, or everybody (None), may."""
    quoted = _quoted(connection, role)
    if by is not None and by != role:
        return f"REVOKE {_quoted(connection, by)} FROM {quoted}"
    schema = connection.execute(text("SELECT current_schema()")).scalar_one()
    named, who = _listed(connection, schema, tables), "PUBLIC" if by is None else quoted
    return f"REVOKE SELECT ON {named} FROM {who}"  # noqa: S608 - told, not run


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
