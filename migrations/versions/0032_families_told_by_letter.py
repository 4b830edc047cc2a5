"""A family is told by phone or by a letter whose slip came back; nothing said means by phone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "notice_recipient",
        sa.Column("by_letter", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("notice_recipient", "by_letter")
