"""Receivers: how far in the history each of them has been told, and the database's epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "syncer_epoch",
        sa.Column("epoch", sa.String(16), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("epoch", name="pk_syncer_epoch"),
        sa.CheckConstraint("epoch <> ''", name="ck_syncer_epoch_epoch_named"),
    )
    op.create_table(
        "receivers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last_history_id", IDENTIFIER, nullable=False),
        sa.Column("delivered_at", MOMENT),
        sa.Column("failing_since", MOMENT),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", MOMENT),
        sa.Column("last_error", sa.Text()),
        sa.Column("stopped_at", MOMENT),
        sa.Column("attention_since", MOMENT),
        sa.Column("digest_at", MOMENT),
        sa.Column("digest_until_id", IDENTIFIER),
        sa.Column("holder", sa.Text()),
        sa.Column("expires_at", MOMENT),
        sa.PrimaryKeyConstraint("name", name="pk_receivers"),
        sa.CheckConstraint("name <> ''", name="ck_receivers_receiver_named"),
        sa.CheckConstraint("last_history_id >= 0", name="ck_receivers_cursor_not_negative"),
        sa.CheckConstraint("(failing_since IS NULL) = (tries = 0)", name="ck_receivers_failing_since_a_try"),
        sa.CheckConstraint("failing_since IS NULL OR last_error IS NOT NULL", name="ck_receivers_failing_of_something"),
        sa.CheckConstraint("stopped_at IS NULL OR failing_since IS NOT NULL", name="ck_receivers_stopped_is_failing"),
        sa.CheckConstraint("digest_until_id >= last_history_id", name="ck_receivers_digest_goes_forward"),
        sa.CheckConstraint("digest_until_id IS NULL OR digest_at IS NOT NULL", name="ck_receivers_digest_is_due"),
        sa.CheckConstraint("(holder IS NULL) = (expires_at IS NULL)", name="ck_receivers_held_until"),
    )
    op.create_table(
        "attention_told",
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("id_instance", IDENTIFIER, nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("receiver", "id_instance", "reason", "since", name="pk_attention_told"),
        sa.ForeignKeyConstraint(
            ["receiver"], ["receivers.name"], name="fk_attention_told_receiver", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["id_instance"], ["instances.id_instance"], name="fk_attention_told_id_instance"),
    )


def downgrade() -> None:
    op.drop_table("attention_told")
    op.drop_table("receivers")
    op.drop_table("syncer_epoch")
