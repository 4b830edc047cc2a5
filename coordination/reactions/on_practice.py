"""What follows from practice-base sessions: consents, calendars, texts to each side. Whom: `session_news`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, timedelta

from sqlalchemy import select

from coordination.domain.agenda import services as agenda
from coordination.domain.consents import services as consents
from coordination.domain.consents.events import ConsentAnswered, ConsentAsked
from coordination.domain.consents.models import ConsentRequest
from coordination.domain.consents.services import Asked
from coordination.domain.people.models import ClassGroup, Organisation
from coordination.domain.people.recipients import guardians_of_children
from coordination.domain.practice import services as practice
from coordination.domain.practice.events import (
    ChildWithdrawn,
    ClassEnrolled,
    FamiliesNudged,
    PlaceGiven,
    SessionCancelled,
    SessionMoved,
    SessionPublished,
)
from coordination.domain.practice.models import (
    Activity,
    ClassEnrolment,
    Enrolment,
    PracticeSession,
)
from coordination.domain.volunteering import services as volunteering
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed
from coordination.domain.volunteering.services import HELD
from coordination.ground.errors import TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import invitations, reminders, session_news
from coordination.reactions.notices import tell
from coordination.reactions.on_volunteering import write_shift
from coordination.reactions.wording import span

CONSENT_LEAD = timedelta(hours=24)


def write_agenda(uow: UnitOfWork, session_id: int) -> None:
    """The session in the calendars of exactly the children who go, their classes' staff, the base."""
    held, activity = session_news.session_of(uow, session_id)
    classes = uow.session.scalars(
        select(ClassEnrolment.class_id).where(ClassEnrolment.session_id == session_id)
    )
    audiences: list[agenda.Audience] = [
        *(("child", c) for c in practice.children_of(uow.session, session_id)),
        *(("class_staff", c) for c in classes),
        ("person", activity.created_by_id),
        ("school", held.base_id),
    ]
    base = uow.session.get_one(Organisation, held.base_id)
    agenda.put(
        uow,
        subject_type="session",
        subject_id=held.id,
        category="practice",
        starts_at=held.starts_at,
        ends_at=held.return_at,
        summary=Text(activity.title_zh, activity.title_en),
        location=Text(held.place_zh, held.place_en),
        geo=agenda.place(base.lat, base.lng),
        description=Text(f"集合：{held.meeting_point_zh}", f"Meet at: {held.meeting_point_en}"),
        audiences=audiences,
    )


# -- consent --------------------------------------------------------------------------------------


def _ask(
    uow: UnitOfWork,
    held: PracticeSession,
    activity: Activity,
    child_ids: Collection[int],
    *,
    announce: bool,
) -> ConsentRequest:
    zone = reminders.zone()
    at = span(held.starts_at, held.ends_at, zone)
    back = held.return_at.astimezone(zone)
    facts = Text(
        f"活动：{activity.title_zh}\n时间：{at.zh}，约{back:%H:%M}返校\n"
        f"地点：{held.place_zh}\n集合：{held.meeting_point_zh}\n"
        f"请带：{activity.bring_zh or '无需携带'}\n"
        "是否参加由您自愿决定。孩子的姓名只给带队老师，基地只知道人数和需要。",
        f"Activity: {activity.title_en}\nTime: {at.en}, back about {back:%H:%M}\n"
        f"Place: {held.place_en}\nMeet at: {held.meeting_point_en}\n"
        f"Bring: {activity.bring_en or 'nothing special'}\n"
        "Joining is your choice. Names go to the leading teachers only; the base learns counts "
        "and needs.",
    )
    rows = uow.session.scalars(
        select(Enrolment).where(Enrolment.session_id == held.id, Enrolment.child_id.in_(child_ids))
    )
    return consents.ask(
        uow,
        subject_type="session",
        subject_id=held.id,
        title=Text(activity.title_zh, activity.title_en),
        body=facts,
        due_at=min(
            max(held.starts_at - CONSENT_LEAD, uow.now + timedelta(hours=1)), held.starts_at
        ),
        children=[Asked(r.child_id, r.class_id, r.school_id) for r in rows],
        announce=announce,
    )


def consent_asked(uow: UnitOfWork, event: ConsentAsked) -> None:
    """One text per phone, with a code that opens the answers for all of its children."""
    request = uow.session.get_one(ConsentRequest, event.request_id)
    held, activity = session_news.session_of(uow, request.subject_id)
    session_news.write_to_guardians(
        uow,
        "consent_asked",
        held,
        activity,
        event.child_ids,
        version=f"{request.version}-{min(event.child_ids)}-{len(event.child_ids)}",
        request=request,
        message_class="sign",
    )


