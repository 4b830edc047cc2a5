"""A child is not with its class from a stage on, with a reason; or has come after all."""

from __future__ import annotations

from sqlalchemy import select

from coordination.authz.actions import Action
from coordination.domain.practice.events import ChildLeftGroup
from coordination.domain.practice.headcount import notes, stages
from coordination.domain.practice.headcount.counting import (
    LISTED,
    class_in,
    closed_stages,
    lock,
    marks_of,
)
from coordination.domain.practice.headcount.models import GroupLeaver
from coordination.domain.practice.models import (
    Attendance,
    ClassEnrolment,
    Enrolment,
    PracticeSession,
)
from coordination.ground.errors import Conflict, Forbidden, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


def note_left(
    uow: UnitOfWork, *, session_id: int, class_id: int, enrolment_id: int, reason: str, note: str
) -> None:
    """From the stage that the class is at, this child is not expected any more."""
    row = class_in(uow, session_id, class_id)
    uow.authorize(Action.HEADCOUNT_KEEP, row)
    lock(uow, row)
    held = uow.session.get_one(PracticeSession, session_id)
    stages.refuse_other_day(held.state, held.starts_at, held.return_at, uow.now)
    stage = stages.next_open(
        stages.stages_of(held.starts_at, held.ends_at), closed_stages(uow.session, row.id)
    )
    if stage is None:
        raise Conflict(
            Text("全班已经回校，不再登记离队。", "The class is back; nobody leaves it any more."),
            code="over",
        )
    leave(uow, row, stage, child_in(uow, row, enrolment_id), reason, note)


def child_in(uow: UnitOfWork, row: ClassEnrolment, enrolment_id: int) -> Enrolment:
    """A child on the class's list."""
    child = uow.session.get(Enrolment, enrolment_id)
    if (
        child is None
        or (child.session_id, child.class_id) != (row.session_id, row.class_id)
        or child.state not in LISTED
    ):
        raise NotFound()
    return child


def leave(
    uow: UnitOfWork, row: ClassEnrolment, stage: str, child: Enrolment, reason: str, note: str
) -> None:
    """The same, of a class that is locked and at that stage."""
    said = stages.refuse_unfit_leaving(stage, reason, note)
    if uow.actor.person_id is None:
        raise Forbidden()
    mark = marks_of(uow.session, [row.id]).get((child.id, stage))
    if mark is not None and mark.mark == "here":
        raise Conflict(
            Text(
                "这名学生在这一站已点到。确实离开的，请先取消点到，再登记离队。",
                "This child is marked as here at this stage. Undo the mark first if it has left.",
            ),
            code="is_here",
        )
    if uow.session.scalar(select(GroupLeaver.id).where(GroupLeaver.enrolment_id == child.id)):
        raise Conflict(
            Text("这名学生已登记离队。", "It is noted already that this child left."),
            code="already_left",
        )
    uow.session.add(
        GroupLeaver(
            class_enrolment_id=row.id,
            enrolment_id=child.id,
            stage=stage,
            reason=reason,
            note_enc=notes.seal(said, child.id),
            noted_by_id=uow.actor.person_id,
            noted_at=uow.now,
        )
    )
    if stage != stages.LEAVE and reason != "other_class":
        roll = _roll_of(uow, child.id)
        if roll is not None:
            roll.status, roll.marked_at = "left_early", uow.now
    uow.session.flush()  # the count that follows reads it
    uow.record(ChildLeftGroup(row.session_id, child.child_id))


def take_back(uow: UnitOfWork, *, session_id: int, class_id: int, enrolment_id: int) -> None:
    """The child is with its class after all: it came late, or the note was a mistake."""
    row = class_in(uow, session_id, class_id)
    uow.authorize(Action.HEADCOUNT_KEEP, row)
    lock(uow, row)
    held = uow.session.get_one(PracticeSession, session_id)
    stages.refuse_other_day(held.state, held.starts_at, held.return_at, uow.now)
    child = child_in(uow, row, enrolment_id)
    found = uow.session.scalar(select(GroupLeaver).where(GroupLeaver.enrolment_id == child.id))
    if found is None:
        raise NotFound()
    closed = closed_stages(uow.session, row.id)
    if stages.BACK in closed:
        raise Conflict(
            Text(
                "全班已经回校，离队登记不再改动。",
                "The class is back; what was noted stays as it is.",
            ),
            code="over",
        )
    uow.session.delete(found)
    if stages.LEAVE in closed:
        child.state = "attended"
        roll = _roll_of(uow, child.id)
        if roll is not None:
            roll.status = "late" if found.stage == stages.LEAVE else "present"
            roll.marked_at = uow.now


def _roll_of(uow: UnitOfWork, enrolment_id: int) -> Attendance | None:
    return uow.session.scalar(select(Attendance).where(Attendance.enrolment_id == enrolment_id))
