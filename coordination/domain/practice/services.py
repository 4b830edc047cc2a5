"""Use cases of practice-base activities: plan, enrol, move, cancel, attendance.

Places are guarded by a row lock on the session and a CHECK on its count: however many teachers
enrol at once, no place is given twice and no free place is withheld.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.people.models import ClassGroup, Organisation
from coordination.domain.people.recipients import Child, children_of_classes
from coordination.domain.practice import rules
from coordination.domain.practice.events import (
    AttendanceTaken,
    ChildWithdrawn,
    ClassEnrolled,
    PlaceGiven,
    SessionCancelled,
    SessionMoved,
    SessionPublished,
)
from coordination.domain.practice.models import (
    Activity,
    Attendance,
    ClassEnrolment,
    Enrolment,
    PracticeSession,
)
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

GOING = ("enrolled", "cleared")
PLACED = ("enrolled", "cleared", "attended")
HOLDING = ("offered", "enrolled", "cleared", "attended")  # as in the constraint
MARKS = ("present", "absent", "late", "left_early")
NO_NOTE = Text("", "")
OPEN = ("planned", "open", "closed", "ready")


def plan_activity(
    uow: UnitOfWork,
    *,
    type: str,
    title: Text,
    purpose: Text,
    bring: Text,
    base_id: int,
    grades: Collection[int],
) -> Activity:
    """A published activity at a base; sessions are added to it."""
    uow.authorize(Action.ACTIVITY_PLAN)
    rules.refuse_unfit_activity(type, title, grades)
    base = uow.session.get(Organisation, base_id)
    if base is None or base.kind != "partner" or not base.active:
        raise Invalid(fields={"base_id": Text("请选择一个实践基地。", "Choose a practice base.")})
    if uow.actor.person_id is None:
        raise Forbidden()
    activity = Activity(
        type=type,
        title_zh=title.zh,
        title_en=title.en,
        purpose_zh=purpose.zh,
        purpose_en=purpose.en,
        bring_zh=bring.zh,
        bring_en=bring.en,
        organiser_id=min(uow.actor.orgs()),
        base_id=base_id,
        grades=sorted(grades),
        state="published",
        created_by_id=uow.actor.person_id,
    )
    uow.session.add(activity)
    uow.session.flush()  # the caller goes on to its page
    return activity


def add_session(
    uow: UnitOfWork,
    *,
    activity_id: int,
    starts_at: datetime,
    ends_at: datetime,
    return_at: datetime,
    capacity: int,
    meeting_point: Text,
    signup_until: datetime,
) -> PracticeSession:
    """A session that takes sign-ups at once."""
    uow.authorize(Action.ACTIVITY_PLAN)
    activity = uow.session.get(Activity, activity_id)
    if activity is None:
        raise NotFound()
    rules.refuse_unfit_times(uow.now, starts_at, ends_at, return_at, signup_until)
    rules.refuse_unfit_capacity(capacity)
    base = uow.session.get_one(Organisation, activity.base_id)
    held = PracticeSession(
        activity_id=activity.id,
        base_id=activity.base_id,
        starts_at=starts_at,
        ends_at=ends_at,
        return_at=return_at,
        meeting_point_zh=meeting_point.zh,
        meeting_point_en=meeting_point.en,
        place_zh=base.name_zh,
        place_en=base.name_en,
        capacity=capacity,
        taken=0,
        signup_until=signup_until,
        waitlist=True,
        state="open",
    )
    uow.session.add(held)
    uow.session.flush()  # the event carries the id
    uow.record(SessionPublished(held.id))
    return held


def lock_session(uow: UnitOfWork, *, session_id: int) -> PracticeSession:
    """Whoever changes places, times or states of a session queues up here."""
    held = uow.session.get(PracticeSession, session_id, with_for_update=True)
    if held is None:
        raise NotFound()
    return held


def enrol_class(
    uow: UnitOfWork,
    *,
    session_id: int,
    class_id: int,
    adults: int,
    needs: str,
    leave_out: Collection[int] = (),
) -> tuple[int, int]:
    """Sign up a whole class except `leave_out`; (children with a place, children waiting)."""
    group = _lock_class(uow, class_id)
    uow.authorize(Action.ENROLMENT_CLASS, Scope(school=group.school_id, class_=group.id))
    held = lock_session(uow, session_id=session_id)
    activity = uow.session.get_one(Activity, held.activity_id)
    if held.state != "open" or held.signup_until <= uow.now:
        raise TooLate(Text("报名已截止。", "Sign-up has closed."))
    if group.grade is not None and group.grade not in activity.grades:
        grades = "、".join(map(str, activity.grades))
        raise Conflict(
            Text(
                f"本活动面向 {grades} 年级，{group.name_zh}不在范围内。",
                f"This activity is for grades {grades}; {group.name_en} is not among them.",
            ),
            code="wrong_grade",
        )
    if uow.session.scalar(
        select(ClassEnrolment.id).where(
            ClassEnrolment.session_id == session_id, ClassEnrolment.class_id == class_id
        )
    ):
        raise Conflict(
            Text("这个班已经报过名。", "This class is signed up already."), code="already_enrolled"
        )
    skipped = set(leave_out)
    children = [
        c
        for c in children_of_classes(uow.session, [class_id], uow.now.date())
        if c.id not in skipped
    ]
    if not children:
        raise Invalid(
            fields={"children": Text("请至少选择一名学生。", "Choose at least one child.")}
        )
    rules.refuse_unfit_adults(adults)
    _refuse_clashing(uow, held, children)
    free = held.capacity - held.taken
    placed, waiting = children[:free], children[free:]
    last = uow.session.scalar(
        select(func.coalesce(func.max(Enrolment.position), 0)).where(
            Enrolment.session_id == session_id
        )
    )
    uow.session.add(
        ClassEnrolment(
            session_id=session_id,
            class_id=class_id,
            school_id=group.school_id,
            signed_up_by_id=uow.actor.person_id or 0,
            adults=adults,
            needs=needs,
            asked_at=uow.now,
        )
    )
    for number, child in enumerate([*placed, *waiting], start=1):
        has_place = number <= len(placed)
        uow.session.add(
            Enrolment(
                session_id=session_id,
                child_id=child.id,
                class_id=class_id,
                school_id=group.school_id,
                during=Range(held.starts_at, held.return_at, bounds="[)"),
                state="enrolled" if has_place else "waiting",
                position=None if has_place else (last or 0) + number - len(placed),
            )
        )
    _count(uow, held, len(placed))
    uow.record(
        ClassEnrolled(
            session_id, class_id, tuple(c.id for c in placed), tuple(c.id for c in waiting)
        )
    )
    return len(placed), len(waiting)


def _lock_class(uow: UnitOfWork, class_id: int) -> ClassGroup:
    """One sign-up of a class at a time.

    Two that met in the constraint on children would end as a deadlock; in a queue the second one
    reads whom to leave out.
    """
    group = uow.session.get(ClassGroup, class_id, with_for_update={"key_share": True})
    if group is None:
        raise NotFound()
    return group


def _refuse_clashing(uow: UnitOfWork, held: PracticeSession, children: Collection[Child]) -> None:
    """The constraint forbids it anyway; asked first so that the teacher reads whom to leave out."""
    elsewhere = set(
        uow.session.scalars(
            select(Enrolment.child_id).where(
                Enrolment.child_id.in_([c.id for c in children]),
                Enrolment.session_id != held.id,
                Enrolment.state.in_(HOLDING),
                Enrolment.during.overlaps(Range(held.starts_at, held.return_at, bounds="[)")),
            )
        )
    )
    names = [c.name for c in children if c.id in elsewhere]
    if names:
        raise Conflict(
            Text(
                f"{'、'.join(names)}在同一时间已参加另一场活动，请先取消勾选。",
                f"Already in another session at that time: {', '.join(names)}. Untick them first.",
            ),
            code="child_clash",
        )


def give_back(uow: UnitOfWork, *, session_id: int, child_id: int, state: str) -> None:
    """A child's place becomes free (consent refused or withdrawn); the next in line gets it."""
    held = lock_session(uow, session_id=session_id)
    row = uow.session.scalar(
        select(Enrolment).where(Enrolment.session_id == session_id, Enrolment.child_id == child_id)
    )
    if row is None or row.state in ("withdrawn", "refused", "cancelled"):
        return
    had_place = row.state in PLACED
    row.state, row.position = state, None
    if had_place:
        _count(uow, held, -1)  # the freed place and its child must not stand in the next one's way
        _promote(uow, held)
    uow.record(ChildWithdrawn(session_id, child_id))


