"""Rules of reminders are rows: the district's, a school's own, an activity's own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# rows are named by what they do from now on, so that a rule is known again whoever sets it
KEYS = {"three_days_before": "start|3d@18:00", "day_before": "start|1d@18:00"}


def upgrade() -> None:
    op.create_table(
        "reminder_set",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=True),
        sa.Column("activity_id", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "case scope when 'activity' then activity_id is not null and org_id is null"
            " when 'school' then org_id is not null and activity_id is null"
            " when 'district' then org_id is not null and activity_id is null else false end",
            name=op.f("ck_reminder_set_scope"),
        ),
        sa.ForeignKeyConstraint(
            ["activity_id"], ["activity.id"], name=op.f("fk_reminder_set_activity_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organisation.id"], name=op.f("fk_reminder_set_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminder_set")),
    )
    for name, columns, scope in (
        ("uq_reminder_set_district", ["scope"], "district"),
        ("uq_reminder_set_school", ["org_id"], "school"),
    ):
        op.create_index(
            name,
            "reminder_set",
            columns,
            unique=True,
            postgresql_where=sa.text(f"scope = '{scope}'"),
        )
    op.create_index("uq_reminder_set_activity", "reminder_set", ["activity_id"], unique=True)
    op.create_table(
        "reminder_rule",
        sa.Column("set_id", sa.BigInteger(), nullable=False),
        sa.Column("anchor", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "case anchor when 'start' then audience in ('everybody','families','staff')"
            " when 'signup_close' then audience = 'silent'"
            " when 'answer_due' then audience = 'silent'"
            " when 'end' then audience = case when starts_with(spec, '+') then 'unmarked'"
            " else 'pickup' end else false end",
            name=op.f("ck_reminder_rule_fit"),
        ),
        sa.CheckConstraint(
            r"spec ~ '^(\d{1,2}d@([01]\d|2[0-3]):[0-5]\d|-\d{1,5}m)$' or (anchor = 'end'"
            r" and spec ~ '^\+(\d{1,2}d@([01]\d|2[0-3]):[0-5]\d|\d{1,5}m)$')",
            name=op.f("ck_reminder_rule_spec"),
        ),
        sa.ForeignKeyConstraint(
            ["set_id"],
            ["reminder_set.id"],
            name=op.f("fk_reminder_rule_set_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminder_rule")),
    )
    op.create_index(
        "uq_reminder_rule_when", "reminder_rule", ["set_id", "anchor", "spec"], unique=True
    )
    for old, new in KEYS.items():
        op.execute(f"update reminder set rule_key = '{new}' where rule_key = '{old}'")


def downgrade() -> None:
    # what other rules were still to remind of has nobody who could answer for it
    op.execute(
        "update reminder set state = 'cancelled', settled_at = now() where state = 'pending'"
        f" and subject_type = 'session' and rule_key not in {tuple(KEYS.values())}"
    )
    for old, new in KEYS.items():
        op.execute(f"update reminder set rule_key = '{old}' where rule_key = '{new}'")
    op.drop_table("reminder_rule")
    op.drop_table("reminder_set")
