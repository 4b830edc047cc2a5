"""What a head-count keeps of other people, and for how long: with whom a child left, and each tap.

Numbers of a finished count stay; names of those who fetched a child and single taps do not.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, update

from coordination.authz.actions import Action
from coordination.domain.practice.headcount.models import GroupLeaver, StageMark
from coordination.domain.practice.models import ClassEnrolment, PracticeSession
from coordination.ground import crypto
from coordination.ground.uow import UnitOfWork

# long enough for whatever a day leaves to be settled
KEPT = timedelta(days=60)


def seal(note: str, enrolment_id: int) -> bytes | None:
    """The note as it is stored, bound to its child; the audit trail shows a mark only."""
    return crypto.seal(note.encode(), _context(enrolment_id)) if note else None


def unseal(leaver: GroupLeaver) -> str:
    """The words of a note; none once it is erased."""
    if leaver.note_enc is None:
        return ""
    return crypto.unseal(leaver.note_enc, _context(leaver.enrolment_id)).decode()


def _context(enrolment_id: int) -> str:
    return f"group_leaver.{enrolment_id}"


def erase_due(uow: UnitOfWork) -> None:
    """Erase the notes and the taps of days that are past their time."""
    uow.authorize(Action.SYSTEM_RUN)
    past = (
        select(ClassEnrolment.id)
        .join(PracticeSession, PracticeSession.id == ClassEnrolment.session_id)
        .where(PracticeSession.return_at <= uow.now - KEPT)
    )
    noted = uow.session.scalars(
        update(GroupLeaver)
        .where(GroupLeaver.note_enc.is_not(None), GroupLeaver.class_enrolment_id.in_(past))
        .values(note_enc=None, erased_at=uow.now)
        .returning(GroupLeaver.id)
    ).all()
    marks = uow.session.scalars(
        delete(StageMark)
        .where(StageMark.class_enrolment_id.in_(past))
        .returning(StageMark.class_enrolment_id)
    ).all()
    for table, ids in (("group_leaver", noted), ("stage_mark", sorted(set(marks)))):
        if ids:
            uow.trail.line(
                "erase", table, None, {"ids": list(ids)}, None, reason="kept_long_enough"
            )
