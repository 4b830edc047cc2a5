"""Tables of practice-base activities: activity (what), session (when, where), enrolment (who)."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, func, text
from sqlalchemy.dialects.postgresql import ARRAY, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.constraints import explain
from coordination.ground.errors import Conflict, Full
from coordination.ground.orm import Base, Row
from coordination.ground.text import Text


class Activity(Row, Base):
    """活动: what is offered at a practice base, apart from when."""

    __tablename__ = "activity"
    type: Mapped[str]
    title_zh: Mapped[str]
    title_en: Mapped[str]
    purpose_zh: Mapped[str] = mapped_column(server_default="")
    purpose_en: Mapped[str] = mapped_column(server_default="")
    bring_zh: Mapped[str] = mapped_column(server_default="")
    bring_en: Mapped[str] = mapped_column(server_default="")
    organiser_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    base_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    grades: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    state: Mapped[str] = mapped_column(server_default="draft")
    created_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))

    __scope__ = {"owner": "base_id"}
    __table_args__ = (
        CheckConstraint(
            "type in ('inquiry','service','design','career','labour','study_travel','volunteer')",
            name="type",
        ),
        CheckConstraint("state in ('draft','published','finished','cancelled')", name="state"),
    )


class PracticeSession(Row, Base):
    """场次: one run of an activity. Everything hangs on it.

    `taken` counts enrolled and offered places; the CHECK forbids overfilling under any concurrency.
    """

    __tablename__ = "practice_session"
    activity_id: Mapped[int] = mapped_column(ForeignKey("activity.id"), index=True)
    base_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    return_at: Mapped[datetime]
    meeting_point_zh: Mapped[str]
    meeting_point_en: Mapped[str]
    place_zh: Mapped[str]
    place_en: Mapped[str]
    capacity: Mapped[int]
    taken: Mapped[int] = mapped_column(server_default="0")
    signup_until: Mapped[datetime]
    waitlist: Mapped[bool] = mapped_column(server_default=text("true"))
    state: Mapped[str] = mapped_column(server_default="open")
    cancel_reason: Mapped[str | None]  # a code of rules.CANCEL_REASONS
    cancel_note_zh: Mapped[str | None]
    cancel_note_en: Mapped[str | None]

    __scope__ = {"owner": "base_id"}
    __table_args__ = (
        CheckConstraint("taken >= 0 and taken <= capacity", name="capacity"),
        CheckConstraint("ends_at > starts_at and return_at >= ends_at", name="span"),
        CheckConstraint(
            "state in ('planned','open','closed','ready','departed','on_site','returned',"
            "'closed_out','cancelled','aborted')",
            name="state",
        ),
        Index("ix_practice_session_starts_at", "starts_at"),
    )


class ClassEnrolment(Row, Base):
    """班级报名: a class signed up by its teacher, with adults and needs (B41)."""

    __tablename__ = "class_enrolment"
    session_id: Mapped[int] = mapped_column(ForeignKey("practice_session.id"), index=True)
    class_id: Mapped[int] = mapped_column(ForeignKey("class_group.id"), index=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    signed_up_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    adults: Mapped[int] = mapped_column(SmallInteger)
    needs: Mapped[str] = mapped_column(server_default="")
    # when its families were last asked for their answer, but for the clock's own reminders
    asked_at: Mapped[datetime | None]

    __scope__ = {"class": "class_id", "school": "school_id"}
    __table_args__ = (Index("uq_class_enrolment", "session_id", "class_id", unique=True),)


class Enrolment(Row, Base):
    """报名: one child in one session. `position` orders the waiting list (候补)."""

    __tablename__ = "enrolment"
    session_id: Mapped[int] = mapped_column(ForeignKey("practice_session.id"), index=True)
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    class_id: Mapped[int] = mapped_column(ForeignKey("class_group.id"), index=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    during: Mapped[Range[datetime]]
    state: Mapped[str]
    position: Mapped[int | None]
    reason: Mapped[str | None]

    __scope__ = {"child": "child_id", "class": "class_id", "school": "school_id"}
    __table_args__ = (
        Index("uq_enrolment_child", "session_id", "child_id", unique=True),
        CheckConstraint(
            "state in ('waiting','offered','enrolled','cleared','attended','absent','excused',"
            "'lapsed','refused','withdrawn','cancelled')",
            name="state",
        ),
        ExcludeConstraint(
            (func.int8range(text("child_id"), text("child_id"), text("'[]'")), "&&"),
            ("during", "&&"),
            where=text("state in ('offered','enrolled','cleared','attended')"),
            using="gist",
            name="ex_enrolment_one_place_at_a_time",
        ),
    )


class Attendance(Row, Base):
    """考勤: whether an enrolled child was there."""

    __tablename__ = "attendance"
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), unique=True)
    status: Mapped[str]
    marked_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    marked_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("status in ('present','absent','late','left_early')", name="status"),
    )


class AdultRatio(Row, Base):
    """师生比: for how many children the district wants one adult, by stage of school (B92)."""

    __tablename__ = "adult_ratio"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), unique=True)
    low: Mapped[int] = mapped_column(SmallInteger)
    high: Mapped[int] = mapped_column(SmallInteger)
    middle: Mapped[int] = mapped_column(SmallInteger)

    __scope__ = {"school": "org_id"}
    __table_args__ = (
        CheckConstraint(
            "least(low, high, middle) >= 1 and greatest(low, high, middle) <= 50", name="children"
        ),
    )


class HourRule(Row, Base):
    """课时规定: from a day on, what a session counts for, and what a grade should reach in a term (B99).

    The one with the latest `starts_on` up to a day holds on it; nought in a target is none.
    """

    __tablename__ = "hour_rule"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    starts_on: Mapped[date]
    minutes: Mapped[int] = mapped_column(SmallInteger)
    most_a_day: Mapped[int] = mapped_column(SmallInteger)
    # of grades 1 to 9, in a term
    periods: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    times: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    source: Mapped[str]

    __scope__ = {"school": "org_id"}
    __table_args__ = (
        Index("uq_hour_rule_starts_on", "starts_on", unique=True),
        CheckConstraint(
            "minutes between 20 and 120 and most_a_day between 1 and 12", name="period"
        ),
        CheckConstraint("cardinality(periods) = 9 and cardinality(times) = 9", name="grades"),
    )


class PracticeHour(Row, Base):
    """实践课时: what one child has from one session; written from the roll, by `ledger.write` alone."""

    __tablename__ = "practice_hour"
    session_id: Mapped[int] = mapped_column(ForeignKey("practice_session.id"))
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    class_id: Mapped[int] = mapped_column(ForeignKey("class_group.id"))
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    day: Mapped[date]
    minutes: Mapped[int]
    periods: Mapped[int] = mapped_column(SmallInteger)

    __scope__ = {"child": "child_id", "class": "class_id", "school": "school_id"}
    __table_args__ = (
        Index("uq_practice_hour", "session_id", "child_id", unique=True),
        Index("ix_practice_hour_child", "child_id", "day"),
        CheckConstraint("minutes > 0 and periods >= 0", name="amount"),
    )


class ReminderSet(Row, Base):
    """提醒规则组: the reminders of the district, of a school's classes, or of one activity (B124).

    The narrower set replaces the wider one, also when it is empty; without any, the product's own
    rules hold.
    """

    __tablename__ = "reminder_set"
    scope: Mapped[str]
    org_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    activity_id: Mapped[int | None] = mapped_column(ForeignKey("activity.id"))

    __scope__ = {"school": "org_id"}
    __table_args__ = (
        CheckConstraint(
            "case scope when 'activity' then activity_id is not null and org_id is null"
            " when 'school' then org_id is not null and activity_id is null"
            " when 'district' then org_id is not null and activity_id is null else false end",
            name="scope",
        ),
        Index(
            "uq_reminder_set_district",
            "scope",
            unique=True,
            postgresql_where=text("scope = 'district'"),
        ),
        Index(
            "uq_reminder_set_school",
            "org_id",
            unique=True,
            postgresql_where=text("scope = 'school'"),
        ),
        Index("uq_reminder_set_activity", "activity_id", unique=True),
    )


class ReminderRule(Row, Base):
    """提醒规则: when, relative to which time of a session, and whom to remind."""

    __tablename__ = "reminder_rule"
    set_id: Mapped[int] = mapped_column(ForeignKey("reminder_set.id", ondelete="CASCADE"))
    anchor: Mapped[str]
    spec: Mapped[str]
    audience: Mapped[str]
    # how late, in hours, it is still worth sending
    useful_hours: Mapped[int] = mapped_column(server_default="12")

    __table_args__ = (
        CheckConstraint("useful_hours in (1, 3, 12, 24)", name="useful"),
        Index("uq_reminder_rule_when", "set_id", "anchor", "spec", unique=True),
        CheckConstraint(
            "case anchor when 'start' then audience in ('everybody','families','staff')"
            " when 'signup_close' then audience = 'silent'"
            " when 'answer_due' then audience = 'silent'"
            " when 'end' then audience = case when starts_with(spec, '+') then 'unmarked'"
            " else 'pickup' end else false end",
            name="fit",
        ),
        CheckConstraint(
            r"spec ~ '^(\d{1,2}d@([01]\d|2[0-3]):[0-5]\d|-\d{1,5}m)$' or (anchor = 'end'"
            r" and spec ~ '^\+(\d{1,2}d@([01]\d|2[0-3]):[0-5]\d|\d{1,5}m)$')",
            name="spec",
        ),
    )


explain("ck_practice_session_capacity", Full)
explain(
    "uq_adult_ratio_org_id",
    lambda: Conflict(
        Text(
            "刚刚已有人保存了师生比，请刷新后再看。",
            "Somebody has just saved a ratio; reload and look again.",
        ),
        code="saved_meanwhile",
    ),
)
explain(
    "uq_hour_rule_starts_on",
    lambda: Conflict(
        Text(
            "刚刚有人保存了同一天起的规定，请刷新后再改。",
            "Somebody else just saved a rule from the same day on; reload and change that one.",
        ),
        code="stale",
    ),
)
explain(
    "uq_reminder_rule_when",
    lambda: Conflict(
        Text("已经有一条同一时间的提醒。", "There is a reminder at that time already."),
        code="same_time",
    ),
)
explain(
    "ex_enrolment_one_place_at_a_time",
    lambda: Conflict(
        Text(
            "有学生在同一时间已参加另一场活动，不能重复报名。",
            "A child is already enrolled in another session at that time.",
        ),
        code="child_clash",
    ),
)
