"""Makes the actor of a request from who is signed in: posts held today, children without limits.

This is where custody limits (B9) cut: a child of a guardianship marked `no_disclosure`, not yet
begun or already ended never enters `child_ids`, so no rule can see it.
"""

from __future__ import annotations

from datetime import date
from typing import cast

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from coordination.domain.people.models import Guardianship, Membership, Person
from coordination.ground.actor import Actor, Post, Role
from coordination.ground.text import Language


def actor_of(session: Session, person_id: int, today: date) -> Actor:
    """The actor for a person; raises LookupError if the person is gone."""
    person = session.get(Person, person_id)
    if person is None or person.status != "active":
        raise LookupError(person_id)
    posts = session.execute(
        select(Membership.role, Membership.org_id, Membership.class_id).where(
            Membership.person_id == person_id,
            Membership.starts_on <= today,
            or_(Membership.ends_on.is_(None), Membership.ends_on >= today),
        )
    ).all()
    return Actor(
        person_id=person_id,
        name=person.name,
        language=cast(Language, person.language),
        posts=tuple(Post(Role(role), org, class_) for role, org, class_ in posts),
        child_ids=frozenset(children_open_to(session, person_id, today)),
    )


def children_open_to(session: Session, guardian_id: int, today: date) -> list[int]:
    """Ids of the children whose data this guardian may have today."""
    return list(
        session.scalars(
            select(Guardianship.child_id)
            .join(Person, Person.id == Guardianship.child_id)
            .where(
                Guardianship.guardian_id == guardian_id,
                Guardianship.no_disclosure.is_(False),
                Guardianship.starts_on <= today,
                or_(Guardianship.ends_on.is_(None), Guardianship.ends_on >= today),
                Person.status == "active",
            )
        )
    )
