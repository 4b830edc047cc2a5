"""Reads of activities and sessions. Who sees names is decided by row visibility of enrolments."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import any_, func, or_, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.visibility import visible, where_visible
from coordination.domain.consents import services as consents
from coordination.domain.consents.models import ConsentRequest
from coordination.domain.people.contacts import masks_of
from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.domain.people.recipients import guardians_of_children
from coordination.domain.practice.models import (
    Activity,
    Attendance,
    ClassEnrolment,
    Enrolment,
    PracticeSession,
)
from coordination.domain.practice.services import OPEN
from coordination.ground import clock
from coordination.ground.actor import Actor, Role
from coordination.ground.errors import NotFound


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A session in a list."""

    session: PracticeSession
    activity: Activity
    base: Organisation
    waiting: int


@dataclass(frozen=True, slots=True)
class ClassLine:
    """A class in a session: numbers only, fit for the base too."""

    enrolment: ClassEnrolment
    group: ClassGroup
    school: Organisation
    placed: int
    waiting: int


@dataclass(frozen=True, slots=True)
class ChildLine:
    """A child in a session, for its own school."""

    enrolment: Enrolment
    name: str
    consent: str
    attendance: str | None
    phones: tuple[tuple[str, str], ...]


def sessions_ahead(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    base_ids: Collection[int] = (),
    limit: int = 50,
) -> list[SessionLine]:
    """Sessions that are still to come, soonest first; of some bases only, if given."""
    query = (
        select(PracticeSession, Activity, Organisation)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .join(Organisation, Organisation.id == PracticeSession.base_id)
        .where(
            where_visible(Activity, actor, Action.ACTIVITY_READ),
            PracticeSession.return_at > now,
        )
        .order_by(PracticeSession.starts_at)
        .limit(limit)
    )
    if base_ids:
        query = query.where(PracticeSession.base_id.in_(base_ids))
    rows = session.execute(query).all()
    waiting = {
        sid: count
        for sid, count in session.execute(
            select(Enrolment.session_id, func.count())
            .where(
                Enrolment.session_id.in_([s.id for s, _, _ in rows]), Enrolment.state == "waiting"
            )
            .group_by(Enrolment.session_id)
        )
    }
    return [SessionLine(s, a, b, waiting.get(s.id, 0)) for s, a, b in rows]


def sessions_open_to(
    session: Session, actor: Actor, now: datetime, *, limit: int = 5
) -> list[SessionLine]:
    """Sessions that a class teacher can still sign a class of theirs up for, soonest closing first.

    A class of another grade than the activity's, or one that is signed up already, asks for nothing.
    """
    if not actor.class_ids:
        return []
    signed_up = (
        select(ClassEnrolment.id)
        .where(
            ClassEnrolment.session_id == PracticeSession.id,
            ClassEnrolment.class_id == ClassGroup.id,
        )
        .correlate(PracticeSession, ClassGroup)
    )
    fitting = select(ClassGroup.id).where(
        ClassGroup.id.in_(actor.class_ids),
        or_(ClassGroup.grade.is_(None), ClassGroup.grade == any_(Activity.grades)),
        ~signed_up.exists(),
    )
    rows = session.execute(
        select(PracticeSession, Activity, Organisation)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .join(Organisation, Organisation.id == PracticeSession.base_id)
        .where(
            where_visible(Activity, actor, Action.ACTIVITY_READ),
            PracticeSession.state == "open",
            PracticeSession.signup_until > now,
            fitting.exists(),
        )
        .order_by(PracticeSession.signup_until, PracticeSession.id)
        .limit(limit)
    )
    return [SessionLine(s, a, b, 0) for s, a, b in rows]


def sessions_to_prepare(
    session: Session, actor: Actor, now: datetime, until: datetime, *, limit: int = 10
) -> list[SessionLine]:
    """Sessions that leave before `until`: all for who plans them, for others those of their classes."""
    query = (
        select(PracticeSession, Activity, Organisation)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .join(Organisation, Organisation.id == PracticeSession.base_id)
        .where(
            PracticeSession.state.in_(OPEN),
            PracticeSession.starts_at > now,
            PracticeSession.starts_at <= until,
        )
        .order_by(PracticeSession.starts_at, PracticeSession.id)
        .limit(limit)
    )
    if not allowed(actor, Action.ACTIVITY_PLAN):
        own = select(ClassEnrolment.session_id).where(
            where_visible(ClassEnrolment, actor, Action.ENROLMENT_CLASS)
        )
        query = query.where(PracticeSession.id.in_(own))
    return [SessionLine(s, a, b, 0) for s, a, b in session.execute(query)]


def activities(session: Session, actor: Actor) -> list[tuple[Activity, Organisation, int]]:
    """Activities with their base and the number of sessions."""
    counts = {
        activity: count
        for activity, count in session.execute(
            select(PracticeSession.activity_id, func.count()).group_by(PracticeSession.activity_id)
        )
    }
    rows = session.execute(
        select(Activity, Organisation)
        .join(Organisation, Organisation.id == Activity.base_id)
        .where(where_visible(Activity, actor, Action.ACTIVITY_READ))
        .order_by(Activity.id.desc())
        .limit(100)
    )
    return [(a, b, counts.get(a.id, 0)) for a, b in rows]


def schools_administered(session: Session, actor: Actor) -> list[Organisation]:
    """The schools for whose classes the actor may set rules."""
    return list(
        session.scalars(
            select(Organisation)
            .where(
                Organisation.id.in_(actor.orgs(Role.SCHOOL_ADMIN)),
                Organisation.kind == "school",
                Organisation.active.is_(True),
            )
            .order_by(Organisation.id)
        )
    )


