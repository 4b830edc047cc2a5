"""Tables of persons, organisations, classes and guardianship.

Phones and e-mails stand only in `contact_point`, encrypted; nothing else may read that column but
`contacts.py`.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.constraints import explain
from coordination.ground.errors import Conflict, Stale
from coordination.ground.orm import Base, Row
from coordination.ground.text import Text


class Organisation(Row, Base):
    """机构: district, school, partner (practice bases included), government body or community."""

    __tablename__ = "organisation"
    kind: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    code: Mapped[str] = mapped_column(unique=True)
    name_zh: Mapped[str]
    name_en: Mapped[str]
    address_zh: Mapped[str | None]
    address_en: Mapped[str | None]
    lat: Mapped[float | None]
    lng: Mapped[float | None]
    batch_id: Mapped[int | None]
    active: Mapped[bool] = mapped_column(server_default=text("true"))

    __scope__ = {"school": "id", "owner": "id"}
    __table_args__ = (
        CheckConstraint(
            "kind in ('district','school','partner','government','community')",
            name="kind",
        ),
    )


class Term(Row, Base):
    """学期: a term of the district's school year."""

    __tablename__ = "term"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    name_zh: Mapped[str]
    name_en: Mapped[str]
    starts_on: Mapped[date]
    ends_on: Mapped[date]

    __table_args__ = (
        CheckConstraint("ends_on >= starts_on", name="span"),
        ExcludeConstraint(
            (func.int8range(text("org_id"), text("org_id"), text("'[]'")), "&&"),
            (func.daterange(text("starts_on"), text("ends_on"), text("'[]'")), "&&"),
            using="gist",
            name="ex_term_no_overlap",
        ),
    )


explain(
    "ex_term_no_overlap",
    lambda: Conflict(
        Text("与另一个学期的日期重叠。", "It shares days with another term."), code="term_overlaps"
    ),
)
explain(
    "uq_calendar_day_org_id_day",
    lambda: Stale(
        Text(
            "刚刚有人改了同一天，请刷新后再试。",
            "Somebody else just changed the same day; reload and try again.",
        )
    ),
)


class CalendarDay(Row, Base):
    """校历日: a day on which the district departs from the published calendar."""

    __tablename__ = "calendar_day"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    day: Mapped[date]
    kind: Mapped[str]
    name_zh: Mapped[str]
    name_en: Mapped[str]

    __table_args__ = (UniqueConstraint("org_id", "day"),)


class Person(Row, Base):
    """人员: a child or an adult. `school_id` is set for students only."""

    __tablename__ = "person"
    name: Mapped[str]
    name_en: Mapped[str | None]
    pinyin: Mapped[str] = mapped_column(server_default="")
    language: Mapped[str] = mapped_column(server_default="zh")
    is_student: Mapped[bool] = mapped_column(server_default=text("false"))
    school_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    grade: Mapped[int | None] = mapped_column(SmallInteger)
    birth_month: Mapped[date | None]
    source_id: Mapped[str | None]
    # graduated: the family keeps what is theirs and is told nothing more
    status: Mapped[str] = mapped_column(server_default="active")
    batch_id: Mapped[int | None]
    # from when on in a day they want what can wait (people.hours); None: whenever it comes
    notices_from: Mapped[time | None]
    # since when they are called about what must be confirmed (people.calling); None: they read texts
    call_since: Mapped[date | None]

    __scope__ = {"school": "school_id", "child": "id", "person": "id"}
    __table_args__ = (
        Index("uq_person_source_id", "source_id", unique=True),
        Index("ix_person_call_since", "id", postgresql_where=text("call_since is not null")),
        CheckConstraint("status in ('active','graduated','left')", name="status"),
        CheckConstraint("language in ('zh','en')", name="language"),
    )


class ContactPoint(Row, Base):
    """联系方式: a phone or e-mail, encrypted, with a blind index and a mask."""

    __tablename__ = "contact_point"
    # the unique constraint below begins with it: no index of its own
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    kind: Mapped[str]
    value_enc: Mapped[bytes] = mapped_column(LargeBinary)
    value_index: Mapped[bytes] = mapped_column(LargeBinary)
    mask: Mapped[str]
    suppressed_at: Mapped[datetime | None]
    suppressed_reason: Mapped[str | None]
    batch_id: Mapped[int | None]

    __scope__ = {"person": "person_id"}
    __table_args__ = (
        UniqueConstraint("person_id", "kind", "value_index"),
        Index("ix_contact_point_lookup", "kind", "value_index"),
        CheckConstraint("kind in ('phone','email')", name="kind"),
    )


class Account(Row, Base):
    """账号: password sign-in for staff, partners and coordinators. Parents need none."""

    __tablename__ = "account"
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), unique=True)
    login: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    disabled_at: Mapped[datetime | None]
    last_sign_in_at: Mapped[datetime | None]

    __scope__ = {"person": "person_id"}


class AccountSession(Row, Base):
    """登录会话: revocable on the server; the cookie holds the secret, this row its hash."""

    __tablename__ = "account_session"
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    route: Mapped[str]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __scope__ = {"person": "person_id"}


class OneTimeCode(Row, Base):
    """一次性验证码: sign-in code for a phone; person_id is null for numbers we do not know."""

    __tablename__ = "one_time_code"
    phone_index: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime]
    tries_left: Mapped[int]
    used_at: Mapped[datetime | None]


