"""What a worker has open is counted among all that is open; the index for it only cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_INDEX = "ix_delivery_attempt_open_of_worker"


def upgrade() -> None:
    op.drop_index(_INDEX, table_name="delivery_attempt")


def downgrade() -> None:
    op.create_index(
        _INDEX,
        "delivery_attempt",
        ["worker_id"],
        postgresql_where=sa.text("state in ('intent', 'unknown')"),
    )
