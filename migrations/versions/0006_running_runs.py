"""An index of the runs that are not finished: the next one finds them without reading all that ever were."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INDEX = "ix_sync_runs_running"
WHERE = sa.text("status = 'running'")


def upgrade() -> None:
    op.create_index(INDEX, "sync_runs", ["account"], postgresql_where=WHERE, sqlite_where=WHERE)


def downgrade() -> None:
    op.drop_index(INDEX, "sync_runs")
