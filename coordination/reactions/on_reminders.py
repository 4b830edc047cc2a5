"""What follows when a reminder of a session is due, or its rules change: who still needs which text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from coordination.domain.consents import services as consents
from coordination.domain.people.models import ClassGroup
from coordination.domain.practice import reminding
from coordination.domain.practice import services as practice
from coordination.domain.practice.events import (
    ReminderRulesChanged,
)
from coordination.domain.practice.models import (
    Activity,
    ClassEnrolment,
    Enrolment,
    PracticeSession,
)
from coordination.domain.practice.reminding import Place
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import reminders, session_news
from coordination.reactions.notices import tell

# one text per phone, session and minute, whatever it reminds of
_REMINDER = "reminder"


def rules_changed(uow: UnitOfWork, event: ReminderRulesChanged) -> None:
    """What is still to be reminded of follows the new rules; what was reminded of stays."""
    done = reminders.plan_all(uow, Place(event.scope, event.place_id))
    uow.trail.line(
        "change",
        "reminder",
        None,
        None,
        {
            "scope": event.scope,
            "place_id": event.place_id,
            "written": done.written,
            "cancelled": done.cancelled,
        },
    )


@dataclass(slots=True)
class _Reach:
    """Whom one kind of reminder means in a session: all classes, or those of some schools."""

    everybody: bool = False
    rest: bool = False  # the classes of schools without rules of their own, and the helpers
    schools: set[int] = field(default_factory=set)

    @property
    def helpers(self) -> bool:
        return self.everybody or self.rest

    def classes(self, rows: Collection[ClassEnrolment], own: Collection[int]) -> list[int]:
        """The classes meant, of those signed up; `own` are schools with rules of their own."""
        return [
            r.class_id
            for r in rows
            if self.everybody
            or r.school_id in self.schools
            or (self.rest and r.school_id not in own)
        ]


def remind(uow: UnitOfWork, session_id: int, due: datetime) -> None:
    """What is due at this instant, re-checked now: only who still goes, only if it takes place."""
    held, activity = session_news.session_of(uow, session_id)
    if held.state in ("planned", *reminding.OVER):
        return
    meant: dict[str, _Reach] = defaultdict(_Reach)
    for call in reminders.calls(uow.session, session_id, due, uow.now):
        for audience in _PARTS.get(call.audience, (call.audience,)):
            reach = meant[audience]
            reach.everybody |= call.scope == "activity"
            reach.rest |= call.scope == "district"
            if call.school_id is not None:
                reach.schools.add(call.school_id)
    rows = uow.session.scalars(
        select(ClassEnrolment).where(ClassEnrolment.session_id == session_id)
    ).all()
    own = reminding.schools_with_rules(uow.session, {r.school_id for r in rows})
    told: set[int] = set()
    # whoever is asked for an answer needs no other text in the same minute
    for audience, write in _WRITE.items():
        if audience in meant:
            classes = meant[audience].classes(rows, own)
            told |= write(
                uow, _Now(held, activity, due, classes, meant[audience].helpers, frozenset(told))
            )


@dataclass(frozen=True, slots=True)
class _Now:
    """A reminder that is due: for which classes, and who has been told something this minute."""

    held: PracticeSession
    activity: Activity
    due: datetime
    class_ids: Sequence[int]
    helpers: bool
    told: frozenset[int]

    @property
    def version(self) -> str:
        """One text a minute; the rule's scope is not in it, so changing hands reminds nobody twice."""
        return self.due.astimezone(UTC).isoformat()


def _going(uow: UnitOfWork, now: _Now, states: Collection[str] = practice.GOING) -> list[int]:
    """Children of the classes meant who are in these states."""
    return list(
        uow.session.scalars(
            select(Enrolment.child_id)
            .where(
                Enrolment.session_id == now.held.id,
                Enrolment.class_id.in_(now.class_ids),
                Enrolment.state.in_(states),
            )
            .order_by(Enrolment.id)
        )
    )


