"""The board shows how each tick of the clock went: how often, how long, and what failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clock_tick", sa.Column("every_seconds", sa.BigInteger()))
    op.add_column("clock_tick", sa.Column("took_ms", sa.BigInteger()))
    op.add_column("clock_tick", sa.Column("error", sa.Text()))
    op.add_column("clock_tick", sa.Column("failed_at", sa.DateTime(timezone=True)))
    # the tick that only shows that the clock goes is noted under its own name now
    op.execute("delete from clock_tick where name = 'clock'")
    op.create_index(
        "ix_delivery_attempt_open_of_worker",
        "delivery_attempt",
        ["worker_id"],
        postgresql_where=sa.text("state in ('intent', 'unknown')"),
    )


def downgrade() -> None:
    op.drop_index("ix_delivery_attempt_open_of_worker", table_name="delivery_attempt")
    for column in ("failed_at", "error", "took_ms", "every_seconds"):
        op.drop_column("clock_tick", column)
