"""Reminders of sessions: which rows are wanted, and who answers for what they say.

A row per rule and session; the recipients are found when it is due, so whoever left, refused or was
cut off meanwhile is not reminded. Moving a session, or changing a rule, rewrites the rows in the same
transaction. Which rules hold is said by `domain/practice/reminding.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, DateTime, Integer, Interval, and_, cast, func, literal, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.practice import reminding
from coordination.domain.practice.models import Activity, PracticeSession
from coordination.domain.practice.reminding import Place, Rule
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from notifications import reminders
from notifications.models import Reminder
from notifications.reminders import Rewritten

Remind = Callable[[UnitOfWork, int, datetime], None]

SESSION = "session"
# which texts an audience gets
TEXTS = {
    "everybody": ("session_reminder", "session_reminder_staff"),
    "families": ("session_reminder",),
    "staff": ("session_reminder_staff",),
    "silent": ("consent_reminder",),
    "pickup": ("session_return",),
    "unmarked": ("session_roll",),
}

_zone = ZoneInfo("Asia/Shanghai")
_answers: dict[str, Remind] = {}


def use_zone(zone: ZoneInfo) -> None:
    """Set once by the composition root: 18:00 is the district's."""
    global _zone
    _zone = zone


def zone() -> ZoneInfo:
    """The district's zone, for every wording of a time."""
    return _zone


def answers_for(subject_type: str, remind: Remind) -> None:
    """Say who writes the reminders of a kind of subject when they are due."""
    _answers[subject_type] = remind


def plan(uow: UnitOfWork, session_id: int) -> Rewritten:
    """Write, or after a move rewrite, the reminders of a session; those already past are left out."""
    reminding.lock_rules(uow.session, alone=False)
    return _rewrite(uow, PracticeSession.id == session_id)


def plan_all(uow: UnitOfWork, place: Place) -> Rewritten:
    """Rewrite what a change of a place's rules concerns: one statement, however many sessions.

    The caller changes the rules and holds the lock for it.
    """
    return _rewrite(uow, reminding.concerned(place))


def _rewrite(uow: UnitOfWork, which: ColumnElement[bool]) -> Rewritten:
    uow.session.flush()  # the statement reads times, sign-ups and rules from the tables
    asked = reminding.holding(and_(which, reminding.ahead(uow.now))).subquery()
    return reminders.rewrite(
        uow.session,
        # a rule that several schools have is one row, kept as long as it is of use to any of them
        select(
            asked.c.session_id,
            _key(asked).label("key"),
            asked.c.spec,
            asked.c.anchor_at,
            func.max(asked.c.useful_hours),
        ).group_by(asked.c.session_id, asked.c.anchor, asked.c.spec, asked.c.anchor_at),
        select(PracticeSession.id).where(which),
        subject_type=SESSION,
        zone=_zone,
        now=uow.now,
    )


def _key(asked: object) -> ColumnElement[str]:
    """As `Rule.key`, in a statement."""
    columns = asked.c  # type: ignore[attr-defined]
    key: ColumnElement[str] = columns.anchor + "|" + columns.spec
    return key


def drop(uow: UnitOfWork, session_id: int) -> int:
    """Cancel what is still to come."""
    # a rule that changes meanwhile must not write anew what is dropped here
    reminding.lock_rules(uow.session, alone=False)
    return reminders.drop(uow.session, SESSION, session_id, now=uow.now)


@dataclass(frozen=True, slots=True)
class Call:
    """For whom a rule that is due now holds: as the columns of `reminding.holding`."""

    scope: str
    school_id: int | None
    audience: str


