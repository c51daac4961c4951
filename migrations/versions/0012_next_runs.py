"""Which daemon runs an account next, when, and that it lives: what a shell's own settings can't know."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NEW_COLUMNS = (
    ("daemon", sa.Text()),
    ("daemon_beat_at", sa.DateTime(timezone=True)),
    ("next_run_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    for name, kind in NEW_COLUMNS:
        op.add_column("leases", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name, _ in NEW_COLUMNS:
        op.drop_column("leases", name)
