"""A session of today for the demo district: class 3(2) is about to leave, so that one can count it.

All families but one have agreed, and the mother of the first child comes along as a helper.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from coordination.domain.consents import rules
from coordination.domain.consents.models import ConsentAnswer, ConsentAsk, ConsentRequest
from coordination.domain.people.models import ClassGroup, ClassMember, Guardianship, Person
from coordination.domain.practice.models import (
    Activity,
    ClassEnrolment,
    Enrolment,
    PracticeSession,
)
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions.on_practice import write_agenda

STEP = timedelta(minutes=30)
ROLE = Text("随队家长志愿者", "Parent helper on the day")


def write(uow: UnitOfWork, *, like_id: int, class_id: int, teacher_id: int) -> None:
    """The session, of an activity at the base of another, with its class, consents and helper, and
    its calendar entries."""
    session, now = uow.session, uow.now
    activity = _activity(session, session.get_one(Activity, like_id))
    group = session.get_one(ClassGroup, class_id)
    starts = _soon(now)
    children = session.scalars(
        select(Person)
        .join(ClassMember, ClassMember.person_id == Person.id)
        .where(ClassMember.class_id == class_id)
        .order_by(Person.id)
    ).all()
    held = PracticeSession(
        activity_id=activity.id,
        base_id=activity.base_id,
        starts_at=starts,
        ends_at=starts + timedelta(hours=3, minutes=30),
        return_at=starts + timedelta(hours=4),
        meeting_point_zh="学校南门大巴停车处",
        meeting_point_en="Coach stop at the south gate",
        place_zh="绿谷劳动实践基地",
        place_en="Green Valley Practice Base",
        capacity=60,
        taken=len(children),
        signup_until=starts - timedelta(days=4),
        waitlist=True,
        state="closed",
    )
    session.add(held)
    session.flush()  # all that follows refers to it
    session.add(
        ClassEnrolment(
            session_id=held.id,
            class_id=class_id,
            school_id=group.school_id,
            signed_up_by_id=teacher_id,
            adults=3,
            needs="",
        )
    )
    silent = children[-1].id
    for child in children:
        session.add(
            Enrolment(
                session_id=held.id,
                child_id=child.id,
                class_id=class_id,
                school_id=group.school_id,
                during=Range(held.starts_at, held.return_at, bounds="[)"),
                state="enrolled" if child.id == silent else "cleared",
            )
        )
    _consents(session, held, activity, [c for c in children if c.id != silent], children)
    mother = _guardian(session, children[0].id)
    need = ShiftNeed(
        session_id=held.id,
        role_zh=ROLE.zh,
        role_en=ROLE.en,
        starts_at=held.starts_at,
        ends_at=held.return_at,
        min_people=1,
        max_people=1,
        filled=1,
        state="closed",
    )
    session.add(need)
    session.flush()
    session.add(
        ShiftAssignment(
            need_id=need.id,
            person_id=mother,
            during=Range(held.starts_at, held.return_at, bounds="[)"),
            state="assigned",
        )
    )
    session.flush()
    write_agenda(uow, held.id)


def _activity(session: Session, like: Activity) -> Activity:
    made = Activity(
        type="inquiry",
        title_zh="百草园认草药",
        title_en="Herbs and what they heal",
        purpose_zh="认识十种常见草药，学会观察、记录和制作标本。",
        purpose_en="Know ten common herbs; look, note down and press them.",
        bring_zh="水壶、笔记本",
        bring_en="Water bottle, notebook",
        organiser_id=like.organiser_id,
        base_id=like.base_id,
        grades=[3, 4],
        state="published",
        created_by_id=like.created_by_id,
    )
    session.add(made)
    session.flush()  # the session refers to it
    return made


def _soon(now: datetime) -> datetime:
    """The next half hour."""
    past = timedelta(minutes=now.minute % 30, seconds=now.second, microseconds=now.microsecond)
    return now - past + STEP


def _guardian(session: Session, child_id: int) -> int:
    return (
        session.scalars(
            select(Guardianship.guardian_id)
            .where(Guardianship.child_id == child_id, Guardianship.no_disclosure.is_(False))
            .order_by(Guardianship.contact_order, Guardianship.id)
        ).first()
        or 0
    )


def _consents(
    session: Session,
    held: PracticeSession,
    activity: Activity,
    agreed: Sequence[Person],
    children: Sequence[Person],
) -> None:
    title = Text(activity.title_zh, activity.title_en)
    body = Text(
        f"活动：{activity.title_zh}\n地点：{held.place_zh}\n集合：{held.meeting_point_zh}",
        f"Activity: {activity.title_en}\nPlace: {held.place_en}\nMeet at: {held.meeting_point_en}",
    )
    request = ConsentRequest(
        subject_type="session",
        subject_id=held.id,
        version=1,
        title_zh=title.zh,
        title_en=title.en,
        body_zh=body.zh,
        body_en=body.en,
        text_hash=rules.text_hash(title, body),
        due_at=held.starts_at - timedelta(days=1),
        state="open",
    )
    session.add(request)
    session.flush()
    rows = session.scalars(
        select(Enrolment).where(
            Enrolment.session_id == held.id, Enrolment.child_id.in_([c.id for c in children])
        )
    )
    session.add_all(
        ConsentAsk(
            request_id=request.id,
            child_id=row.child_id,
            class_id=row.class_id,
            school_id=row.school_id,
        )
        for row in rows
    )
    for child in agreed:
        guardian = _guardian(session, child.id)
        session.add(
            ConsentAnswer(
                request_id=request.id,
                child_id=child.id,
                guardian_id=guardian,
                response="given",
                route="web",
                language="zh",
                text_hash=request.text_hash,
                signed_name=session.get_one(Person, guardian).name,
                at=held.starts_at - timedelta(days=5),
            )
        )
