"""A week of somebody's entries becomes one index range; feeds remember why they were closed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("entry_audience", sa.Column("starts_at", sa.DateTime(timezone=True)))
    op.add_column("entry_audience", sa.Column("ends_at", sa.DateTime(timezone=True)))
    op.execute(
        "update entry_audience a set starts_at = e.starts_at, ends_at = e.ends_at "
        "from calendar_entry e where e.id = a.entry_id"
    )
    op.alter_column("entry_audience", "starts_at", nullable=False)
    op.alter_column("entry_audience", "ends_at", nullable=False)
    op.create_index(
        "ix_entry_audience_span", "entry_audience", ["kind", "audience_id", "starts_at"]
    )
    op.create_check_constraint(
        op.f("ck_entry_audience_length"),
        "entry_audience",
        "ends_at <= starts_at + interval '2400 hours'",
    )
    op.add_column(
        "feed_token",
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    )
    op.add_column("feed_token", sa.Column("closed_for", sa.Text()))
    op.create_check_constraint(
        op.f("ck_feed_token_closed_for"), "feed_token", "closed_for in ('owner','idle')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_feed_token_closed_for"), "feed_token")
    op.drop_column("feed_token", "closed_for")
    op.drop_column("feed_token", "changed_at")
    op.drop_constraint(op.f("ck_entry_audience_length"), "entry_audience")
    op.drop_index("ix_entry_audience_span", "entry_audience")
    op.drop_column("entry_audience", "ends_at")
    op.drop_column("entry_audience", "starts_at")
