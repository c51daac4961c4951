"""What a database holds beside syncer's tables, and whether they can be made there."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, text

from syncer.errors import DatabaseFailed

_FIND = {
    "sqlite": text("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name IN :names").bindparams(
        bindparam("names", expanding=True)
    ),
    "postgresql": text(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))"
        " AND relkind IN ('r', 'v', 'm', 'p', 'f') AND relname IN :names"
    ).bindparams(bindparam("names", expanding=True)),
}
_HOME = text(
    "SELECT current_schema(), current_setting('server_encoding'),"
    " (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass(:table)"
    " AND relnamespace <> to_regnamespace(quote_ident(current_schema())))"
)


def has(connection: Connection, name: str) -> bool:
    """Whether there is such a table or view where syncer's tables are made: in the first schema of `search_path`."""
    return connection.execute(_FIND[connection.dialect.name], {"names": [name]}).first() is not None


def strangers(connection: Connection, names: Iterable[str]) -> list[str]:
    """Those of the names that tables and views have there."""
    wanted = list(names)  # of none PostgreSQL would have to guess the type
    return sorted(connection.scalars(_FIND[connection.dialect.name], {"names": wanted})) if wanted else []


def refuse_strangers(connection: Connection, version_table: str, names: Iterable[str]) -> None:
    """Raise `DatabaseFailed` where tables and views of these names cannot be made beside what is there."""
    where, remedy = "the file", "give syncer a file of its own, by SYNCER_DATABASE_URL"
    if connection.dialect.name == "postgresql":
        home, encoding, elsewhere = connection.execute(_HOME, {"table": version_table}).one()
        if home is None:
            raise DatabaseFailed(
                "making the tables: the role may use no schema of its search_path; "
                "run as the owner: CREATE SCHEMA syncer AUTHORIZATION role, ALTER ROLE role SET search_path = syncer"
            )
        refuse_encoding(encoding)
        if elsewhere is not None:
            raise DatabaseFailed(
                f"making the tables: search_path names the schema {home} first, and {elsewhere} has syncer's tables; "
                "leave one of them in it: ALTER ROLE role SET search_path = one"
            )
        where = f"the schema {home}"
        remedy = "give syncer a schema of its own: CREATE SCHEMA syncer, ALTER ROLE role SET search_path = syncer"
    found = strangers(connection, names)
    if found:
        raise DatabaseFailed(f"making the tables: {where} has {', '.join(found)} already, of another program; {remedy}")


def refuse_taken(connection: Connection, names: Iterable[str]) -> None:
    """Raise `DatabaseFailed` where somebody has a table of a name that an upgrade is about to make."""
    found = strangers(connection, names)
    if found:
        raise DatabaseFailed(
            f"upgrading the schema: there is a table {found[0]} already, of another program; "
            "rename it, then run: syncer db upgrade"
        )


def refuse_encoding(encoding: str) -> None:
    """Raise `DatabaseFailed` unless a database takes every letter."""
    if encoding != "UTF8":
        raise DatabaseFailed(
            f"making the tables: the database's encoding is {encoding}, which cannot hold every name; "
            "make one that can: CREATE DATABASE syncer ENCODING 'UTF8' TEMPLATE template0"
        )
