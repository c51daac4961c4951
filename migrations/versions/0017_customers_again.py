"""Where days of one customer lie within another's, an instance is the other's again behind them."""

from pathlib import Path
from runpy import run_path

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

FOLDER = Path(__file__).parent.parent / "views"
# Names, columns and types stay the same, so what others have put on a view stays too.
OLD_VIEWS = {"customer_periods": "v01", "bi_instances": "v04", "bi_costs_monthly": "v02", "bi_leaks": "v01"}
NEW_VIEWS = {"customer_periods": "v02", "bi_instances": "v05", "bi_costs_monthly": "v03", "bi_leaks": "v02"}


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


def downgrade() -> None:
    replace_views(OLD_VIEWS)
