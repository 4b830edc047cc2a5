"""Notices that leave at a time their sender chose."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notice", sa.Column("send_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("notice", sa.Column("unsent_reason", sa.Text(), nullable=True))
    op.drop_constraint(op.f("ck_notice_state"), "notice", type_="check")
    op.create_check_constraint(
        op.f("ck_notice_state"), "notice", "state in ('draft','scheduled','sent','cancelled')"
    )
    op.create_check_constraint(
        op.f("ck_notice_scheduled"), "notice", "state <> 'scheduled' or send_at is not null"
    )
    op.create_index(
        "ix_notice_scheduled",
        "notice",
        ["send_at"],
        postgresql_where=sa.text("state = 'scheduled'"),
    )


def downgrade() -> None:
    # what waits for its time would never leave: better seen as withdrawn than sent unasked
    op.execute("update notice set state = 'cancelled' where state = 'scheduled'")
    op.drop_index("ix_notice_scheduled", table_name="notice")
    op.drop_constraint(op.f("ck_notice_scheduled"), "notice", type_="check")
    op.drop_constraint(op.f("ck_notice_state"), "notice", type_="check")
    op.create_check_constraint(
        op.f("ck_notice_state"), "notice", "state in ('draft','sent','cancelled')"
    )
    op.drop_column("notice", "unsent_reason")
    op.drop_column("notice", "send_at")
