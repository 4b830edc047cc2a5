"""What children have done, booked and still lack of their term's practice hours (B99). Reads only.

Names are for the family, the class teacher and the school; the district sees numbers, none of them for
fewer than `FEWEST` children.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Subquery, and_, case, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.visibility import where_visible
from coordination.domain.people.models import ClassGroup, ClassMember, Organisation, Person
from coordination.domain.people.recipients import is_there
from coordination.domain.practice import hour_rules
from coordination.domain.practice.hour_rules import GRADES, Rule, Stretch, Target
from coordination.domain.practice.ledger import VOID
from coordination.domain.practice.models import (
    Activity,
    Attendance,
    Enrolment,
    PracticeHour,
    PracticeSession,
)
from coordination.domain.practice.services import GOING, PLACED
from coordination.ground.actor import Actor
from coordination.ground.errors import Forbidden, NotFound
from coordination.ground.text import Text

FEWEST = 5


@dataclass(frozen=True, slots=True)
class Season:
    """Over which days, by which rule, seen at which moment."""

    stretch: Stretch
    rules: Sequence[Rule]
    today: date
    now: datetime
    zone: ZoneInfo

    @property
    def rule(self) -> Rule:
        """The rule whose targets hold: that of today, or of the term's last day once it is over."""
        return hour_rules.on(self.rules, min(self.today, self.stretch.last))

    def periods_of(self, held: PracticeSession) -> int:
        """What a session counts for."""
        day = held.starts_at.astimezone(self.zone).date()
        return hour_rules.on(self.rules, day).periods_of(held.starts_at, held.ends_at, self.zone)


@dataclass(frozen=True, slots=True)
class Tally:
    """Periods and times of one child against the target of its grade."""

    target: Target
    done: int = 0
    done_times: int = 0
    booked: int = 0
    booked_times: int = 0
    # sessions that are over and whose roll nobody has called
    unmarked: int = 0

    @property
    def missing(self) -> int:
        """Periods that are neither done nor booked."""
        return max(0, self.target.periods - self.done - self.booked)

    @property
    def missing_times(self) -> int:
        """Times that are neither done nor booked."""
        return max(0, self.target.times - self.done_times - self.booked_times)


@dataclass(frozen=True, slots=True)
class ChildHours:
    """A child with its tally."""

    id: int
    name: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class PlaceHours:
    """A class or school in numbers."""

    id: int
    name: Text
    children: int
    done: int
    booked: int
    short: int
    unmarked: int
    # whether the viewer may open it: a class by name, a school by class
    open: bool = True

    @property
    def is_small(self) -> bool:
        """Too few children for figures that name nobody."""
        return 0 < self.children < FEWEST

    def each(self, amount: int) -> str:
        """Per child, to one place."""
        return f"{amount / self.children:.1f}" if self.children else "0"


@dataclass(frozen=True, slots=True)
class EntryLine:
    """One session of a child: counted, missed, still to come, or without a roll."""

    title: Text
    starts_at: datetime
    periods: int
    state: str


def season_of(session: Session, today: date, now: datetime, zone: ZoneInfo) -> Season:
    """The present term with its rules."""
    stretch = hour_rules.stretch_of(session, today)
    return Season(stretch, hour_rules.rules_of(session), today, now, zone)


def class_of(session: Session, actor: Actor, class_id: int) -> tuple[ClassGroup, Organisation]:
    """A class whose children the viewer may see by name; Forbidden if numbers only."""
    row = session.execute(
        select(ClassGroup, Organisation)
        .join(Organisation, Organisation.id == ClassGroup.school_id)
        .where(ClassGroup.id == class_id, where_visible(ClassGroup, actor, Action.HOUR_COUNT))
    ).one_or_none()
    if row is None:
        raise NotFound()
    if not allowed(actor, Action.HOUR_READ, row[0]):
        raise Forbidden(
            Text(
                "区级人员只看人数；学生名单由学校和班主任查看。",
                "District staff see the numbers only; names are for the school and class teacher.",
            )
        )
    return row[0], row[1]


def of_class(session: Session, season: Season, group: ClassGroup) -> list[ChildHours]:
    """The children of a class, whoever lacks most first."""
    members = _members(ClassGroup.id == group.id, season.today)
    found = _children(session, season, members)
    return sorted(found, key=lambda c: (-c.tally.missing, -c.tally.missing_times, c.tally.done))