def has_left(session: Session, *, session_id: int, child_id: int) -> bool:
    """Whether the child was counted as it left school."""
    return (
        session.scalar(
            select(Enrolment.id).where(
                Enrolment.session_id == session_id,
                Enrolment.child_id == child_id,
                Enrolment.state == "attended",
            )
        )
        is not None
    )


def clear(uow: UnitOfWork, *, session_id: int, child_id: int) -> None:
    """Consent is given; a child that had refused joins again if there is room, else waits."""
    held = lock_session(uow, session_id=session_id)
    row = uow.session.scalar(
        select(Enrolment).where(Enrolment.session_id == session_id, Enrolment.child_id == child_id)
    )
    if row is None:
        return
    if row.state == "enrolled":
        row.state = "cleared"
    elif row.state in ("refused", "withdrawn"):
        if held.taken < held.capacity:
            row.state = "cleared"
            _count(uow, held, 1)
        else:
            row.state = "waiting"
            row.position = 1 + (
                uow.session.scalar(
                    select(func.coalesce(func.max(Enrolment.position), 0)).where(
                        Enrolment.session_id == session_id
                    )
                )
                or 0
            )


def unclear(uow: UnitOfWork, *, session_id: int, child_id: int) -> None:
    """Guardians disagree: the place stays, but the child may not leave without a decision."""
    row = uow.session.scalar(
        select(Enrolment).where(Enrolment.session_id == session_id, Enrolment.child_id == child_id)
    )
    if row is not None and row.state == "cleared":
        row.state = "enrolled"


