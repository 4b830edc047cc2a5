"""Who has looked: what of the audit trail a guardian may see of who opened what about their children.

LOOKED_AT is the whole list of what counts as a look. Whoever hands out something personal writes one
audit line with the action `look` and the id of the row, and adds a line here; the page then shows it.
Must not know pages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Select, cast, literal, null, select, union_all
from sqlalchemy.orm import Session, aliased

from coordination.domain.communication.models import ChildFile, Notice
from coordination.domain.people.models import ContactPoint, Membership, Person
from coordination.ground.actor import Actor
from coordination.ground.audit import AuditEntry
from coordination.ground.text import Text

SHOWN = 200

# what one kind selects: the row's id, the child it is about (null: the guardian), from when on the
# guardian may know of it (null: always)
Rows = Select[int, int | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """Something personal that is looked at, in words, and whose rows are this guardian's to know of."""

    what: Text
    mine: Callable[[Actor], Rows]


def _own_phone(actor: Actor) -> Rows:
    return select(
        ContactPoint.id, cast(null(), BigInteger), cast(null(), AuditEntry.at.type)
    ).where(ContactPoint.person_id == actor.person_id)


def _files(actor: Actor) -> Rows:
    # what a teacher looks at before it is sent is no news to a family that does not have it yet
    return (
        select(ChildFile.id, ChildFile.child_id, Notice.sent_at)
        .join(Notice, Notice.id == ChildFile.notice_id)
        .where(ChildFile.child_id.in_(actor.child_ids), Notice.sent_at.is_not(None))
    )


# table of the audit line -> what was looked at
LOOKED_AT: dict[str, Kind] = {
    "child_file": Kind(Text("打开了孩子的材料", "opened the child's file"), _files),
    "contact_point": Kind(
        Text("查看了您的手机号（电话联系名单）", "looked at your phone number (call list)"),
        _own_phone,
    ),
}


@dataclass(frozen=True, slots=True)
class Look:
    """One look, as the guardian reads it."""

    at: datetime
    who: str
    role: str | None
    what: Text
    child: str | None


def looks_at(session: Session, actor: Actor, limit: int = SHOWN) -> list[Look]:
    """Who looked at what of the actor and of the children whom custody leaves open to them, the
    latest first. What another guardian's number was looked at for is that guardian's to know."""
    kinds = [
        kind.mine(actor)
        .add_columns(literal(table).label("kind"))
        .with_only_columns(
            *(
                column.label(name)
                for column, name in zip(
                    kind.mine(actor).selected_columns, ("row", "child", "since"), strict=True
                )
            ),
            literal(table).label("kind"),
        )
        for table, kind in LOOKED_AT.items()
    ]
    mine = union_all(*kinds).subquery("mine")
    child = aliased(Person)
    rows = session.execute(
        select(AuditEntry.at, AuditEntry.actor, AuditEntry.actor_id, mine.c.kind, child.name)
        .join(
            mine,
            (mine.c.kind == AuditEntry.table_name) & (mine.c.row == AuditEntry.row_id),
        )
        .outerjoin(child, child.id == mine.c.child)
        .where(
            AuditEntry.action == "look",
            AuditEntry.actor_id.is_distinct_from(actor.person_id),
            mine.c.since.is_(None) | (AuditEntry.at >= mine.c.since),
        )
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(limit)
    ).all()
    roles = _roles(session, {row.actor_id for row in rows if row.actor_id})
    return [
        Look(row.at, row.actor, roles.get(row.actor_id), LOOKED_AT[row.kind].what, row.name)
        for row in rows
    ]


def _roles(session: Session, people: set[int]) -> dict[int, str]:
    """A role that each of them holds or held; for the word beside the name."""
    found = session.execute(
        select(Membership.person_id, Membership.role)
        .where(Membership.person_id.in_(people))
        .order_by(Membership.ends_on.is_(None), Membership.id)
    )
    return {person: role for person, role in found}
