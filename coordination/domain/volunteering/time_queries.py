"""Reads of volunteer time: one's own shifts and record, a shift for those in charge, what waits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.domain.people.models import Organisation, Person
from coordination.domain.practice.models import Activity, PracticeSession
from coordination.domain.volunteering import time_rules, times
from coordination.domain.volunteering.models import (
    ShiftAssignment,
    ShiftNeed,
    ShiftObjection,
    ShiftTime,
)
from coordination.domain.volunteering.services import CAME
from coordination.ground.actor import Actor
from coordination.ground.errors import NotFound

# how long a shift whose time nobody has settled stays on people's lists
SETTLED_WITHIN = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift with the session it belongs to."""

    need: ShiftNeed
    session: PracticeSession
    activity: Activity
    base: Organisation
    organiser: Organisation


@dataclass(frozen=True, slots=True)
class OwnTime:
    """A shift of one's own: what was noted of it, what it counts for, and what was said against that."""

    shift: Shift
    assignment: ShiftAssignment
    time: ShiftTime | None
    counts_for: int | None
    objections: tuple[ShiftObjection, ...]
    confirmed_by: str | None = None

    @property
    def confirmed(self) -> bool:
        """Whether it counts."""
        return self.time is not None and self.time.confirmed_at is not None

    @property
    def objected(self) -> bool:
        """Whether an answer is still to come."""
        return any(o.answered_at is None for o in self.objections)


@dataclass(frozen=True, slots=True)
class VolunteerLine:
    """One volunteer of a shift, for those in charge."""

    assignment: ShiftAssignment
    name: str
    time: ShiftTime | None
    planned: int
    spent: int | None
    counts_for: int | None
    deviates: bool
    own: bool

    @property
    def confirmed(self) -> bool:
        """Whether it counts already."""
        return self.time is not None and self.time.confirmed_at is not None

    @property
    def ripe(self) -> bool:
        """Whether it can be confirmed by the viewer."""
        return self.counts_for is not None and not self.confirmed and not self.own


@dataclass(frozen=True, slots=True)
class Objected:
    """An objection with the time that it is about, and until when it should be answered."""

    objection: ShiftObjection
    time: ShiftTime
    shift: Shift
    name: str
    due: datetime


def _shifts() -> Select[ShiftNeed, PracticeSession, Activity, Organisation]:
    return (
        select(ShiftNeed, PracticeSession, Activity, Organisation)
        .join(PracticeSession, PracticeSession.id == ShiftNeed.session_id)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .join(Organisation, Organisation.id == PracticeSession.base_id)
    )


def _made(session: Session, row: Any) -> Shift:
    """The shift of a row of `_shifts`, whatever else the row holds."""
    organiser = session.get_one(Organisation, row.Activity.organiser_id)
    return Shift(row.ShiftNeed, row.PracticeSession, row.Activity, row.Organisation, organiser)


def shift_of(session: Session, need_id: int) -> Shift:
    """One shift; who may see what of it is asked of `times.in_charge` or `own_time`."""
    row = session.execute(_shifts().where(ShiftNeed.id == need_id)).one_or_none()
    if row is None:
        raise NotFound()
    return _made(session, row)


def own_time(session: Session, actor: Actor, need_id: int) -> OwnTime:
    """The actor's own place on a shift; NotFound if they have none."""
    found = _own(session, actor, ShiftNeed.id == need_id)
    if not found:
        raise NotFound()
    return found[0]


def own_present(session: Session, actor: Actor, now: datetime) -> list[OwnTime]:
    """The actor's shifts at which one can sign now."""
    return _own(
        session,
        actor,
        and_(
            ShiftNeed.state == "open",
            ShiftNeed.starts_at - times.BEFORE <= now,
            ShiftNeed.ends_at + times.AFTER >= now,
            ShiftAssignment.state.in_(CAME),
        ),
    )


def own_record(session: Session, actor: Actor, now: datetime) -> list[OwnTime]:
    """All the actor's shifts that have begun, the latest first: what counts, and what is not settled."""
    return _own(session, actor, and_(ShiftNeed.starts_at <= now, ShiftNeed.state != "cancelled"))


def _own(session: Session, actor: Actor, which: ColumnElement[bool]) -> list[OwnTime]:
    rows = session.execute(
        _shifts()
        .add_columns(ShiftAssignment, ShiftTime)
        .join(ShiftAssignment, ShiftAssignment.need_id == ShiftNeed.id)
        .outerjoin(ShiftTime, ShiftTime.assignment_id == ShiftAssignment.id)
        .where(
            ShiftAssignment.person_id == actor.person_id,
            ShiftAssignment.state.in_(times.MARKABLE),
            which,
        )
        .order_by(ShiftNeed.starts_at.desc(), ShiftNeed.id)
        .limit(300)
    ).all()
    rule = time_rules.in_force(session)
    said = _objections(session, [row.ShiftTime.id for row in rows if row.ShiftTime])
    names = _names(session, [row.ShiftTime.confirmed_by_id for row in rows if row.ShiftTime])
    return [
        OwnTime(
            _made(session, row),
            row.ShiftAssignment,
            row.ShiftTime,
            _counts_for(rule, row.ShiftNeed, row.ShiftTime),
            tuple(said[row.ShiftTime.id]) if row.ShiftTime else (),
            names.get(row.ShiftTime.confirmed_by_id) if row.ShiftTime else None,
        )
        for row in rows
    ]


