"""A handed-in roster waits in the database, sealed: the next request may come to another machine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "roster_upload",
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("body_enc", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["roster_batch.id"],
            name="fk_roster_upload_batch_id_roster_batch",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("batch_id", "part", name="pk_roster_upload"),
    )
    op.drop_column("roster_batch", "file_path")


def downgrade() -> None:
    op.add_column("roster_batch", sa.Column("file_path", sa.Text()))
    op.drop_table("roster_upload")
