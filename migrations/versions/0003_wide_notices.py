"""Notices to whole schools and districts, written out a stretch at a time; quiet hours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notice", sa.Column("reach", sa.Text(), server_default="classes", nullable=False))
    op.create_check_constraint(
        op.f("ck_notice_reach"), "notice", "reach in ('classes','school','district')"
    )
    op.create_table(
        "notice_round",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("notice_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("upto", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["notice.id"], name=op.f("fk_notice_round_notice_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_round")),
    )
    op.create_index("uq_notice_round", "notice_round", ["notice_id", "number"], unique=True)
    op.create_index(
        "ix_notice_round_open",
        "notice_round",
        ["id"],
        postgresql_where=sa.text("done_at is null"),
    )
    op.add_column("notice", sa.Column("urgent_reason", sa.Text(), nullable=True))
    op.create_table(
        "quiet_policy",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("quiet_from", sa.Time(), nullable=False),
        sa.Column("quiet_until", sa.Time(), nullable=False),
        sa.Column("rest_days", sa.Boolean(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organisation.id"], name=op.f("fk_quiet_policy_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quiet_policy")),
        sa.UniqueConstraint("org_id", name=op.f("uq_quiet_policy_org_id")),
    )
    # notices of before were written out at once
    op.execute(
        "insert into notice_round (notice_id, number, started_at, done_at)"
        " select id, 0, coalesce(sent_at, created_at), coalesce(sent_at, created_at) from notice"
    )
    op.execute(
        "insert into notice_round (notice_id, number, started_at, done_at)"
        " select notice_id, max(nudges), now(), now() from notice_recipient"
        " where nudges > 0 group by notice_id"
    )


def downgrade() -> None:
    op.drop_table("quiet_policy")
    op.drop_column("notice", "urgent_reason")
    op.drop_table("notice_round")
    op.drop_constraint(op.f("ck_notice_reach"), "notice", type_="check")
    op.drop_column("notice", "reach")
