"""Tables of the head-count: marks of children, children who left the group, and counts of a class."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.constraints import explain
from coordination.ground.errors import Conflict
from coordination.ground.orm import Base, Row
from coordination.ground.text import Text

_STAGE = "stage in ('leave','arrive','lunch','board','back')"


class StageMark(Row, Base):
    """点名标记: somebody saw a child, or took that back, at a stage. Rows never change.

    Two people who mark one child, or a phone that sends a mark twice, add rows and no child: what a
    child's state is follows from the newest row.
    """

    __tablename__ = "stage_mark"
    class_enrolment_id: Mapped[int] = mapped_column(ForeignKey("class_enrolment.id"))
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"))
    stage: Mapped[str]
    mark: Mapped[str]
    # made by the phone: the same mark sent again is known by it
    scan_id: Mapped[UUID] = mapped_column(Uuid)
    marked_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    # when it was tapped, by our clock; see `counting.tapped`
    at: Mapped[datetime]
    # what the phone's own clock said, whatever it is worth; none for a form without scripts
    phone_at: Mapped[datetime | None]
    received_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(_STAGE, name="stage"),
        CheckConstraint("mark in ('here','away')", name="mark"),
        CheckConstraint("at <= received_at", name="order"),
        Index("uq_stage_mark_scan_id", "scan_id", unique=True),
        Index("ix_stage_mark_latest", "class_enrolment_id", "stage", "enrolment_id", "at"),
        Index("ix_stage_mark_enrolment_id", "enrolment_id"),
    )


class GroupLeaver(Row, Base):
    """离队: from this stage on a child is not with its class, and why. Taken back by removing it."""

    __tablename__ = "group_leaver"
    class_enrolment_id: Mapped[int] = mapped_column(ForeignKey("class_enrolment.id"), index=True)
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"))
    stage: Mapped[str]
    reason: Mapped[str]
    # with whom it left, or where it is: sealed, see `notes`
    note_enc: Mapped[bytes | None] = mapped_column(LargeBinary)
    noted_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    noted_at: Mapped[datetime]
    # when the note was erased
    erased_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(_STAGE, name="stage"),
        CheckConstraint(
            "case stage when 'leave' then reason in ('absent','excused','no_consent')"
            " else reason in ('guardian','ill','other_class') end",
            name="reason",
        ),
        CheckConstraint(
            "reason <> 'guardian' or note_enc is not null or erased_at is not null",
            name="handed_to",
        ),
        Index("uq_group_leaver_enrolment_id", "enrolment_id", unique=True),
    )


class StageCount(Row, Base):
    """清点: a class was counted at a stage and nobody was missing without a reason."""

    __tablename__ = "stage_count"
    class_enrolment_id: Mapped[int] = mapped_column(ForeignKey("class_enrolment.id"))
    stage: Mapped[str]
    # who should have been there when the stage began, and who was; the rest left with a reason
    expected: Mapped[int] = mapped_column(SmallInteger)
    counted: Mapped[int] = mapped_column(SmallInteger)
    closed_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    closed_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(_STAGE, name="stage"),
        CheckConstraint("counted between 0 and expected", name="counted"),
        Index("uq_stage_count", "class_enrolment_id", "stage", unique=True),
    )


explain(
    "uq_stage_mark_scan_id",
    lambda: Conflict(
        Text("这批点名刚刚已经收到。", "These marks were received a moment ago."), code="sent_twice"
    ),
)
explain(
    "uq_stage_count",
    lambda: Conflict(
        Text("这一站刚刚已由别人清点完成。", "Somebody else has just finished this count."),
        code="already_counted",
    ),
)
explain(
    "uq_group_leaver_enrolment_id",
    lambda: Conflict(
        Text("刚刚已有人为这名学生登记离队。", "Somebody has just noted that this child left."),
        code="already_left",
    ),
)
