"""How many routine texts a family should get in a week, and for how many a notice was too many."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "family_budget",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("per_week", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("per_week between 1 and 50", name=op.f("ck_family_budget_per_week")),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organisation.id"], name=op.f("fk_family_budget_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_family_budget")),
        sa.UniqueConstraint("org_id", name=op.f("uq_family_budget_org_id")),
    )
    op.add_column("notice_round", sa.Column("families_over", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("notice_round", "families_over")
    op.drop_table("family_budget")
