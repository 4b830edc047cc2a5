"""What the confirmed time of volunteers comes to (B162), by organiser, base or class. Numbers, no names.

The district sees everybody; a school those who have a child in one of its classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, aliased

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.authz.visibility import where_visible
from coordination.domain.people.models import ClassGroup, ClassMember, Guardianship, Organisation
from coordination.domain.people.recipients import guards_on, member_on
from coordination.domain.practice.hour_rules import Stretch
from coordination.domain.practice.models import Activity, PracticeSession
from coordination.domain.volunteering.models import ShiftNeed, ShiftTime
from coordination.ground.actor import Actor
from coordination.ground.errors import Forbidden
from coordination.ground.text import Text

BY = ("organiser", "base", "class")


@dataclass(frozen=True, slots=True)
class Sum:
    """One organiser, base or class: how many people came how often for how long."""

    code: str
    name: Text
    volunteers: int
    services: int
    minutes: int


def sums(
    session: Session, actor: Actor, *, by: str, stretch: Stretch, today: date, zone: ZoneInfo
) -> list[Sum]:
    """The confirmed time of a term, the most first; Forbidden to those who neither plan nor lead a school."""
    if not may_sum(actor):
        raise Forbidden()
    whole = allowed(actor, Action.SHIFT_SUM)
    counted = (
        ShiftTime.minutes > 0,
        func.date(func.timezone(zone.key, ShiftNeed.starts_at)).between(
            stretch.first, stretch.last
        ),
    )
    people, services, minutes = (
        func.count(ShiftTime.person_id.distinct()),
        func.count(ShiftTime.id.distinct()),
        func.sum(ShiftTime.minutes),
    )
    query: Select[*tuple[object, ...]]
    if by == "class":
        # of two children in one class their parent is one volunteer: each time is taken once
        of = _of_classes(actor, today).subquery("of")
        school = aliased(Organisation)
        query = (
            select(
                ClassGroup.source_id,
                school.name_zh + " " + ClassGroup.name_zh,
                school.name_en + " " + ClassGroup.name_en,
                people,
                services,
                minutes,
            )
            .select_from(ShiftTime)
            .join(ShiftNeed, ShiftNeed.id == ShiftTime.need_id)
            .join(of, of.c.guardian_id == ShiftTime.person_id)
            .join(ClassGroup, ClassGroup.id == of.c.class_id)
            .join(school, school.id == ClassGroup.school_id)
            .group_by(ClassGroup.id, school.id)
        )
    else:
        place = PracticeSession.base_id if by == "base" else Activity.organiser_id
        query = (
            select(
                Organisation.code,
                Organisation.name_zh,
                Organisation.name_en,
                people,
                services,
                minutes,
            )
            .select_from(ShiftTime)
            .join(ShiftNeed, ShiftNeed.id == ShiftTime.need_id)
            .join(PracticeSession, PracticeSession.id == ShiftNeed.session_id)
            .join(Activity, Activity.id == PracticeSession.activity_id)
            .join(Organisation, Organisation.id == place)
            .where(*_ours(actor, today, whole=whole))
            .group_by(Organisation.id)
        )
    rows = session.execute(query.where(*counted)).all()
    found = [
        Sum(code or "", Text(zh, en), volunteers, times, int(spent or 0))
        for code, zh, en, volunteers, times, spent in rows
    ]
    return sorted(found, key=lambda s: (-s.minutes, s.name.zh))


def may_sum(actor: Actor) -> bool:
    """Whether there is anything for the actor to add up."""
    return allowed(actor, Action.SHIFT_SUM) or any(
        allowed(actor, Action.SHIFT_SUM, Scope(school=org)) for org in actor.orgs()
    )


def _of_classes(actor: Actor, today: date) -> Select[int, int]:
    """Guardians with the classes of their children, as far as the viewer may count them."""
    return (
        select(Guardianship.guardian_id, ClassMember.class_id)
        .join(ClassMember, ClassMember.person_id == Guardianship.child_id)
        .join(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .where(
            guards_on(today),
            member_on(today),
            Guardianship.no_disclosure.is_(False),
            where_visible(ClassGroup, actor, Action.SHIFT_SUM),
        )
        .distinct()
    )


def _ours(actor: Actor, today: date, *, whole: bool) -> tuple[ColumnElement[bool], ...]:
    if whole:
        return ()
    of = _of_classes(actor, today).subquery("of")
    return (ShiftTime.person_id.in_(select(of.c.guardian_id)),)
