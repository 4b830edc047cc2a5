"""What follows from a finished head-count: when a class is back, each of its families is told once."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from coordination.domain.people.models import ClassGroup, Organisation
from coordination.domain.people.recipients import guardians_of_children
from coordination.domain.practice.events import StageClosed
from coordination.domain.practice.headcount import stages
from coordination.domain.practice.models import ClassEnrolment
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import reminders
from coordination.reactions.notices import tell

# whoever reads it later sees the child already
USEFUL = timedelta(hours=1)


def stage_closed(uow: UnitOfWork, event: StageClosed) -> None:
    """Families of the children who were counted back; those whose child left on the way were there.

    The class and the time are all that it says: no child is named, so a phone that two families
    share learns nothing about the other's child.
    """
    if event.stage != stages.BACK or not event.child_ids:
        return
    group = uow.session.get_one(ClassGroup, event.class_id)
    school = uow.session.get_one(Organisation, group.school_id)
    row = uow.session.scalars(
        select(ClassEnrolment.id).where(
            ClassEnrolment.session_id == event.session_id,
            ClassEnrolment.class_id == event.class_id,
        )
    ).one()
    at = uow.now.astimezone(reminders.zone())
    guardians = guardians_of_children(uow.session, event.child_ids, uow.now.date())
    tell(
        uow,
        "safe_return",
        [g.guardian_id for g in guardians],
        {
            "school": Text(school.name_zh, school.name_en),
            "class": Text(group.name_zh, group.name_en),
            "back": f"{at.hour:02d}:{at.minute:02d}",
        },
        subject=("session", event.session_id),
        version=f"class-{row}",
        # routine: an opt-out and the night hold for it; but nobody waits for it behind a broadcast
        message_class="info",
        queued_as="sign",
        valid_until=uow.now + USEFUL,
        payer=group.school_id,
    )
