"""Tables of volunteer shifts: what a session needs, and who comes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.constraints import explain
from coordination.ground.errors import Conflict, Full
from coordination.ground.orm import Base, Row
from coordination.ground.text import Text


class ShiftNeed(Row, Base):
    """岗位需求: a role on a session that volunteers may fill; `filled` never exceeds `max_people`."""

    __tablename__ = "shift_need"
    session_id: Mapped[int] = mapped_column(ForeignKey("practice_session.id"), index=True)
    role_zh: Mapped[str]
    role_en: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    min_people: Mapped[int]
    max_people: Mapped[int]
    filled: Mapped[int] = mapped_column(server_default="0")
    state: Mapped[str] = mapped_column(server_default="open")

    __table_args__ = (
        CheckConstraint("filled >= 0 and filled <= max_people", name="places"),
        CheckConstraint("ends_at > starts_at", name="span"),
        CheckConstraint("state in ('open','closed','cancelled','done')", name="state"),
    )


class ShiftAssignment(Row, Base):
    """排班: one volunteer on one shift."""

    __tablename__ = "shift_assignment"
    need_id: Mapped[int] = mapped_column(ForeignKey("shift_need.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    during: Mapped[Range[datetime]]
    state: Mapped[str]

    __scope__ = {"person": "person_id"}
    __table_args__ = (
        Index("uq_shift_assignment", "need_id", "person_id", unique=True),
        CheckConstraint(
            "state in ('assigned','confirmed','signed_in','signed_out','withdrawn','no_show',"
            "'cancelled')",
            name="state",
        ),
        ExcludeConstraint(
            (func.int8range(text("person_id"), text("person_id"), text("'[]'")), "&&"),
            ("during", "&&"),
            where=text("state in ('assigned','confirmed','signed_in')"),
            using="gist",
            name="ex_shift_assignment_one_place_at_a_time",
        ),
    )


explain("ck_shift_need_places", Full)
explain(
    "ex_shift_assignment_one_place_at_a_time",
    lambda: Conflict(
        Text(
            "您在该时段已有其他志愿班次。",
            "You already have another shift at that time.",
        ),
        code="shift_clash",
    ),
)
