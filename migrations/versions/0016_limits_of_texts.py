"""How many routine texts a phone gets in a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "text_limit",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("per_day", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("per_day between 0 and 100", name=op.f("ck_text_limit_per_day")),
        sa.ForeignKeyConstraint(["org_id"], ["organisation.id"], name=op.f("fk_text_limit_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_text_limit")),
        sa.UniqueConstraint("org_id", name=op.f("uq_text_limit_org_id")),
    )
    op.add_column("delivery_attempt", sa.Column("address_key", sa.Text(), nullable=True))
    # no attempt of before has a key: one look at the table, and nothing to sort or write
    op.create_index(
        "ix_delivery_attempt_address",
        "delivery_attempt",
        ["address_key", "intent_at"],
        postgresql_where=sa.text("address_key is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_delivery_attempt_address", table_name="delivery_attempt")
    op.drop_column("delivery_attempt", "address_key")
    op.drop_table("text_limit")
