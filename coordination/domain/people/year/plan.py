"""What a school's turn would do: class by class, with numbers and whatever still stands in the way.

Numbers and classes, so that the district may look; only `children_of` names children.
Writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.authz.visibility import where_visible
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    Membership,
    Organisation,
    Person,
)
from coordination.domain.people.recipients import is_there
from coordination.domain.people.year.models import SchoolTurn, TurnChild, TurnClass
from coordination.ground.actor import Actor
from coordination.ground.errors import NotFound
from coordination.ground.text import Text

FATES = {
    "up": Text("升级", "Moves up"),
    "into": Text("并入其他班", "Joins another class"),
    "leaves": Text("毕业", "Graduates"),
    "stays": Text("不变", "Stays as it is"),
    "new": Text("新班", "New class"),
}
STATES = {
    "none": Text("尚未准备", "Not begun"),
    "draft": Text("准备中", "In preparation"),
    "applied": Text("已升级", "Turned"),
    "undone": Text("已撤销", "Undone"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One class: what it is, what becomes of it, how many children that makes, who teaches it."""

    id: int
    class_id: int | None
    made_id: int | None
    fate: str
    old: Text | None
    old_grade: int | None
    name: Text
    grade: int | None
    into_id: int | None
    into: Text | None
    present: int
    elsewhere: int
    arriving: int
    keeps_teacher: bool
    teacher_id: int | None
    teachers: tuple[str, ...]

    @property
    def makes(self) -> bool:
        """Whether a class begins by it."""
        return self.fate in ("up", "new")


@dataclass(frozen=True, slots=True)
class Totals:
    """What an apply would write."""

    up: int
    leaving: int
    classes: int
    ending: int
    empty: int
    without_teacher: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A turn as a page shows it. `problems` must be solved first; `digest` names exactly this plan."""

    id: int
    school_id: int
    school: Text
    year: int
    state: str
    lines: tuple[Line, ...]
    totals: Totals
    problems: tuple[Text, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A child of a class; `target_id` is set for one who does not go with it."""

    id: int
    name: str
    target_id: int | None


@dataclass(frozen=True, slots=True)
class SchoolState:
    """A school in the district's list."""

    id: int
    name: Text
    state: str
    year: int | None
    starts_on: date | None


def turns_any(actor: Actor) -> bool:
    """Whether there is a school whose year the actor turns."""
    return any(allowed(actor, Action.YEAR_TURN, Scope(school=org)) for org in actor.orgs())


def schools_query(actor: Actor) -> Select[Organisation, SchoolTurn]:
    """Rows (school, its latest turn or None) of the schools whose year the actor may turn."""
    latest = (
        select(func.max(SchoolTurn.id))
        .where(SchoolTurn.school_id == Organisation.id)
        .correlate(Organisation)
        .scalar_subquery()
    )
    return (
        select(Organisation, SchoolTurn)
        .outerjoin(SchoolTurn, SchoolTurn.id == latest)
        .where(
            Organisation.kind == "school",
            Organisation.active.is_(True),
            where_visible(Organisation, actor, Action.YEAR_TURN),
        )
        .order_by(Organisation.name_zh, Organisation.id)
    )


def school_states(rows: Sequence[tuple[Organisation, SchoolTurn | None]]) -> list[SchoolState]:
    """The schools of a page."""
    return [
        SchoolState(
            o.id,
            Text(o.name_zh, o.name_en),
            turn.state if turn else "none",
            turn.year if turn else None,
            turn.starts_on if turn else None,
        )
        for o, turn in rows
    ]


def school_of(session: Session, actor: Actor, school_id: int) -> Organisation:
    """A school whose year the actor may turn; NotFound for others."""
    found = session.get(Organisation, school_id)
    if found is None or found.kind != "school" or not allowed(actor, Action.YEAR_TURN, found):
        raise NotFound()
    return found


def latest_turn(session: Session, school_id: int) -> SchoolTurn | None:
    """The draft of a school, else the turn made last, undone or not."""
    return session.scalar(
        select(SchoolTurn)
        .where(SchoolTurn.school_id == school_id)
        .order_by((SchoolTurn.state == "draft").desc(), SchoolTurn.id.desc())
        .limit(1)
    )


def applied_turns(session: Session, school_id: int) -> Sequence[SchoolTurn]:
    """Every year this school has turned into, the latest first."""
    return session.scalars(
        select(SchoolTurn)
        .where(SchoolTurn.school_id == school_id, SchoolTurn.state == "applied")
        .order_by(SchoolTurn.starts_on.desc(), SchoolTurn.id.desc())
    ).all()


