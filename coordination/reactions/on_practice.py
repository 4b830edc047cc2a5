"""What follows from practice-base sessions: consents, calendars, reminders, texts to each side.

Guardians are told about their own children only; the base gets counts and needs, never names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, or_, select

from coordination.domain.agenda import services as agenda
from coordination.domain.consents import services as consents
from coordination.domain.consents.events import ConsentAnswered, ConsentAsked
from coordination.domain.consents.models import ConsentRequest
from coordination.domain.consents.services import Asked
from coordination.domain.people import links
from coordination.domain.people.models import ClassGroup, Membership, Organisation, Person
from coordination.domain.people.recipients import Recipient, guardians_of_children
from coordination.domain.practice import reminding
from coordination.domain.practice import services as practice
from coordination.domain.practice.events import (
    ChildWithdrawn,
    ClassEnrolled,
    FamiliesNudged,
    PlaceGiven,
    ReminderRulesChanged,
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
from coordination.domain.practice.reminding import Place
from coordination.domain.practice.rules import reason_in_words
from coordination.domain.volunteering import services as volunteering
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed
from coordination.domain.volunteering.services import HELD
from coordination.ground.errors import TooLate
from coordination.ground.text import Text, mask_name
from coordination.ground.uow import UnitOfWork
from coordination.reactions import invitations, reminders
from coordination.reactions.notices import tell
from coordination.reactions.on_volunteering import write_shift
from coordination.reactions.wording import span, when
from notifications.values import MessageClass

CONSENT_LEAD = timedelta(hours=24)


# -- what a session is, in words ------------------------------------------------------------------


def _session(uow: UnitOfWork, session_id: int) -> tuple[PracticeSession, Activity]:
    held = uow.session.get_one(PracticeSession, session_id)
    return held, uow.session.get_one(Activity, held.activity_id)


def _params(held: PracticeSession, activity: Activity) -> dict[str, Text | str]:
    zone = reminders.zone()
    back = held.return_at.astimezone(zone)
    return {
        "activity": Text(activity.title_zh, activity.title_en),
        "when": when(held.starts_at, zone),
        "meet": Text(held.meeting_point_zh, held.meeting_point_en),
        "back": f"{back.hour:02d}:{back.minute:02d}",
        "bring": Text(activity.bring_zh or "无需携带", activity.bring_en or "nothing special"),
        "reason": reason_in_words(held.cancel_reason, held.cancel_note_zh, held.cancel_note_en)
        or "—",
    }


def _own(
    uow: UnitOfWork, recipients: Collection[Recipient]
) -> Mapping[int, Mapping[str, Text | str]]:
    """Per guardian: their children, masked, and the children's school."""
    ids = {c for r in recipients for c in r.child_ids}
    rows = uow.session.execute(
        select(Person.id, Person.name, Organisation.name_zh, Organisation.name_en)
        .join(Organisation, Organisation.id == Person.school_id)
        .where(Person.id.in_(ids))
    )
    known = {i: (name, Text(zh, en)) for i, name, zh, en in rows}
    own: dict[int, Mapping[str, Text | str]] = {}
    for recipient in recipients:
        mine = [known[c] for c in recipient.child_ids if c in known]
        names = [mask_name(name) for name, _ in mine]
        own[recipient.guardian_id] = {
            "children": Text("、".join(names), ", ".join(names)),
            "school": mine[0][1] if mine else Text("学校", "School"),
        }
    return own


def _schools(uow: UnitOfWork, recipients: Collection[Recipient]) -> dict[int, int]:
    """Per guardian the school of their children, on whose account the text is counted."""
    rows = uow.session.execute(
        select(Person.id, Person.school_id).where(
            Person.id.in_({c for r in recipients for c in r.child_ids})
        )
    )
    school_of = {child: school for child, school in rows if school is not None}
    return {
        r.guardian_id: school_of[child]
        for r in recipients
        for child in r.child_ids[:1]
        if child in school_of
    }


def _teachers(
    uow: UnitOfWork, session_id: int, class_ids: Collection[int] | None = None
) -> list[int]:
    """Class teachers of the classes that are signed up; of some of them only, if given."""
    classes = select(ClassEnrolment.class_id).where(ClassEnrolment.session_id == session_id)
    if class_ids is not None:
        classes = classes.where(ClassEnrolment.class_id.in_(class_ids))
    return list(
        uow.session.scalars(
            select(Membership.person_id)
            .where(
                Membership.role == "class_teacher",
                Membership.class_id.in_(classes),
                or_(Membership.ends_on.is_(None), Membership.ends_on >= uow.now.date()),
            )
            .order_by(Membership.person_id)
        )
    )