def _remind_silent(uow: UnitOfWork, now: _Now) -> set[int]:
    """Families of whom no answer has come, with a code to answer by."""
    request = consents.open_request(uow.session, "session", now.held.id)
    if request is None or request.state != "open" or request.due_at <= uow.now:
        return set()
    children = _going(uow, now)
    states = consents.state_for(uow.session, request.id, children)
    return session_news.write_to_guardians(
        uow,
        "consent_reminder",
        now.held,
        now.activity,
        [c for c in children if states[c] == "no_answer"],
        version=now.version,
        request=request,
        message_class="sign",
        once_as=_REMINDER,
        valid_until=request.due_at,
    )


def _remind_families(uow: UnitOfWork, now: _Now) -> set[int]:
    """When, where, what to bring."""
    return session_news.write_to_guardians(
        uow,
        "session_reminder",
        now.held,
        now.activity,
        _going(uow, now),
        version=now.version,
        once_as=_REMINDER,
    )


def _remind_staff(uow: UnitOfWork, now: _Now) -> set[int]:
    """Class teachers and helpers, with the number of children; nobody if no child goes."""
    count = len(practice.children_of(uow.session, now.held.id))
    if not count:
        return set()
    staff = session_news.teachers_of(uow, now.held.id, now.class_ids)
    if now.helpers:
        staff += session_news.volunteers_of(uow, now.held.id)
    tell(
        uow,
        "session_reminder_staff",
        [p for p in staff if p not in now.told],
        {**session_news.params_of(now.held, now.activity), "people": str(count)},
        subject=("session", now.held.id),
        version=now.version,
        valid_until=now.held.starts_at,
        once_as=_REMINDER,
    )
    return set(staff)


def _remind_pickup(uow: UnitOfWork, now: _Now) -> set[int]:
    """Families of the children who are on their way back; whoever was absent is at home."""
    return session_news.write_to_guardians(
        uow,
        "session_return",
        now.held,
        now.activity,
        _going(uow, now, practice.PLACED),
        version=now.version,
        once_as=_REMINDER,
        valid_until=now.held.return_at,
    )


def _remind_roll(uow: UnitOfWork, now: _Now) -> set[int]:
    """Class teachers some of whose children nobody has marked."""
    unmarked = uow.session.execute(
        select(ClassGroup, func.count())
        .join(Enrolment, Enrolment.class_id == ClassGroup.id)
        .where(
            Enrolment.session_id == now.held.id,
            Enrolment.class_id.in_(now.class_ids),
            Enrolment.state.in_(practice.GOING),
        )
        .group_by(ClassGroup.id)
        .order_by(ClassGroup.id)
    )
    rolls: dict[int, list[tuple[ClassGroup, int]]] = defaultdict(list)
    for group, count in unmarked:
        for teacher in session_news.teachers_of(uow, now.held.id, [group.id]):
            rolls[teacher].append((group, count))
    tell(
        uow,
        "session_roll",
        rolls,
        session_news.params_of(now.held, now.activity),
        subject=("session", now.held.id),
        version=now.version,
        own_params={
            teacher: {
                "class": Text(
                    "、".join(g.name_zh for g, _ in open_), ", ".join(g.name_en for g, _ in open_)
                ),
                "people": str(sum(count for _, count in open_)),
            }
            for teacher, open_ in rolls.items()
        },
        once_as=_REMINDER,
        valid_until=now.due + timedelta(days=1),
    )
    return set(rolls)


# an audience that is two; and who writes to each, the first of them first
_PARTS = {"everybody": ("families", "staff")}
_WRITE: Mapping[str, Callable[[UnitOfWork, _Now], set[int]]] = {
    "silent": _remind_silent,
    "families": _remind_families,
    "pickup": _remind_pickup,
    "unmarked": _remind_roll,
    "staff": _remind_staff,
}

reminders.answers_for(reminders.SESSION, remind)
