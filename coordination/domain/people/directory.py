"""What the roster's pages show: schools, classes and the children in them, as their staff may see.

District offices see numbers only (CLASS_READ); names need PERSON_READ on the class or the school.
Being a child's own guardian opens nothing here. Phones are shown masked. Must not know pages.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, true
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.authz.visibility import visible, where_visible
from coordination.domain.people.contacts import LANDLINE, OPTED_OUT
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    ContactPoint,
    Guardianship,
    Organisation,
    Person,
)
from coordination.domain.people.recipients import guards_on, is_there, is_told, member_on
from coordination.ground.actor import Actor
from coordination.ground.errors import Forbidden, NotFound
from coordination.ground.text import Text

RELATIONS = {
    "father": Text("父亲", "Father"),
    "mother": Text("母亲", "Mother"),
    "parent": Text("父母", "Parent"),
    "grandparent": Text("祖辈", "Grandparent"),
    "relative": Text("亲属", "Relative"),
    "guardian": Text("监护人", "Guardian"),
    "carer": Text("照护人", "Carer"),
}
NUMBERS_ONLY = Text(
    "区级人员只看人数；学生名单由学校和班主任查看。",
    "District staff see the numbers only; names are for the school and class teacher.",
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many are in a class or school, and how many children no text can reach."""

    children: int = 0
    guardians: int = 0
    without_phone: int = 0


@dataclass(frozen=True, slots=True)
class SchoolLine:
    """A school with its numbers."""

    id: int
    name: Text
    classes: int
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class ClassLine:
    """A class with its numbers; `open` says whether the viewer may see who is in it."""

    id: int
    name: Text
    grade: int | None
    numbers: Numbers
    open: bool


@dataclass(frozen=True, slots=True)
class ClassHead:
    """A class as the top of its page shows it."""

    id: int
    name: Text
    school_id: int
    school: Text


@dataclass(frozen=True, slots=True)
class GuardianLine:
    """One guardian of one child. `reason` of a limit is there for those who may set it."""

    guardianship_id: int
    name: str
    relation: Text
    phone: str | None
    stopped: bool
    opted_out: bool
    told: bool
    limited: bool
    reason: str | None
    may_pick_up: bool
    english: bool
    landline: bool
    call_since: date | None


@dataclass(frozen=True, slots=True)
class ChildLine:
    """A child with guardians; `may_limit` says whether the viewer may set custody limits."""

    id: int
    name: str
    number: str
    class_name: Text | None
    guardians: tuple[GuardianLine, ...]
    may_limit: bool
    may_note_calls: bool = False

    @property
    def reachable(self) -> bool:
        """Whether a text reaches at least one guardian."""
        return any(g.told and g.phone and not g.stopped for g in self.guardians)


def _phones() -> Any:
    return (
        select(ContactPoint.person_id)
        .where(ContactPoint.kind == "phone", ContactPoint.suppressed_at.is_(None))
        .distinct()
        .subquery("reachable")
    )


