"""Why a guardian may not be told: kept with the guardianship, shown to school offices only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("guardianship", sa.Column("limit_reason", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("guardianship", "limit_reason")
