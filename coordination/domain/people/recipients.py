"""Who is told about a child: the one resolution of guardians.

No message, reminder, feed or count may find guardians in any other way; custody limits hold here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Select, String, Subquery, and_, cast, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, distinct_on
from sqlalchemy.orm import Session, aliased

from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    ContactPoint,
    Guardianship,
    Membership,
    Organisation,
    Person,
)


@dataclass(frozen=True, slots=True)
class Recipient:
    """A guardian with the children concerned. `household_key` is the same for one shared phone."""

    guardian_id: int
    name: str
    language: str
    child_ids: tuple[int, ...]
    household_key: str
    phone_mask: str | None
    suppressed: str | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """A child of a class."""

    id: int
    name: str
    class_id: int


def guards_on(day: date) -> ColumnElement[bool]:
    """The condition under which a guardianship holds on a day, whatever it allows."""
    return and_(
        Guardianship.starts_on <= day,
        or_(Guardianship.ends_on.is_(None), Guardianship.ends_on >= day),
    )


def is_told(today: date) -> ColumnElement[bool]:
    """The condition under which a guardianship receives messages today."""
    return and_(
        Guardianship.receives_notice.is_(True),
        Guardianship.no_disclosure.is_(False),
        guards_on(today),
    )


def guardians_of_children(
    session: Session, child_ids: Collection[int], today: date
) -> list[Recipient]:
    """One recipient per guardian of these children, in a stable order."""
    if not child_ids:
        return []
    pupil = aliased(Person)
    rows = session.execute(
        select(Guardianship.guardian_id, Person.name, Person.language, Guardianship.child_id)
        .join(Person, Person.id == Guardianship.guardian_id)
        .join(pupil, pupil.id == Guardianship.child_id)
        .where(
            Guardianship.child_id.in_(child_ids),
            Person.status == "active",
            pupil.status == "active",
            is_told(today),
        )
        .order_by(Guardianship.contact_order, Guardianship.guardian_id, Guardianship.child_id)
    ).all()
    points: dict[int, tuple[bytes, str, str | None]] = {
        person: (index, mask, reason)
        for person, index, mask, reason in session.execute(
            select(
                ContactPoint.person_id,
                ContactPoint.value_index,
                ContactPoint.mask,
                ContactPoint.suppressed_reason,
            )
            .where(
                ContactPoint.kind == "phone",
                ContactPoint.person_id.in_({r.guardian_id for r in rows}),
            )
            .order_by(ContactPoint.suppressed_at.is_(None), ContactPoint.id)
        )
    }
    found: dict[int, Recipient] = {}
    for guardian, name, language, child in rows:
        before = found.get(guardian)
        index, mask, reason = points.get(guardian, (None, None, None))
        found[guardian] = Recipient(
            guardian_id=guardian,
            name=name,
            language=language,
            child_ids=(*before.child_ids, child) if before else (child,),
            household_key=index.hex() if index else f"person-{guardian}",
            phone_mask=mask,
            suppressed=reason,
        )
    return list(found.values())


def children_of_classes(session: Session, class_ids: Collection[int], today: date) -> list[Child]:
    """Children who are in these classes today, in the order of their names."""
    rows = session.execute(
        select(Person.id, Person.name, ClassMember.class_id)
        .join(ClassMember, ClassMember.person_id == Person.id)
        .where(ClassMember.class_id.in_(class_ids), is_there(today))
        .order_by(Person.pinyin, Person.id)
    )
    return [Child(*row) for row in rows]


def guardians_of_classes(
    session: Session, class_ids: Collection[int], today: date
) -> list[Recipient]:
    """One recipient per guardian of the children who are in these classes today."""
    children = children_of_classes(session, class_ids, today)
    return guardians_of_children(session, {c.id for c in children}, today)


def may_have(session: Session, guardian_id: int, child_ids: Collection[int], today: date) -> bool:
    """Whether the guardian may still receive something about any of these children (at claim)."""
    return (
        session.scalar(
            select(Guardianship.id)
            .where(
                Guardianship.guardian_id == guardian_id,
                Guardianship.child_id.in_(child_ids),
                is_told(today),
            )
            .limit(1)
        )
        is not None
    )


def children_of_organisation(org_id: int, today: date) -> Select[int]:
    """The ids of the children who are today in a class of this school, or of this district's schools."""
    return (
        select(ClassMember.person_id)
        .join(Person, Person.id == ClassMember.person_id)
        .join(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .join(Organisation, Organisation.id == ClassGroup.school_id)
        .where(
            or_(Organisation.id == org_id, Organisation.parent_id == org_id),
            Organisation.active.is_(True),
            ClassGroup.active.is_(True),
            is_there(today),
        )
    )


def children_in(class_ids: Collection[int], today: date) -> Select[int]:
    """The ids of the children who are in these classes today."""
    return (
        select(ClassMember.person_id)
        .join(Person, Person.id == ClassMember.person_id)
        .where(ClassMember.class_id.in_(class_ids), is_there(today))
    )


def member_on(day: date | ColumnElement[date]) -> ColumnElement[bool]:
    """The condition under which a child is in a class on a day."""
    return and_(
        ClassMember.starts_on <= day,
        or_(ClassMember.ends_on.is_(None), ClassMember.ends_on >= day),
    )


def is_there(day: date) -> ColumnElement[bool]:
    """The condition under which a child of the roster is in a class on a day."""
    return and_(
        member_on(day),
        Person.is_student.is_(True),
        Person.status == "active",
    )


def recipients_query(children: Select[int], today: date) -> Subquery:
    """The same resolution for any number of children, as rows for a statement.

    Columns: guardian_id, language, child_ids, household_key, has_phone, stopped, why (it is: opted_out
    or bad_number), and `rank`, by which the first of several who share a phone is written to.
    """
    phone = (
        select(ContactPoint.person_id, ContactPoint.value_index, ContactPoint.suppressed_reason)
        .where(ContactPoint.kind == "phone")
        .ext(distinct_on(ContactPoint.person_id))
        .order_by(
            ContactPoint.person_id,
            ContactPoint.suppressed_at.is_(None).desc(),
            ContactPoint.id.desc(),
        )
        .subquery("phone")
    )
    told = (
        select(
            Guardianship.guardian_id,
            Person.language,
            func.array_agg(aggregate_order_by(Guardianship.child_id, Guardianship.child_id)).label(
                "child_ids"
            ),
            func.min(Guardianship.contact_order).label("rank"),
        )
        .join(Person, Person.id == Guardianship.guardian_id)
        .where(Guardianship.child_id.in_(children), Person.status == "active", is_told(today))
        .group_by(Guardianship.guardian_id, Person.language)
        .subquery("told")
    )
    return (
        select(
            told.c.guardian_id,
            told.c.language,
            told.c.child_ids,
            told.c.rank,
            func.coalesce(
                func.encode(phone.c.value_index, "hex"),
                func.concat("person-", cast(told.c.guardian_id, String)),
            ).label("household_key"),
            phone.c.value_index.is_not(None).label("has_phone"),
            phone.c.suppressed_reason.is_not(None).label("stopped"),
            phone.c.suppressed_reason.label("why"),
        )
        .outerjoin(phone, phone.c.person_id == told.c.guardian_id)
        .subquery("recipient")
    )


def partner_staff(session: Session, owner_id: int, today: date) -> list[int]:
    """Who answers for a partner organisation on a day."""
    return list(
        session.scalars(
            select(Membership.person_id)
            .where(
                Membership.org_id == owner_id,
                Membership.role == "partner_staff",
                or_(Membership.ends_on.is_(None), Membership.ends_on >= today),
            )
            .order_by(Membership.person_id)
        )
    )
