"""Makes the actor of a request from who is signed in: posts held today, children without limits.

This is where custody limits (B9) cut: a child of a guardianship marked `no_disclosure`, not yet
begun or already ended never enters `child_ids`, so no rule can see it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Date,
    Row,
    Select,
    SQLColumnExpression,
    and_,
    bindparam,
    func,
    or_,
    select,
)
from sqlalchemy.orm import Session, aliased

from coordination.domain.people.models import (
    Account,
    AccountSession,
    Guardianship,
    Membership,
    Person,
)
from coordination.ground import crypto
from coordination.ground.actor import Actor, Post, Role
from coordination.ground.text import Language

_child = aliased(Person)
_TODAY = bindparam("today", type_=Date)


def held_on(
    table: type[Membership] | type[Guardianship], today: date | ColumnElement[date]
) -> ColumnElement[bool]:
    """Begun and not ended."""
    return (table.starts_on <= today) & or_(table.ends_on.is_(None), table.ends_on >= today)


def _open_children(
    guardian: int | SQLColumnExpression[int], today: date | ColumnElement[date]
) -> ColumnElement[bool]:
    return and_(
        Guardianship.guardian_id == guardian,
        Guardianship.no_disclosure.is_(False),
        held_on(Guardianship, today),
        # whoever has graduated keeps what is theirs; whoever left for another district does not
        # (two comparisons: the poll of a feed is one written statement, and a list is not)
        or_(_child.status == "active", _child.status == "graduated"),
    )


# Every request asks for its actor, so these are built once: making them costs as much as running them.
_MADE_OF = (
    Person.id.label("person_id"),
    Person.name,
    Person.language,
    select(
        func.jsonb_agg(
            func.jsonb_build_array(Membership.role, Membership.org_id, Membership.class_id)
        )
    )
    .where(Membership.person_id == Person.id, held_on(Membership, _TODAY))
    .correlate(Person)
    .scalar_subquery()
    .label("posts"),
    select(func.array_agg(Guardianship.child_id))
    .join(_child, _child.id == Guardianship.child_id)
    .where(_open_children(Person.id, _TODAY))
    .correlate(Person)
    .scalar_subquery()
    .label("children"),
)
_BY_PERSON = select(*_MADE_OF).where(Person.id == bindparam("person"), Person.status == "active")
_BY_SESSION = (
    select(*_MADE_OF, AccountSession.id.label("session_id"))
    .join(AccountSession, AccountSession.person_id == Person.id)
    .outerjoin(Account, Account.person_id == Person.id)
    .where(
        Person.status == "active",
        AccountSession.token_hash == bindparam("token_hash"),
        AccountSession.revoked_at.is_(None),
        AccountSession.expires_at > bindparam("now"),
        or_(AccountSession.route != "password", Account.disabled_at.is_(None)),
    )
)


def actor_of(session: Session, person_id: int, today: date) -> Actor:
    """The actor for a person, in one statement; LookupError if the person is gone."""
    row = session.execute(_BY_PERSON, {"person": person_id, "today": today}).one_or_none()
    if row is None:
        raise LookupError(person_id)
    return _actor(row, None)


def actor_of_session(session: Session, token: str, now: datetime, today: date) -> Actor | None:
    """Whoever holds the session `token`; None if it is unknown, revoked, expired or closed."""
    row = session.execute(
        _BY_SESSION, {"token_hash": crypto.token_hash(token), "now": now, "today": today}
    ).one_or_none()
    return _actor(row, row.session_id) if row is not None else None


def _actor(row: Row[*tuple[Any, ...]], session_id: int | None) -> Actor:
    return Actor(
        person_id=row.person_id,
        name=row.name,
        language=cast(Language, row.language),
        posts=tuple(Post(Role(role), org, class_) for role, org, class_ in row.posts or ()),
        child_ids=frozenset(row.children or ()),
        session_id=session_id,
    )


def children_open_to(session: Session, guardian_id: int, today: date) -> list[int]:
    """Ids of the children whose data this guardian may have today."""
    return list(session.scalars(open_children(guardian_id, today)))


def open_children(
    guardian: int | SQLColumnExpression[int], today: date | ColumnElement[date]
) -> Select[int]:
    """The statement behind it, for those who ask by a column of their own statement."""
    return (
        select(Guardianship.child_id)
        .join(_child, _child.id == Guardianship.child_id)
        .where(_open_children(guardian, today))
    )