def plan_of(session: Session, turn: SchoolTurn, day: date) -> Plan:
    """The plan with its numbers as the roster stands on `day`."""
    school = session.get_one(Organisation, turn.school_id)
    rows = session.execute(
        select(TurnClass, ClassGroup)
        .outerjoin(ClassGroup, ClassGroup.id == TurnClass.class_id)
        .where(TurnClass.turn_id == turn.id)
        .order_by(ClassGroup.grade, TurnClass.grade, ClassGroup.name_zh, TurnClass.id)
    ).all()
    kept = {k.id: k for k, _ in rows}
    present, elsewhere, arriving = _numbers(session, turn, kept, day)
    taught = _teachers(session, [g.id for _, g in rows if g is not None], day)
    chosen = _names_of(session, [k.teacher_id for k in kept.values() if k.teacher_id])
    lines = tuple(
        Line(
            id=k.id,
            class_id=k.class_id,
            made_id=k.made_id,
            fate=k.fate,
            old=Text(g.name_zh, g.name_en) if g else None,
            old_grade=g.grade if g else None,
            name=Text(k.name_zh, k.name_en),
            grade=k.grade,
            into_id=k.into_id,
            into=_called(kept.get(k.into_id)) if k.into_id else None,
            present=present[k.id],
            elsewhere=elsewhere[k.id],
            arriving=arriving[k.id],
            keeps_teacher=k.keeps_teacher,
            teacher_id=k.teacher_id,
            teachers=_teaches(k, taught, chosen),
        )
        for k, g in rows
    )
    going = {x.id for x in lines if x.makes}
    up = sum(n for line, n in arriving.items() if line in going)
    leaving = sum(x.present - x.elsewhere for x in lines if x.fate == "leaves")
    totals = Totals(
        up=up,
        leaving=leaving,
        classes=len(going),
        ending=sum(x.fate in ("up", "into", "leaves") for x in lines),
        empty=sum(x.makes and not x.arriving for x in lines),
        without_teacher=sum(x.makes and not x.teachers for x in lines),
    )
    return Plan(
        id=turn.id,
        school_id=school.id,
        school=Text(school.name_zh, school.name_en),
        year=turn.year,
        state=turn.state,
        lines=lines,
        totals=totals,
        problems=tuple(_problems(session, turn, lines)),
        digest=_digest(session, turn, lines, day),
    )


def line_of(plan: Plan, line_id: int) -> Line:
    """One class of a plan; NotFound if it is none of it."""
    found = next((x for x in plan.lines if x.id == line_id), None)
    if found is None:
        raise NotFound()
    return found


def draft_with(session: Session, actor: Actor, line_id: int) -> SchoolTurn:
    """The draft that a class stands in; NotFound if it is not the actor's, or is carried out."""
    turn = session.scalar(
        select(SchoolTurn)
        .join(TurnClass, TurnClass.turn_id == SchoolTurn.id)
        .where(TurnClass.id == line_id, SchoolTurn.state == "draft")
    )
    if turn is None:
        raise NotFound()
    school_of(session, actor, turn.school_id)
    return turn


def children_of(
    session: Session, turn_id: int, class_id: int, day: date, most: int
) -> list[Placed]:
    """The children of a class and where each goes, by name."""
    rows = session.execute(
        select(Person.id, Person.name, TurnChild.target_id)
        .join(ClassMember, ClassMember.person_id == Person.id)
        .outerjoin(TurnChild, and_(TurnChild.turn_id == turn_id, TurnChild.child_id == Person.id))
        .where(ClassMember.class_id == class_id, is_there(day))
        .order_by(Person.pinyin, Person.id)
        .limit(most)
    )
    return [Placed(*row) for row in rows]


def staff_of(session: Session, school_id: int, day: date) -> list[tuple[int, str]]:
    """Who may be named class teacher: whoever has a role at the school, by name."""
    rows = session.execute(
        select(Person.id, Person.name, Person.pinyin)
        .join(Membership, Membership.person_id == Person.id)
        .where(
            Membership.org_id == school_id,
            Membership.role.in_(("class_teacher", "school_admin")),
            or_(Membership.ends_on.is_(None), Membership.ends_on >= day),
            Person.status == "active",
        )
        .distinct()
        .order_by(Person.pinyin, Person.id)
    )
    return [(ident, name) for ident, name, _ in rows]


def _called(line: TurnClass | None) -> Text | None:
    return Text(line.name_zh, line.name_en) if line else None


def _names_of(session: Session, ids: Sequence[int]) -> dict[int, str]:
    rows = session.execute(select(Person.id, Person.name).where(Person.id.in_(ids)))
    return {ident: name for ident, name in rows}


def _teachers(session: Session, class_ids: Sequence[int], day: date) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for class_id, name in session.execute(
        select(Membership.class_id, Person.name)
        .join(Person, Person.id == Membership.person_id)
        .where(
            Membership.class_id.in_(class_ids),
            Membership.role == "class_teacher",
            Membership.starts_on <= day,
            or_(Membership.ends_on.is_(None), Membership.ends_on >= day),
        )
        .order_by(Person.pinyin, Person.id)
    ):
        found.setdefault(class_id or 0, []).append(name)
    return found


