"""Practice hours of children, times of volunteers and certificates, with the district's rules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def _row() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    ]


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}_{to}"))


def upgrade() -> None:
    op.create_table(
        "hour_rule",
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("minutes", sa.SmallInteger(), nullable=False),
        sa.Column("most_a_day", sa.SmallInteger(), nullable=False),
        sa.Column("periods", postgresql.ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("times", postgresql.ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        *_row(),
        sa.CheckConstraint(
            "minutes between 20 and 120 and most_a_day between 1 and 12",
            name=op.f("ck_hour_rule_period"),
        ),
        sa.CheckConstraint(
            "cardinality(periods) = 9 and cardinality(times) = 9", name=op.f("ck_hour_rule_grades")
        ),
        _refers("hour_rule", "org_id", "organisation"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hour_rule")),
    )
    op.create_index("uq_hour_rule_starts_on", "hour_rule", ["starts_on"], unique=True)
    op.create_table(
        "practice_hour",
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("child_id", sa.BigInteger(), nullable=False),
        sa.Column("class_id", sa.BigInteger(), nullable=False),
        sa.Column("school_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("minutes", sa.BigInteger(), nullable=False),
        sa.Column("periods", sa.SmallInteger(), nullable=False),
        *_row(),
        sa.CheckConstraint("minutes > 0 and periods >= 0", name=op.f("ck_practice_hour_amount")),
        _refers("practice_hour", "session_id", "practice_session"),
        _refers("practice_hour", "child_id", "person"),
        _refers("practice_hour", "class_id", "class_group"),
        _refers("practice_hour", "school_id", "organisation"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_practice_hour")),
    )
    op.create_index("uq_practice_hour", "practice_hour", ["session_id", "child_id"], unique=True)
    op.create_index("ix_practice_hour_child", "practice_hour", ["child_id", "day"])
    _volunteers()


def _volunteers() -> None:
    op.create_table(
        "volunteer_rule",
        sa.Column("org_id", sa.BigInteger(), nullable=False),
        sa.Column("round_to", sa.SmallInteger(), nullable=False),
        sa.Column("most_over", sa.SmallInteger(), nullable=False),
        sa.Column("objection_days", sa.SmallInteger(), nullable=False),
        sa.Column("set_on", sa.Date(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        *_row(),
        sa.CheckConstraint(
            "round_to in (1, 5, 10, 15, 30, 60) and most_over between 0 and 240"
            " and objection_days between 3 and 60",
            name=op.f("ck_volunteer_rule_amounts"),
        ),
        _refers("volunteer_rule", "org_id", "organisation"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volunteer_rule")),
        sa.UniqueConstraint("org_id", name=op.f("uq_volunteer_rule_org_id")),
    )
    op.create_table(
        "shift_time",
        sa.Column("assignment_id", sa.BigInteger(), nullable=False),
        sa.Column("need_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("in_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("out_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("absent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("marked_by_id", sa.BigInteger(), nullable=True),
        sa.Column("minutes", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_by_id", sa.BigInteger(), nullable=True),
        *_row(),
        sa.CheckConstraint(
            "case when absent then in_at is null and out_at is null"
            " else in_at is not null and (out_at is null or out_at >= in_at) end",
            name=op.f("ck_shift_time_times"),
        ),
        sa.CheckConstraint(
            "(confirmed_at is null) = (minutes is null) and minutes >= 0"
            " and (confirmed_at is null or absent or out_at is not null)",
            name=op.f("ck_shift_time_confirmed"),
        ),
        _refers("shift_time", "assignment_id", "shift_assignment"),
        _refers("shift_time", "need_id", "shift_need"),
        _refers("shift_time", "person_id", "person"),
        _refers("shift_time", "marked_by_id", "person"),
        _refers("shift_time", "confirmed_by_id", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shift_time")),
        sa.UniqueConstraint("assignment_id", name=op.f("uq_shift_time_assignment_id")),
    )
    op.create_index(op.f("ix_shift_time_need_id"), "shift_time", ["need_id"])
    op.create_index(op.f("ix_shift_time_person_id"), "shift_time", ["person_id"])
    op.create_table(
        "shift_objection",
        sa.Column("time_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("minutes_then", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("minutes_after", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by_id", sa.BigInteger(), nullable=True),
        *_row(),
        sa.CheckConstraint(
            "(answered_at is null) = (answer is null)"
            " and (answered_at is null) = (minutes_after is null)",
            name=op.f("ck_shift_objection_answered"),
        ),
        _refers("shift_objection", "time_id", "shift_time"),
        _refers("shift_objection", "person_id", "person"),
        _refers("shift_objection", "answered_by_id", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shift_objection")),
    )
    op.create_index(op.f("ix_shift_objection_time_id"), "shift_objection", ["time_id"])
    op.create_index(
        "uq_shift_objection_open",
        "shift_objection",
        ["time_id"],
        unique=True,
        postgresql_where=sa.text("answered_at is null"),
    )
    op.create_table(
        "service_certificate",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("services", sa.BigInteger(), nullable=False),
        sa.Column("minutes", sa.BigInteger(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("void_at", sa.DateTime(timezone=True), nullable=True),
        *_row(),
        sa.CheckConstraint(
            "services > 0 and minutes > 0 and last_day >= first_day",
            name=op.f("ck_service_certificate_amounts"),
        ),
        _refers("service_certificate", "person_id", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_certificate")),
        sa.UniqueConstraint("number", name=op.f("uq_service_certificate_number")),
    )
    op.create_index(op.f("ix_service_certificate_person_id"), "service_certificate", ["person_id"])


def downgrade() -> None:
    op.drop_table("service_certificate")
    op.drop_table("shift_objection")
    op.drop_table("shift_time")
    op.drop_table("volunteer_rule")
    op.drop_table("practice_hour")
    op.drop_table("hour_rule")
