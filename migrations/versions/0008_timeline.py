"""One timeline for every figure: versions and lives that are over have tables, those that go on columns of `instances`.

The views read these and no longer the history. What fills them is no matter of the schema: `syncer db upgrade` does it
afterwards, a few thousand instances at a time; an instance that still lacks it has no `valid_from`.
"""

from pathlib import Path
from runpy import run_path

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FOLDER = Path(__file__).parent.parent / "views"
IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OLD_VIEWS = {  # each after those that it reads
    "irregular_instances": "v02",
    "irregular_lives": "v02",
    "daily_moves": "v01",
    "instance_versions": "v01",
    "bi_instances": "v02",
    "bi_daily": "v01",
    "bi_billing_monthly": "v01",
    "bi_expiring": "v01",
    "bi_churn_monthly": "v01",
    "bi_cohorts": "v01",
    "bi_transitions_daily": "v01",
    "bi_attention": "v02",
    "sync_status": "v01",
}
NEW_VIEWS = {
    "instance_lives": "v01",
    "rate_periods": "v01",
    "instance_versions": "v02",
    "bi_instances": "v03",
    "bi_daily": "v02",
    "bi_billing_monthly": "v02",
    "bi_costs_monthly": "v01",
    "bi_expiring": "v02",
    "bi_churn_monthly": "v02",
    "bi_cohorts": "v02",
    "bi_transitions_daily": "v02",
    "bi_attention": "v03",
    "sync_status": "v02",
}
OLD_INDEXES = (  # name, table, condition
    ("ix_views_irregular", "instance_history", "@irregular"),
    ("ix_views_regrouped", "instance_history", "@regrouped"),
    ("ix_views_dated_at_creation", "instances", "@dated_at_creation"),
    ("ix_views_told_late", "instance_history", "@told_late"),
)
OPEN_LIFE = (
    ("valid_from", sa.DateTime(timezone=True), ""),
    ("life_began_at", sa.DateTime(timezone=True), ""),
    ("life_began_with", sa.String(16), ""),
    ("life_first_day", sa.Date(), ""),
    (
        "life_first_night",
        sa.Date(),
        (
            " CONSTRAINT ck_instances_life_whole CHECK ((life_began_at IS NULL) = (life_began_with IS NULL)"
            " AND (life_began_at IS NULL) = (life_first_day IS NULL)"
            " AND (life_began_at IS NULL) = (life_first_night IS NULL))"
            " CONSTRAINT ck_instances_life_night_after_day CHECK (life_first_night >= life_first_day)"
        ),
    ),
)
TO_DO = sa.text("valid_from IS NULL")
BEGINNINGS = "began_with = 'created' OR began_with = 'returned' OR began_with = 'moved' OR began_with = 'regrouped'"
ENDS = "ended_with = 'deleted' OR ended_with = 'vanished' OR ended_with = 'moved' OR ended_with = 'regrouped'"


def moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def flag(table: str, name: str, *, nullable: bool) -> sa.Column[object]:
    return sa.Column(name, sa.Boolean(create_constraint=True, name=f"ck_{table}_{name}"), nullable=nullable)


def expand(words: str) -> str:
    return str(run_path(str(FOLDER / "expand.py"))["expand"](words, op.get_bind().dialect.name))


def replace_views(old: dict[str, str], new: dict[str, str]) -> None:
    """Other columns, so PostgreSQL can't replace them in place: who could read a view may read the one of its name."""
    connection = op.get_bind()
    readers = []
    if connection.dialect.name == "postgresql":
        readers = connection.exec_driver_sql(
            "SELECT table_name, CASE grantee WHEN 'PUBLIC' THEN grantee ELSE quote_ident(grantee) END AS reader "
            "FROM information_schema.role_table_grants WHERE table_schema = current_schema() "
            "AND privilege_type = 'SELECT' AND grantee <> current_user"
        ).all()
        connection.exec_driver_sql("DROP FUNCTION IF EXISTS estate_as_of(timestamptz)")
    for name in reversed(old):
        connection.exec_driver_sql(f"DROP VIEW {name}")
    for name, version in new.items():
        query = expand((FOLDER / f"{name}_{version}.sql").read_text("utf-8"))
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
    if connection.dialect.name == "postgresql":
        query = expand((FOLDER / "estate_as_of_v01.sql").read_text("utf-8"))
        connection.exec_driver_sql(
            "CREATE FUNCTION estate_as_of(moment timestamptz) RETURNS SETOF instance_versions LANGUAGE sql STABLE "
            f"AS $query$ {query} $query$"
        )
    for name, reader in readers:
        if name in new:
            connection.exec_driver_sql(f"GRANT SELECT ON {name} TO {reader}")


