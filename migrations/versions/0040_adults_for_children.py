"""For how many children the district wants one adult; when a class's families were asked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "adult_ratio",
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("low", sa.SmallInteger(), nullable=False),
        sa.Column("high", sa.SmallInteger(), nullable=False),
        sa.Column("middle", sa.SmallInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "least(low, high, middle) >= 1 and greatest(low, high, middle) <= 50",
            name=op.f("ck_adult_ratio_children"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organisation.id"], name=op.f("fk_adult_ratio_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adult_ratio")),
        sa.UniqueConstraint("org_id", name=op.f("uq_adult_ratio_org_id")),
    )
    op.add_column(
        "class_enrolment", sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True)
    )


def downgrade() -> None:
    op.drop_column("class_enrolment", "asked_at")
    op.drop_table("adult_ratio")
