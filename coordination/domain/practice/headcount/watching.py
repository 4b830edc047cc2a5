"""What others see of a day: the office which count is stuck, a family where its child's group is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.visibility import where_visible
from coordination.domain.people.models import ClassGroup, Person
from coordination.domain.practice.headcount import stages
from coordination.domain.practice.headcount.models import GroupLeaver, StageCount
from coordination.domain.practice.headcount.queries import Board, boards_of
from coordination.domain.practice.models import (
    Activity,
    ClassEnrolment,
    Enrolment,
    PracticeSession,
)
from coordination.ground.actor import Actor

# a count that was begun is finished within minutes, or somebody is being looked for
LOOKING = timedelta(minutes=10)
# a coach may be late
OVERDUE = timedelta(minutes=30)
# how long after the return a family still reads that the group is back
AFTER = timedelta(hours=3)
OUT = ("planned", "open", "closed", "ready", "departed", "on_site", "returned")


@dataclass(frozen=True, slots=True)
class Stuck:
    """A count of a class that wants looking after: `missing` of whom nobody knows yet."""

    session: PracticeSession
    activity: Activity
    board: Board
    stage: str
    missing: int
    since: datetime
    why: Literal["doubtful", "open", "overdue"]


def stuck(session: Session, actor: Actor, now: datetime) -> list[Stuck]:
    """Counts begun more than ten minutes ago and not finished, marks that contradict a finished one,
    and classes that should have left or be back for half an hour. Numbers only."""
    if not allowed_anywhere(actor):
        return []
    rows = session.execute(
        select(PracticeSession, Activity)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .where(
            PracticeSession.starts_at < now + timedelta(hours=24),
            PracticeSession.return_at > now - stages.DAY_LASTS,
            PracticeSession.state.in_(OUT),
            select(ClassEnrolment.id)
            .where(
                ClassEnrolment.session_id == PracticeSession.id,
                where_visible(ClassEnrolment, actor, Action.HEADCOUNT_READ),
            )
            .exists(),
        )
        .order_by(PracticeSession.starts_at, PracticeSession.id)
    ).all()
    boards = boards_of(session, [s.id for s, _ in rows])
    return [
        line
        for held, activity in rows
        for one in boards.get(held.id, [])
        if allowed(actor, Action.HEADCOUNT_READ, one.row)
        if (line := _stuck(held, activity, one, now)) is not None
    ]


@dataclass(frozen=True, slots=True)
class OutToday:
    """A class that is to be counted today, by the one who looks."""

    session: PracticeSession
    activity: Activity
    group: ClassGroup


def out_today(
    session: Session, class_ids: Collection[int], now: datetime, session_ids: Collection[int] = ()
) -> list[OutToday]:
    """These classes' sessions of today that are not over; of some sessions only, if given."""
    query = (
        select(PracticeSession, Activity, ClassGroup, StageCount.id)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .join(ClassEnrolment, ClassEnrolment.session_id == PracticeSession.id)
        .join(ClassGroup, ClassGroup.id == ClassEnrolment.class_id)
        .outerjoin(
            StageCount,
            (StageCount.class_enrolment_id == ClassEnrolment.id)
            & (StageCount.stage == stages.BACK),
        )
        .where(
            ClassEnrolment.class_id.in_(class_ids),
            PracticeSession.starts_at < now + timedelta(hours=24),
            PracticeSession.return_at > now - AFTER,
            PracticeSession.state.in_(OUT),
        )
        .order_by(PracticeSession.starts_at, ClassEnrolment.id)
    )
    if session_ids:
        query = query.where(PracticeSession.id.in_(session_ids))
    return [
        OutToday(held, activity, group)
        for held, activity, group, back in session.execute(query)
        if back is None and stages.opens_at(held.starts_at) <= now
    ]


def allowed_anywhere(actor: Actor) -> bool:
    """Whether the actor has any class's numbers to see."""
    return bool(actor.posts)


def _stuck(held: PracticeSession, activity: Activity, one: Board, now: datetime) -> Stuck | None:
    stage = one.current
    doubtful = one.doubtful
    if doubtful:
        at = max(m.at for c in doubtful for m in c.marks.values())
        return Stuck(held, activity, one, stage or stages.BACK, len(doubtful), at, "doubtful")
    if stage is None:
        return None
    line = one.line(stage)
    if line.began_at is not None and now - line.began_at > LOOKING:
        return Stuck(held, activity, one, stage, line.missing, line.began_at, "open")
    due = held.starts_at if stage == stages.LEAVE else held.return_at
    if line.expected and now - due > OVERDUE:
        return Stuck(held, activity, one, stage, line.missing, due, "overdue")
    return None


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a child's group was counted last; `left` is the reason if the child is not with it."""

    child_id: int
    child: str
    activity: Activity
    group: ClassGroup
    stage: str
    at: datetime
    left: str | None
    back_at: datetime


def whereabouts(session: Session, actor: Actor, now: datetime) -> Sequence[Whereabouts]:
    """Of a guardian's children (without those of whom custody lets them know nothing) who are out
    today: what was counted last, or that the child left the group."""
    if not actor.child_ids:
        return []
    rows = session.execute(
        select(
            Enrolment.id, Person.id, Person.name, Activity, ClassGroup, PracticeSession, StageCount
        )
        .join(Person, Person.id == Enrolment.child_id)
        .join(PracticeSession, PracticeSession.id == Enrolment.session_id)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .join(ClassGroup, ClassGroup.id == Enrolment.class_id)
        .join(
            ClassEnrolment,
            (ClassEnrolment.session_id == Enrolment.session_id)
            & (ClassEnrolment.class_id == Enrolment.class_id),
        )
        .join(StageCount, StageCount.class_enrolment_id == ClassEnrolment.id)
        .where(
            Enrolment.child_id.in_(actor.child_ids),
            Enrolment.state == "attended",
            PracticeSession.state.in_(OUT),
            PracticeSession.starts_at < now + timedelta(hours=24),
            PracticeSession.return_at > now - AFTER,
        )
        .order_by(Person.id, StageCount.id)
    ).all()
    latest = {row[0]: row for row in rows}
    left = {
        leaver.enrolment_id: leaver
        for leaver in session.scalars(
            select(GroupLeaver).where(GroupLeaver.enrolment_id.in_(latest))
        )
    }
    found = []
    for key, child_id, child, activity, group, held, count in latest.values():
        gone = left.get(key)
        found.append(
            Whereabouts(
                child_id,
                child,
                activity,
                group,
                count.stage,
                gone.noted_at if gone else count.closed_at,
                gone.reason if gone else None,
                held.return_at,
            )
        )
    return found