def _count(uow: UnitOfWork, held: PracticeSession, change: int) -> None:
    """Counted by the database, so that the CHECK sees every place whoever else counts meanwhile."""
    held.taken = PracticeSession.taken + change
    uow.session.flush()


def _promote(uow: UnitOfWork, held: PracticeSession) -> None:
    if held.state not in OPEN or held.starts_at <= uow.now:
        return
    waiting = uow.session.scalars(
        select(Enrolment)
        .where(Enrolment.session_id == held.id, Enrolment.state == "waiting")
        .order_by(Enrolment.position, Enrolment.id)
    ).all()
    for row in waiting:
        if held.taken >= held.capacity:
            return
        try:
            with uow.session.begin_nested():
                row.state, row.position = "enrolled", None
                uow.session.flush()
        except IntegrityError:
            continue  # the child is elsewhere at that time: the next in line gets the place
        _count(uow, held, 1)
        uow.record(PlaceGiven(held.id, row.child_id))


def move_session(
    uow: UnitOfWork,
    *,
    session_id: int,
    starts_at: datetime,
    ends_at: datetime,
    return_at: datetime,
) -> None:
    """Other times for a session; everybody concerned follows from the event."""
    uow.authorize(Action.ACTIVITY_PLAN)
    held = lock_session(uow, session_id=session_id)
    if held.state not in OPEN:
        raise Conflict(
            Text("活动已开始或已取消，不能改期。", "It has begun or is cancelled; it cannot move.")
        )
    rules.refuse_unfit_times(uow.now, starts_at, ends_at, return_at, None)
    if (held.starts_at, held.ends_at, held.return_at) == (starts_at, ends_at, return_at):
        raise Conflict(Text("时间没有变化。", "Nothing has changed."), code="unchanged")
    held.starts_at, held.ends_at, held.return_at = starts_at, ends_at, return_at
    held.signup_until = min(held.signup_until, starts_at)
    for row in uow.session.scalars(select(Enrolment).where(Enrolment.session_id == session_id)):
        row.during = Range(starts_at, return_at, bounds="[)")
    for enrolled in uow.session.scalars(
        select(ClassEnrolment).where(ClassEnrolment.session_id == session_id)
    ):
        enrolled.asked_at = uow.now  # the event asks everybody again
    uow.session.flush()  # a child's clash with another session is refused here
    uow.record(SessionMoved(session_id, material=True))


