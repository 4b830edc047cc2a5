"""Tables of volunteer shifts: what a session needs, and who comes."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, func, text
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


class VolunteerRule(Row, Base):
    """志愿时长规定: how volunteer time is rounded and capped, and how long it can be objected to."""

    __tablename__ = "volunteer_rule"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), unique=True)
    round_to: Mapped[int] = mapped_column(SmallInteger)
    most_over: Mapped[int] = mapped_column(SmallInteger)
    objection_days: Mapped[int] = mapped_column(SmallInteger)
    set_on: Mapped[date]
    source: Mapped[str]

    __scope__ = {"school": "org_id"}
    __table_args__ = (
        CheckConstraint(
            "round_to in (1, 5, 10, 15, 30, 60) and most_over between 0 and 240"
            " and objection_days between 3 and 60",
            name="amounts",
        ),
    )


class ShiftTime(Row, Base):
    """志愿服务时长: when somebody came to a shift and left, and what was confirmed of it.

    `minutes` is there once it is confirmed, and only what is confirmed counts; nobody who was away has
    times.
    """

    __tablename__ = "shift_time"
    assignment_id: Mapped[int] = mapped_column(ForeignKey("shift_assignment.id"), unique=True)
    need_id: Mapped[int] = mapped_column(ForeignKey("shift_need.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    in_at: Mapped[datetime | None]
    out_at: Mapped[datetime | None]
    absent: Mapped[bool] = mapped_column(server_default=text("false"))
    # who wrote it down by hand; None: the volunteer, by the code of the place
    marked_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    minutes: Mapped[int | None]
    confirmed_at: Mapped[datetime | None]
    confirmed_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    __scope__ = {"person": "person_id"}
    __table_args__ = (
        CheckConstraint(
            "case when absent then in_at is null and out_at is null"
            " else in_at is not null and (out_at is null or out_at >= in_at) end",
            name="times",
        ),
        CheckConstraint(
            "(confirmed_at is null) = (minutes is null) and minutes >= 0"
            " and (confirmed_at is null or absent or out_at is not null)",
            name="confirmed",
        ),
    )


class ShiftObjection(Row, Base):
    """异议: what a volunteer says against the time confirmed, and what was answered; both are kept."""

    __tablename__ = "shift_objection"
    time_id: Mapped[int] = mapped_column(ForeignKey("shift_time.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    words: Mapped[str]
    minutes_then: Mapped[int]
    answer: Mapped[str | None]
    minutes_after: Mapped[int | None]
    answered_at: Mapped[datetime | None]
    answered_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    __scope__ = {"person": "person_id"}
    __table_args__ = (
        CheckConstraint(
            "(answered_at is null) = (answer is null)"
            " and (answered_at is null) = (minutes_after is null)",
            name="answered",
        ),
        Index(
            "uq_shift_objection_open",
            "time_id",
            unique=True,
            postgresql_where=text("answered_at is null"),
        ),
    )


class ServiceCertificate(Row, Base):
    """志愿服务记录证明: what was certified of somebody's confirmed time, under a number anybody can check.

    It says what was so when it was made; once an hour in it changes it is void.
    """

    __tablename__ = "service_certificate"
    number: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    services: Mapped[int]
    minutes: Mapped[int]
    first_day: Mapped[date]
    last_day: Mapped[date]
    void_at: Mapped[datetime | None]

    __scope__ = {"person": "person_id"}
    __table_args__ = (
        CheckConstraint("services > 0 and minutes > 0 and last_day >= first_day", name="amounts"),
    )


explain("ck_shift_need_places", Full)
explain(
    "uq_shift_objection_open",
    lambda: Conflict(
        Text(
            "您对这一次的异议还在处理中，请等协调员答复。",
            "Your objection to this one is being looked at; please wait for the answer.",
        ),
        code="objected_already",
    ),
)
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
