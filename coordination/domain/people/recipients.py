"""Who is told about a child: the one resolution of guardians.

No message, reminder, feed or count may find guardians in any other way; custody limits hold here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from coordination.domain.people.models import ClassMember, ContactPoint, Guardianship, Person


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


def is_told(today: date) -> ColumnElement[bool]:
    """The condition under which a guardianship receives messages today."""
    return and_(
        Guardianship.receives_notice.is_(True),
        Guardianship.no_disclosure.is_(False),
        Guardianship.starts_on <= today,
        or_(Guardianship.ends_on.is_(None), Guardianship.ends_on >= today),
    )


def guardians_of_children(
    session: Session, child_ids: Collection[int], today: date
) -> list[Recipient]:
    """One recipient per guardian of these children, in a stable order."""
    if not child_ids:
        return []
    rows = session.execute(
        select(Guardianship.guardian_id, Person.name, Person.language, Guardianship.child_id)
        .join(Person, Person.id == Guardianship.guardian_id)
        .where(Guardianship.child_id.in_(child_ids), Person.status == "active", is_told(today))
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
        .where(
            ClassMember.class_id.in_(class_ids),
            ClassMember.starts_on <= today,
            or_(ClassMember.ends_on.is_(None), ClassMember.ends_on >= today),
            Person.is_student.is_(True),
            Person.status == "active",
        )
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
