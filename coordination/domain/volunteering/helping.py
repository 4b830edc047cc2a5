"""A helper on the day: counts the class in which an own child goes, by name, and does nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.practice.headcount import counting, stages
from coordination.domain.practice.headcount.counting import Tap
from coordination.domain.practice.headcount.watching import OutToday, out_today
from coordination.domain.practice.models import Enrolment
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed
from coordination.domain.volunteering.services import HELD, is_held_back
from coordination.ground.actor import Actor
from coordination.ground.errors import NotFound
from coordination.ground.uow import UnitOfWork


def shift_of(session: Session, actor: Actor, session_id: int) -> ShiftAssignment | None:
    """The actor's shift in a session; none for somebody a custody limit keeps away since."""
    return session.scalar(
        select(ShiftAssignment)
        .join(ShiftNeed, ShiftNeed.id == ShiftAssignment.need_id)
        .where(
            ShiftNeed.session_id == session_id,
            ShiftAssignment.person_id == actor.person_id,
            ShiftAssignment.state.in_(HELD),
        )
    )


def classes_helped(session: Session, actor: Actor, session_id: int, now: datetime) -> set[int]:
    """The classes a helper may count: those of own children who go. Others stay numbers to them."""
    if not actor.child_ids or is_held_back(session, actor.person_id, now.date()):
        return set()
    if shift_of(session, actor, session_id) is None:
        return set()
    return set(
        session.scalars(
            select(Enrolment.class_id).where(
                Enrolment.session_id == session_id,
                Enrolment.child_id.in_(actor.child_ids),
                Enrolment.state.in_(counting.LISTED),
            )
        )
    )


def helped_today(session: Session, actor: Actor, now: datetime) -> list[OutToday]:
    """The classes that the actor helps to count today."""
    if not actor.child_ids:
        return []
    sessions = session.scalars(
        select(ShiftNeed.session_id)
        .join(ShiftAssignment, ShiftAssignment.need_id == ShiftNeed.id)
        .where(
            ShiftAssignment.person_id == actor.person_id,
            ShiftAssignment.state.in_(HELD),
            ShiftNeed.starts_at < now + timedelta(hours=24),
            ShiftNeed.ends_at > now - stages.DAY_LASTS,
        )
    )
    return [
        one
        for session_id in sessions
        for one in out_today(
            session, classes_helped(session, actor, session_id, now), now, [session_id]
        )
    ]


def keep_marks_as_helper(
    uow: UnitOfWork,
    *,
    session_id: int,
    class_id: int,
    taps: Sequence[Tap],
    sent_at: datetime | None = None,
) -> dict[UUID, str]:
    """Keep what a helper tapped for the class of their own child."""
    shift = shift_of(uow.session, uow.actor, session_id)
    if shift is None or class_id not in classes_helped(uow.session, uow.actor, session_id, uow.now):
        raise NotFound()
    uow.authorize(Action.HEADCOUNT_HELP, shift)
    return counting.write(uow, counting.class_in(uow, session_id, class_id), taps, sent_at=sent_at)
