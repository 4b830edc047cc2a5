"""A refusal that lies with the provider lets another one carry the text; what each carried lately."""

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


def downgrade() -> None:
    op.drop_index("ix_delivery_attempt_intent_at", table_name="delivery_attempt")
    op.drop_column("delivery_attempt", "provider_fault")
