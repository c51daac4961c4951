"""The function reads the views of its own schema, whatever the caller's search_path.

From here on the version's table is called `syncer_version`; `syncer.storage.schema` moves it.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FUNCTION = "estate_as_of(timestamptz)"


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        home = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
        connection.exec_driver_sql(f"ALTER FUNCTION {FUNCTION} SET search_path = {home}, pg_temp")


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ALTER FUNCTION {FUNCTION} RESET search_path")
