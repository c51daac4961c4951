"""The base of an account is a run that is there, and the function reads the views of its own schema.

From here on the version's table is called `syncer_version`; `syncer.storage.schema` moves it. Values under the keys of
secrets are left out whatever they are, so every answer is compared in full once.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

FUNCTION = "estate_as_of(timestamptz)"
NAME = "fk_accounts_last_accepted_run_id"
CLAUSE = (
    f"CONSTRAINT {NAME} FOREIGN KEY(last_accepted_run_id) REFERENCES sync_runs (id) DEFERRABLE INITIALLY DEFERRED, "
)
BEFORE = "CONSTRAINT ck_accounts_account_named"


def rewrite(old: str, new: str) -> None:
    """Change the table's text: SQLite has no other way to a constraint, but to build anew a table that all refer to."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'accounts'", (old, new)
    )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")


def upgrade() -> None:
    op.execute("UPDATE accounts SET hash_seed = NULL, body_digest = NULL")
    op.execute(
        "UPDATE accounts SET last_accepted_run_id = NULL, last_accepted_at = NULL"
        " WHERE last_accepted_run_id NOT IN (SELECT id FROM sync_runs)"
    )
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        rewrite(BEFORE, CLAUSE + BEFORE)
        return
    op.create_foreign_key(
        NAME, "accounts", "sync_runs", ["last_accepted_run_id"], ["id"], deferrable=True, initially="DEFERRED"
    )
    home = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    connection.exec_driver_sql(f"ALTER FUNCTION {FUNCTION} SET search_path = {home}, pg_temp")


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        rewrite(CLAUSE, "")
        return
    op.drop_constraint(NAME, "accounts", type_="foreignkey")
    connection.exec_driver_sql(f"ALTER FUNCTION {FUNCTION} RESET search_path")
