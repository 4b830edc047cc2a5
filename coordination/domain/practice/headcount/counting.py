"""Mark children at a stage: any number of phones, in any order, with or without signal.

What counts is the child, not the tap: of all marks of a child at a stage the one that was tapped last
holds, and among those of the same moment the one that was received last. When a tap was made is told
by how old it was when it was sent, not by the phone's clock, which may be wrong by hours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.practice.headcount import stages
from coordination.domain.practice.headcount.models import StageCount, StageMark
from coordination.domain.practice.models import ClassEnrolment, Enrolment, PracticeSession
from coordination.ground.errors import Forbidden, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

MARKS = ("here", "away")
# children of a class who are on its list on the day: those who go, and those who turned out not to
LISTED = ("enrolled", "cleared", "attended", "absent", "excused")
MOST_TAPS = 500


@dataclass(frozen=True, slots=True)
class Tap:
    """One touch of a row; `at` is the phone's own time, if a phone kept it."""

    scan_id: UUID
    enrolment_id: int
    stage: str
    mark: str
    at: datetime | None = None


def keep_marks(
    uow: UnitOfWork,
    *,
    session_id: int,
    class_id: int,
    taps: Sequence[Tap],
    sent_at: datetime | None = None,
) -> dict[UUID, str]:
    """Keep what was tapped for a class; what became of each tap, by its id.

    `kept`, `repeat` (received before), `late` (kept, but the stage was closed without it) or
    `refused` (no such child or stage here). One that is refused does not keep the others out: they
    lie on a phone that cannot sort them out.
    """
    row = class_in(uow, session_id, class_id)
    uow.authorize(Action.HEADCOUNT_KEEP, row)
    return write(uow, row, taps, sent_at=sent_at)


def class_in(uow: UnitOfWork, session_id: int, class_id: int) -> ClassEnrolment:
    """The class in the session."""
    row = uow.session.scalar(
        select(ClassEnrolment).where(
            ClassEnrolment.session_id == session_id, ClassEnrolment.class_id == class_id
        )
    )
    if row is None:
        raise NotFound()
    return row


def lock(uow: UnitOfWork, row: ClassEnrolment) -> None:
    """Whoever marks or closes for a class queues up here: no stage closes between two taps."""
    uow.session.refresh(row, with_for_update=True)


def write(
    uow: UnitOfWork, row: ClassEnrolment, taps: Sequence[Tap], *, sent_at: datetime | None = None
) -> dict[UUID, str]:
    """The same, of whoever has been authorized."""
    if uow.actor.person_id is None:
        raise Forbidden()
    if len(taps) > MOST_TAPS:
        raise Invalid(
            Text(f"一次最多上传 {MOST_TAPS} 个标记。", f"At most {MOST_TAPS} marks at a time.")
        )
    lock(uow, row)
    held = uow.session.get_one(PracticeSession, row.session_id)
    stages.refuse_other_day(held.state, held.starts_at, held.return_at, uow.now)
    children = set(
        uow.session.scalars(
            select(Enrolment.id).where(
                Enrolment.session_id == row.session_id,
                Enrolment.class_id == row.class_id,
                Enrolment.state.in_(LISTED),
            )
        )
    )
    known = set(
        uow.session.scalars(
            select(StageMark.scan_id).where(StageMark.scan_id.in_([t.scan_id for t in taps]))
        )
    )
    closed = closed_stages(uow.session, row.id)
    there_are = stages.stages_of(held.starts_at, held.ends_at)
    earliest = stages.opens_at(held.starts_at)
    outcome: dict[UUID, str] = {}
    for tap in taps:
        if tap.scan_id in known or tap.scan_id in outcome:
            outcome.setdefault(tap.scan_id, "repeat")
            continue
        if tap.enrolment_id not in children or tap.stage not in there_are or tap.mark not in MARKS:
            outcome[tap.scan_id] = "refused"
            continue
        uow.session.add(
            StageMark(
                class_enrolment_id=row.id,
                enrolment_id=tap.enrolment_id,
                stage=tap.stage,
                mark=tap.mark,
                scan_id=tap.scan_id,
                marked_by_id=uow.actor.person_id,
                at=tapped(tap.at, sent_at, uow.now, earliest),
                phone_at=tap.at,
                received_at=uow.now,
            )
        )
        outcome[tap.scan_id] = "late" if tap.stage in closed else "kept"
    return outcome


def tapped(
    at: datetime | None, sent_at: datetime | None, now: datetime, earliest: datetime
) -> datetime:
    """When a tap was made, by our clock: as long ago as the phone says, never in the future."""
    if at is None or sent_at is None:
        return now
    age = max(sent_at - at, timedelta(0))
    return now - min(age, max(now - earliest, timedelta(0)))


def closed_stages(session: Session, class_enrolment_id: int) -> dict[str, StageCount]:
    """The closed stages of a class."""
    rows = session.scalars(
        select(StageCount).where(StageCount.class_enrolment_id == class_enrolment_id)
    )
    return {r.stage: r for r in rows}


def marks_of(
    session: Session, class_enrolment_ids: Collection[int]
) -> Mapping[tuple[int, str], StageMark]:
    """The mark that holds of each child at each stage: (enrolment, stage) -> mark."""
    rows = session.scalars(
        select(StageMark)
        .ext(distinct_on(StageMark.enrolment_id, StageMark.stage))
        .where(StageMark.class_enrolment_id.in_(class_enrolment_ids))
        .order_by(StageMark.enrolment_id, StageMark.stage, StageMark.at.desc(), StageMark.id.desc())
    )
    return {(r.enrolment_id, r.stage): r for r in rows}