def of_children(session: Session, season: Season, actor: Actor) -> list[ChildHours]:
    """The tallies of a guardian's own children."""
    mine = Person.id.in_(sorted(actor.child_ids))
    return sorted(_children(session, season, _members(mine, season.today, once=True)), key=_by_id)


def _by_id(child: ChildHours) -> int:
    return child.id


def schools(session: Session, season: Season, actor: Actor) -> list[PlaceHours]:
    """The schools of which the viewer may see a class, in numbers, the largest gap first."""
    seen = where_visible(ClassGroup, actor, Action.HOUR_COUNT)
    tally = _tallies(session, season, _members(seen, season.today, once=True))
    rows = session.execute(
        select(Organisation.id, Organisation.name_zh, Organisation.name_en, *_sums(tally))
        .join(tally, tally.c.school_id == Organisation.id)
        .where(Organisation.active.is_(True))
        .group_by(Organisation.id)
    )
    found = [_place(i, Text(zh, en), *numbers) for i, zh, en, *numbers in rows]
    return sorted(found, key=lambda p: (-p.short, p.id))


def school_of(session: Session, actor: Actor, school_id: int) -> Organisation:
    """A school of which the viewer may see a class."""
    found = session.get(Organisation, school_id)
    seen = select(ClassGroup.id).where(
        ClassGroup.school_id == school_id, where_visible(ClassGroup, actor, Action.HOUR_COUNT)
    )
    if found is None or found.kind != "school" or session.scalar(seen.limit(1)) is None:
        raise NotFound()
    return found


def classes(session: Session, season: Season, actor: Actor, school_id: int) -> list[PlaceHours]:
    """The classes of a school which the viewer may see, in numbers, by grade."""
    seen = and_(
        ClassGroup.school_id == school_id, where_visible(ClassGroup, actor, Action.HOUR_COUNT)
    )
    tally = _tallies(session, season, _members(seen, season.today))
    rows = session.execute(
        select(ClassGroup, *_sums(tally))
        .join(tally, tally.c.class_id == ClassGroup.id)
        .group_by(ClassGroup.id)
        .order_by(ClassGroup.grade, ClassGroup.name_zh, ClassGroup.id)
    )
    return [
        replace(
            _place(group.id, Text(group.name_zh, group.name_en), *numbers),
            open=allowed(actor, Action.HOUR_READ, group),
        )
        for group, *numbers in rows
    ]


def _place(
    id_: int, name: Text, children: int, done: int, booked: int, short: int, unmarked: int
) -> PlaceHours:
    # sums of whole numbers come as decimals
    return PlaceHours(id_, name, children, int(done), int(booked), int(short), int(unmarked))


def sessions_of(session: Session, season: Season, actor: Actor, child_id: int) -> list[EntryLine]:
    """The term's sessions of one child, the latest first."""
    rows = session.execute(
        select(Activity, PracticeSession, Enrolment.state, Attendance.status, PracticeHour.periods)
        .select_from(Enrolment)
        .join(PracticeSession, PracticeSession.id == Enrolment.session_id)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .outerjoin(Attendance, Attendance.enrolment_id == Enrolment.id)
        .outerjoin(
            PracticeHour,
            and_(
                PracticeHour.session_id == Enrolment.session_id,
                PracticeHour.child_id == Enrolment.child_id,
            ),
        )
        .where(
            Enrolment.child_id == child_id,
            where_visible(Enrolment, actor, Action.HOUR_READ),
            Enrolment.state.in_((*PLACED, "absent")),
            PracticeSession.state.not_in(VOID),
            _within(season),
        )
        .order_by(PracticeSession.starts_at.desc(), PracticeSession.id)
    )
    return [
        EntryLine(
            Text(activity.title_zh, activity.title_en),
            held.starts_at,
            season.periods_of(held) if entry is None else entry,
            _state(held.ends_at <= season.now, state, status),
        )
        for activity, held, state, status, entry in rows
    ]


def _state(over: bool, state: str, status: str | None) -> str:
    if not over:
        return "booked" if state != "absent" else "absent"
    if status is None:
        return "unmarked"
    return "done" if status in ("present", "late") else status


def _within(season: Season) -> ColumnElement[bool]:
    local = func.timezone(season.zone.key, PracticeSession.starts_at)
    return func.date(local).between(season.stretch.first, season.stretch.last)


