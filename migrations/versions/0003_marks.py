"""What lets an answer that changes nothing be recognised by its bytes: marks of accounts and of instances."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COLUMNS = (
    ("accounts", "hash_seed", sa.BigInteger()),
    ("accounts", "quiet_answer", sa.LargeBinary()),
    ("accounts", "taken_by_run_id", IDENTIFIER),
    ("instances", "item_hash", sa.BigInteger()),
    ("instances", "content_hash", sa.BigInteger()),
)


def upgrade() -> None:
    for table, column, kind in COLUMNS:
        op.add_column(table, sa.Column(column, kind, nullable=True))


def downgrade() -> None:
    for table, column, _kind in reversed(COLUMNS):
        op.drop_column(table, column)
