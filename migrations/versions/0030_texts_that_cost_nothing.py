"""Texts that ended unsent, and whose cost was given back to the account they were written on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "text_returned",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_text_returned")),
    )
    op.create_index(
        "ix_outbox_message_unsent",
        "outbox_message",
        ["created_at"],
        postgresql_where=sa.text("state in ('failed', 'suppressed', 'expired')"),
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_message_unsent", "outbox_message")
    op.drop_table("text_returned")
