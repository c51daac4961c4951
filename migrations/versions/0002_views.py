"""The views of CONTRACT 7, from `migrations/views`, and the indexes that they need."""

from pathlib import Path
from runpy import run_path

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FOLDER = Path(__file__).parent.parent / "views"
VIEWS = (  # each after those that it reads
    "irregular_instances",
    "irregular_lives",
    "daily_moves",
    "instance_versions",
    "bi_instances",
    "bi_daily",
    "bi_billing_monthly",
    "bi_expiring",
    "bi_churn_monthly",
    "bi_cohorts",
    "bi_transitions_daily",
    "bi_attention",
    "sync_status",
)
INDEXES = (  # name, table, column, condition; ix_views_… tells that `tables.py` does not know them
    ("ix_views_irregular", "instance_history", "id_instance", "@irregular"),
    ("ix_views_regrouped", "instance_history", "id_instance", "@regrouped"),
    ("ix_views_dated_at_creation", "instances", "id_instance", "@dated_at_creation"),
)


def upgrade() -> None:
    connection = op.get_bind()
    dialect = connection.dialect.name
    expand = run_path(str(FOLDER / "expand.py"))["expand"]

    def query(name: str) -> str:
        return expand((FOLDER / f"{name}_v01.sql").read_text("utf-8"), dialect)

    for name, table, column, condition in INDEXES:
        where = text(expand(condition, dialect))
        op.create_index(name, table, [column], postgresql_where=where, sqlite_where=where)
    for name in VIEWS:
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query(name)}")
    if dialect == "postgresql":
        connection.exec_driver_sql(
            "CREATE FUNCTION estate_as_of(moment timestamptz) RETURNS SETOF instance_versions LANGUAGE sql STABLE "
            f"AS $query$ {query('estate_as_of')} $query$"
        )


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("DROP FUNCTION estate_as_of(timestamptz)")
    for name in reversed(VIEWS):
        connection.exec_driver_sql(f"DROP VIEW {name}")
    for name, table, _column, _condition in reversed(INDEXES):
        op.drop_index(name, table)
