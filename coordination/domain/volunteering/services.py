"""Use cases of volunteer shifts: open, take, leave. Places are guarded by a row lock and a CHECK."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.people.models import Guardianship
from coordination.domain.practice.models import PracticeSession
from coordination.domain.practice.services import OPEN
from coordination.domain.volunteering.events import ShiftLeft, ShiftReleased, ShiftTaken
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed
from coordination.ground.errors import Forbidden, Full, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

MOST_PEOPLE = 200
HELPER = Text("家长志愿者", "Parent helper")
HELD = ("assigned", "confirmed", "signed_in")


def open_shift(
    uow: UnitOfWork, *, session_id: int, role: Text, min_people: int, max_people: int
) -> ShiftNeed:
    """A shift of the session's own length that parents may fill."""
    uow.authorize(Action.ACTIVITY_PLAN)
    held = uow.session.get(PracticeSession, session_id)
    if held is None:
        raise NotFound()
    if held.state not in OPEN or held.starts_at <= uow.now:
        raise TooLate(Text("活动已开始或已取消。", "The session has begun or is cancelled."))
    if max_people > MOST_PEOPLE:
        raise Invalid(
            fields={
                "max_people": Text(f"最多 {MOST_PEOPLE} 人。", f"At most {MOST_PEOPLE} people.")
            }
        )
    if not 1 <= min_people <= max_people:
        raise Invalid(
            fields={
                "max_people": Text(
                    "人数上限不能小于下限。", "The most cannot be fewer than the least."
                )
            }
        )
    need = ShiftNeed(
        session_id=session_id,
        role_zh=role.zh,
        role_en=role.en,
        starts_at=held.starts_at,
        ends_at=held.return_at,
        min_people=min_people,
        max_people=max_people,
        filled=0,
        state="open",
    )
    uow.session.add(need)
    uow.session.flush()  # the caller links to it
    return need


def recruit(uow: UnitOfWork, *, session_id: int, more: int) -> ShiftNeed:
    """Want `more` helpers beside those who come already: widen the session's shift, or open one.

    Pressed twice it still wants as many.
    """
    uow.authorize(Action.ACTIVITY_PLAN)
    need = uow.session.scalar(
        select(ShiftNeed)
        .where(ShiftNeed.session_id == session_id, ShiftNeed.state == "open")
        .order_by(ShiftNeed.id)
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if need is None:
        return open_shift(uow, session_id=session_id, role=HELPER, min_people=more, max_people=more)
    if need.starts_at <= uow.now:
        raise TooLate(Text("活动已开始或已取消。", "The session has begun or is cancelled."))
    wanted = need.filled + more
    if not more >= 1 or wanted > MOST_PEOPLE:
        raise Invalid(
            fields={"more": Text(f"最多 {MOST_PEOPLE} 人。", f"At most {MOST_PEOPLE} people.")}
        )
    need.min_people = max(need.min_people, wanted)
    need.max_people = max(need.max_people, wanted)
    return need


def is_held_back(session: Session, person_id: int | None, today: date) -> bool:
    """Whether a custody limit (B9) keeps this person away from where children are."""
    return (
        session.scalar(
            select(Guardianship.id).where(
                Guardianship.guardian_id == person_id,
                Guardianship.no_disclosure.is_(True),
                or_(Guardianship.ends_on.is_(None), Guardianship.ends_on >= today),
            )
        )
        is not None
    )


def take_shift(uow: UnitOfWork, *, need_id: int) -> ShiftAssignment:
    """The actor signs up; Full when the last place has gone, Conflict on a clash of shifts."""
    person = uow.actor.person_id
    uow.authorize(Action.SHIFT_TAKE, Scope(person=person))
    if person is None:
        raise Forbidden()
    if is_held_back(uow.session, person, uow.now.date()):
        raise NotFound()  # as if there were no such shift: the limit itself is not to be told
    need = _lock(uow, need_id)
    known = _own(uow, need_id)
    if known is not None and known.state in HELD:
        return known
    if need.state != "open" or need.starts_at <= uow.now:
        raise TooLate(Text("这个班次已截止。", "This shift has closed."))
    if need.filled >= need.max_people:
        raise Full()
    _count(uow, need, 1)
    during = Range(need.starts_at, need.ends_at, bounds="[)")
    if known is None:
        known = ShiftAssignment(need_id=need_id, person_id=person, during=during, state="assigned")
        uow.session.add(known)
    else:
        known.state, known.during = "assigned", during
    uow.session.flush()  # a clash with another shift is refused here
    uow.record(ShiftTaken(known.id))
    return known


def leave_shift(uow: UnitOfWork, *, need_id: int) -> None:
    """The actor withdraws; the place is open again."""
    need = _lock(uow, need_id)
    row = _own(uow, need_id)
    if row is None or row.state not in HELD:
        raise NotFound()
    uow.authorize(Action.SHIFT_TAKE, row)
    if need.starts_at <= uow.now:
        raise TooLate(
            Text(
                "班次已开始，请直接联系活动负责人。",
                "The shift has begun; please call whoever runs the activity.",
            )
        )
    row.state = "withdrawn"
    _count(uow, need, -1)
    uow.record(ShiftLeft(row.id))


def move_shifts(
    uow: UnitOfWork, *, session_id: int, starts_at: datetime, ends_at: datetime
) -> None:
    """The shifts of a session follow it; who has another shift then gives this one back."""
    for need in _needs(uow, session_id):
        need.starts_at, need.ends_at = starts_at, ends_at
        for row in _held_rows(uow, need.id):
            try:
                with uow.session.begin_nested():
                    row.during = Range(starts_at, ends_at, bounds="[)")
                    uow.session.flush()
            except IntegrityError:
                row.state = "withdrawn"
                _count(uow, need, -1)
                uow.record(ShiftReleased(row.id))


def cancel_shifts(uow: UnitOfWork, *, session_id: int) -> list[int]:
    """The shifts end with their session; the ids of the assignments that ended."""
    ended: list[int] = []
    for need in _needs(uow, session_id):
        need.state = "cancelled"
        for row in _held_rows(uow, need.id):
            row.state = "cancelled"
            ended.append(row.id)
    return ended


def _lock(uow: UnitOfWork, need_id: int) -> ShiftNeed:
    """Whoever takes or leaves a place queues up at the shift."""
    need = uow.session.get(ShiftNeed, need_id, with_for_update=True)
    if need is None:
        raise NotFound()
    return need


def _count(uow: UnitOfWork, need: ShiftNeed, change: int) -> None:
    """Counted by the database, so that the CHECK sees every place whoever else counts meanwhile."""
    need.filled = ShiftNeed.filled + change
    uow.session.flush()


def _own(uow: UnitOfWork, need_id: int) -> ShiftAssignment | None:
    return uow.session.scalar(
        select(ShiftAssignment).where(
            ShiftAssignment.need_id == need_id, ShiftAssignment.person_id == uow.actor.person_id
        )
    )


def _needs(uow: UnitOfWork, session_id: int) -> Sequence[ShiftNeed]:
    return uow.session.scalars(
        select(ShiftNeed)
        .where(ShiftNeed.session_id == session_id, ShiftNeed.state == "open")
        .order_by(ShiftNeed.id)
        .with_for_update()
    ).all()


def _held_rows(uow: UnitOfWork, need_id: int) -> Sequence[ShiftAssignment]:
    return uow.session.scalars(
        select(ShiftAssignment)
        .where(ShiftAssignment.need_id == need_id, ShiftAssignment.state.in_(HELD))
        .order_by(ShiftAssignment.id)
    ).all()
