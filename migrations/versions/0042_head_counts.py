"""Head-counts on the day: marks of children, who left the group, and the counts of a class."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

_STAGE = "stage in ('leave','arrive','lunch','board','back')"


def _row(*columns: sa.Column[object]) -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        *columns,
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    ]


def _person(name: str, table: str) -> tuple[sa.Column[object], sa.ForeignKeyConstraint]:
    return sa.Column(name, sa.BigInteger(), nullable=False), sa.ForeignKeyConstraint(
        [name], ["person.id"], name=f"fk_{table}_{name}"
    )


def _to(table: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([f"{other}_id"], [f"{other}.id"], name=f"fk_{table}_{other}_id")


def upgrade() -> None:
    marked_by, marker = _person("marked_by_id", "stage_mark")
    op.create_table(
        "stage_mark",
        *_row(
            sa.Column("class_enrolment_id", sa.BigInteger(), nullable=False),
            sa.Column("enrolment_id", sa.BigInteger(), nullable=False),
            sa.Column("stage", sa.Text(), nullable=False),
            sa.Column("mark", sa.Text(), nullable=False),
            sa.Column("scan_id", sa.Uuid(), nullable=False),
            marked_by,
            sa.Column("at", sa.DateTime(timezone=True), nullable=False),
            sa.Column("phone_at", sa.DateTime(timezone=True), nullable=True),
            sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_stage_mark"),
        _to("stage_mark", "class_enrolment"),
        _to("stage_mark", "enrolment"),
        marker,
        sa.CheckConstraint(_STAGE, name=op.f("ck_stage_mark_stage")),
        sa.CheckConstraint("mark in ('here','away')", name=op.f("ck_stage_mark_mark")),
        sa.CheckConstraint("at <= received_at", name=op.f("ck_stage_mark_order")),
    )
    op.create_index("uq_stage_mark_scan_id", "stage_mark", ["scan_id"], unique=True)
    op.create_index(
        "ix_stage_mark_latest",
        "stage_mark",
        ["class_enrolment_id", "stage", "enrolment_id", "at"],
    )
    op.create_index("ix_stage_mark_enrolment_id", "stage_mark", ["enrolment_id"])

    noted_by, noter = _person("noted_by_id", "group_leaver")
    op.create_table(
        "group_leaver",
        *_row(
            sa.Column("class_enrolment_id", sa.BigInteger(), nullable=False),
            sa.Column("enrolment_id", sa.BigInteger(), nullable=False),
            sa.Column("stage", sa.Text(), nullable=False),
            sa.Column("reason", sa.Text(), nullable=False),
            sa.Column("note_enc", sa.LargeBinary(), nullable=True),
            noted_by,
            sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
            sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_group_leaver"),
        _to("group_leaver", "class_enrolment"),
        _to("group_leaver", "enrolment"),
        noter,
        sa.CheckConstraint(_STAGE, name=op.f("ck_group_leaver_stage")),
        sa.CheckConstraint(
            "case stage when 'leave' then reason in ('absent','excused','no_consent')"
            " else reason in ('guardian','ill','other_class') end",
            name=op.f("ck_group_leaver_reason"),
        ),
        sa.CheckConstraint(
            "reason <> 'guardian' or note_enc is not null or erased_at is not null",
            name=op.f("ck_group_leaver_handed_to"),
        ),
    )
    op.create_index("uq_group_leaver_enrolment_id", "group_leaver", ["enrolment_id"], unique=True)
    op.create_index("ix_group_leaver_class_enrolment_id", "group_leaver", ["class_enrolment_id"])

    closed_by, closer = _person("closed_by_id", "stage_count")
    op.create_table(
        "stage_count",
        *_row(
            sa.Column("class_enrolment_id", sa.BigInteger(), nullable=False),
            sa.Column("stage", sa.Text(), nullable=False),
            sa.Column("expected", sa.SmallInteger(), nullable=False),
            sa.Column("counted", sa.SmallInteger(), nullable=False),
            closed_by,
            sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_stage_count"),
        _to("stage_count", "class_enrolment"),
        closer,
        sa.CheckConstraint(_STAGE, name=op.f("ck_stage_count_stage")),
        sa.CheckConstraint("counted between 0 and expected", name=op.f("ck_stage_count_counted")),
    )
    op.create_index("uq_stage_count", "stage_count", ["class_enrolment_id", "stage"], unique=True)


def downgrade() -> None:
    for table in ("stage_count", "group_leaver", "stage_mark"):
        op.drop_table(table)
