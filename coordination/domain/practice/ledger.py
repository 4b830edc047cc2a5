"""实践课时台账 (B99): the one writer of what children have from sessions.

An entry follows from the roll, the planned span of its session and the rule of that day, and is made
anew from them whenever one changes; so it is never doubled and never forgotten. It counts once the
session is over (`hours`). Left early is not counted, as absent is not.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.practice import hour_rules, services
from coordination.domain.practice.models import (
    Attendance,
    Enrolment,
    PracticeHour,
    PracticeSession,
)
from coordination.ground.uow import UnitOfWork

COUNTED = ("present", "late")
# a session that was called off or broken off counts for nobody
VOID = ("cancelled", "aborted")


def write(uow: UnitOfWork, *, session_id: int, zone: ZoneInfo) -> None:
    """Bring the entries of a session in line with its roll."""
    held = services.lock_session(uow, session_id=session_id)
    marked = _marked(uow.session, held)
    known = _entries(uow.session, session_id)
    day = held.starts_at.astimezone(zone).date()
    rule = hour_rules.on(hour_rules.rules_of(uow.session), day)
    minutes = int((held.ends_at - held.starts_at).total_seconds() // 60)
    periods = rule.periods_of(held.starts_at, held.ends_at, zone)
    for child, row in known.items():
        if child not in marked:
            uow.session.delete(row)
    for child, enrolment in marked.items():
        row = known.get(child) or PracticeHour(session_id=session_id, child_id=child)
        row.class_id, row.school_id = enrolment.class_id, enrolment.school_id
        row.day, row.minutes, row.periods = day, minutes, periods
        uow.session.add(row)
    uow.session.flush()


def count_again(uow: UnitOfWork, *, since: date, zone: ZoneInfo) -> None:
    """Count every session since a day anew, after the rule has changed."""
    begin = datetime.combine(since, time(), tzinfo=zone)
    touched = uow.session.scalars(
        select(PracticeSession.id)
        .where(
            PracticeSession.starts_at >= begin,
            PracticeSession.id.in_(select(PracticeHour.session_id)),
        )
        .order_by(PracticeSession.id)
    ).all()
    for session_id in touched:
        write(uow, session_id=session_id, zone=zone)


def _marked(session: Session, held: PracticeSession) -> dict[int, Enrolment]:
    """The children of a session whose mark counts."""
    if held.state in VOID:
        return {}
    rows: Collection[Enrolment] = session.scalars(
        select(Enrolment)
        .join(Attendance, Attendance.enrolment_id == Enrolment.id)
        .where(Enrolment.session_id == held.id, Attendance.status.in_(COUNTED))
        .order_by(Enrolment.id)
    ).all()
    return {row.child_id: row for row in rows}


def _entries(session: Session, session_id: int) -> dict[int, PracticeHour]:
    rows = session.scalars(
        select(PracticeHour)
        .where(PracticeHour.session_id == session_id)
        .execution_options(populate_existing=True)
    )
    return {row.child_id: row for row in rows}
