"""A school's turn of the year, and what guardians propose to correct."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def _classes(names: str) -> None:
    op.drop_constraint(op.f("ck_outbox_message_message_class"), "outbox_message", type_="check")
    # what stands there fits already: it is looked through without keeping writers out
    op.execute(
        "alter table outbox_message add constraint ck_outbox_message_message_class "
        f"check (message_class in ({names})) not valid"
    )
    op.execute("alter table outbox_message validate constraint ck_outbox_message_message_class")


def upgrade() -> None:
    _classes("'info', 'confirm', 'sign', 'urgent', 'otp', 'proof'")
    op.create_table(
        "correction",
        sa.Column("school_id", sa.BigInteger(), nullable=False),
        sa.Column("child_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by_id", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), server_default="", nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_index", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=True),
        sa.Column("code_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries_left", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("decided_by_id", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "field in ('name','name_en','phone','email')", name=op.f("ck_correction_field")
        ),
        sa.CheckConstraint(
            "state <> 'declined' or said is not null", name=op.f("ck_correction_said")
        ),
        sa.CheckConstraint(
            "state <> 'unproven' or field = 'phone'", name=op.f("ck_correction_proof")
        ),
        sa.CheckConstraint(
            "state in ('unproven','waiting','accepted','declined','withdrawn')",
            name=op.f("ck_correction_state"),
        ),
        sa.ForeignKeyConstraint(["child_id"], ["person.id"], name=op.f("fk_correction_child_id")),
        sa.ForeignKeyConstraint(
            ["decided_by_id"], ["person.id"], name=op.f("fk_correction_decided_by_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_correction_person_id")),
        sa.ForeignKeyConstraint(
            ["proposed_by_id"], ["person.id"], name=op.f("fk_correction_proposed_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["organisation.id"], name=op.f("fk_correction_school_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_correction")),
    )
    op.create_index(op.f("ix_correction_child_id"), "correction", ["child_id"], unique=False)
    op.create_index(
        op.f("ix_correction_proposed_by_id"), "correction", ["proposed_by_id"], unique=False
    )
    op.create_index(
        "ix_correction_waiting",
        "correction",
        ["school_id"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "uq_correction_open",
        "correction",
        ["person_id", "field"],
        unique=True,
        postgresql_where=sa.text("state in ('unproven','waiting')"),
    )
    op.create_table(
        "school_turn",
        sa.Column("school_id", sa.BigInteger(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("made_by_id", sa.BigInteger(), nullable=True),
        sa.Column("applied_by_id", sa.BigInteger(), nullable=True),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "state = 'draft' or (starts_on is not null and applied_at is not null)",
            name=op.f("ck_school_turn_applied"),
        ),
        sa.CheckConstraint(
            "state in ('draft','applied','undone')", name=op.f("ck_school_turn_state")
        ),
        sa.ForeignKeyConstraint(
            ["applied_by_id"], ["person.id"], name=op.f("fk_school_turn_applied_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["roster_batch.id"], name=op.f("fk_school_turn_batch_id")
        ),
        sa.ForeignKeyConstraint(
            ["made_by_id"], ["person.id"], name=op.f("fk_school_turn_made_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["organisation.id"], name=op.f("fk_school_turn_school_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_school_turn")),
    )
    op.create_index(
        "uq_school_turn_applied",
        "school_turn",
        ["school_id", "year"],
        unique=True,
        postgresql_where=sa.text("state = 'applied'"),
    )
    op.create_index(
        "uq_school_turn_draft",
        "school_turn",
        ["school_id"],
        unique=True,
        postgresql_where=sa.text("state = 'draft'"),
    )
    op.create_table(
        "turn_class",
        sa.Column("turn_id", sa.BigInteger(), nullable=False),
        sa.Column("class_id", sa.BigInteger(), nullable=True),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("into_id", sa.BigInteger(), nullable=True),
        sa.Column("grade", sa.SmallInteger(), nullable=True),
        sa.Column("name_zh", sa.Text(), server_default="", nullable=False),
        sa.Column("name_en", sa.Text(), server_default="", nullable=False),
        sa.Column("keeps_teacher", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("teacher_id", sa.BigInteger(), nullable=True),
        sa.Column("made_id", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("(fate = 'new') = (class_id is null)", name=op.f("ck_turn_class_old")),
        sa.CheckConstraint(
            "fate in ('up','into','leaves','stays','new')", name=op.f("ck_turn_class_fate")
        ),
        sa.ForeignKeyConstraint(
            ["class_id"], ["class_group.id"], name=op.f("fk_turn_class_class_id")
        ),
        sa.ForeignKeyConstraint(
            ["into_id"], ["turn_class.id"], name=op.f("fk_turn_class_into_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["made_id"], ["class_group.id"], name=op.f("fk_turn_class_made_id")
        ),
        sa.ForeignKeyConstraint(
            ["teacher_id"], ["person.id"], name=op.f("fk_turn_class_teacher_id")
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["school_turn.id"], name=op.f("fk_turn_class_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn_class")),
    )
    op.create_index(op.f("ix_turn_class_class_id"), "turn_class", ["class_id"], unique=False)
    op.create_index(op.f("ix_turn_class_made_id"), "turn_class", ["made_id"], unique=False)
    op.create_index(op.f("ix_turn_class_turn_id"), "turn_class", ["turn_id"], unique=False)
    op.create_index("uq_turn_class_class", "turn_class", ["turn_id", "class_id"], unique=True)
    op.create_table(
        "turn_move",
        sa.Column("turn_id", sa.BigInteger(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("row_id", sa.BigInteger(), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("to_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["from_id"], ["class_group.id"], name=op.f("fk_turn_move_from_id")),
        sa.ForeignKeyConstraint(["to_id"], ["class_group.id"], name=op.f("fk_turn_move_to_id")),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["school_turn.id"], name=op.f("fk_turn_move_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn_move")),
    )
    op.create_index(op.f("ix_turn_move_turn_id"), "turn_move", ["turn_id"], unique=False)
    op.create_table(
        "turn_child",
        sa.Column("turn_id", sa.BigInteger(), nullable=False),
        sa.Column("child_id", sa.BigInteger(), nullable=False),
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["child_id"], ["person.id"], name=op.f("fk_turn_child_child_id")),
        sa.ForeignKeyConstraint(
            ["target_id"],
            ["turn_class.id"],
            name=op.f("fk_turn_child_target_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["school_turn.id"], name=op.f("fk_turn_child_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("turn_id", "child_id", name=op.f("pk_turn_child")),
    )
    op.create_index(op.f("ix_turn_child_target_id"), "turn_child", ["target_id"], unique=False)
    op.drop_constraint(op.f("ck_person_status"), "person", type_="check")
    op.create_check_constraint(
        op.f("ck_person_status"), "person", "status in ('active','graduated','left')"
    )
    op.add_column("class_group", sa.Column("ended_on", sa.Date(), nullable=True))
    op.add_column("class_group", sa.Column("succeeded_by_id", sa.BigInteger(), nullable=True))
    op.create_index(
        op.f("ix_class_group_succeeded_by_id"), "class_group", ["succeeded_by_id"], unique=False
    )
    op.create_foreign_key(
        op.f("fk_class_group_succeeded_by_id"),
        "class_group",
        "class_group",
        ["succeeded_by_id"],
        ["id"],
    )


def downgrade() -> None:
    op.execute("update outbox_message set message_class = 'otp' where message_class = 'proof'")
    _classes("'info', 'confirm', 'sign', 'urgent', 'otp'")
    op.execute("update person set status = 'left' where status = 'graduated'")
    op.drop_constraint(op.f("ck_person_status"), "person", type_="check")
    op.create_check_constraint(op.f("ck_person_status"), "person", "status in ('active','left')")
    op.drop_constraint(op.f("fk_class_group_succeeded_by_id"), "class_group", type_="foreignkey")
    op.drop_index(op.f("ix_class_group_succeeded_by_id"), table_name="class_group")
    op.drop_column("class_group", "succeeded_by_id")
    op.drop_column("class_group", "ended_on")
    op.drop_index(op.f("ix_turn_child_target_id"), table_name="turn_child")
    op.drop_table("turn_child")
    op.drop_index(op.f("ix_turn_move_turn_id"), table_name="turn_move")
    op.drop_table("turn_move")
    op.drop_index("uq_turn_class_class", table_name="turn_class")
    op.drop_index(op.f("ix_turn_class_turn_id"), table_name="turn_class")
    op.drop_index(op.f("ix_turn_class_made_id"), table_name="turn_class")
    op.drop_index(op.f("ix_turn_class_class_id"), table_name="turn_class")
    op.drop_table("turn_class")
    op.drop_index(
        "uq_school_turn_draft",
        table_name="school_turn",
        postgresql_where=sa.text("state = 'draft'"),
    )
    op.drop_index(
        "uq_school_turn_applied",
        table_name="school_turn",
        postgresql_where=sa.text("state = 'applied'"),
    )
    op.drop_table("school_turn")
    op.drop_index(
        "uq_correction_open",
        table_name="correction",
        postgresql_where=sa.text("state in ('unproven','waiting')"),
    )
    op.drop_index(
        "ix_correction_waiting",
        table_name="correction",
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.drop_index(op.f("ix_correction_proposed_by_id"), table_name="correction")
    op.drop_index(op.f("ix_correction_child_id"), table_name="correction")
    op.drop_table("correction")
