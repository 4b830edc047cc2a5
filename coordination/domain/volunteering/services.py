"""Use cases of volunteer shifts: open, take, leave. Places are guarded by a conditional update."""

from __future__ import annotations

from datetime import date

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.people.models import Guardianship
from coordination.domain.practice.models import PracticeSession
from coordination.domain.volunteering.events import ShiftLeft, ShiftTaken
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed
from coordination.ground.errors import Forbidden, Full, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

HELD = ("assigned", "confirmed", "signed_in")


def open_shift(
    uow: UnitOfWork, *, session_id: int, role: Text, min_people: int, max_people: int
) -> ShiftNeed:
    """A shift of the session's own length that parents may fill."""
    uow.authorize(Action.ACTIVITY_PLAN)
    held = uow.session.get(PracticeSession, session_id)
    if held is None:
        raise NotFound()
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
    known = uow.session.scalar(
        select(ShiftAssignment)
        .where(ShiftAssignment.need_id == need_id, ShiftAssignment.person_id == person)
        .with_for_update()
    )
    if known is not None and known.state in HELD:
        return known
    need = uow.session.execute(
        update(ShiftNeed)
        .where(
            ShiftNeed.id == need_id,
            ShiftNeed.state == "open",
            ShiftNeed.starts_at > uow.now,
            ShiftNeed.filled < ShiftNeed.max_people,
        )
        .values(filled=ShiftNeed.filled + 1)
        .returning(ShiftNeed.starts_at, ShiftNeed.ends_at)
    ).one_or_none()
    if need is None:
        found = uow.session.get(ShiftNeed, need_id, populate_existing=True)
        if found is None:
            raise NotFound()
        if found.state != "open" or found.starts_at <= uow.now:
            raise TooLate(Text("这个班次已截止。", "This shift has closed."))
        raise Full()
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
    row = uow.session.scalar(
        select(ShiftAssignment)
        .where(
            ShiftAssignment.need_id == need_id,
            ShiftAssignment.person_id == uow.actor.person_id,
        )
        .with_for_update()
    )
    if row is None or row.state not in HELD:
        raise NotFound()
    uow.authorize(Action.SHIFT_TAKE, row)
    row.state = "withdrawn"
    uow.session.execute(
        update(ShiftNeed).where(ShiftNeed.id == need_id).values(filled=ShiftNeed.filled - 1)
    )
    uow.record(ShiftLeft(row.id))
