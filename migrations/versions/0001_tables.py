"""The tables of CONTRACT 3, and what the guard keeps of held answers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# On SQLite only an INTEGER PRIMARY KEY is the row's own address; it holds 64 bits all the same.
IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=True),
        sa.Column("last_accepted_run_id", IDENTIFIER, nullable=True),
        sa.Column("last_accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("account <> ''", name=op.f("ck_accounts_account_named")),
        sa.CheckConstraint(
            "(last_accepted_run_id IS NULL) = (last_accepted_at IS NULL)", name=op.f("ck_accounts_accepted_whole")
        ),
        sa.CheckConstraint("interval_seconds > 0", name=op.f("ck_accounts_interval_positive")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_accounts")),
    )
    op.create_table(
        "held_sets",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_held_sets")),
    )
    op.create_table(
        "tariff_rates",
        sa.Column("tariff", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("daily_rate", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.CheckConstraint("daily_rate >= 0", name=op.f("ck_tariff_rates_rate_not_negative")),
        sa.CheckConstraint("length(currency) = 3", name=op.f("ck_tariff_rates_currency_is_iso_code")),
        sa.PrimaryKeyConstraint("tariff", "valid_from", name=op.f("pk_tariff_rates")),
    )
    op.create_table(
        "leases",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(holder IS NULL) = (expires_at IS NULL)", name=op.f("ck_leases_held_until")),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("fk_leases_account")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_leases")),
    )
    op.create_table(
        "instances",
        sa.Column("id_instance", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("type_instance", sa.Text(), nullable=True),
        sa.Column("type_account", sa.Text(), nullable=True),
        sa.Column("messenger", sa.Text(), nullable=True),
        sa.Column("partner_user_uiid", sa.Text(), nullable=True),
        sa.Column("time_created", sa.DateTime(timezone=True), nullable=True),
        sa.Column("time_deleted", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted", sa.Boolean(create_constraint=True, name=op.f("ck_instances_deleted")), nullable=False),
        sa.Column("tariff", sa.Text(), nullable=True),
        sa.Column("is_free", sa.Boolean(create_constraint=True, name=op.f("ck_instances_is_free")), nullable=True),
        sa.Column(
            "is_partner", sa.Boolean(create_constraint=True, name=op.f("ck_instances_is_partner")), nullable=True
        ),
        sa.Column("expiration_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "is_expired", sa.Boolean(create_constraint=True, name=op.f("ck_instances_is_expired")), nullable=False
        ),
        sa.Column("token_fingerprint", sa.String(length=16), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("changed_at >= first_seen_at", name=op.f("ck_instances_changed_after_first_seen")),
        sa.CheckConstraint("id_instance >= 1", name=op.f("ck_instances_id_positive")),
        sa.CheckConstraint("length(token_fingerprint) = 16", name=op.f("ck_instances_fingerprint_is_no_token")),
        sa.CheckConstraint("missing_since >= first_seen_at", name=op.f("ck_instances_missing_after_first_seen")),
        sa.CheckConstraint("renewed_at >= first_seen_at", name=op.f("ck_instances_renewed_after_first_seen")),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("fk_instances_account")),
        sa.PrimaryKeyConstraint("id_instance", name=op.f("pk_instances")),
    )
    op.create_index("ix_instances_account", "instances", ["account"], unique=False)
    op.create_table(
        "sync_runs",
        sa.Column("id", IDENTIFIER, sa.Identity(always=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("error_kind", sa.String(length=32), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("warning", sa.String(length=32), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("body_bytes", sa.BigInteger(), nullable=True),
        sa.Column("body_sha256", sa.String(length=64), nullable=True),
        sa.Column("listed", sa.Integer(), nullable=True),
        sa.Column("created", sa.Integer(), nullable=True),
        sa.Column("updated", sa.Integer(), nullable=True),
        sa.Column("transitions", sa.Integer(), nullable=True),
        sa.Column("rejected", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "(status = 'running') = (finished_at IS NULL)", name=op.f("ck_sync_runs_finished_unless_running")
        ),
        sa.CheckConstraint(
            "status <> 'unchanged' OR (created = 0 AND updated = 0)", name=op.f("ck_sync_runs_unchanged_writes_nothing")
        ),
        sa.CheckConstraint(
            "status IN ('ok', 'unchanged', 'running') OR error IS NOT NULL",
            name=op.f("ck_sync_runs_error_when_not_accepted"),
        ),
        sa.CheckConstraint(
            "status IN ('running', 'ok', 'unchanged', 'held', 'failed', 'superseded', 'abandoned')",
            name=op.f("ck_sync_runs_status_known"),
        ),
        sa.CheckConstraint(
            "status NOT IN ('ok', 'unchanged') OR error IS NULL", name=op.f("ck_sync_runs_no_error_when_accepted")
        ),
        sa.CheckConstraint("trigger IN ('schedule', 'manual')", name=op.f("ck_sync_runs_trigger_known")),
        sa.CheckConstraint("finished_at >= started_at", name=op.f("ck_sync_runs_finished_after_start")),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("fk_sync_runs_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_runs")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sync_runs_account_id", "sync_runs", ["account", "id"], unique=False)
    op.create_table(
        "held_answers",
        sa.Column("run_id", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("missing_sha256", sa.String(length=64), nullable=False),
        sa.CheckConstraint("reason IN ('empty', 'vanished', 'foreign')", name=op.f("ck_held_answers_reason_known")),
        sa.ForeignKeyConstraint(["missing_sha256"], ["held_sets.sha256"], name=op.f("fk_held_answers_missing_sha256")),
        sa.ForeignKeyConstraint(["run_id"], ["sync_runs.id"], name=op.f("fk_held_answers_run_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_held_answers")),
    )
    op.create_table(
        "instance_history",
        sa.Column("id", IDENTIFIER, sa.Identity(always=True), nullable=False),
        sa.Column("id_instance", IDENTIFIER, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("run_id", IDENTIFIER, nullable=False),
        sa.Column("transition", sa.String(length=16), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("time_source", sa.String(length=16), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("type_instance", sa.Text(), nullable=True),
        sa.Column("messenger", sa.Text(), nullable=True),
        sa.Column("tariff", sa.Text(), nullable=True),
        sa.Column(
            "is_free", sa.Boolean(create_constraint=True, name=op.f("ck_instance_history_is_free")), nullable=True
        ),
        sa.Column(
            "is_partner", sa.Boolean(create_constraint=True, name=op.f("ck_instance_history_is_partner")), nullable=True
        ),
        sa.Column("time_deleted", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "deleted", sa.Boolean(create_constraint=True, name=op.f("ck_instance_history_deleted")), nullable=False
        ),
        sa.Column("expiration_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "is_expired",
            sa.Boolean(create_constraint=True, name=op.f("ck_instance_history_is_expired")),
            nullable=False,
        ),
        sa.Column(
            "missing", sa.Boolean(create_constraint=True, name=op.f("ck_instance_history_missing")), nullable=False
        ),
        sa.CheckConstraint(
            "missing = (transition IN ('vanished', 'purged'))", name=op.f("ck_instance_history_missing_when_gone")
        ),
        sa.CheckConstraint(
            "time_source = 'observed' OR transition IN ('created', 'expired', 'deleted')",
            name=op.f("ck_instance_history_upstream_tells_time_of"),
        ),
        sa.CheckConstraint(
            "time_source = 'upstream' OR occurred_at = observed_at",
            name=op.f("ck_instance_history_observed_time_is_observed_at"),
        ),
        sa.CheckConstraint(
            "time_source IN ('upstream', 'observed')", name=op.f("ck_instance_history_time_source_known")
        ),
        sa.CheckConstraint(
            "transition <> 'created' OR previous_observed_at IS NULL", name=op.f("ck_instance_history_created_is_first")
        ),
        sa.CheckConstraint("transition <> 'deleted' OR deleted", name=op.f("ck_instance_history_deleted_is_deleted")),
        sa.CheckConstraint(
            "transition <> 'expired' OR is_expired", name=op.f("ck_instance_history_expired_is_expired")
        ),
        sa.CheckConstraint("transition <> 'purged' OR deleted", name=op.f("ck_instance_history_purged_was_deleted")),
        sa.CheckConstraint(
            "transition <> 'renewed' OR NOT is_expired", name=op.f("ck_instance_history_renewed_is_not_expired")
        ),
        sa.CheckConstraint(
            "transition <> 'restored' OR NOT deleted", name=op.f("ck_instance_history_restored_is_not_deleted")
        ),
        sa.CheckConstraint(
            "transition <> 'vanished' OR NOT deleted", name=op.f("ck_instance_history_vanished_was_not_deleted")
        ),
        sa.CheckConstraint(
            "transition IN ('created', 'reappeared', 'restored', 'renewed', 'extended', 'changed', "
            "'token_rotated', 'expired', 'deleted', 'vanished', 'purged')",
            name=op.f("ck_instance_history_transition_known"),
        ),
        sa.CheckConstraint("occurred_at <= observed_at", name=op.f("ck_instance_history_occurred_before_observed")),
        sa.CheckConstraint(
            "previous_observed_at <= observed_at", name=op.f("ck_instance_history_previous_before_observed")
        ),
        sa.ForeignKeyConstraint(
            ["id_instance"], ["instances.id_instance"], name=op.f("fk_instance_history_id_instance")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["sync_runs.id"], name=op.f("fk_instance_history_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance_history")),
        sa.UniqueConstraint("id_instance", "run_id", "transition", name="uq_instance_history_once_per_run"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_instance_history_created_once",
        "instance_history",
        ["id_instance"],
        unique=True,
        postgresql_where=sa.text("transition = 'created'"),
        sqlite_where=sa.text("transition = 'created'"),
    )
    op.create_table(
        "instance_tokens",
        sa.Column("id_instance", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("token_fingerprint", sa.String(length=16), nullable=False),
        sa.Column("key_fingerprint", sa.String(length=16), nullable=False),
        sa.CheckConstraint("length(token_fingerprint) = 16", name=op.f("ck_instance_tokens_fingerprint_is_no_token")),
        sa.ForeignKeyConstraint(
            ["id_instance"], ["instances.id_instance"], name=op.f("fk_instance_tokens_id_instance")
        ),
        sa.PrimaryKeyConstraint("id_instance", name=op.f("pk_instance_tokens")),
    )
    op.create_table(
        "rejected_items",
        sa.Column("run_id", IDENTIFIER, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("id_instance", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("item", sa.JSON(), nullable=False),
        sa.CheckConstraint("position >= 0", name=op.f("ck_rejected_items_position_in_list")),
        sa.ForeignKeyConstraint(["run_id"], ["sync_runs.id"], name=op.f("fk_rejected_items_run_id")),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("pk_rejected_items")),
    )
    op.create_table(
        "approvals",
        sa.Column("run_id", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_by_run_id", IDENTIFIER, nullable=True),
        sa.CheckConstraint("closed_by_run_id > run_id", name=op.f("ck_approvals_closed_by_later_run")),
        sa.ForeignKeyConstraint(["closed_by_run_id"], ["sync_runs.id"], name=op.f("fk_approvals_closed_by_run_id")),
        sa.ForeignKeyConstraint(["run_id"], ["held_answers.run_id"], name=op.f("fk_approvals_run_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_approvals")),
    )


def downgrade() -> None:
    op.drop_table("approvals")
    op.drop_table("rejected_items")
    op.drop_table("instance_tokens")
    op.drop_index(
        "uq_instance_history_created_once",
        table_name="instance_history",
        postgresql_where=sa.text("transition = 'created'"),
        sqlite_where=sa.text("transition = 'created'"),
    )
    op.drop_table("instance_history")
    op.drop_table("held_answers")
    op.drop_index("ix_sync_runs_account_id", table_name="sync_runs")
    op.drop_table("sync_runs")
    op.drop_index("ix_instances_account", table_name="instances")
    op.drop_table("instances")
    op.drop_table("tariff_rates")
    op.drop_table("held_sets")
    op.drop_table("leases")
    op.drop_table("accounts")
