"""A notice may be an alert, whose words come from lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notice", sa.Column("alert", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_notice_alert"), "notice", "alert in ('cancelled','delayed','emergency')"
    )
    op.create_check_constraint(
        op.f("ck_notice_alert_urgent"),
        "notice",
        "alert is null or (urgent_reason is not null and level = 'confirm')",
    )


def downgrade() -> None:
    for name in ("alert_urgent", "alert"):
        op.drop_constraint(op.f(f"ck_notice_{name}"), "notice", type_="check")
    op.drop_column("notice", "alert")
