"""Reads of volunteer shifts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.visibility import where_visible
from coordination.domain.people.models import Person
from coordination.domain.practice.models import Activity, PracticeSession
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed
from coordination.domain.volunteering.services import CAME, HELD, is_held_back
from coordination.ground.actor import Actor


@dataclass(frozen=True, slots=True)
class ShiftLine:
    """A shift with the session it belongs to, and whether the actor has it."""

    need: ShiftNeed
    session: PracticeSession
    activity: Activity
    mine: bool


def shifts_ahead(session: Session, actor: Actor, now: datetime) -> list[ShiftLine]:
    """Open shifts to come, soonest first; none for somebody a custody limit keeps away."""
    if is_held_back(session, actor.person_id, now.date()):
        return []
    rows = session.execute(
        select(ShiftNeed, PracticeSession, Activity)
        .join(PracticeSession, PracticeSession.id == ShiftNeed.session_id)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .where(
            where_visible(ShiftNeed, actor, Action.SHIFT_READ),
            ShiftNeed.starts_at > now,
            ShiftNeed.state == "open",
            PracticeSession.state.in_(("open", "closed", "ready")),
        )
        .order_by(ShiftNeed.starts_at, ShiftNeed.id)
        .limit(100)
    ).all()
    mine = set(
        session.scalars(
            select(ShiftAssignment.need_id).where(
                ShiftAssignment.person_id == actor.person_id, ShiftAssignment.state.in_(HELD)
            )
        )
    )
    return [ShiftLine(n, s, a, n.id in mine) for n, s, a in rows]


def shifts_of_session(session: Session, session_id: int) -> list[tuple[ShiftNeed, list[str]]]:
    """The shifts of a session with the names of those who come."""
    needs = session.scalars(
        select(ShiftNeed).where(ShiftNeed.session_id == session_id).order_by(ShiftNeed.id)
    ).all()
    names: dict[int, list[str]] = {n.id: [] for n in needs}
    for need_id, name in session.execute(
        select(ShiftAssignment.need_id, Person.name)
        .join(Person, Person.id == ShiftAssignment.person_id)
        .where(ShiftAssignment.need_id.in_(names), ShiftAssignment.state.in_(CAME))
        .order_by(ShiftAssignment.id)
    ):
        names[need_id].append(name)
    return [(n, names[n.id]) for n in needs]
