"""Makes the actor of a request from who is signed in: posts held today, children without limits.

This is where custody limits (B9) cut: a child of a guardianship marked `no_disclosure`, not yet
begun or already ended never enters `child_ids`, so no rule can see it.
"""

from __future__ import annotations

from datetime import date
from typing import cast

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from coordination.domain.people.models import Guardianship, Membership, Person
from coordination.ground.actor import Actor, Post, Role
from coordination.ground.text import Language


def actor_of(session: Session, person_id: int, today: date) -> Actor:
    """The actor for a person, in one statement; LookupError if the person is gone."""
    post = func.jsonb_build_array(Membership.role, Membership.org_id, Membership.class_id)
    posts = select(func.jsonb_agg(post)).where(
        Membership.person_id == person_id, _held(Membership, today)
    )
    children = select(func.array_agg(_open_children(person_id, today).subquery().c.child_id))
    row = session.execute(
        select(
            Person.name,
            Person.language,
            posts.scalar_subquery().label("posts"),
            children.scalar_subquery().label("children"),
        ).where(Person.id == person_id, Person.status == "active")
    ).one_or_none()
    if row is None:
        raise LookupError(person_id)
    return Actor(
        person_id=person_id,
        name=row.name,
        language=cast(Language, row.language),
        posts=tuple(Post(Role(role), org, class_) for role, org, class_ in row.posts or ()),
        child_ids=frozenset(row.children or ()),
    )


def children_open_to(session: Session, guardian_id: int, today: date) -> list[int]:
    """Ids of the children whose data this guardian may have today."""
    return list(session.scalars(_open_children(guardian_id, today)))


def _open_children(guardian_id: int, today: date) -> Select[int]:
    return (
        select(Guardianship.child_id)
        .join(Person, Person.id == Guardianship.child_id)
        .where(
            Guardianship.guardian_id == guardian_id,
            Guardianship.no_disclosure.is_(False),
            _held(Guardianship, today),
            Person.status == "active",
        )
    )


def _held(table: type[Membership] | type[Guardianship], today: date) -> ColumnElement[bool]:
    """Begun and not ended."""
    return (table.starts_on <= today) & or_(table.ends_on.is_(None), table.ends_on >= today)