def _numbers(by: Any, classes: ColumnElement[bool], day: date) -> Select[Any]:
    """Rows (key, children, guardians, children whom a text reaches), one per value of `by`."""
    phones, adult = _phones(), Person.__table__.alias("adult")
    reached = and_(is_told(day), phones.c.person_id.is_not(None))
    return (
        select(
            by,
            func.count(ClassMember.person_id.distinct()),
            func.count(adult.c.id.distinct()),
            func.count(ClassMember.person_id.distinct()).filter(reached),
        )
        .select_from(ClassMember)
        .join(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .join(Person, Person.id == ClassMember.person_id)
        .outerjoin(
            Guardianship,
            and_(Guardianship.child_id == ClassMember.person_id, guards_on(day)),
        )
        .outerjoin(adult, and_(adult.c.id == Guardianship.guardian_id, adult.c.status == "active"))
        .outerjoin(phones, phones.c.person_id == adult.c.id)
        .where(classes, is_there(day))
        .group_by(by)
    )


def _counted(session: Session, statement: Select[Any]) -> dict[int, Numbers]:
    return {
        key: Numbers(children, guardians, children - reached)
        for key, children, guardians, reached in session.execute(statement)
    }


def schools_query(actor: Actor, name: str = "") -> Select[Organisation, int]:
    """Rows (school, number of classes) of the schools with a class the actor may see."""
    query = (
        select(Organisation, func.count(ClassGroup.id))
        .join(ClassGroup, ClassGroup.school_id == Organisation.id)
        .where(
            where_visible(ClassGroup, actor, Action.CLASS_READ),
            ClassGroup.active.is_(True),
            Organisation.active.is_(True),
        )
        .group_by(Organisation.id)
        .order_by(Organisation.name_zh, Organisation.id)
    )
    if name:
        query = query.where(
            or_(
                Organisation.name_zh.contains(name, autoescape=True),
                Organisation.name_en.icontains(name, autoescape=True),
            )
        )
    return query


def school_lines(
    session: Session, actor: Actor, rows: Sequence[Any], day: date
) -> list[SchoolLine]:
    """The schools of a page with their numbers, by one statement more."""
    of = and_(
        ClassGroup.school_id.in_([school.id for school, _ in rows]),
        ClassGroup.active.is_(True),
        where_visible(ClassGroup, actor, Action.CLASS_READ),
    )
    numbers = _counted(session, _numbers(ClassGroup.school_id, of, day))
    return [
        SchoolLine(
            school.id,
            Text(school.name_zh, school.name_en),
            classes,
            numbers.get(school.id, Numbers()),
        )
        for school, classes in rows
    ]


def school_of(session: Session, actor: Actor, school_id: int) -> Organisation:
    """A school of which the actor may see a class; NotFound otherwise."""
    found = session.scalar(
        select(Organisation).where(
            Organisation.id == school_id,
            Organisation.kind == "school",
            or_(
                Organisation.id.in_(
                    select(ClassGroup.school_id).where(
                        where_visible(ClassGroup, actor, Action.CLASS_READ)
                    )
                ),
                where_visible(Organisation, actor, Action.CLASS_READ),
            ),
        )
    )
    if found is None:
        raise NotFound()
    return found


def classes_of_school(session: Session, actor: Actor, school_id: int, day: date) -> list[ClassLine]:
    """The school's classes which the actor may see, by grade, with their numbers."""
    groups = list(
        session.scalars(
            visible(ClassGroup, actor, Action.CLASS_READ)
            .where(ClassGroup.school_id == school_id, ClassGroup.active.is_(True))
            .order_by(ClassGroup.grade, ClassGroup.name_zh, ClassGroup.id)
        )
    )
    numbers = _counted(
        session, _numbers(ClassGroup.id, ClassGroup.id.in_([g.id for g in groups]), day)
    )
    return [
        ClassLine(
            g.id,
            Text(g.name_zh, g.name_en),
            g.grade,
            numbers.get(g.id, Numbers()),
            allowed(actor, Action.PERSON_READ, g),
        )
        for g in groups
    ]


def class_head(session: Session, actor: Actor, class_id: int) -> ClassHead:
    """A class whose children the actor may see; NotFound for one of others.

    Forbidden for whoever may see its numbers only.
    """
    row = session.execute(
        select(ClassGroup, Organisation)
        .join(Organisation, Organisation.id == ClassGroup.school_id)
        .where(ClassGroup.id == class_id, where_visible(ClassGroup, actor, Action.CLASS_READ))
    ).one_or_none()
    if row is None:
        raise NotFound()
    group, school = row
    if not allowed(actor, Action.PERSON_READ, group):
        raise Forbidden(NUMBERS_ONLY)
    return ClassHead(
        group.id,
        Text(group.name_zh, group.name_en),
        school.id,
        Text(school.name_zh, school.name_en),
    )


def may_search(actor: Actor) -> bool:
    """Whether there is a class or a school whose children the actor may see by name."""
    return bool(_open_schools(actor) or actor.class_ids)


def _open_schools(actor: Actor) -> list[int]:
    return [o for o in sorted(actor.orgs()) if allowed(actor, Action.PERSON_READ, Scope(school=o))]


def children_query(
    actor: Actor,
    day: date,
    *,
    class_id: int | None = None,
    name: str = "",
    without_phone: bool = False,
    history: bool = False,
) -> Select[Person, ClassGroup]:
    """Rows (child, class or None) of the children whom the actor may see as staff, by name.

    With a class, whoever was in it on `day`; without one, also those who are in no class.
    `history` names those too who have left the school since.
    """
    in_class = where_visible(ClassGroup, actor, Action.PERSON_READ)
    in_school = Person.school_id.in_(
        select(Organisation.id).where(where_visible(Organisation, actor, Action.PERSON_READ))
    )
    query = (
        select(Person, ClassGroup)
        .outerjoin(ClassMember, and_(ClassMember.person_id == Person.id, member_on(day)))
        .outerjoin(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .where(
            Person.is_student.is_(True),
            true() if history else Person.status == "active",
            or_(in_class, and_(ClassGroup.id.is_(None), in_school)),
        )
        .order_by(Person.pinyin, Person.id, ClassGroup.id)
    )
    if class_id is not None:
        query = query.where(ClassGroup.id == class_id)
    if name:
        query = query.where(
            or_(
                Person.name.contains(name, autoescape=True),
                Person.name_en.icontains(name, autoescape=True),
                # kept syllable by syllable, typed in one go
                func.replace(Person.pinyin, " ", "").istartswith(
                    name.replace(" ", ""), autoescape=True
                ),
            )
        )
    if without_phone:
        query = query.where(~_reached(day))
    return query


def _reached(day: date) -> ColumnElement[bool]:
    adult = Person.__table__.alias("adult")
    return exists(
        select(Guardianship.id)
        .join(adult, adult.c.id == Guardianship.guardian_id)
        .join(ContactPoint, ContactPoint.person_id == Guardianship.guardian_id)
        .where(
            Guardianship.child_id == Person.id,
            adult.c.status == "active",
            is_told(day),
            ContactPoint.kind == "phone",
            ContactPoint.suppressed_at.is_(None),
        )
        .correlate(Person)
    )


def child_lines(session: Session, actor: Actor, rows: Sequence[Any], day: date) -> list[ChildLine]:
    """The children of a page with their guardians, by one statement more."""
    guardians = _guardians(session, {child.id for child, _ in rows}, day)
    lines = []
    for child, group in rows:
        may_limit = allowed(actor, Action.CUSTODY_LIMIT, child)
        lines.append(
            ChildLine(
                child.id,
                child.name,
                number_of(child.source_id),
                Text(group.name_zh, group.name_en) if group else None,
                tuple(_line(row, may_limit) for row in guardians.get(child.id, ())),
                may_limit,
                group is not None and allowed(actor, Action.CALLS_NOTE, group),
            )
        )
    return lines


def number_of(source_id: str | None) -> str:
    """The student number as a teacher knows it; a registry's own identifiers say nothing to one."""
    school, _, number = (source_id or "").rpartition(":")
    return number if school else ""


def _guardians(
    session: Session, child_ids: Collection[int], day: date
) -> dict[int, list[tuple[Guardianship, Person, str | None, str | None]]]:
    phone = (
        select(ContactPoint.mask, ContactPoint.suppressed_reason.label("stopped"))
        .where(ContactPoint.person_id == Person.id, ContactPoint.kind == "phone")
        .order_by(ContactPoint.suppressed_at.is_(None).desc(), ContactPoint.id.desc())
        .limit(1)
        .lateral("phone")
    )
    found: dict[int, list[tuple[Guardianship, Person, str | None, str | None]]] = {}
    for kin, adult, mask, stopped in session.execute(
        select(Guardianship, Person, phone.c.mask, phone.c.stopped)
        .join(Person, Person.id == Guardianship.guardian_id)
        .outerjoin(phone, phone.c.mask.is_not(None))
        .where(Guardianship.child_id.in_(child_ids), Person.status == "active", guards_on(day))
        .order_by(Guardianship.contact_order, Guardianship.id)
    ):
        found.setdefault(kin.child_id, []).append((kin, adult, mask, stopped))
    return found


def _line(
    row: tuple[Guardianship, Person, str | None, str | None], may_limit: bool
) -> GuardianLine:
    kin, adult, mask, stopped = row
    return GuardianLine(
        kin.id,
        adult.name,
        RELATIONS[kin.relation],
        mask,
        stopped is not None,
        stopped == OPTED_OUT,
        kin.receives_notice and not kin.no_disclosure,
        kin.no_disclosure,
        kin.limit_reason if may_limit else None,
        kin.may_pick_up,
        adult.language == "en",
        stopped == LANDLINE,
        adult.call_since,
    )