def _counts_for(rule: time_rules.TimeRule, need: ShiftNeed, row: ShiftTime | None) -> int | None:
    if row is None:
        return None
    return row.minutes if row.confirmed_at is not None else times.counts_for(rule, need, row)


def _names(session: Session, ids: Iterable[int | None]) -> dict[int | None, str]:
    rows = session.execute(select(Person.id, Person.name).where(Person.id.in_(set(ids) - {None})))
    return {i: name for i, name in rows}


def _objections(session: Session, time_ids: list[int]) -> dict[int, list[ShiftObjection]]:
    found: dict[int, list[ShiftObjection]] = defaultdict(list)
    for row in session.scalars(
        select(ShiftObjection)
        .where(ShiftObjection.time_id.in_(time_ids))
        .order_by(ShiftObjection.id)
    ):
        found[row.time_id].append(row)
    return found


def volunteers(session: Session, actor: Actor, need: ShiftNeed) -> list[VolunteerLine]:
    """The volunteers of a shift by name, with their times; for those in charge of it."""
    times.in_charge(session, actor, need, Action.SHIFT_MARK)
    rule = time_rules.in_force(session)
    rows = session.execute(
        select(ShiftAssignment, Person.name, ShiftTime)
        .join(Person, Person.id == ShiftAssignment.person_id)
        .outerjoin(ShiftTime, ShiftTime.assignment_id == ShiftAssignment.id)
        .where(ShiftAssignment.need_id == need.id, ShiftAssignment.state.in_(times.MARKABLE))
        .order_by(ShiftAssignment.id)
    )
    return [
        VolunteerLine(
            assignment,
            name,
            row,
            times.planned(need),
            times.spent(row) if row else None,
            _counts_for(rule, need, row),
            times.deviates(need, row) if row else False,
            assignment.person_id == actor.person_id,
        )
        for assignment, name, row in rows
    ]


def to_settle(session: Session, actor: Actor, now: datetime) -> list[tuple[Shift, int]]:
    """Shifts that are over with volunteers whose time is not confirmed, for who confirms it."""
    if not confirms(actor):
        return []
    unsettled = (
        select(ShiftAssignment.need_id, func.count().label("people"))
        .outerjoin(ShiftTime, ShiftTime.assignment_id == ShiftAssignment.id)
        .where(
            ShiftAssignment.state.in_(times.MARKABLE),
            ShiftAssignment.person_id != actor.person_id,
            ShiftTime.confirmed_at.is_(None),
        )
        .group_by(ShiftAssignment.need_id)
        .subquery("unsettled")
    )
    rows = session.execute(
        _shifts()
        .add_columns(unsettled.c.people)
        .join(unsettled, unsettled.c.need_id == ShiftNeed.id)
        .where(
            ShiftNeed.ends_at <= now,
            ShiftNeed.ends_at > now - SETTLED_WITHIN,
            ShiftNeed.state != "cancelled",
        )
        .order_by(ShiftNeed.ends_at)
        .limit(20)
    )
    return [(_made(session, row), row.people) for row in rows]


def open_objections(session: Session, actor: Actor) -> list[Objected]:
    """Objections that wait for somebody who confirms time, the oldest first."""
    if not confirms(actor):
        return []
    return _said(
        session, ShiftObjection.answered_at.is_(None), ShiftObjection.person_id != actor.person_id
    )


def objection_of(session: Session, actor: Actor, objection_id: int) -> Objected:
    """One for somebody who confirms time, answered or not; NotFound for the actor's own."""
    others = ShiftObjection.person_id != actor.person_id
    found = _said(session, others, ShiftObjection.id == objection_id) if confirms(actor) else []
    if not found:
        raise NotFound()
    return found[0]


def _said(session: Session, *which: ColumnElement[bool]) -> list[Objected]:
    rule = time_rules.in_force(session)
    rows = session.execute(
        _shifts()
        .add_columns(ShiftObjection, ShiftTime, Person.name)
        .join(ShiftTime, ShiftTime.need_id == ShiftNeed.id)
        .join(ShiftObjection, ShiftObjection.time_id == ShiftTime.id)
        .join(Person, Person.id == ShiftObjection.person_id)
        .where(*which)
        .order_by(ShiftObjection.id)
        .limit(50)
    )
    return [
        Objected(
            row.ShiftObjection,
            row.ShiftTime,
            _made(session, row),
            row.name,
            row.ShiftObjection.created_at + timedelta(days=rule.objection_days),
        )
        for row in rows
    ]


def confirms(actor: Actor) -> bool:
    """Whether the actor confirms the time of volunteers anywhere."""
    return allowed(actor, Action.SHIFT_CONFIRM)
