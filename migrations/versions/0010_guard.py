"""What the guard sees and keeps: reasons by the instances that they hold for, claims, births, and when to ask again.

Approvals that are still open were given for fewer reasons, so they lapse; what was held and approved stays on record.
"""

from pathlib import Path
from runpy import run_path

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FOLDER = Path(__file__).parent.parent / "views"
IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OLD_REASONS = ("empty", "vanished", "foreign")
REASONS = ("empty", "foreign", "vanished", "flipped", "stripped", "older", "shifted")
NEW_COLUMNS = (
    ("accounts", "moves", IDENTIFIER),
    ("accounts", "moved_at", sa.DateTime(timezone=True)),
    ("accounts", "retired_at", sa.DateTime(timezone=True)),
    ("accounts", "held_back_until", sa.DateTime(timezone=True)),
    ("accounts", "upstream_offset", sa.String(6)),
    ("accounts", "suggested_offset", sa.String(6)),
    ("sync_runs", "answered_at", sa.DateTime(timezone=True)),
)


def expanded(words: str) -> str:
    return str(run_path(str(FOLDER / "expand.py"))["expand"](words, op.get_bind().dialect.name))


def create_view(name: str, version: str) -> None:
    query = expanded((FOLDER / f"{name}_{version}.sql").read_text("utf-8"))
    op.get_bind().exec_driver_sql(f"CREATE VIEW {name} AS {query}")


