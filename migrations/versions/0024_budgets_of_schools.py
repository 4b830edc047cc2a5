"""What a school's texts may cost in a month, what they have cost, and what a round still may."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "text_budget",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("yuan", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("yuan between 0 and 10000000", name=op.f("ck_text_budget_yuan")),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organisation.id"], name=op.f("fk_text_budget_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_text_budget")),
        sa.UniqueConstraint("org_id", name=op.f("uq_text_budget_org_id")),
    )
    op.create_table(
        "text_spend",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("subject_type", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("texts", sa.BigInteger(), nullable=False),
        sa.Column("segments", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organisation.id"], name=op.f("fk_text_spend_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_text_spend")),
    )
    op.create_index(
        "ix_text_spend_account",
        "text_spend",
        ["org_id", "month"],
        postgresql_include=["segments"],
    )
    op.create_index("ix_text_spend_subject", "text_spend", ["subject_type", "subject_id"])
    op.add_column(
        "notice",
        sa.Column("over_budget", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    for column in ("reserved", "segments_each"):
        op.add_column(
            "notice_round",
            sa.Column(column, sa.BigInteger(), server_default="0", nullable=False),
        )


def downgrade() -> None:
    for column in ("segments_each", "reserved"):
        op.drop_column("notice_round", column)
    op.drop_column("notice", "over_budget")
    op.drop_table("text_spend")
    op.drop_table("text_budget")
