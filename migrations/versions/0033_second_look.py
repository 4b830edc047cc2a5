"""A notice to very many families waits for a second person; the district says from how many on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "second_look_policy",
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("above", sa.BigInteger(), nullable=True),
        sa.Column("urgent_too", sa.Boolean(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("above between 1 and 1000000", name=op.f("ck_second_look_policy_above")),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organisation.id"], name=op.f("fk_second_look_policy_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_look_policy")),
        sa.UniqueConstraint("org_id", name=op.f("uq_second_look_policy_org_id")),
    )
    for column in ("approved_by_id", "returned_by_id"):
        op.add_column("notice", sa.Column(column, sa.BigInteger(), nullable=True))
        op.create_foreign_key(op.f(f"fk_notice_{column}"), "notice", "person", [column], ["id"])
    op.add_column("notice", sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("notice", sa.Column("returned_reason", sa.Text(), nullable=True))
    op.drop_constraint(op.f("ck_notice_state"), "notice", type_="check")
    op.create_check_constraint(
        op.f("ck_notice_state"),
        "notice",
        "state in ('draft','awaiting','returned','scheduled','sent','cancelled')",
    )
    op.create_check_constraint(
        op.f("ck_notice_second_person"), "notice", "approved_by_id <> sender_id"
    )
    op.create_check_constraint(
        op.f("ck_notice_approved"), "notice", "(approved_by_id is null) = (approved_at is null)"
    )
    op.create_check_constraint(
        op.f("ck_notice_returned"), "notice", "state <> 'returned' or returned_reason is not null"
    )
    op.create_index(
        "ix_notice_unlooked",
        "notice",
        ["id"],
        postgresql_where=sa.text("state in ('awaiting', 'returned')"),
    )


def downgrade() -> None:
    op.drop_index("ix_notice_unlooked", table_name="notice")
    for name in ("returned", "approved", "second_person", "state"):
        op.drop_constraint(op.f(f"ck_notice_{name}"), "notice", type_="check")
    # what waits for somebody who no longer exists must not leave by itself
    op.execute("update notice set state = 'cancelled' where state in ('awaiting', 'returned')")
    op.create_check_constraint(
        op.f("ck_notice_state"), "notice", "state in ('draft','scheduled','sent','cancelled')"
    )
    for column in ("returned_reason", "approved_at", "returned_by_id", "approved_by_id"):
        op.drop_column("notice", column)
    op.drop_table("second_look_policy")
