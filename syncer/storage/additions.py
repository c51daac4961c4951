"""What users have added to tables and views and an upgrade would drop: triggers, rules, comments, rights."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from syncer.storage.database_errors import explained


@contextmanager
def keeping_additions(connection: Connection) -> Iterator[None]:
    """Let survive what users have added: it goes with a table that SQLite builds anew, or a view that is replaced."""
    query = _ADDED[connection.dialect.name]
    before = connection.exec_driver_sql(query).all()
    yield
    after = {name for name, _sql in connection.exec_driver_sql(query)}
    for name, sql in before:
        if name not in after:
            with explained(f"making the {name} anew, which is none of syncer's"):
                # PostgreSQL's driver takes a percent sign for a place of a value.
                connection.exec_driver_sql(sql if connection.dialect.name == "sqlite" else sql.replace("%", "%%"))


_ADDED = {
    "sqlite": "SELECT 'trigger ' || name, sql FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": """
        SELECT 'trigger ' || tgname || ' of ' || relname, pg_get_triggerdef(pg_trigger.oid)
        FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace
        UNION ALL
        SELECT 'rule ' || rulename || ' of ' || tablename, definition
        FROM pg_rules WHERE schemaname = current_schema() AND rulename <> '_RETURN'
        UNION ALL
        SELECT 'comment on ' || relname, format('COMMENT ON VIEW %%I IS %%L', relname, obj_description(oid, 'pg_class'))
        FROM pg_class
        WHERE relkind = 'v' AND relnamespace = current_schema()::regnamespace
            AND obj_description(oid, 'pg_class') IS NOT NULL
        UNION ALL
        SELECT 'comment on ' || relname || '.' || attname,
            format('COMMENT ON COLUMN %%I.%%I IS %%L', relname, attname, col_description(attrelid, attnum))
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relkind = 'v' AND relnamespace = current_schema()::regnamespace
            AND col_description(attrelid, attnum) IS NOT NULL
        UNION ALL
        SELECT 'right of ' || grantee::regrole || ' to ' || privilege_type || ' ' || relname || '.' || attname,
            format('GRANT %%s (%%I) ON %%I TO %%s', privilege_type, attname, relname,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid CROSS JOIN aclexplode(attacl)
        WHERE relkind = 'v' AND relnamespace = current_schema()::regnamespace
    """,
}
"""What may be there that no migration has made, each with the statement that makes it anew."""
