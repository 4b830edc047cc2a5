"""Notices that stand on the platform first; only who does not answer there gets a text."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "notice",
        sa.Column("page_first", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_notice_page_first"),
        "notice",
        "not page_first or (ladder_hours is not null and urgent_reason is null)",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_notice_page_first"), "notice", type_="check")
    op.drop_column("notice", "page_first")
