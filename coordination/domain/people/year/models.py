"""Tables of a school's turn of the year: what is planned, class by class, and what went along.

What an apply writes is kept as a roster batch (`people.models.RosterBatch`), so that it is undone the
way an import is.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.constraints import explain
from coordination.ground.errors import Conflict, Stale
from coordination.ground.orm import Base, Row
from coordination.ground.text import Text


class SchoolTurn(Row, Base):
    """升级: the turn of one school into one school year; `year` is the one in which it begins."""

    __tablename__ = "school_turn"
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    year: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(server_default="draft")
    # the first day of the new classes
    starts_on: Mapped[date | None]
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("roster_batch.id"))
    made_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    applied_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    applied_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]

    __scope__ = {"school": "school_id"}
    __table_args__ = (
        CheckConstraint("state in ('draft','applied','undone')", name="state"),
        CheckConstraint(
            "state = 'draft' or (starts_on is not null and applied_at is not null)", name="applied"
        ),
        Index(
            "uq_school_turn_draft",
            "school_id",
            unique=True,
            postgresql_where=text("state = 'draft'"),
        ),
        Index(
            "uq_school_turn_applied",
            "school_id",
            "year",
            unique=True,
            postgresql_where=text("state = 'applied'"),
        ),
    )


ALREADY = Text(
    "本学年已经升级过了。要重来，请先撤销。",
    "This school year has been turned already. To do it again, undo it first.",
)
explain("uq_school_turn_applied", lambda: Conflict(ALREADY, code="turned_already"))
explain(
    "uq_school_turn_draft",
    lambda: Stale(
        Text(
            "刚刚有人也开始了准备，请刷新后继续。",
            "Somebody else has just begun to prepare it; reload and go on from there.",
        )
    ),
)


class TurnClass(Row, Base):
    """班级去向: what becomes of one class, or a class that begins (`class_id` is null then)."""

    __tablename__ = "turn_class"
    turn_id: Mapped[int] = mapped_column(
        ForeignKey("school_turn.id", ondelete="CASCADE"), index=True
    )
    class_id: Mapped[int | None] = mapped_column(ForeignKey("class_group.id"), index=True)
    # up: goes on under another name; into: its children join another one; leaves: 毕业;
    # stays: not touched (a group without a grade); new: begins empty
    fate: Mapped[str]
    into_id: Mapped[int | None] = mapped_column(ForeignKey("turn_class.id", ondelete="SET NULL"))
    grade: Mapped[int | None] = mapped_column(SmallInteger)
    name_zh: Mapped[str] = mapped_column(server_default="")
    name_en: Mapped[str] = mapped_column(server_default="")
    # its class teachers go along; else `teacher_id` begins, or nobody yet
    keeps_teacher: Mapped[bool] = mapped_column(server_default=text("true"))
    teacher_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    made_id: Mapped[int | None] = mapped_column(ForeignKey("class_group.id"), index=True)

    __table_args__ = (
        CheckConstraint("fate in ('up','into','leaves','stays','new')", name="fate"),
        CheckConstraint("(fate = 'new') = (class_id is null)", name="old"),
        Index("uq_turn_class_class", "turn_id", "class_id", unique=True),
    )


class TurnChild(Base):
    """学生另行安排: a child who does not go where the class goes."""

    __tablename__ = "turn_child"
    turn_id: Mapped[int] = mapped_column(
        ForeignKey("school_turn.id", ondelete="CASCADE"), primary_key=True
    )
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    target_id: Mapped[int] = mapped_column(
        ForeignKey("turn_class.id", ondelete="CASCADE"), index=True
    )


class TurnMove(Row, Base):
    """随班转移: a booking, sign-up, question or notice that went along with its class."""

    __tablename__ = "turn_move"
    turn_id: Mapped[int] = mapped_column(
        ForeignKey("school_turn.id", ondelete="CASCADE"), index=True
    )
    table_name: Mapped[str]
    row_id: Mapped[int]
    from_id: Mapped[int] = mapped_column(ForeignKey("class_group.id"))
    to_id: Mapped[int] = mapped_column(ForeignKey("class_group.id"))