def _teaches(
    line: TurnClass, taught: dict[int, list[str]], chosen: dict[int, str]
) -> tuple[str, ...]:
    if line.fate not in ("up", "new"):
        return ()
    if line.keeps_teacher:
        return tuple(taught.get(line.class_id or 0, ()))
    return (chosen[line.teacher_id],) if line.teacher_id in chosen else ()


def _numbers(
    session: Session, turn: SchoolTurn, kept: dict[int, TurnClass], day: date
) -> tuple[Counter[int], Counter[int], Counter[int]]:
    """Of each line: the children there now, those who go elsewhere, those it begins with."""
    present: Counter[int] = Counter()
    elsewhere: Counter[int] = Counter()
    arriving: Counter[int] = Counter()
    rows = session.execute(
        select(TurnClass.id, TurnChild.target_id, func.count(ClassMember.person_id.distinct()))
        .join(ClassMember, ClassMember.class_id == TurnClass.class_id)
        .join(Person, Person.id == ClassMember.person_id)
        .outerjoin(
            TurnChild,
            and_(TurnChild.turn_id == turn.id, TurnChild.child_id == ClassMember.person_id),
        )
        .where(TurnClass.turn_id == turn.id, is_there(day))
        .group_by(TurnClass.id, TurnChild.target_id)
    )
    for line_id, target, count in rows:
        line = kept[line_id]
        usual = line.id if line.fate == "up" else line.into_id if line.fate == "into" else None
        present[line_id] += count
        if line.fate == "stays":
            continue
        if target is not None and target != usual:
            elsewhere[line_id] += count
        to = target if target is not None else usual
        if to is not None:
            arriving[to] += count
    return present, elsewhere, arriving


def _problems(session: Session, turn: SchoolTurn, lines: Sequence[Line]) -> list[Text]:
    found: list[Text] = []
    making = {x.id for x in lines if x.makes}
    named = Counter(x.name.zh for x in lines if x.makes and x.name.zh)
    named.update(x.old.zh for x in lines if x.fate == "stays" and x.old)
    for line in lines:
        called = line.old or line.name
        if line.makes and not (line.name.zh and line.name.en):
            found.append(
                Text(f"{called.zh}：还没有新名称。", f"{called.en}: it has no new name yet.")
            )
        if line.makes and line.grade is None:
            found.append(Text(f"{called.zh}：还没有年级。", f"{called.en}: it has no grade yet."))
        if line.fate == "into" and line.into_id not in making:
            found.append(
                Text(f"{called.zh}：请选择并入哪个班。", f"{called.en}: choose the class it joins.")
            )
        if line.fate not in ("up", "new") and line.id in _targets(session, turn):
            found.append(
                Text(
                    f"{called.zh}不再升级，但还有学生被安排到这个班，请重新安排。",
                    f"{called.en} no longer moves up, but children are still placed in it.",
                )
            )
    found += [
        Text(f"有 {n} 个班都叫“{name}”。", f"{n} classes are called “{name}”.")
        for name, n in named.items()
        if n > 1
    ]
    known = {x.class_id for x in lines}
    missing = session.execute(
        select(ClassGroup.id, ClassGroup.name_zh, ClassGroup.name_en)
        .where(ClassGroup.school_id == turn.school_id, ClassGroup.active.is_(True))
        .order_by(ClassGroup.grade, ClassGroup.name_zh)
    )
    if turn.state == "draft":
        found += [
            Text(
                f"{zh}是准备之后才有的班级，请点“补上新班级”。",
                f"{en} came after this was prepared: press “Add what is missing”.",
            )
            for ident, zh, en in missing
            if ident not in known
        ]
    return found


def _targets(session: Session, turn: SchoolTurn) -> set[int]:
    return set(
        session.scalars(select(TurnChild.target_id).where(TurnChild.turn_id == turn.id).distinct())
    )


def _digest(session: Session, turn: SchoolTurn, lines: Sequence[Line], day: date) -> str:
    """What was looked at: any other name, fate, teacher or child makes another one."""
    told = sha256()
    for x in sorted(lines, key=lambda line: line.id):
        written = (x.id, x.class_id, x.fate, x.name, x.grade, x.into_id, x.teachers, x.teacher_id)
        told.update(repr(written).encode())
    children = session.execute(
        select(ClassMember.class_id, ClassMember.person_id)
        .join(TurnClass, TurnClass.class_id == ClassMember.class_id)
        .join(Person, Person.id == ClassMember.person_id)
        .where(TurnClass.turn_id == turn.id, is_there(day))
        .order_by(ClassMember.class_id, ClassMember.person_id)
    )
    exceptions = session.execute(
        select(TurnChild.child_id, TurnChild.target_id)
        .where(TurnChild.turn_id == turn.id)
        .order_by(TurnChild.child_id)
    )
    told.update(repr([tuple(r) for r in (*children, *exceptions)]).encode())
    return told.hexdigest()[:32]