def _base_staff(uow: UnitOfWork, base_id: int) -> list[int]:
    return list(
        uow.session.scalars(
            select(Membership.person_id)
            .where(Membership.org_id == base_id, Membership.role == "partner_staff")
            .order_by(Membership.person_id)
        )
    )


def _invite(uow: UnitOfWork, held: PracticeSession) -> None:
    invitations.send(
        uow, "session", held.id, [*_teachers(uow, held.id), *_base_staff(uow, held.base_id)]
    )


def _volunteers(uow: UnitOfWork, session_id: int) -> list[int]:
    return list(
        uow.session.scalars(
            select(ShiftAssignment.person_id)
            .join(ShiftNeed, ShiftNeed.id == ShiftAssignment.need_id)
            .where(ShiftNeed.session_id == session_id, ShiftAssignment.state.in_(HELD))
            .order_by(ShiftAssignment.id)
        )
    )


def write_agenda(uow: UnitOfWork, session_id: int) -> None:
    """The session in the calendars of exactly the children who go, their classes' staff, the base."""
    held, activity = _session(uow, session_id)
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


def _write_to_guardians(
    uow: UnitOfWork,
    key: str,
    held: PracticeSession,
    activity: Activity,
    child_ids: Collection[int],
    *,
    version: str,
    request: ConsentRequest | None = None,
    message_class: MessageClass = "info",
    once_as: str | None = None,
    valid_until: datetime | None = None,
) -> set[int]:
    """Tell the guardians of these children; who was told, so that nobody is told twice."""
    recipients = concerned = guardians_of_children(uow.session, set(child_ids), uow.now.date())
    params = _params(held, activity)
    codes: dict[int, str] = {}
    if request is not None:
        params["due"] = when(request.due_at, reminders.zone())
        # a question goes to whom may answer it; per phone the first of them gets the code
        may_answer = consents.who_may_answer(uow.session, child_ids, uow.now.date())
        first_of: dict[str, Recipient] = {}
        for recipient in [r for r in recipients if r.guardian_id in may_answer]:
            first_of.setdefault(recipient.household_key, recipient)
        codes = {
            r.guardian_id: links.issue(
                uow, r.guardian_id, "consent", request.id, expires_at=held.return_at
            )
            for r in first_of.values()
        }
        recipients = list(first_of.values())
    tell(
        uow,
        key,
        [r.guardian_id for r in recipients],
        params,
        subject=("session", held.id),
        version=version,
        message_class=message_class,
        codes=codes,
        own_params=_own(uow, recipients),
        valid_until=valid_until or held.starts_at,
        once_as=once_as,
        payer=_schools(uow, recipients),
    )
    phones = {r.household_key for r in recipients}
    return {r.guardian_id for r in concerned if r.household_key in phones}