def calls(session: Session, session_id: int, due: datetime, now: datetime) -> list[Call]:
    """Whom the rules of a session mean at one instant, all rules of that instant together; a rule
    for which it is too late by now means nobody.

    Two rules may come to the same minute. Whoever of their rows is taken first answers for both, so
    that one text names all of a family's children.
    """
    asked = reminding.holding(PracticeSession.id == session_id).subquery()
    rows = session.execute(
        select(asked.c.scope, asked.c.school_id, asked.c.audience)
        .where(
            reminders.due_at(asked.c.anchor_at, asked.c.spec, _zone) == due,
            literal(due, DateTime(timezone=True))
            + func.make_interval(0, 0, 0, 0, cast(asked.c.useful_hours, Integer), type_=Interval())
            > now,
        )
        .distinct()
        .order_by(asked.c.scope, asked.c.school_id, asked.c.audience)
    )
    return [Call(*row) for row in rows]


def send_due(uow: UnitOfWork, limit: int = 100) -> int:
    """Take due reminders and write their messages, all in one transaction; how many were taken."""
    uow.authorize(Action.SYSTEM_RUN)
    due = reminders.take_due(uow.session, uow.now, limit)
    for reminder in due:
        _answers[reminder.subject_type](uow, reminder.subject_id, reminder.due_at)
    return len(due)


def next_of(session: Session, session_id: int) -> datetime | None:
    """When the next reminder of a session is due."""
    return session.scalar(
        select(func.min(Reminder.due_at)).where(
            Reminder.subject_type == SESSION,
            Reminder.subject_id == session_id,
            Reminder.state == "pending",
        )
    )


@dataclass(frozen=True, slots=True)
class Missed:
    """A reminder that was not sent: its time went by while nothing ran, and then it was too late."""

    when: Text
    due_at: datetime
    found_at: datetime | None


def missed(session: Session, session_id: int) -> list[Missed]:
    """The reminders of a session that came too late, by the rules as they were then."""
    rows = session.scalars(
        select(Reminder)
        .where(
            Reminder.subject_type == SESSION,
            Reminder.subject_id == session_id,
            Reminder.state == "expired",
        )
        .order_by(Reminder.due_at)
    )
    return [
        Missed(
            reminding.when_words(Rule(row.rule_key.partition("|")[0], row.rule_spec, "")),
            row.due_at,
            row.settled_at,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A reminder that is planned."""

    session: PracticeSession
    activity: Activity
    rule: Rule
    due_at: datetime

    @property
    def valid_until(self) -> datetime | None:
        """Until when its texts may leave, as far as that is known before they are written."""
        if self.rule.audience == "pickup":
            return self.session.return_at
        return None if self.rule.audience in ("silent", "unmarked") else self.session.starts_at


def upcoming(session: Session, place: Place, now: datetime, limit: int = 10) -> list[Upcoming]:
    """The next reminders that a place's people get, soonest first."""
    which = and_(reminding.concerned(place), reminding.ahead(now))
    asked = reminding.holding(which).subquery()
    mine: ColumnElement[bool] = asked.c.session_id.is_not(None)
    if place.scope == "district":
        mine = asked.c.scope == "district"
    elif place.scope == "school":
        own = reminding.set_of(session, place) is not None
        mine = (asked.c.scope == "activity") | (
            asked.c.school_id == place.id if own else asked.c.scope == "district"
        )
    # a rule that several schools have is one row
    key = _key(asked)
    once = (
        select(
            asked.c.session_id,
            key.label("rule_key"),
            asked.c.anchor,
            asked.c.spec,
            func.min(asked.c.audience).label("audience"),
        )
        .where(mine)
        .group_by(asked.c.session_id, asked.c.anchor, asked.c.spec)
        .subquery()
    )
    rows = session.execute(
        select(
            PracticeSession,
            Activity,
            once.c.anchor,
            once.c.spec,
            once.c.audience,
            Reminder.due_at,
        )
        .select_from(once)
        .join(
            Reminder,
            and_(
                Reminder.subject_type == SESSION,
                Reminder.subject_id == once.c.session_id,
                Reminder.rule_key == once.c.rule_key,
                Reminder.state == "pending",
            ),
        )
        .join(PracticeSession, PracticeSession.id == once.c.session_id)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .order_by(Reminder.due_at, Reminder.id)
        .limit(limit)
    )
    return [
        Upcoming(held, activity, Rule(anchor, spec, audience), due)
        for held, activity, anchor, spec, audience, due in rows
    ]
