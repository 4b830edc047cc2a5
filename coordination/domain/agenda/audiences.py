"""Whose entries stand in whose calendar: the pairs (kind, id) that feeds and pages are made of.

The one place that turns persons, classes and venues into audiences, so that no page and no feed
can disagree about them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from sqlalchemy import ColumnElement, Select, and_, column, false, or_, select, table
from sqlalchemy.orm import InstrumentedAttribute, Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.domain.people.models import ClassGroup, ClassMember
from coordination.domain.people.recipients import member_on
from coordination.ground.actor import Actor
from coordination.ground.text import Text

Audience = tuple[str, int]
DISTRICT: Audience = ("district", 1)
# by table name: this floor may not import upwards
RESOURCE = table(
    "resource",
    column("id"),
    column("owner_id"),
    column("title_zh"),
    column("title_en"),
    column("publish_state"),
)


def family_audiences(
    session: Session, children: list[int], owner: int | None, today: date
) -> list[Audience]:
    """The children, the classes they are in today, and the guardian's own shifts and meetings."""
    classes = session.scalars(classes_with(children, today))
    own = [("person", owner)] if owner is not None else []
    return [*(("child", c) for c in children), *(("class", c) for c in classes), *own]


def classes_with(
    children: Collection[int] | Select[int], today: date | ColumnElement[date]
) -> Select[int]:
    """The classes that any of these children is in on a day."""
    return (
        select(ClassMember.class_id)
        .where(ClassMember.person_id.in_(children), member_on(today))
        .distinct()
    )


def among(
    kind: InstrumentedAttribute[str],
    ident: InstrumentedAttribute[int],
    audiences: Collection[Audience],
) -> ColumnElement[bool]:
    """Whether (kind, ident) is one of the audiences."""
    groups: dict[str, list[int]] = {}
    for word, audience_id in audiences:
        groups.setdefault(word, []).append(audience_id)
    return or_(false(), *(and_(kind == word, ident.in_(ids)) for word, ids in groups.items()))


def audiences_for(session: Session, actor: Actor, today: date) -> list[Audience]:
    """Whose entries stand on the actor's own calendar page."""
    if actor.person_id is None:
        return []
    found: list[Audience] = [("person", actor.person_id)]
    if actor.child_ids:
        found += family_audiences(session, sorted(actor.child_ids), None, today)
    found += [(kind, c) for c in sorted(actor.class_ids) for kind in ("class", "class_staff")]
    found += [("resource", r) for r, _ in resources_of(session, actor.orgs())]
    found += [("school", o) for o in sorted(actor.orgs())]
    return list(dict.fromkeys(found))


def resource_owner(session: Session, resource_id: int) -> int | None:
    """The organisation that owns a resource."""
    owner: int | None = session.scalar(
        select(RESOURCE.c.owner_id).where(RESOURCE.c.id == resource_id)
    )
    return owner


def resources_of(session: Session, owner_ids: Collection[int]) -> list[tuple[int, Text]]:
    """Resources of these owners with their titles."""
    rows = session.execute(
        select(RESOURCE.c.id, RESOURCE.c.title_zh, RESOURCE.c.title_en)
        .where(RESOURCE.c.owner_id.in_(owner_ids))
        .order_by(RESOURCE.c.id)
    )
    return [(ident, Text(zh, en)) for ident, zh, en in rows]


def classes_of(session: Session, actor: Actor) -> list[tuple[int, Text]]:
    """Classes of the actor's own posts; a district role alone opens no list of every class."""
    groups = session.scalars(
        select(ClassGroup)
        .where(
            ClassGroup.active.is_(True),
            or_(ClassGroup.id.in_(actor.class_ids), ClassGroup.school_id.in_(actor.orgs())),
        )
        .order_by(ClassGroup.grade, ClassGroup.id)
    )
    return [
        (g.id, Text(g.name_zh, g.name_en)) for g in groups if allowed(actor, Action.CLASS_READ, g)
    ]
