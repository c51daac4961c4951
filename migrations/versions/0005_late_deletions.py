"""Views that end the days of an instance at its deletion, however late that is told, and read the same in every zone.

Their columns stay as they were, so that PostgreSQL replaces them in place, and readers keep their rights.
"""

from pathlib import Path
from runpy import run_path

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

FOLDER = Path(__file__).parent.parent / "views"
VIEWS = ("irregular_instances", "irregular_lives", "bi_instances", "bi_attention")
INDEX = "ix_views_told_late"
COLUMNS_OF_0002 = (
    "id_instance", "account", "name", "type_instance", "type_account", "messenger", "partner_user_uiid",
    "time_created", "time_deleted", "deleted", "tariff", "is_free", "is_partner", "expiration_date", "is_expired",
    "token_fingerprint", "extra", "first_seen_at", "changed_at", "renewed_at", "missing_since",
)  # fmt: skip


def expand(words: str) -> str:
    return run_path(str(FOLDER / "expand.py"))["expand"](words, op.get_bind().dialect.name)


def replace_views(version: str) -> None:
    connection = op.get_bind()
    for name in VIEWS:
        query = expand((FOLDER / f"{name}_{version}.sql").read_text("utf-8"))
        # PostgreSQL takes a star for the columns of the day: those of 0003 could not be dropped any more.
        query = query.replace("instances.*", ", ".join(f"instances.{column}" for column in COLUMNS_OF_0002))
        if connection.dialect.name == "sqlite":  # where a view may be dropped that others read
            connection.exec_driver_sql(f"DROP VIEW {name}")
            connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
        else:
            connection.exec_driver_sql(f"CREATE OR REPLACE VIEW {name} AS {query}")


def upgrade() -> None:
    where = text(expand("@told_late"))
    op.create_index(INDEX, "instance_history", ["id_instance"], postgresql_where=where, sqlite_where=where)
    replace_views("v02")


def downgrade() -> None:
    replace_views("v01")
    op.drop_index(INDEX, "instance_history")
