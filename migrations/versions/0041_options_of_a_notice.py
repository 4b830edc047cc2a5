"""A notice may offer options, one of which a family chooses for each child."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("options_zh", "options_en"):
        op.add_column(
            "notice",
            sa.Column(
                column, postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
            ),
        )
    op.create_check_constraint(
        op.f("ck_notice_options"),
        "notice",
        "cardinality(options_zh) = cardinality(options_en) and cardinality(options_zh) <> 1"
        " and (level = 'confirm' or cardinality(options_zh) = 0)",
    )
    op.create_table(
        "notice_choice",
        sa.Column("notice_id", sa.BigInteger(), nullable=False),
        sa.Column("child_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("guardian_id", sa.BigInteger(), nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["notice.id"], name=op.f("fk_notice_choice_notice_id")
        ),
        sa.ForeignKeyConstraint(
            ["child_id"], ["person.id"], name=op.f("fk_notice_choice_child_id")
        ),
        sa.ForeignKeyConstraint(
            ["guardian_id"], ["person.id"], name=op.f("fk_notice_choice_guardian_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_choice")),
        sa.UniqueConstraint(
            "notice_id", "child_id", name=op.f("uq_notice_choice_notice_id_child_id")
        ),
    )
    op.create_index(op.f("ix_notice_choice_child_id"), "notice_choice", ["child_id"])


def downgrade() -> None:
    op.drop_table("notice_choice")
    op.drop_constraint(op.f("ck_notice_options"), "notice", type_="check")
    op.drop_column("notice", "options_en")
    op.drop_column("notice", "options_zh")