def cancel_session(uow: UnitOfWork, *, session_id: int, code: str, note: Text = NO_NOTE) -> None:
    """It will not take place; enrolments end, everybody is told by the event, with the reason."""
    uow.authorize(Action.ACTIVITY_PLAN)
    held = lock_session(uow, session_id=session_id)
    if held.state not in OPEN:
        raise Conflict(Text("活动已开始或已取消。", "It has begun or is cancelled already."))
    rules.refuse_unfit_reason(code, note)
    held.state, held.cancel_reason = "cancelled", code
    held.cancel_note_zh, held.cancel_note_en = note.zh.strip() or None, note.en.strip() or None
    uow.record(SessionCancelled(session_id))


def take_attendance(uow: UnitOfWork, *, session_id: int, marks: Mapping[int, str]) -> int:
    """Mark enrolments (by id) present, absent, late or left early; the last mark counts."""
    if not marks:
        raise Invalid(fields={"marks": Text("请至少标记一名学生。", "Mark at least one child.")})
    held = uow.session.get(PracticeSession, session_id)
    rows = _lock_marked(uow, session_id, marks)
    if held is None or not rows:
        raise NotFound()
    for row in rows:
        uow.authorize(Action.ATTENDANCE_TAKE, row)
    rules.refuse_early_roll(uow.now, held.starts_at)
    known = {
        a.enrolment_id: a
        for a in uow.session.scalars(
            select(Attendance).where(Attendance.enrolment_id.in_([r.id for r in rows]))
        )
    }
    for row in rows:
        mark = marks[row.id]
        if mark not in MARKS or row.state not in (*PLACED, "absent"):
            raise Invalid(fields={"marks": Text("考勤标记无效。", "This mark is not known.")})
        found = known.get(row.id)
        if found is None:
            uow.session.add(
                Attendance(
                    enrolment_id=row.id,
                    status=mark,
                    marked_by_id=uow.actor.person_id or 0,
                    marked_at=uow.now,
                )
            )
        else:
            found.status, found.marked_at = mark, uow.now
        row.state = "absent" if mark == "absent" else "attended"
    uow.record(AttendanceTaken(session_id))
    return len(rows)


def _lock_marked(uow: UnitOfWork, session_id: int, ids: Collection[int]) -> Sequence[Enrolment]:
    """Two who mark one child at once queue up: the second one's mark counts."""
    return uow.session.scalars(
        select(Enrolment)
        .where(Enrolment.session_id == session_id, Enrolment.id.in_(ids))
        .order_by(Enrolment.id)
        .with_for_update()
    ).all()


def children_of(session: Session, session_id: int, states: Collection[str] = GOING) -> list[int]:
    """Children of a session in these states: those who go, unless others are asked for."""
    return list(
        session.scalars(
            select(Enrolment.child_id)
            .where(Enrolment.session_id == session_id, Enrolment.state.in_(states))
            .order_by(Enrolment.id)
        )
    )
