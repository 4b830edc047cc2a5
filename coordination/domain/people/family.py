"""What a guardian's own page shows of the children. Only children open to the actor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    Organisation,
    Person,
)
from coordination.ground.actor import Actor
from coordination.ground.text import Text


@dataclass(frozen=True, slots=True)
class OwnChild:
    """One child with the present class and school."""

    id: int
    name: str
    class_name: Text | None
    school: Text | None


def tell_apart(children: Sequence[OwnChild]) -> dict[int, Text]:
    """What to call each child; two of one name are told apart by their class."""
    names = Counter(c.name for c in children)
    return {
        c.id: Text(f"{c.name} {c.class_name.zh}", f"{c.name} {c.class_name.en or c.class_name.zh}")
        if names[c.name] > 1 and c.class_name
        else Text(c.name, c.name)
        for c in children
    }


def children_of(session: Session, actor: Actor, today: date) -> list[OwnChild]:
    """The actor's children, each with today's class."""
    rows = session.execute(
        select(Person.id, Person.name, ClassGroup, Organisation)
        .outerjoin(
            ClassMember,
            and_(
                ClassMember.person_id == Person.id,
                ClassMember.starts_on <= today,
                or_(ClassMember.ends_on.is_(None), ClassMember.ends_on >= today),
            ),
        )
        .outerjoin(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .outerjoin(Organisation, Organisation.id == Person.school_id)
        .where(Person.id.in_(actor.child_ids))
        .order_by(Person.id, ClassMember.id)
    )
    found: dict[int, OwnChild] = {}
    for row in rows:
        group, school = row.ClassGroup, row.Organisation
        found.setdefault(
            row.id,
            OwnChild(
                row.id,
                row.name,
                Text(group.name_zh, group.name_en) if group else None,
                Text(school.name_zh, school.name_en) if school else None,
            ),
        )
    return list(found.values())
