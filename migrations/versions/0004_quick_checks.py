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


def rewrite(replacements: list[tuple[str, str]]) -> None:
    """Change the table's text: both allow the same rows, and a table made anew would lose what users have put on it."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    for replacement in replacements:
        connection.exec_driver_sql(
            "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'instance_history'",
            replacement,
        )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        rewrite([(listed(words), compared(words)) for words in (TRANSITIONS, TOLD_WITH_TIME)])


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        rewrite([(compared(words), listed(words)) for words in (TRANSITIONS, TOLD_WITH_TIME)])
