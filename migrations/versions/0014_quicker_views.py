"""Views of days, churn, cohorts and customers that sort less; on SQLite, indexes of ended lives by day."""

from pathlib import Path
from runpy import run_path

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

FOLDER = Path(__file__).parent.parent / "views"
# Names, columns and types stay the same, so what others have put on a view stays too.
OLD_VIEWS = {"bi_daily": "v02", "bi_churn_monthly": "v02", "bi_cohorts": "v02", "bi_customers_monthly": "v01"}
NEW_VIEWS = {"bi_daily": "v03", "bi_churn_monthly": "v03", "bi_cohorts": "v03", "bi_customers_monthly": "v02"}
INDEXES = {  # by the day, as the views count; PostgreSQL counts without sorting, and needs none
    "ix_views_ended_lives_begun": (
        "first_day", "account", "tariff", "type_instance", "began_with", "first_night",
    ),
    "ix_views_ended_lives_ended": (
        "last_day", "account", "tariff", "type_instance", "ended_with", "end_night", "first_day",
    ),
}  # fmt: skip


def replace_views(views: dict[str, str]) -> None:
    """PostgreSQL puts a query of the same columns in the old one's place; SQLite has nothing that hangs on a view."""
    connection = op.get_bind()
    expand = run_path(str(FOLDER / "expand.py"))["expand"]
    for name, version in views.items():
        query = expand((FOLDER / f"{name}_{version}.sql").read_text("utf-8"), connection.dialect.name)
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"CREATE OR REPLACE VIEW {name} AS {query}")
        else:
            connection.exec_driver_sql(f"DROP VIEW {name}")
            connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")


def upgrade() -> None:
    replace_views(NEW_VIEWS)
    if op.get_bind().dialect.name == "sqlite":
        for name, columns in INDEXES.items():
            op.create_index(name, "ended_lives", list(columns))


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in INDEXES:
            op.drop_index(name, "ended_lives")
    replace_views(OLD_VIEWS)
