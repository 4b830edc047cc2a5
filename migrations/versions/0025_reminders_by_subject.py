"""A reminder is found by its subject through its unique index; the index beside it only cost."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_UNIQUE = "uq_reminder_rule_subject_due"


def upgrade() -> None:
    op.drop_index(_UNIQUE, table_name="reminder")
    op.create_index(
        "uq_reminder_subject_rule_due",
        "reminder",
        ["subject_id", "subject_type", "rule_key", "due_at"],
        unique=True,
    )
    op.drop_index("ix_reminder_subject", table_name="reminder")


def downgrade() -> None:
    op.create_index("ix_reminder_subject", "reminder", ["subject_type", "subject_id"])
    op.drop_index("uq_reminder_subject_rule_due", table_name="reminder")
    op.create_index(
        _UNIQUE, "reminder", ["rule_key", "subject_type", "subject_id", "due_at"], unique=True
    )
