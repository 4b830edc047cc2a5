"""When the notices of a day wait for each other, and how late a reminder is still worth sending."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("gather_from", "gather_at"):
        op.add_column("quiet_policy", sa.Column(column, sa.Time(), nullable=True))
    op.create_check_constraint(
        op.f("ck_quiet_policy_gather"),
        "quiet_policy",
        "(gather_from is null) = (gather_at is null) and gather_from < gather_at",
    )
    op.add_column(
        "reminder_rule",
        sa.Column("useful_hours", sa.BigInteger(), server_default="12", nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_reminder_rule_useful"), "reminder_rule", "useful_hours in (1, 3, 12, 24)"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_reminder_rule_useful"), "reminder_rule", type_="check")
    op.drop_column("reminder_rule", "useful_hours")
    op.drop_constraint(op.f("ck_quiet_policy_gather"), "quiet_policy", type_="check")
    for column in ("gather_at", "gather_from"):
        op.drop_column("quiet_policy", column)
