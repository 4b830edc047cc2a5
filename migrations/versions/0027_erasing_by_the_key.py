"""Old texts are erased from a mark on, by the primary key; the index for it only cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_INDEX = "ix_outbox_message_erasable"


def upgrade() -> None:
    op.create_table(
        "erasure_mark",
        sa.Column("id", sa.BigInteger(), server_default="1", autoincrement=False, nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("passed", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_erasure_mark_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure_mark")),
    )
    op.execute(
        "insert into erasure_mark (upto, passed)"
        " select coalesce(min(id) - 1, 0), '{}' from outbox_message where body is not null"
    )
    op.drop_index(_INDEX, table_name="outbox_message")


def downgrade() -> None:
    op.create_index(
        _INDEX,
        "outbox_message",
        ["created_at"],
        postgresql_where=sa.text("body is not null"),
    )
    op.drop_table("erasure_mark")
