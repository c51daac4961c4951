"""A second hash beside that of the whole item: of all but its expiration date, by which the daily roll is told."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instances", sa.Column("rest_hash", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("instances", "rest_hash")
