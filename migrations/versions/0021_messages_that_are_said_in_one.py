"""Several messages to one family that are said in one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_STATES = (
    "'queued', 'held', 'sending', 'accepted', 'delivered', 'undelivered', 'failed', 'suppressed', "
    "'expired', 'cancelled', {}'unknown', 'needs_human'"
)


def _allow(more: str) -> None:
    op.drop_constraint(op.f("ck_outbox_message_state"), "outbox_message", type_="check")
    # the table is large: its rows are looked at without keeping anybody from writing
    op.execute(
        "alter table outbox_message add constraint ck_outbox_message_state "
        f"check (state in ({_STATES.format(more)})) not valid"
    )
    op.execute("alter table outbox_message validate constraint ck_outbox_message_state")


def upgrade() -> None:
    _allow("'merged', ")
    op.create_table(
        "merged_message",
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("into_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["outbox_message.id"], name=op.f("fk_merged_message_message_id")
        ),
        sa.ForeignKeyConstraint(
            ["into_id"], ["outbox_message.id"], name=op.f("fk_merged_message_into_id")
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_merged_message")),
    )
    op.create_index(op.f("ix_merged_message_into_id"), "merged_message", ["into_id"])


def downgrade() -> None:
    op.drop_table("merged_message")
    # where the one stood that said it is not known any more
    op.execute("update outbox_message set state = 'cancelled' where state = 'merged'")
    _allow("")
