"""One hash for each item and one digest for each answer: what recognised an answer in pieces goes.

Rows are kept as they are. Old hashes and marks were made by other rules, so the next answer is compared in full.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("accounts", "quiet_answer")
    op.add_column("accounts", sa.Column("body_digest", sa.LargeBinary(), nullable=True))
    op.drop_column("instances", "content_hash")
    op.execute("UPDATE accounts SET hash_seed = NULL")


def downgrade() -> None:
    op.add_column("instances", sa.Column("content_hash", sa.BigInteger(), nullable=True))
    op.drop_column("accounts", "body_digest")
    op.add_column("accounts", sa.Column("quiet_answer", sa.LargeBinary(), nullable=True))
    op.execute("UPDATE accounts SET hash_seed = NULL")
