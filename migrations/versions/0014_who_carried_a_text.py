"""Who carried a text, and that a text came in.

A refusal that lies with the provider lets another one carry it. What came in is noted by its number at
the provider, so that a report that is repeated does nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "delivery_attempt",
        sa.Column("provider_fault", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
    op.create_index(
        "ix_delivery_attempt_intent_at",
        "delivery_attempt",
        ["intent_at"],
        postgresql_using="brin",
    )
    op.create_table(
        "inbound_text",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind in ('stop', 'start', 'other')", name="ck_inbound_text_kind"),
    )
    op.create_index(
        "uq_inbound_text_provider_id", "inbound_text", ["channel", "provider_id"], unique=True
    )
    op.create_index("ix_inbound_text_at", "inbound_text", ["at"])


def downgrade() -> None:
    op.drop_table("inbound_text")
    op.drop_index("ix_delivery_attempt_intent_at", table_name="delivery_attempt")
    op.drop_column("delivery_attempt", "provider_fault")
