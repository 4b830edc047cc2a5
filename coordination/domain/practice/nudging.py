"""催答复 (B13): asking the families of a session once more, of whom no answer has come. Writes no text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.domain.consents import services as consents
from coordination.domain.practice.events import FamiliesNudged
from coordination.domain.practice.models import ClassEnrolment, Enrolment, PracticeSession
from coordination.domain.practice.services import GOING, OPEN
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, NotFound, TooLate, TooMany
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# since the question, or since somebody asked again: the clock reminds as well, and more is noise
GAP = timedelta(hours=12)


def silent_children(session: Session, session_id: int, class_ids: list[int]) -> list[int]:
    """Children of these classes who have a place and of whose family no answer has come."""
    request = consents.open_request(session, "session", session_id)
    if request is None or request.state != "open":
        return []
    children = session.scalars(
        select(Enrolment.child_id)
        .where(
            Enrolment.session_id == session_id,
            Enrolment.class_id.in_(class_ids),
            Enrolment.state.in_(GOING),
        )
        .order_by(Enrolment.id)
    ).all()
    states = consents.state_for(session, request.id, children)
    return [child for child in children if states[child] == "no_answer"]


def to_nudge(session: Session, actor: Actor, session_id: int, now: datetime) -> int:
    """How many children's families the actor could ask again now; 0 where there is nothing to ask."""
    held = session.get(PracticeSession, session_id)
    request = consents.open_request(session, "session", session_id)
    if held is None or held.state not in OPEN or request is None or request.due_at <= now:
        return 0
    rows = session.scalars(select(ClassEnrolment).where(ClassEnrolment.session_id == session_id))
    ripe = [
        row.class_id
        for row in rows
        if allowed(actor, Action.ENROLMENT_NUDGE, row) and _is_ripe(row, now)
    ]
    return len(silent_children(session, session_id, ripe)) if ripe else 0


def nudge_families(uow: UnitOfWork, *, session_id: int) -> int:
    """Ask again, in the classes that the actor answers for; returns the number of children asked for.

    Two who press at once ask once: the classes are locked, and each notes when it was asked.
    """
    rows = _locked(uow, session_id)
    own = [row for row in rows if allowed(uow.actor, Action.ENROLMENT_NUDGE, row)]
    if not own:
        raise NotFound()
    for row in own:
        uow.authorize(Action.ENROLMENT_NUDGE, row)
    _refuse_too_late(uow, session_id)
    silent = silent_children(uow.session, session_id, [row.class_id for row in own])
    if not silent:
        raise Conflict(
            Text(
                "所有家庭都已答复，不用再提醒。",
                "Every family has answered; there is nobody to ask.",
            ),
            code="nobody_silent",
        )
    ripe = [row for row in own if _is_ripe(row, uow.now)]
    asked = silent_children(uow.session, session_id, [row.class_id for row in ripe])
    if not asked:
        raise TooMany(
            Text(
                "12 小时内已经问过这些家庭。请稍后再提醒，或打电话联系。",
                "These families were asked within the last 12 hours. Ask later, or phone them.",
            )
        )
    for row in ripe:
        row.asked_at = uow.now
    uow.record(FamiliesNudged(session_id, tuple(asked)))
    return len(asked)


def _locked(uow: UnitOfWork, session_id: int) -> Sequence[ClassEnrolment]:
    """The classes of a session, in one order, so that two who ask wait for each other."""
    return uow.session.scalars(
        select(ClassEnrolment)
        .where(ClassEnrolment.session_id == session_id)
        .order_by(ClassEnrolment.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def _is_ripe(row: ClassEnrolment, now: datetime) -> bool:
    return row.asked_at is None or now - row.asked_at >= GAP


def _refuse_too_late(uow: UnitOfWork, session_id: int) -> None:
    held = uow.session.get_one(PracticeSession, session_id)
    request = consents.open_request(uow.session, "session", session_id)
    if held.state not in OPEN or request is None or request.due_at <= uow.now:
        raise TooLate(
            Text(
                "答复时间已过，不能再催。请打电话联系，再登记口头答复。",
                "The time to answer is over. Phone the families and note what they say.",
            )
        )
