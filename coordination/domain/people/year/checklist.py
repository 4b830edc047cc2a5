"""What to look at before the year is turned, counted: nothing here forbids it, but it must be seen.

Counts only. What hangs on a class in features above this one is read by the names of their tables, as
`following.py` moves it; no feature may be imported from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, exists, func, select, text
from sqlalchemy.orm import Session

from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    Person,
    RosterBatch,
    RosterChange,
    Term,
)
from coordination.domain.people.recipients import member_on
from coordination.domain.people.year.following import OPEN
from coordination.domain.people.year.models import SchoolTurn
from coordination.domain.people.year.plan import Plan
from coordination.ground.text import Text


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist; `good` needs no second look."""

    key: str
    good: bool
    said: Text
    detail: Text | None = None


LABELS = {
    "booking": Text("场地预约", "bookings"),
    "class_enrolment": Text("活动报名", "sign-ups"),
    "consent_ask": Text("征询中的知情同意", "open consents"),
    "notice": Text("未发出的通知", "notices not sent yet"),
}


def checks_of(
    session: Session, turn: SchoolTurn, plan: Plan, *, day: date, begins: datetime
) -> list[Check]:
    """The checklist of a draft, as things stand on `day`; `begins` is that day's first moment."""
    return [
        _term(session, day),
        _roster(session, turn, day),
        _teachers(plan),
        _of_leavers(session, plan, begins),
        _going_along(session, plan, begins),
    ]


def _term(session: Session, day: date) -> Check:
    running = session.scalar(
        select(Term).where(Term.starts_on < day, Term.ends_on > day).order_by(Term.id).limit(1)
    )
    if running is None:
        return Check("term", True, Text("现在不在学期中。", "No term is running."))
    return Check(
        "term",
        False,
        Text(
            f"{running.name_zh}还没有结束（到 {running.ends_on.isoformat()}）。",
            f"{running.name_en} is still running (until {running.ends_on.isoformat()}).",
        ),
        Text(
            "一般在暑假里升级；学期中升级，班级名单会马上改变。",
            "The turn belongs in the summer holidays: the classes change at once.",
        ),
    )


def _roster(session: Session, turn: SchoolTurn, day: date) -> Check:
    loose = (
        session.scalar(
            select(func.count(Person.id)).where(
                Person.school_id == turn.school_id,
                Person.is_student.is_(True),
                Person.status == "active",
                ~exists(
                    select(ClassMember.id).where(
                        and_(ClassMember.person_id == Person.id, member_on(day))
                    )
                ),
            )
        )
        or 0
    )
    latest = session.scalar(
        select(func.max(RosterBatch.applied_at))
        .join(RosterChange, RosterChange.batch_id == RosterBatch.id)
        .join(
            ClassGroup,
            and_(RosterChange.table_name == "class", RosterChange.row_id == ClassGroup.id),
        )
        .where(RosterBatch.state == "applied", ClassGroup.school_id == turn.school_id)
    )
    detail = (
        Text(
            f"班级最近一次由名册更新：{latest.date().isoformat()}。",
            f"The classes were last brought up to date by a roster on {latest.date().isoformat()}.",
        )
        if latest
        else Text(
            "请先确认转入、转出都已登记。",
            "Make sure that everybody who came or left is entered.",
        )
    )
    if loose:
        return Check(
            "roster",
            False,
            Text(
                f"有 {loose} 名在籍学生没有编班，升级后仍然没有。",
                f"{loose} child{'ren are' if loose > 1 else ' is'} in no class, and will be in none.",
            ),
            detail,
        )
    return Check(
        "roster",
        True,
        Text("在籍学生都已编班。", "Every child on the roster is in a class."),
        detail,
    )


def _teachers(plan: Plan) -> Check:
    missing = [x for x in plan.lines if x.makes and not x.teachers]
    if not missing:
        return Check(
            "teachers",
            True,
            Text("下一学年每个班都有班主任。", "Every class of next year has a class teacher."),
        )
    zh = "、".join(x.name.zh or "（未命名）" for x in missing[:6])
    en = ", ".join(x.name.en or "(no name)" for x in missing[:6])
    more = len(missing) > 6
    return Check(
        "teachers",
        False,
        Text(
            f"还有 {len(missing)} 个班没有班主任：{zh}{'等' if more else ''}。",
            f"{len(missing)} class{'es have' if len(missing) > 1 else ' has'} no class teacher: "
            f"{en}{' and others' if more else ''}.",
        ),
        Text(
            "可以升级之后再到“任职”里补上；没有班主任的班由学校管理员处理。",
            "They can be named afterwards under Roles; until then the school office sees to the class.",
        ),
    )


def _open_of(session: Session, class_ids: list[int], begins: datetime) -> dict[str, int]:
    found = {}
    for table in LABELS:
        count = session.scalar(
            text(f"select count(distinct o.row_id) from ({OPEN[table]}) o"),
            {"classes": class_ids, "begins": begins},
        )
        if count:
            found[table] = int(count)
    return found


def _listed(found: dict[str, int]) -> Text:
    return Text(
        "、".join(f"{LABELS[t].zh} {n} 项" for t, n in found.items()),
        ", ".join(f"{n} {LABELS[t].en}" for t, n in found.items()),
    )


def _of_leavers(session: Session, plan: Plan, begins: datetime) -> Check:
    leaving = [x.class_id for x in plan.lines if x.fate == "leaves" and x.class_id]
    found = _open_of(session, leaving, begins)
    if not found:
        return Check(
            "leavers",
            True,
            Text("毕业班没有未办完的事。", "Nothing of the leaving classes is open.")
            if leaving
            else Text("没有毕业班。", "No class leaves."),
        )
    listed = _listed(found)
    return Check(
        "leavers",
        False,
        Text(f"毕业班还有：{listed.zh}。", f"Of the leaving classes: {listed.en}."),
        Text(
            "毕业后家长不再收到任何消息，请先办完或取消。",
            "Their families are told nothing more afterwards: finish or cancel these first.",
        ),
    )


def _going_along(session: Session, plan: Plan, begins: datetime) -> Check:
    staying = [x.class_id for x in plan.lines if x.fate in ("up", "into") and x.class_id]
    found = _open_of(session, staying, begins)
    if not found:
        return Check(
            "along",
            True,
            Text("升级的班没有未办完的事。", "Nothing of the classes that move up is open."),
        )
    listed = _listed(found)
    return Check(
        "along",
        True,
        Text(f"随班转到新班：{listed.zh}。", f"These go along with their classes: {listed.en}."),
    )
