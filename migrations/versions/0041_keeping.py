"""What waits after a restore; what guardians ask of the school about their data; proof of erasure."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox_hold",
        sa.Column("id", sa.BigInteger(), autoincrement=False, server_default="1", nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_outbox_hold_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_hold")),
    )


def downgrade() -> None:
    op.drop_table("outbox_hold")