def consent_asked(uow: UnitOfWork, event: ConsentAsked) -> None:
    """One text per phone, with a code that opens the answers for all of its children."""
    request = uow.session.get_one(ConsentRequest, event.request_id)
    held, activity = _session(uow, request.subject_id)
    _write_to_guardians(
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
    held, activity = _session(uow, event.session_id)
    request = consents.open_request(uow.session, "session", held.id)
    if request is not None:
        _write_to_guardians(
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
    held, activity = _session(uow, event.session_id)
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
        _base_staff(uow, held.base_id),
        {
            **_params(held, activity),
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
    _invite(uow, held)


def place_given(uow: UnitOfWork, event: PlaceGiven) -> None:
    """The next in line is told, and asked."""
    held, activity = _session(uow, event.session_id)
    request = _ask(uow, held, activity, [event.child_id], announce=False)
    if consents.state_for(uow.session, request.id, [event.child_id])[event.child_id] == "given":
        practice.clear(uow, session_id=held.id, child_id=event.child_id)
    _write_to_guardians(
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
    held, activity = _session(uow, event.session_id)
    stamp = uow.now.isoformat()  # there, back and there again are three moves
    children = practice.children_of(uow.session, held.id)
    told: set[int] = set()
    if children:
        request = _ask(uow, held, activity, children, announce=False)
        for row in uow.session.scalars(
            select(Enrolment).where(Enrolment.session_id == held.id, Enrolment.state == "cleared")
        ):
            row.state = "enrolled"  # the consent was for the old time
        told = _write_to_guardians(
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
        *_teachers(uow, held.id),
        *_base_staff(uow, held.base_id),
        *_volunteers(uow, held.id),
    ]
    tell(
        uow,
        "session_moved_staff",
        [p for p in staff if p not in told],  # a parent who helps has read it already
        _params(held, activity),
        subject=("session", held.id),
        version=stamp,
        valid_until=held.starts_at,
    )
    write_agenda(uow, held.id)
    _invite(uow, held)
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
        _params(held, activity),
        subject=("session", held.id),
        version=version,
        own_params=_own(uow, rest),
        valid_until=held.starts_at,
        payer=_schools(uow, rest),
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
    held, activity = _session(uow, event.session_id)
    children = practice.children_of(uow.session, held.id, (*practice.GOING, "waiting"))
    guardians = guardians_of_children(uow.session, set(children), uow.now.date())
    everybody = [
        *(r.guardian_id for r in guardians),
        *_teachers(uow, held.id),
        *_base_staff(uow, held.base_id),
        *_volunteers(uow, held.id),
    ]
    tell(
        uow,
        "session_cancelled",
        everybody,
        _params(held, activity),
        subject=("session", held.id),
        version="1",
        message_class="urgent",
        valid_until=held.starts_at,
        payer=_schools(uow, guardians),
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


# -- reminders ------------------------------------------------------------------------------------

# one text per phone, session and minute, whatever it reminds of
_REMINDER = "reminder"


def rules_changed(uow: UnitOfWork, event: ReminderRulesChanged) -> None:
    """What is still to be reminded of follows the new rules; what was reminded of stays."""
    done = reminders.plan_all(uow, Place(event.scope, event.place_id))
    uow.trail.line(
        "change",
        "reminder",
        None,
        None,
        {
            "scope": event.scope,
            "place_id": event.place_id,
            "written": done.written,
            "cancelled": done.cancelled,
        },
    )


@dataclass(slots=True)
class _Reach:
    """Whom one kind of reminder means in a session: all classes, or those of some schools."""

    everybody: bool = False
    rest: bool = False  # the classes of schools without rules of their own, and the helpers
    schools: set[int] = field(default_factory=set)

    @property
    def helpers(self) -> bool:
        return self.everybody or self.rest

    def classes(self, rows: Collection[ClassEnrolment], own: Collection[int]) -> list[int]:
        """The classes meant, of those signed up; `own` are schools with rules of their own."""
        return [
            r.class_id
            for r in rows
            if self.everybody
            or r.school_id in self.schools
            or (self.rest and r.school_id not in own)
        ]


def remind(uow: UnitOfWork, session_id: int, due: datetime) -> None:
    """What is due at this instant, re-checked now: only who still goes, only if it takes place."""
    held, activity = _session(uow, session_id)
    if held.state in ("planned", *reminding.OVER):
        return
    meant: dict[str, _Reach] = defaultdict(_Reach)
    for call in reminders.calls(uow.session, session_id, due, uow.now):
        for audience in _PARTS.get(call.audience, (call.audience,)):
            reach = meant[audience]
            reach.everybody |= call.scope == "activity"
            reach.rest |= call.scope == "district"
            if call.school_id is not None:
                reach.schools.add(call.school_id)
    rows = uow.session.scalars(
        select(ClassEnrolment).where(ClassEnrolment.session_id == session_id)
    ).all()
    own = reminding.schools_with_rules(uow.session, {r.school_id for r in rows})
    told: set[int] = set()
    # whoever is asked for an answer needs no other text in the same minute
    for audience, write in _WRITE.items():
        if audience in meant:
            classes = meant[audience].classes(rows, own)
            told |= write(
                uow, _Now(held, activity, due, classes, meant[audience].helpers, frozenset(told))
            )


@dataclass(frozen=True, slots=True)
class _Now:
    """A reminder that is due: for which classes, and who has been told something this minute."""

    held: PracticeSession
    activity: Activity
    due: datetime
    class_ids: Sequence[int]
    helpers: bool
    told: frozenset[int]

    @property
    def version(self) -> str:
        """One text a minute; the rule's scope is not in it, so changing hands reminds nobody twice."""
        return self.due.astimezone(UTC).isoformat()


def _going(uow: UnitOfWork, now: _Now, states: Collection[str] = practice.GOING) -> list[int]:
    """Children of the classes meant who are in these states."""
    return list(
        uow.session.scalars(
            select(Enrolment.child_id)
            .where(
                Enrolment.session_id == now.held.id,
                Enrolment.class_id.in_(now.class_ids),
                Enrolment.state.in_(states),
            )
            .order_by(Enrolment.id)
        )
    )


def _remind_silent(uow: UnitOfWork, now: _Now) -> set[int]:
    """Families of whom no answer has come, with a code to answer by."""
    request = consents.open_request(uow.session, "session", now.held.id)
    if request is None or request.state != "open" or request.due_at <= uow.now:
        return set()
    children = _going(uow, now)
    states = consents.state_for(uow.session, request.id, children)
    return _write_to_guardians(
        uow,
        "consent_reminder",
        now.held,
        now.activity,
        [c for c in children if states[c] == "no_answer"],
        version=now.version,
        request=request,
        message_class="sign",
        once_as=_REMINDER,
        valid_until=request.due_at,
    )


def _remind_families(uow: UnitOfWork, now: _Now) -> set[int]:
    """When, where, what to bring."""
    return _write_to_guardians(
        uow,
        "session_reminder",
        now.held,
        now.activity,
        _going(uow, now),
        version=now.version,
        once_as=_REMINDER,
    )


def _remind_staff(uow: UnitOfWork, now: _Now) -> set[int]:
    """Class teachers and helpers, with the number of children; nobody if no child goes."""
    count = len(practice.children_of(uow.session, now.held.id))
    if not count:
        return set()
    staff = _teachers(uow, now.held.id, now.class_ids)
    if now.helpers:
        staff += _volunteers(uow, now.held.id)
    tell(
        uow,
        "session_reminder_staff",
        [p for p in staff if p not in now.told],
        {**_params(now.held, now.activity), "people": str(count)},
        subject=("session", now.held.id),
        version=now.version,
        valid_until=now.held.starts_at,
        once_as=_REMINDER,
    )
    return set(staff)


def _remind_pickup(uow: UnitOfWork, now: _Now) -> set[int]:
    """Families of the children who are on their way back; whoever was absent is at home."""
    return _write_to_guardians(
        uow,
        "session_return",
        now.held,
        now.activity,
        _going(uow, now, practice.PLACED),
        version=now.version,
        once_as=_REMINDER,
        valid_until=now.held.return_at,
    )


def _remind_roll(uow: UnitOfWork, now: _Now) -> set[int]:
    """Class teachers some of whose children nobody has marked."""
    unmarked = uow.session.execute(
        select(ClassGroup, func.count())
        .join(Enrolment, Enrolment.class_id == ClassGroup.id)
        .where(
            Enrolment.session_id == now.held.id,
            Enrolment.class_id.in_(now.class_ids),
            Enrolment.state.in_(practice.GOING),
        )
        .group_by(ClassGroup.id)
        .order_by(ClassGroup.id)
    )
    rolls: dict[int, list[tuple[ClassGroup, int]]] = defaultdict(list)
    for group, count in unmarked:
        for teacher in _teachers(uow, now.held.id, [group.id]):
            rolls[teacher].append((group, count))
    tell(
        uow,
        "session_roll",
        rolls,
        _params(now.held, now.activity),
        subject=("session", now.held.id),
        version=now.version,
        own_params={
            teacher: {
                "class": Text(
                    "、".join(g.name_zh for g, _ in open_), ", ".join(g.name_en for g, _ in open_)
                ),
                "people": str(sum(count for _, count in open_)),
            }
            for teacher, open_ in rolls.items()
        },
        once_as=_REMINDER,
        valid_until=now.due + timedelta(days=1),
    )
    return set(rolls)


# an audience that is two; and who writes to each, the first of them first
_PARTS = {"everybody": ("families", "staff")}
_WRITE: Mapping[str, Callable[[UnitOfWork, _Now], set[int]]] = {
    "silent": _remind_silent,
    "families": _remind_families,
    "pickup": _remind_pickup,
    "unmarked": _remind_roll,
    "staff": _remind_staff,
}

reminders.answers_for(reminders.SESSION, remind)
