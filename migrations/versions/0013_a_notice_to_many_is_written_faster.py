"""A text's broadcast is neither looked up nor ever deleted: its index and its foreign key cost a
third of the time in which a notice to a district is written, and served nobody.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_outbox_message_broadcast_id", table_name="outbox_message")
    op.drop_constraint("fk_outbox_message_broadcast_id", "outbox_message", type_="foreignkey")


def downgrade() -> None:
    op.create_foreign_key(
        "fk_outbox_message_broadcast_id", "outbox_message", "broadcast", ["broadcast_id"], ["id"]
    )
    op.create_index("ix_outbox_message_broadcast_id", "outbox_message", ["broadcast_id"])
