"""Two conditions of SQLite's history in words that cost it less; what they allow stays as it was.

SQLite builds a temporary index for every list of more than two words, anew for each row that it checks: that took
longer than writing the row. Comparisons joined by OR take a thousandth of it. PostgreSQL does no such thing.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TRANSITIONS = (
    "created", "reappeared", "restored", "renewed", "extended", "changed", "token_rotated", "expired", "deleted",
    "vanished", "purged",
)  # fmt: skip
TOLD_WITH_TIME = ("created", "expired", "deleted")


def listed(words: tuple[str, ...]) -> str:
    return f"transition IN ({', '.join(map(repr, words))})"


def compared(words: tuple[str, ...]) -> str:
    return " OR ".join(f"transition = {word!r}" for word in words)


def rebuild(replacements: list[tuple[str, str]]) -> None:
    """Make the table anew under other conditions, as SQLite's manual has it: create, copy, drop, rename."""
    connection = op.get_bind()
    query = "SELECT type, sql FROM sqlite_master WHERE tbl_name = 'instance_history' AND sql IS NOT NULL"
    found = connection.exec_driver_sql(query).all()
    (table,) = (sql for kind, sql in found if kind == "table")
    for old, new in replacements:
        table = table.replace(old, new)
    connection.exec_driver_sql(table.replace("instance_history", "instance_history_new", 1))
    connection.exec_driver_sql("INSERT INTO instance_history_new SELECT * FROM instance_history")
    connection.exec_driver_sql("DROP TABLE instance_history")
    # Or the renaming would look at the views, which lack their table.
    connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")
    connection.exec_driver_sql("ALTER TABLE instance_history_new RENAME TO instance_history")
    connection.exec_driver_sql("PRAGMA legacy_alter_table = OFF")
    for kind, sql in found:
        if kind in {"index", "trigger"}:  # those that users have added, too
            connection.exec_driver_sql(sql)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        rebuild([(listed(words), compared(words)) for words in (TRANSITIONS, TOLD_WITH_TIME)])


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        rebuild([(compared(words), listed(words)) for words in (TRANSITIONS, TOLD_WITH_TIME)])