def retype_warning(old: str, new: str) -> None:
    """SQLite keeps to no length, so there its table's text is all that changes; `sync_status` reads the column."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
        connection.exec_driver_sql("PRAGMA writable_schema = ON")
        connection.exec_driver_sql(
            "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'sync_runs'",
            (f"warning {old}", f"warning {new}"),
        )
        connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
        connection.exec_driver_sql("PRAGMA writable_schema = OFF")
        return
    readers = connection.exec_driver_sql(
        "SELECT CASE grantee WHEN 'PUBLIC' THEN grantee ELSE quote_ident(grantee) END "
        "FROM information_schema.role_table_grants WHERE table_schema = current_schema() "
        "AND table_name = 'sync_status' AND privilege_type = 'SELECT' AND grantee <> current_user"
    ).scalars()
    names = list(readers)
    connection.exec_driver_sql("DROP VIEW sync_status")
    connection.exec_driver_sql(f"ALTER TABLE sync_runs ALTER COLUMN warning TYPE {new}")
    create_view("sync_status", "v02")
    for name in names:
        connection.exec_driver_sql(f"GRANT SELECT ON sync_status TO {name}")


def rows_of(statement: str) -> list[dict[str, object]]:
    return [dict(row._mapping) for row in op.get_bind().execute(sa.text(statement))]


def create_held_answers(ids: str, reasons: tuple[str, ...], key: tuple[str, ...]) -> sa.Table:
    what = [sa.Column("what", sa.String(32), nullable=False)] if "what" in key else []
    return op.create_table(
        "held_answers",
        sa.Column("run_id", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        *what,
        sa.Column(f"{ids}_sha256", sa.String(64), nullable=False),
        sa.CheckConstraint(f"reason IN ({', '.join(map(repr, reasons))})", name="ck_held_answers_reason_known"),
        sa.ForeignKeyConstraint([f"{ids}_sha256"], ["held_sets.sha256"], name=f"fk_held_answers_{ids}_sha256"),
        sa.ForeignKeyConstraint(["run_id"], ["sync_runs.id"], name="fk_held_answers_run_id"),
        sa.PrimaryKeyConstraint(*key, name="pk_held_answers"),
    )


def create_approvals(refers_to: str, *more: sa.schema.SchemaItem) -> sa.Table:
    return op.create_table(
        "approvals",
        sa.Column("run_id", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_by_run_id", IDENTIFIER),
        *more,
        sa.CheckConstraint("closed_by_run_id > run_id", name="ck_approvals_closed_by_later_run"),
        sa.ForeignKeyConstraint(["closed_by_run_id"], ["sync_runs.id"], name="fk_approvals_closed_by_run_id"),
        sa.ForeignKeyConstraint(["run_id"], [refers_to], name="fk_approvals_run_id"),
        sa.PrimaryKeyConstraint("run_id", name="pk_approvals"),
    )


def replace_held_and_approvals() -> None:
    op.execute("ALTER TABLE held_sets RENAME COLUMN missing TO ids")
    held = rows_of("SELECT run_id, reason, missing_sha256 AS ids_sha256 FROM held_answers")
    op.execute("CREATE TEMPORARY TABLE old_approvals AS SELECT run_id, approved_at, closed_by_run_id FROM approvals")
    op.drop_table("approvals")
    op.drop_table("held_answers")
    table = create_held_answers("ids", REASONS, ("run_id", "reason", "what"))
    if held:
        op.bulk_insert(table, [row | {"what": ""} for row in held])
    create_approvals(
        "sync_runs.id",
        sa.Column("lapsed_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("closed_by_run_id IS NULL OR lapsed_at IS NULL", name="ck_approvals_closed_or_lapsed"),
    )
    op.execute(
        "INSERT INTO approvals (run_id, approved_at, closed_by_run_id)"
        " SELECT run_id, approved_at, closed_by_run_id FROM old_approvals"
    )
    op.execute("DROP TABLE old_approvals")
    op.execute(f"UPDATE approvals SET lapsed_at = {expanded('@now')} WHERE closed_by_run_id IS NULL")  # noqa: S608 - a word of expand.py


def upgrade() -> None:
    op.drop_column("accounts", "taken_by_run_id")
    for table, name, kind in NEW_COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    retype_warning("VARCHAR(32)", "TEXT")
    replace_held_and_approvals()
    # A date of deletion on what lives says nothing any more: those timelines are worked out anew, as after 0008.
    op.execute(
        "UPDATE instances SET valid_from = NULL WHERE id_instance IN"
        " (SELECT id_instance FROM past_versions WHERE NOT deleted AND time_deleted IS NOT NULL)"
    )
    op.create_table(
        "claims",
        sa.Column("id_instance", IDENTIFIER, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("since_run_id", IDENTIFIER, nullable=False),
        sa.Column("item_hash", sa.BigInteger()),
        sa.ForeignKeyConstraint(["id_instance"], ["instances.id_instance"], name="fk_claims_id_instance"),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name="fk_claims_account"),
        sa.ForeignKeyConstraint(["since_run_id"], ["sync_runs.id"], name="fk_claims_since_run_id"),
        sa.PrimaryKeyConstraint("id_instance", "account", name="pk_claims"),
    )
    op.create_index("ix_claims_account", "claims", ["account"])
    op.create_table(
        "births",
        sa.Column("id_instance", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("born_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("born_before", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("born_before >= born_after", name="ck_births_born_in_between"),
        sa.ForeignKeyConstraint(["id_instance"], ["instances.id_instance"], name="fk_births_id_instance"),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name="fk_births_account"),
        sa.PrimaryKeyConstraint("id_instance", name="pk_births"),
    )
    op.create_index("ix_births_account", "births", ["account", "born_before"])
    create_view("upstream_evidence", "v01")


def downgrade() -> None:
    op.execute("DROP VIEW upstream_evidence")
    op.drop_table("births")
    op.drop_table("claims")
    held = rows_of(
        "SELECT run_id, min(reason) AS reason, min(ids_sha256) AS missing_sha256 FROM held_answers GROUP BY run_id"
    )
    op.execute("CREATE TEMPORARY TABLE new_approvals AS SELECT run_id, approved_at, closed_by_run_id FROM approvals")
    op.drop_table("approvals")
    op.drop_table("held_answers")
    op.execute("ALTER TABLE held_sets RENAME COLUMN ids TO missing")
    table = create_held_answers("missing", OLD_REASONS, ("run_id",))
    if held:
        reasons = [row["reason"] if row["reason"] in OLD_REASONS else "vanished" for row in held]
        op.bulk_insert(table, [row | {"reason": reason} for row, reason in zip(held, reasons, strict=True)])
    create_approvals("held_answers.run_id")
    op.execute("INSERT INTO approvals SELECT run_id, approved_at, closed_by_run_id FROM new_approvals")
    op.execute("DROP TABLE new_approvals")
    op.execute("UPDATE sync_runs SET warning = substr(warning, 1, 32)")
    retype_warning("TEXT", "VARCHAR(32)")
    for table_name, name, _kind in reversed(NEW_COLUMNS):
        op.drop_column(table_name, name)
    op.add_column("accounts", sa.Column("taken_by_run_id", IDENTIFIER, nullable=True))