def _members(which: ColumnElement[bool], day: date, *, once: bool = False) -> Subquery:
    """Children of the roster with the class of that day; `once`: each with one class only."""
    query = (
        select(
            Person.id.label("child_id"),
            Person.name,
            Person.pinyin,
            ClassGroup.id.label("class_id"),
            ClassGroup.school_id,
            ClassGroup.grade,
        )
        .select_from(ClassMember)
        .join(Person, Person.id == ClassMember.person_id)
        .join(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .where(which, is_there(day), ClassGroup.active.is_(True))
    )
    if once:
        query = query.ext(distinct_on(Person.id)).order_by(Person.id, ClassMember.id)
    return query.subquery("member")


def _tallies(session: Session, season: Season, member: Subquery) -> Subquery:
    """A row per member: what is done and booked, with the target of the grade."""
    over = PracticeSession.ends_at <= season.now
    done = (
        select(
            PracticeHour.child_id,
            func.sum(PracticeHour.periods).label("periods"),
            func.count().label("times"),
        )
        .join(PracticeSession, PracticeSession.id == PracticeHour.session_id)
        .where(
            PracticeHour.day.between(season.stretch.first, season.stretch.last),
            over,
            PracticeSession.state.not_in(VOID),
        )
        .group_by(PracticeHour.child_id)
        .subquery("done")
    )
    ahead = session.scalars(
        select(PracticeSession).where(~over, PracticeSession.state.not_in(VOID), _within(season))
    ).all()
    counts_for = case(
        {held.id: season.periods_of(held) for held in ahead} or {0: 0},
        value=Enrolment.session_id,
        else_=0,
    )
    booked = (
        select(
            Enrolment.child_id,
            func.sum(counts_for).label("periods"),
            func.count().label("times"),
        )
        .where(Enrolment.session_id.in_([held.id for held in ahead]), Enrolment.state.in_(PLACED))
        .group_by(Enrolment.child_id)
        .subquery("booked")
    )
    unmarked = (
        select(Enrolment.child_id, func.count().label("times"))
        .join(PracticeSession, PracticeSession.id == Enrolment.session_id)
        .where(
            Enrolment.state.in_(GOING), over, PracticeSession.state.not_in(VOID), _within(season)
        )
        .group_by(Enrolment.child_id)
        .subquery("unmarked")
    )
    targets = {grade: season.rule.target(grade) for grade in GRADES}
    wanted = case({g: t.periods for g, t in targets.items()}, value=member.c.grade, else_=0)
    wanted_times = case({g: t.times for g, t in targets.items()}, value=member.c.grade, else_=0)
    nought = func.coalesce
    periods = nought(done.c.periods, 0) + nought(booked.c.periods, 0)
    times = nought(done.c.times, 0) + nought(booked.c.times, 0)
    return (
        select(
            member,
            nought(done.c.periods, 0).label("done"),
            nought(done.c.times, 0).label("done_times"),
            nought(booked.c.periods, 0).label("booked"),
            nought(booked.c.times, 0).label("booked_times"),
            nought(unmarked.c.times, 0).label("unmarked"),
            case((periods < wanted, 1), (times < wanted_times, 1), else_=0).label("short"),
        )
        .select_from(member)
        .outerjoin(done, done.c.child_id == member.c.child_id)
        .outerjoin(booked, booked.c.child_id == member.c.child_id)
        .outerjoin(unmarked, unmarked.c.child_id == member.c.child_id)
        .subquery("tally")
    )


def _sums(tally: Subquery) -> list[ColumnElement[Any]]:
    """Children, done, booked, children short of their target, missing rolls: as PlaceHours has them."""
    c = tally.c
    return [
        func.count(c.child_id),
        func.sum(c.done),
        func.sum(c.booked),
        func.sum(c.short),
        func.sum(c.unmarked),
    ]


def _children(session: Session, season: Season, member: Subquery) -> list[ChildHours]:
    tally = _tallies(session, season, member)
    rows = session.execute(select(tally).order_by(tally.c.pinyin, tally.c.child_id))
    return [
        ChildHours(
            row.child_id,
            row.name,
            Tally(
                season.rule.target(row.grade),
                int(row.done),
                row.done_times,
                int(row.booked),
                row.booked_times,
                row.unmarked,
            ),
        )
        for row in rows
    ]
