"""Attention is told by days of 24 hours each; on SQLite (from 3.41) each column of a view has its type."""

from pathlib import Path
from runpy import run_path

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

FOLDER = Path(__file__).parent.parent / "views"
# Names, columns and types stay the same, so what others have put on a view stays too.
OLD_VIEWS = {"bi_attention": "v04", "instance_versions": "v02"}
NEW_VIEWS = {"bi_attention": "v05", "instance_versions": "v03"}


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
