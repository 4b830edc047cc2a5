"""What waits after a restore; what guardians ask of the school about their data; proof of erasure."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
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
    op.create_table(
        "data_request",
        sa.Column("guardian_id", sa.BigInteger(), nullable=False),
        sa.Column("child_id", sa.BigInteger(), nullable=True),
        sa.Column("school_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by_id", sa.BigInteger(), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind in ('correct','erase')", name=op.f("ck_data_request_kind")),
        sa.CheckConstraint(
            "state in ('open','done','declined')", name=op.f("ck_data_request_state")
        ),
        sa.CheckConstraint(
            "(state = 'open') = (answered_at is null) and (state = 'open') = (answer is null)",
            name=op.f("ck_data_request_answered"),
        ),
        sa.ForeignKeyConstraint(
            ["guardian_id"], ["person.id"], name=op.f("fk_data_request_guardian_id")
        ),
        sa.ForeignKeyConstraint(["child_id"], ["person.id"], name=op.f("fk_data_request_child_id")),
        sa.ForeignKeyConstraint(
            ["school_id"], ["organisation.id"], name=op.f("fk_data_request_school_id")
        ),
        sa.ForeignKeyConstraint(
            ["answered_by_id"], ["person.id"], name=op.f("fk_data_request_answered_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_request")),
    )
    for column in ("guardian_id", "child_id", "school_id"):
        op.create_index(op.f(f"ix_data_request_{column}"), "data_request", [column])
    op.create_index(
        "uq_data_request_open",
        "data_request",
        ["guardian_id", sa.text("coalesce(child_id, 0)"), "kind"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "ix_data_request_open",
        "data_request",
        ["school_id"],
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "erasure_run",
        sa.Column("data_class", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased", sa.BigInteger(), nullable=False),
        sa.Column("oldest_left", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("data_class", "at", name=op.f("pk_erasure_run")),
    )


def downgrade() -> None:
    op.drop_table("erasure_run")
    op.drop_table("data_request")
    op.drop_table("outbox_hold")