class AccessCode(Row, Base):
    """短码: opens exactly one thing for one person, without a password.

    `subject_type` is ``notice`` or ``consent``; `child_id` is set for consents.
    """

    __tablename__ = "access_code"
    code_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    subject_type: Mapped[str]
    subject_id: Mapped[int]
    child_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __scope__ = {"person": "person_id"}
    __table_args__ = (Index("ix_access_code_subject", "subject_type", "subject_id"),)


class ClassGroup(Row, Base):
    """班级: a class of a school in its school year."""

    __tablename__ = "class_group"
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    grade: Mapped[int | None] = mapped_column(SmallInteger)
    name_zh: Mapped[str]
    name_en: Mapped[str]
    source_id: Mapped[str | None] = mapped_column(unique=True)
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    batch_id: Mapped[int | None]
    # set when the school year turned: its last day, and the class that most of its children are in now
    ended_on: Mapped[date | None]
    succeeded_by_id: Mapped[int | None] = mapped_column(ForeignKey("class_group.id"), index=True)

    __scope__ = {"school": "school_id", "class": "id"}


class ClassMember(Row, Base):
    """班级成员: which child was in which class, and when (B8)."""

    __tablename__ = "class_member"
    class_id: Mapped[int] = mapped_column(ForeignKey("class_group.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]
    batch_id: Mapped[int | None]

    __scope__ = {"class": "class_id", "child": "person_id"}
    __table_args__ = (
        Index(
            "uq_class_member_current",
            "class_id",
            "person_id",
            unique=True,
            postgresql_where=text("ends_on is null"),
        ),
    )


class Membership(Row, Base):
    """任职: a role in an organisation, with end date; `class_id` for class teachers (班主任)."""

    __tablename__ = "membership"
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    role: Mapped[str]
    class_id: Mapped[int | None] = mapped_column(ForeignKey("class_group.id"), index=True)
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]
    batch_id: Mapped[int | None]

    __scope__ = {
        "school": "org_id",
        "owner": "org_id",
        "class": "class_id",
        "person": "person_id",
    }
    __table_args__ = (
        CheckConstraint(
            "role in ('district_admin','coordinator','school_admin','class_teacher',"
            "'partner_staff','volunteer','data_officer')",
            name="role",
        ),
        Index(
            "uq_membership_current",
            "person_id",
            "org_id",
            "role",
            text("coalesce(class_id, 0)"),
            unique=True,
            postgresql_where=text("ends_on is null"),
        ),
    )


class Guardianship(Row, Base):
    """监护关系: who is what to a child, and what that allows.

    `no_disclosure` (B9): this guardian receives nothing and sees nothing of the child, anywhere;
    `limit_reason` says on what ground, for the school office only.
    """

    __tablename__ = "guardianship"
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    guardian_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    relation: Mapped[str]
    legal: Mapped[bool] = mapped_column(server_default=text("true"))
    contact_order: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    may_consent: Mapped[bool] = mapped_column(server_default=text("true"))
    may_pick_up: Mapped[bool] = mapped_column(server_default=text("true"))
    receives_notice: Mapped[bool] = mapped_column(server_default=text("true"))
    no_disclosure: Mapped[bool] = mapped_column(server_default=text("false"))
    limit_reason: Mapped[str | None]
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]
    batch_id: Mapped[int | None]

    __scope__ = {"child": "child_id", "person": "guardian_id"}
    __table_args__ = (
        Index(
            "uq_guardianship_current",
            "child_id",
            "guardian_id",
            unique=True,
            postgresql_where=text("ends_on is null"),
        ),
        CheckConstraint(
            "relation in ('father','mother','parent','grandparent','relative','guardian','carer')",
            name="relation",
        ),
    )


class RosterBatch(Row, Base):
    """导入批次: one roster import, kept so that it can be undone (B4)."""

    __tablename__ = "roster_batch"
    source_name: Mapped[str]
    format: Mapped[str]
    state: Mapped[str]
    made_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    counts: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    applied_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state in ('previewed','applied','undone','discarded')", name="state"),
    )


class RosterUpload(Base):
    """上传文件: a part of the file that a preview was made from, sealed; gone once it is dealt with."""

    __tablename__ = "roster_upload"
    batch_id: Mapped[int] = mapped_column(
        ForeignKey("roster_batch.id", ondelete="CASCADE"), primary_key=True
    )
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body_enc: Mapped[bytes] = mapped_column(LargeBinary)


class RosterChange(Row, Base):
    """导入变更: one row that a batch added, changed or ended, with what it was before."""

    __tablename__ = "roster_change"
    batch_id: Mapped[int] = mapped_column(ForeignKey("roster_batch.id"), index=True)
    table_name: Mapped[str]
    row_id: Mapped[int | None]
    op: Mapped[str]
    label: Mapped[str]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class RosterRefusal(Row, Base):
    """导入拒绝: a row that cannot be taken, with file, line, column and reason."""

    __tablename__ = "roster_refusal"
    batch_id: Mapped[int] = mapped_column(ForeignKey("roster_batch.id"), index=True)
    file: Mapped[str]
    line: Mapped[int]
    column: Mapped[str]
    code: Mapped[str]
    reason_zh: Mapped[str]
    reason_en: Mapped[str]
