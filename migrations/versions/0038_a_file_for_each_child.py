"""A file for each child with one notice, sealed; such a notice goes to the families of these children."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_notice_reach"), "notice", type_="check")
    op.create_check_constraint(
        op.f("ck_notice_reach"), "notice", "reach in ('classes','children','school','district')"
    )
    op.create_table(
        "child_file",
        sa.Column("notice_id", sa.BigInteger(), nullable=False),
        sa.Column("child_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("body_enc", sa.LargeBinary(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_by_id", sa.BigInteger(), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind in ('pdf','png','jpeg')", name=op.f("ck_child_file_kind")),
        sa.CheckConstraint(
            "(body_enc is null) = (erased_at is not null)", name=op.f("ck_child_file_erased")
        ),
        sa.ForeignKeyConstraint(
            ["notice_id"],
            ["notice.id"],
            name=op.f("fk_child_file_notice_id_notice"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["child_id"], ["person.id"], name=op.f("fk_child_file_child_id_person")
        ),
        sa.ForeignKeyConstraint(
            ["opened_by_id"], ["person.id"], name=op.f("fk_child_file_opened_by_id_person")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_child_file")),
    )
    op.create_index("uq_child_file", "child_file", ["notice_id", "child_id"], unique=True)
    op.create_index(op.f("ix_child_file_child_id"), "child_file", ["child_id"])
    op.create_index(
        "ix_child_file_kept",
        "child_file",
        ["notice_id"],
        postgresql_where=sa.text("erased_at is null"),
    )


def downgrade() -> None:
    op.drop_table("child_file")
    # what went to the children of a class is, without the files, a notice to their class; a draft of
    # it was never one
    op.execute("delete from notice where reach = 'children' and state = 'draft'")
    op.execute("update notice set reach = 'classes' where reach = 'children'")
    op.drop_constraint(op.f("ck_notice_reach"), "notice", type_="check")
    op.create_check_constraint(
        op.f("ck_notice_reach"), "notice", "reach in ('classes','school','district')"
    )
