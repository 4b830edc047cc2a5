"""What the provider of texts has approved: its id and state for each wording."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wording_approval",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("template_id", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("language in ('zh','en')", name=op.f("ck_wording_approval_language")),
        sa.CheckConstraint(
            "state in ('draft','submitted','approved','rejected')",
            name=op.f("ck_wording_approval_state"),
        ),
        sa.CheckConstraint(
            "state <> 'approved' or template_id <> ''", name=op.f("ck_wording_approval_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organisation.id"], name=op.f("fk_wording_approval_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wording_approval")),
        sa.UniqueConstraint("key", "language", name=op.f("uq_wording_approval_key_language")),
    )
    op.create_index(
        "uq_wording_approval_template_id",
        "wording_approval",
        ["template_id"],
        unique=True,
        postgresql_where=sa.text("template_id <> ''"),
    )


def downgrade() -> None:
    op.drop_table("wording_approval")
