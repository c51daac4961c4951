"""Whose instance is it: the table `customers`, what is made of it, and instances that two accounts list."""

from pathlib import Path
from runpy import run_path

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

FOLDER = Path(__file__).parent.parent / "views"
IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OLD_VIEWS = {"bi_instances": "v03", "bi_costs_monthly": "v01", "bi_attention": "v03"}
NEW_VIEWS = {  # each after those that it reads
    "bi_instances": "v04",
    "bi_costs_monthly": "v02",
    "bi_attention": "v04",
    "customer_periods": "v01",
    "bi_customers_monthly": "v01",
    "bi_leaks": "v01",
}


def replace_views(old: dict[str, str], new: dict[str, str]) -> None:
    """Other columns, so PostgreSQL can't replace them in place: who could read a view may read the one of its name."""
    connection = op.get_bind()
    expand = run_path(str(FOLDER / "expand.py"))["expand"]
    readers = []
    if connection.dialect.name == "postgresql":
        readers = connection.exec_driver_sql(
            "SELECT table_name, CASE grantee WHEN 'PUBLIC' THEN grantee ELSE quote_ident(grantee) END AS reader "
            "FROM information_schema.role_table_grants WHERE table_schema = current_schema() "
            "AND privilege_type = 'SELECT' AND grantee <> current_user"
        ).all()
    for name in reversed(old):
        connection.exec_driver_sql(f"DROP VIEW {name}")
    for name, version in new.items():
        query = expand((FOLDER / f"{name}_{version}.sql").read_text("utf-8"), connection.dialect.name)
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
    for name, reader in readers:
        if name in new:
            connection.exec_driver_sql(f"GRANT SELECT ON {name} TO {reader}")


def upgrade() -> None:
    op.create_table(
        "customers",
        sa.Column("id_instance", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date()),
        sa.Column("daily_price", sa.Numeric(18, 6)),
        sa.Column("currency", sa.String(3)),
        sa.PrimaryKeyConstraint("id_instance", "valid_from", name="pk_customers"),
        sa.CheckConstraint("id_instance >= 1 AND id_instance + 0 = id_instance", name="ck_customers_id_positive"),
        sa.CheckConstraint("customer <> ''", name="ck_customers_customer_named"),
        sa.CheckConstraint("COALESCE(date(valid_from) = valid_from, FALSE)", name="ck_customers_first_day_is_one"),
        sa.CheckConstraint(
            "valid_to IS NULL OR COALESCE(date(valid_to) = valid_to, FALSE)", name="ck_customers_last_day_is_one"
        ),
        sa.CheckConstraint("valid_to >= valid_from", name="ck_customers_last_day_after_first"),
        sa.CheckConstraint(
            "daily_price >= 0 AND daily_price + 0 = daily_price", name="ck_customers_price_not_negative"
        ),
        sa.CheckConstraint("(daily_price IS NULL) = (currency IS NULL)", name="ck_customers_price_whole"),
        sa.CheckConstraint("length(currency) = 3", name="ck_customers_currency_is_iso_code"),
    )
    replace_views(OLD_VIEWS, NEW_VIEWS)


def downgrade() -> None:
    replace_views(NEW_VIEWS, OLD_VIEWS)
    op.drop_table("customers")