def families_nudged(uow: UnitOfWork, event: FamiliesNudged) -> None:
    """The reminder of the clock, sent because somebody pressed a button."""
    held, activity = session_news.session_of(uow, event.session_id)
    request = consents.open_request(uow.session, "session", held.id)
    if request is not None:
        session_news.write_to_guardians(
            uow,
            "consent_reminder",
            held,
            activity,
            event.child_ids,
            version=f"by-hand-{uow.now.astimezone(UTC).isoformat()}",
            request=request,
            message_class="sign",
            valid_until=request.due_at,
        )


def consent_answered(uow: UnitOfWork, event: ConsentAnswered) -> None:
    """A yes clears the child; a no gives the place to the next; disagreement waits for the teacher."""
    if event.subject_type != "session":
        return
    session_id, child = event.subject_id, event.child_id
    held = practice.lock_session(uow, session_id=session_id)
    # a class that left early is counted by its list: an answer on the way must not take a child off it
    if held.starts_at <= uow.now or practice.has_left(
        uow.session, session_id=session_id, child_id=child
    ):
        raise TooLate(
            Text(
                "活动已经开始，不能再登记答复。",
                "The session has begun; answers can no longer be noted.",
            )
        )
    # the session may have moved while this answer was on its way: a yes counts for the old time only
    consents.refuse_replaced(uow, request_id=event.request_id)
    if event.state == "given":
        practice.clear(uow, session_id=session_id, child_id=child)
    elif event.state in ("refused", "withdrawn"):
        practice.give_back(uow, session_id=session_id, child_id=child, state=event.state)
    else:
        practice.unclear(uow, session_id=session_id, child_id=child)
    uow.session.flush()  # the audiences below are read from the enrolments
    write_agenda(uow, session_id)


# -- the life of a session ------------------------------------------------------------------------


def published(uow: UnitOfWork, event: SessionPublished) -> None:
    """Its reminders stand from the start. Teachers find it in their list; a text would be noise."""
    reminders.plan(uow, event.session_id)


def class_enrolled(uow: UnitOfWork, event: ClassEnrolled) -> None:
    """Consents are asked, reminders planned, calendars written, the base told the numbers."""
    held, activity = session_news.session_of(uow, event.session_id)
    if event.enrolled:
        _ask(uow, held, activity, event.enrolled, announce=True)
    write_agenda(uow, held.id)
    reminders.plan(uow, held.id)  # the school may have rules of its own
    row = uow.session.scalars(
        select(ClassEnrolment).where(
            ClassEnrolment.session_id == held.id, ClassEnrolment.class_id == event.class_id
        )
    ).one()
    group = uow.session.get_one(ClassGroup, event.class_id)
    school = uow.session.get_one(Organisation, group.school_id)
    tell(
        uow,
        "enrolment_base",
        session_news.base_staff(uow, held.base_id),
        {
            **session_news.params_of(held, activity),
            "school": Text(school.name_zh, school.name_en),
            "class": Text(group.name_zh, group.name_en),
            "people": str(len(event.enrolled)),
            "adults": str(row.adults),
            "needs": row.needs or Text("没有特别需要。", "No special needs."),
        },
        subject=("session", held.id),
        version=f"class-{event.class_id}",
        payer=group.school_id,
    )
    session_news.invite(uow, held)


def place_given(uow: UnitOfWork, event: PlaceGiven) -> None:
    """The next in line is told, and asked."""
    held, activity = session_news.session_of(uow, event.session_id)
    request = _ask(uow, held, activity, [event.child_id], announce=False)
    if consents.state_for(uow.session, request.id, [event.child_id])[event.child_id] == "given":
        practice.clear(uow, session_id=held.id, child_id=event.child_id)
    session_news.write_to_guardians(
        uow,
        "enrolment_place",
        held,
        activity,
        [event.child_id],
        version=f"child-{event.child_id}-{uow.now.isoformat()}",  # a child may move up twice
        request=request,
        message_class="sign",
    )
    write_agenda(uow, held.id)
    reminders.plan(uow, held.id)  # the question may be a new one, with another time to answer by


def child_withdrawn(uow: UnitOfWork, event: ChildWithdrawn) -> None:
    """The calendars follow; whoever answered knows it already."""
    write_agenda(uow, event.session_id)


