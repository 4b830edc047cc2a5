"""志愿时长 (B115): signing in and out by the code of the place, by hand for those who could not, and
the confirmation by which it counts. Nobody writes down or confirms their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.practice.models import ClassEnrolment, PracticeSession
from coordination.domain.volunteering import site_codes, time_rules
from coordination.domain.volunteering.events import ShiftTimesConfirmed
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed, ShiftTime
from coordination.domain.volunteering.services import CAME
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, Invalid, NotFound, TooLate, TooMany
from coordination.ground.text import Text
from coordination.ground.throttle import admit, forgive
from coordination.ground.uow import UnitOfWork

# around the planned span in which one may sign, and in which times may lie
BEFORE, AFTER = timedelta(hours=2), timedelta(hours=3)
GUESSES, WINDOW = 5, timedelta(minutes=15)
# whose time can be written down: no-shows too, for a mark may be corrected
MARKABLE = (*CAME, "no_show")

Way = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody in charge writes down of one volunteer: when they came and left, or were away."""

    in_at: datetime | None = None
    out_at: datetime | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What one press confirmed, and what it left alone: changed since it was looked at, or one's own."""

    count: int
    changed: int
    own: int


def planned(need: ShiftNeed) -> int:
    """Minutes of a shift as planned."""
    return int((need.ends_at - need.starts_at).total_seconds() // 60)


def spent(row: ShiftTime) -> int | None:
    """Minutes from coming to going, as they were."""
    if row.in_at is None or row.out_at is None:
        return None
    return int((row.out_at - row.in_at).total_seconds() // 60)


def counts_for(rule: time_rules.TimeRule, need: ShiftNeed, row: ShiftTime) -> int | None:
    """What the rule makes of it: nought for who was away, nothing while somebody is still there."""
    if row.absent:
        return 0
    if row.in_at is None or row.out_at is None:
        return None
    return rule.minutes(row.in_at, row.out_at, planned(need))


def deviates(need: ShiftNeed, row: ShiftTime) -> bool:
    """Whether plan and fact are so far apart that somebody should look."""
    minutes = spent(row)
    limit = time_rules.DEVIATION.total_seconds() // 60
    return minutes is not None and abs(minutes - planned(need)) > limit


def stamp(row: ShiftTime) -> str:
    """What whoever confirms has seen of a row; another one is another row."""
    return "|".join("" if t is None else t.isoformat() for t in (row.in_at, row.out_at)) + (
        "|away" if row.absent else ""
    )


def is_open(need: ShiftNeed, now: datetime) -> bool:
    """Whether one may sign in or out now."""
    return need.state == "open" and need.starts_at - BEFORE <= now <= need.ends_at + AFTER


def in_charge(session: Session, actor: Actor, need: ShiftNeed, action: Action) -> object:
    """The class or session through which the actor may do `action` at a shift; NotFound if none."""
    held = session.get_one(PracticeSession, need.session_id)
    classes = session.scalars(
        select(ClassEnrolment)
        .where(ClassEnrolment.session_id == held.id)
        .order_by(ClassEnrolment.id)
    )
    for thing in (held, *classes):
        if allowed(actor, action, thing):
            return thing
    raise NotFound()


def sign(uow: UnitOfWork, *, need_id: int, way: Way, code: str) -> ShiftTime | None:
    """The actor signs in or out by the code shown at the place; None for a wrong one.

    Pressed twice it is done once. Wrong codes are counted, so the caller commits.
    """
    person = uow.actor.person_id
    uow.authorize(Action.SHIFT_SIGN, Scope(person=person))
    need = _lock(uow, need_id)
    row = uow.session.scalar(
        select(ShiftAssignment).where(
            ShiftAssignment.need_id == need_id,
            ShiftAssignment.person_id == person,
            ShiftAssignment.state.in_(CAME),
        )
    )
    if row is None or person is None:
        raise NotFound()
    if not is_open(need, uow.now):
        raise TooLate(
            Text(
                "现在不能签到或签退：从开始前 2 小时到结束后 3 小时可以。请让带队老师或协调员登记。",
                "Signing is open from two hours before the start to three hours after the end. Ask "
                "the leading teacher or coordinator to note your time.",
            )
        )
    guesser = f"{person} {need_id}"
    if not admit(uow.session, "shift.sign", guesser, limit=GUESSES, window=WINDOW, now=uow.now):
        raise TooMany(
            Text(
                "签到码连续输错，请 15 分钟后再试，或让带队老师登记。",
                "Too many wrong codes; try again in 15 minutes, or ask the leading teacher to note "
                "your time.",
            )
        )
    if not site_codes.fits(need_id, code, uow.now):
        return None
    forgive(uow.session, "shift.sign", guesser)
    known = _times(uow.session, need_id).get(row.id)
    return _sign_in(uow, row, known) if way == "in" else _sign_out(uow, row, known)


def _sign_in(uow: UnitOfWork, row: ShiftAssignment, known: ShiftTime | None) -> ShiftTime:
    if known is not None:
        return known
    row.state = "signed_in"
    made = ShiftTime(
        assignment_id=row.id, need_id=row.need_id, person_id=row.person_id, in_at=uow.now
    )
    uow.session.add(made)
    uow.session.flush()  # the page shows it
    return made


def _sign_out(uow: UnitOfWork, row: ShiftAssignment, known: ShiftTime | None) -> ShiftTime:
    if known is None or known.in_at is None:
        raise Conflict(
            Text(
                "还没有签到。请让带队老师登记到场和离开的时间。",
                "You have not signed in. Ask the leading teacher to note when you came and left.",
            ),
            code="not_signed_in",
        )
    if known.out_at is None:
        known.out_at = uow.now
        row.state = "signed_out"
    return known


def mark(uow: UnitOfWork, *, need_id: int, marks: Mapping[int, Mark]) -> int:
    """Whoever is in charge writes down times or absences, by assignment; how many were written."""
    need = _lock(uow, need_id)
    uow.authorize(Action.SHIFT_MARK, in_charge(uow.session, uow.actor, need, Action.SHIFT_MARK))
    if need.state == "cancelled":
        raise TooLate(Text("这个班次已取消。", "This shift was cancelled."))
    if uow.now < need.starts_at - BEFORE:
        raise Conflict(
            Text(
                "还没到班次时间，开始前 2 小时起可以登记。",
                "It is too early: times can be noted from two hours before the start.",
            ),
            code="too_early",
        )
    rows = {row.id: row for row in assignments(uow.session, need_id)}
    known = _times(uow.session, need_id)
    fields: dict[str, Text] = {}
    written = 0
    for assignment_id, given in marks.items():
        row = rows.get(assignment_id)
        if row is None:
            raise NotFound()
        found = known.get(assignment_id)
        if row.person_id == uow.actor.person_id:
            wrong: Text | None = Text(
                "不能登记自己的时间，请让协调员登记。",
                "Nobody notes their own time; ask the coordinator.",
            )
        elif found is not None and found.confirmed_at is not None:
            wrong = Text(
                "已核定，不能再改；有误请志愿者提出异议。",
                "This is confirmed; if it is wrong, the volunteer objects to it.",
            )
        else:
            wrong = _unfit(given, need, uow.now)
        if wrong is not None:
            fields[f"row-{assignment_id}"] = wrong
            continue
        if found is None:
            found = ShiftTime(assignment_id=row.id, need_id=need_id, person_id=row.person_id)
            uow.session.add(found)
        elif (found.in_at, found.out_at, found.absent) == (
            given.in_at,
            given.out_at,
            given.absent,
        ):
            continue  # as it was: by the volunteer's own hand, if so
        found.in_at, found.out_at, found.absent = given.in_at, given.out_at, given.absent
        found.marked_by_id = uow.actor.person_id
        row.state = _state_of(given)
        written += 1
    if fields:
        raise Invalid(fields=fields)
    return written


def _state_of(given: Mark) -> str:
    if given.absent:
        return "no_show"
    return "signed_in" if given.out_at is None else "signed_out"


def _unfit(given: Mark, need: ShiftNeed, now: datetime) -> Text | None:
    if given.absent:
        if given.in_at or given.out_at:
            return Text("未到场的不要填时间。", "Who was away has no times.")
        if now < need.starts_at:
            return Text("班次还没开始。", "The shift has not begun.")
        return None
    if given.in_at is None:
        return Text("请填写到场时间。", "Enter when they came.")
    if given.out_at is not None and given.out_at <= given.in_at:
        return Text("离开时间要晚于到场时间。", "They must leave after they came.")
    first, last = need.starts_at - BEFORE, need.ends_at + AFTER
    for moment in (given.in_at, given.out_at):
        if moment is not None and not first <= moment <= last:
            return Text(
                "时间应在班次开始前 2 小时到结束后 3 小时之间。",
                "Times lie between two hours before the start and three hours after the end.",
            )
    if max(t for t in (given.in_at, given.out_at) if t is not None) > now:
        return Text("时间还没到，请到时再登记。", "That time is still to come; note it then.")
    return None


def confirm(uow: UnitOfWork, *, need_id: int, seen: Mapping[int, str]) -> Confirmed:
    """Confirm the times of a shift as they were seen (`stamp` by id); only then do they count."""
    need = _lock(uow, need_id)
    uow.authorize(
        Action.SHIFT_CONFIRM, in_charge(uow.session, uow.actor, need, Action.SHIFT_CONFIRM)
    )
    if need.state == "cancelled":
        raise TooLate(Text("这个班次已取消。", "This shift was cancelled."))
    rule = time_rules.in_force(uow.session)
    count = changed = own = 0
    for row in _times(uow.session, need_id).values():
        minutes = counts_for(rule, need, row)
        if row.confirmed_at is not None or minutes is None or row.id not in seen:
            continue
        if row.person_id == uow.actor.person_id:
            own += 1
        elif seen[row.id] != stamp(row):
            changed += 1
        else:
            row.minutes, row.confirmed_at = minutes, uow.now
            row.confirmed_by_id = uow.actor.person_id
            count += 1
    if count:
        uow.record(ShiftTimesConfirmed(need_id))
    return Confirmed(count, changed, own)


def assignments(session: Session, need_id: int) -> Sequence[ShiftAssignment]:
    """Those of a shift whose time can be written down."""
    return session.scalars(
        select(ShiftAssignment)
        .where(ShiftAssignment.need_id == need_id, ShiftAssignment.state.in_(MARKABLE))
        .order_by(ShiftAssignment.id)
    ).all()


def _lock(uow: UnitOfWork, need_id: int) -> ShiftNeed:
    """Whoever signs, writes down or confirms queues up at the shift, as whoever takes it does."""
    need = uow.session.get(ShiftNeed, need_id, with_for_update=True)
    if need is None:
        raise NotFound()
    return need


def _times(session: Session, need_id: int) -> dict[int, ShiftTime]:
    """The times of a shift, by assignment."""
    rows = session.scalars(
        select(ShiftTime)
        .where(ShiftTime.need_id == need_id)
        .order_by(ShiftTime.id)
        .execution_options(populate_existing=True)
    )
    return {row.assignment_id: row for row in rows}