def upgrade() -> None:
    dialect = op.get_bind().dialect
    for name, kind, checks in OPEN_LIFE:  # as text: with a named condition SQLite can't be asked otherwise
        op.execute(f"ALTER TABLE instances ADD COLUMN {name} {kind.compile(dialect=dialect)}{checks}")
    op.create_index(
        "ix_instances_without_timeline", "instances", ["id_instance"], postgresql_where=TO_DO, sqlite_where=TO_DO
    )
    op.create_table(
        "past_versions",
        sa.Column("id_instance", IDENTIFIER, nullable=False),
        moment("valid_from"),
        moment("valid_to"),
        sa.Column("account", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in ("name", "type_instance", "messenger", "tariff")),
        flag("past_versions", "is_free", nullable=True),
        flag("past_versions", "is_partner", nullable=True),
        moment("time_deleted", nullable=True),
        flag("past_versions", "deleted", nullable=False),
        moment("expiration_date", nullable=True),
        flag("past_versions", "is_expired", nullable=False),
        sa.PrimaryKeyConstraint("id_instance", "valid_from", name="pk_past_versions"),
        sa.ForeignKeyConstraint(["id_instance"], ["instances.id_instance"], name="fk_past_versions_id_instance"),
        sa.CheckConstraint("valid_to > valid_from", name="ck_past_versions_valid_some_time"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ended_lives",
        sa.Column("id_instance", IDENTIFIER, nullable=False),
        moment("began_at"),
        sa.Column("began_with", sa.String(16), nullable=False),
        moment("ended_at"),
        sa.Column("ended_with", sa.String(16), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("type_instance", sa.Text()),
        sa.Column("tariff", sa.Text()),
        *(sa.Column(name, sa.Date(), nullable=False) for name in ("first_day", "first_night", "last_day", "end_night")),
        sa.PrimaryKeyConstraint("id_instance", "began_at", name="pk_ended_lives"),
        sa.ForeignKeyConstraint(["id_instance"], ["instances.id_instance"], name="fk_ended_lives_id_instance"),
        sa.CheckConstraint("ended_at >= began_at", name="ck_ended_lives_ended_after_it_began"),
        sa.CheckConstraint("last_day >= first_day", name="ck_ended_lives_last_day_after_first"),
        sa.CheckConstraint("end_night >= first_night", name="ck_ended_lives_nights_not_negative"),
        sa.CheckConstraint(BEGINNINGS, name="ck_ended_lives_beginning_known"),
        sa.CheckConstraint(ENDS, name="ck_ended_lives_end_known"),
        sqlite_with_rowid=False,
    )
    replace_views(OLD_VIEWS, NEW_VIEWS)
    for name, table, _condition in OLD_INDEXES:
        op.drop_index(name, table)


def downgrade() -> None:
    for name, table, condition in OLD_INDEXES:
        where = sa.text(expand(condition))
        op.create_index(name, table, ["id_instance"], postgresql_where=where, sqlite_where=where)
    replace_views(NEW_VIEWS, OLD_VIEWS)
    op.drop_table("ended_lives")
    op.drop_table("past_versions")
    op.drop_index("ix_instances_without_timeline", "instances")
    for name, _kind, _checks in reversed(OPEN_LIFE):
        op.drop_column("instances", name)
