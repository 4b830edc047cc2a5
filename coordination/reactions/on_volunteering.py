"""What follows from volunteer shifts: a text to the volunteer and an entry in their own calendar."""

from __future__ import annotations

from coordination.domain.agenda import services as agenda
from coordination.domain.people.models import Organisation
from coordination.domain.practice.models import Activity, PracticeSession
from coordination.domain.volunteering.events import ShiftLeft, ShiftReleased, ShiftTaken
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import reminders
from coordination.reactions.notices import tell
from coordination.reactions.wording import when


def taken(uow: UnitOfWork, event: ShiftTaken) -> None:
    """Confirm it, and put it into the volunteer's calendar."""
    row, need, activity = _shift(uow, event.assignment_id)
    tell(
        uow,
        "shift_taken",
        [row.person_id],
        {
            "role": Text(need.role_zh, need.role_en),
            "activity": Text(activity.title_zh, activity.title_en),
            "when": when(need.starts_at, reminders.zone()),
        },
        subject=("shift", row.id),
        version=uow.now.isoformat(),
        valid_until=need.starts_at,
    )
    write_shift(uow, row.id)


def left(uow: UnitOfWork, event: ShiftLeft) -> None:
    """The entry becomes a tombstone; the volunteer did it and needs no text."""
    agenda.cancel(uow, subject_type="shift", subject_id=event.assignment_id)


def released(uow: UnitOfWork, event: ShiftReleased) -> None:
    """The volunteer did not do this: a text says why the shift is gone."""
    row, need, activity = _shift(uow, event.assignment_id)
    tell(
        uow,
        "shift_released",
        [row.person_id],
        {
            "role": Text(need.role_zh, need.role_en),
            "activity": Text(activity.title_zh, activity.title_en),
            "when": when(need.starts_at, reminders.zone()),
        },
        subject=("shift", row.id),
        version=uow.now.isoformat(),
        valid_until=need.starts_at,
    )
    agenda.cancel(uow, subject_type="shift", subject_id=row.id)


def write_shift(uow: UnitOfWork, assignment_id: int) -> None:
    """The shift as an entry in the volunteer's own calendar."""
    row, need, activity = _shift(uow, assignment_id)
    held = uow.session.get_one(PracticeSession, need.session_id)
    base = uow.session.get_one(Organisation, held.base_id)
    agenda.put(
        uow,
        subject_type="shift",
        subject_id=row.id,
        category="volunteering",
        starts_at=need.starts_at,
        ends_at=need.ends_at,
        summary=Text(
            f"{need.role_zh}：{activity.title_zh}", f"{need.role_en}: {activity.title_en}"
        ),
        location=Text(held.place_zh, held.place_en),
        geo=agenda.place(base.lat, base.lng),
        description=Text(f"集合：{held.meeting_point_zh}", f"Meet at: {held.meeting_point_en}"),
        audiences=[("person", row.person_id)],
    )


def _shift(uow: UnitOfWork, assignment_id: int) -> tuple[ShiftAssignment, ShiftNeed, Activity]:
    row = uow.session.get_one(ShiftAssignment, assignment_id)
    need = uow.session.get_one(ShiftNeed, row.need_id)
    held = uow.session.get_one(PracticeSession, need.session_id)
    return row, need, uow.session.get_one(Activity, held.activity_id)