def session_of(session: Session, actor: Actor, session_id: int) -> SessionLine:
    """One session."""
    row = session.execute(
        select(PracticeSession, Activity, Organisation)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .join(Organisation, Organisation.id == PracticeSession.base_id)
        .where(
            PracticeSession.id == session_id, where_visible(Activity, actor, Action.ACTIVITY_READ)
        )
    ).one_or_none()
    bases = actor.orgs(Role.PARTNER_STAFF)
    # a partner who is nothing else sees the sessions of its own base only
    if row is None or (bases and actor.orgs() == bases and row[0].base_id not in bases):
        raise NotFound()
    waiting = session.scalar(
        select(func.count())
        .select_from(Enrolment)
        .where(Enrolment.session_id == session_id, Enrolment.state == "waiting")
    )
    return SessionLine(row[0], row[1], row[2], waiting or 0)


def may_see_class(actor: Actor, line: SessionLine, row: ClassLine) -> bool:
    """Numbers and needs of a class: for its own school, the planners, and the base that hosts it."""
    return (
        allowed(actor, Action.ACTIVITY_PLAN)
        or allowed(actor, Action.ENROLMENT_READ, row.enrolment)
        or line.session.base_id in actor.orgs(Role.PARTNER_STAFF)
    )


def activity_of(session: Session, actor: Actor, activity_id: int) -> Activity:
    """One activity."""
    found = session.scalar(
        visible(Activity, actor, Action.ACTIVITY_READ).where(Activity.id == activity_id)
    )
    if found is None:
        raise NotFound()
    return found


def bases(session: Session) -> list[Organisation]:
    """Partners that can host an activity."""
    return list(
        session.scalars(
            select(Organisation)
            .where(Organisation.kind == "partner", Organisation.active.is_(True))
            .order_by(Organisation.id)
        )
    )


def classes_in(session: Session, session_id: int) -> list[ClassLine]:
    """The classes of a session with their numbers."""
    rows = session.execute(
        select(ClassEnrolment, ClassGroup, Organisation)
        .join(ClassGroup, ClassGroup.id == ClassEnrolment.class_id)
        .join(Organisation, Organisation.id == ClassEnrolment.school_id)
        .where(ClassEnrolment.session_id == session_id)
        .order_by(ClassEnrolment.id)
    ).all()
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for class_id, state, count in session.execute(
        select(Enrolment.class_id, Enrolment.state, func.count())
        .where(Enrolment.session_id == session_id)
        .group_by(Enrolment.class_id, Enrolment.state)
    ):
        counts[class_id][state] += count
    return [
        ClassLine(
            e,
            g,
            o,
            sum(counts[g.id][s] for s in ("enrolled", "cleared", "attended", "absent")),
            counts[g.id]["waiting"],
        )
        for e, g, o in rows
    ]


def consent_counts(session: Session, session_id: int) -> Counter[str]:
    """How many children stand in which state of consent, over all schools: numbers only."""
    request = consents.open_request(session, "session", session_id)
    if request is None:
        return Counter()
    children = session.scalars(
        select(Enrolment.child_id).where(
            Enrolment.session_id == session_id,
            Enrolment.state.not_in(("waiting", "cancelled", "lapsed")),
        )
    ).all()
    return Counter(consents.state_for(session, request.id, children).values())


def children_in(session: Session, actor: Actor, session_id: int) -> list[ChildLine]:
    """The children the actor may see by name, with consent and the family's masked phones."""
    rows = session.execute(
        select(Enrolment, Person.name)
        .join(Person, Person.id == Enrolment.child_id)
        .where(
            Enrolment.session_id == session_id,
            where_visible(Enrolment, actor, Action.ENROLMENT_CLASS),
        )
        .order_by(Enrolment.state == "waiting", Person.pinyin, Person.id)
    ).all()
    ids = [e.child_id for e, _ in rows]
    request: ConsentRequest | None = consents.open_request(session, "session", session_id)
    states = consents.state_for(session, request.id, ids) if request else {}
    marks = {
        e: m
        for e, m in session.execute(
            select(Attendance.enrolment_id, Attendance.status).where(
                Attendance.enrolment_id.in_([e.id for e, _ in rows])
            )
        )
    }
    phones: dict[int, list[tuple[str, str]]] = defaultdict(list)
    guardians = guardians_of_children(session, ids, clock.now().date())
    masks = masks_of(session, [g.guardian_id for g in guardians])
    for guardian in guardians:
        for child in guardian.child_ids:
            phones[child].append((guardian.name, masks.get(guardian.guardian_id, "")))
    return [
        ChildLine(
            e, name, states.get(e.child_id, "no_answer"), marks.get(e.id), tuple(phones[e.child_id])
        )
        for e, name in rows
    ]


def classes_to_enrol(session: Session, actor: Actor) -> list[ClassGroup]:
    """Classes the actor may sign up."""
    return list(
        session.scalars(
            visible(ClassGroup, actor, Action.ENROLMENT_CLASS)
            .where(ClassGroup.active.is_(True))
            .order_by(ClassGroup.grade, ClassGroup.id)
            .limit(200)
        )
    )


def own_children_in(
    session: Session, actor: Actor, now: datetime
) -> list[tuple[PracticeSession, Activity, str, str]]:
    """A guardian's children in sessions to come: (session, activity, child's name, state)."""
    rows = session.execute(
        select(PracticeSession, Activity, Person.name, Enrolment.state)
        .join(Enrolment, Enrolment.session_id == PracticeSession.id)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .join(Person, Person.id == Enrolment.child_id)
        .where(
            Enrolment.child_id.in_(actor.child_ids),
            PracticeSession.return_at > now,
        )
        .order_by(PracticeSession.starts_at, Person.id)
    )
    return [(s, a, n, st) for s, a, n, st in rows]
