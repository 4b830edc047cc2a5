"""What follows by itself when a notice is not confirmed: a reminder, then the call list."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notice", sa.Column("ladder_hours", sa.BigInteger(), nullable=True))
    op.add_column("notice", sa.Column("ladder_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("notice", sa.Column("calls_since", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_notice_ladder",
        "notice",
        ["ladder_at"],
        postgresql_where=sa.text("ladder_at is not null"),
    )
    op.create_index(
        "ix_notice_calls",
        "notice",
        ["calls_since"],
        postgresql_where=sa.text("calls_since is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_notice_calls", table_name="notice")
    op.drop_index("ix_notice_ladder", table_name="notice")
    op.drop_column("notice", "calls_since")
    op.drop_column("notice", "ladder_at")
    op.drop_column("notice", "ladder_hours")