def moved(uow: UnitOfWork, event: SessionMoved) -> None:
    """Families once (with the question again), teachers, base and volunteers; calendars, reminders."""
    held, activity = session_news.session_of(uow, event.session_id)
    stamp = uow.now.isoformat()  # there, back and there again are three moves
    children = practice.children_of(uow.session, held.id)
    told: set[int] = set()
    if children:
        request = _ask(uow, held, activity, children, announce=False)
        for row in uow.session.scalars(
            select(Enrolment).where(Enrolment.session_id == held.id, Enrolment.state == "cleared")
        ):
            row.state = "enrolled"  # the consent was for the old time
        told = session_news.write_to_guardians(
            uow,
            "session_moved",
            held,
            activity,
            children,
            version=stamp,
            request=request,
            message_class="sign",
        )
        told |= _news_without_question(uow, held, activity, children, told, version=stamp)
    volunteering.move_shifts(
        uow, session_id=held.id, starts_at=held.starts_at, ends_at=held.return_at
    )
    uow.session.flush()  # whoever gave a shift back is told that, and not that it moved
    staff = [
        *session_news.teachers_of(uow, held.id),
        *session_news.base_staff(uow, held.base_id),
        *session_news.volunteers_of(uow, held.id),
    ]
    tell(
        uow,
        "session_moved_staff",
        [p for p in staff if p not in told],  # a parent who helps has read it already
        session_news.params_of(held, activity),
        subject=("session", held.id),
        version=stamp,
        valid_until=held.starts_at,
    )
    write_agenda(uow, held.id)
    session_news.invite(uow, held)
    for assignment in _assignments(uow, held.id):
        write_shift(uow, assignment)
    reminders.plan(uow, held.id)


def _news_without_question(
    uow: UnitOfWork,
    held: PracticeSession,
    activity: Activity,
    child_ids: Collection[int],
    told: Collection[int],
    *,
    version: str,
) -> set[int]:
    """Guardians who may know but not consent: the new time, and nothing to answer."""
    rest = [
        r
        for r in guardians_of_children(uow.session, set(child_ids), uow.now.date())
        if r.guardian_id not in told
    ]
    tell(
        uow,
        "session_moved_family",
        [r.guardian_id for r in rest],
        session_news.params_of(held, activity),
        subject=("session", held.id),
        version=version,
        own_params=session_news.own_children(uow, rest),
        valid_until=held.starts_at,
        payer=session_news.schools_of(uow, rest),
    )
    return {r.guardian_id for r in rest}


def _assignments(uow: UnitOfWork, session_id: int) -> list[int]:
    return list(
        uow.session.scalars(
            select(ShiftAssignment.id)
            .join(ShiftNeed, ShiftNeed.id == ShiftAssignment.need_id)
            .where(ShiftNeed.session_id == session_id, ShiftAssignment.state.in_(HELD))
            .order_by(ShiftAssignment.id)
        )
    )


def cancelled(uow: UnitOfWork, event: SessionCancelled) -> None:
    """Everybody once, with the reason; entries become tombstones, reminders and shifts end."""
    held, activity = session_news.session_of(uow, event.session_id)
    children = practice.children_of(uow.session, held.id, (*practice.GOING, "waiting"))
    guardians = guardians_of_children(uow.session, set(children), uow.now.date())
    everybody = [
        *(r.guardian_id for r in guardians),
        *session_news.teachers_of(uow, held.id),
        *session_news.base_staff(uow, held.base_id),
        *session_news.volunteers_of(uow, held.id),
    ]
    tell(
        uow,
        "session_cancelled",
        everybody,
        session_news.params_of(held, activity),
        subject=("session", held.id),
        version="1",
        message_class="urgent",
        valid_until=held.starts_at,
        payer=session_news.schools_of(uow, guardians),
    )
    agenda.cancel(uow, subject_type="session", subject_id=held.id)
    invitations.send(uow, "session", held.id, ())
    for shift in volunteering.cancel_shifts(uow, session_id=held.id):
        agenda.cancel(uow, subject_type="shift", subject_id=shift)
    reminders.drop(uow, held.id)
    for row in uow.session.scalars(
        select(Enrolment).where(
            Enrolment.session_id == held.id, Enrolment.state.in_((*practice.GOING, "waiting"))
        )
    ):
        row.state, row.position = "cancelled", None
    # the codes stay: whoever opens an old message reads that it is cancelled
    consents.close(uow, subject_type="session", subject_id=held.id)
