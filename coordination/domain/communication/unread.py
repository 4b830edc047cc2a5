"""Children whose family has opened no notice for a long time, however many went to it.

By child and of the actor's own classes, as the call list is. Somebody may have another number by now,
or not know what to do with a code: that is for the class teacher to find out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.visibility import where_visible
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.people import contacts
from coordination.domain.people.directory import RELATIONS
from coordination.domain.people.models import ClassGroup, ClassMember, Guardianship, Person
from coordination.domain.people.recipients import children_in, is_told, member_on
from coordination.ground.actor import Actor
from coordination.ground.text import Text

# two months of notices; fewer than three may be a coincidence, and the newest may still be opened
WITHIN = timedelta(days=60)
LEAST = 3
TO_LOOK = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Silent:
    """A guardian who is told of the child, with the masked phone."""

    name: str
    relation: Text
    phone: str | None


@dataclass(frozen=True, slots=True)
class UnreadLine:
    """A child none of whose guardians has opened any of so many notices."""

    child_id: int
    child: str
    class_id: int
    class_name: Text
    notices: int
    # when somebody of the family opened one, ever
    last_opened: datetime | None
    guardians: tuple[Silent, ...]


def _classes(actor: Actor) -> Select[int]:
    return select(ClassGroup.id).where(
        where_visible(ClassGroup, actor, Action.NOTICE_CALL), ClassGroup.active.is_(True)
    )


def unread_query(session: Session, actor: Actor, now: datetime, today: date) -> Select[Any]:
    """Children of the actor's classes whose families opened none of the last notices, for
    `unread_lines`; those with most notices first."""
    classes = session.scalars(_classes(actor)).all()
    children = children_in(classes, today)
    row = NoticeRecipient
    sent = (
        select(
            func.unnest(row.child_ids).label("child_id"),
            row.notice_id,
            func.coalesce(row.read_at, row.confirmed_at, row.reached_at).label("opened_at"),
        )
        .join(Notice, Notice.id == row.notice_id)
        .where(
            Notice.state == "sent",
            Notice.sent_at > now - WITHIN,
            Notice.sent_at < now - TO_LOOK,
            row.guardian_id.in_(
                select(Guardianship.guardian_id).where(Guardianship.child_id.in_(children))
            ),
        )
        .subquery("sent")
    )
    count = func.count(sent.c.notice_id.distinct())
    quiet = (
        select(sent.c.child_id, count.label("notices"))
        .group_by(sent.c.child_id)
        .having(count >= LEAST, func.count(sent.c.opened_at) == 0)
        .subquery("quiet")
    )
    somebody = select(Guardianship.id).where(Guardianship.child_id == Person.id, is_told(today))
    return (
        select(
            Person.id,
            Person.name,
            ClassGroup.id.label("class_id"),
            ClassGroup.name_zh,
            ClassGroup.name_en,
            quiet.c.notices,
        )
        .join(quiet, quiet.c.child_id == Person.id)
        .join(ClassMember, and_(ClassMember.person_id == Person.id, member_on(today)))
        .join(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .where(Person.id.in_(children), ClassMember.class_id.in_(classes), somebody.exists())
        .order_by(quiet.c.notices.desc(), ClassGroup.id, Person.pinyin, Person.id)
    )


def unread_lines(session: Session, rows: Sequence[Any], today: date) -> list[UnreadLine]:
    """The rows of a page, each with its guardians."""
    guardians, opened = _families(session, {row.id for row in rows}, today)
    return [
        UnreadLine(
            row.id,
            row.name,
            row.class_id,
            Text(row.name_zh, row.name_en),
            row.notices,
            opened.get(row.id),
            tuple(guardians[row.id]),
        )
        for row in rows
    ]


def may_look(session: Session, actor: Actor) -> bool:
    """Whether there is a class whose families the actor may call."""
    return session.scalar(_classes(actor).limit(1)) is not None


def _families(
    session: Session, children: set[int], today: date
) -> tuple[dict[int, list[Silent]], dict[int, datetime]]:
    """Who is told of each child, and when somebody of them last opened a notice about it."""
    rows = session.execute(
        select(Guardianship.child_id, Guardianship.guardian_id, Guardianship.relation, Person.name)
        .join(Person, Person.id == Guardianship.guardian_id)
        .where(Guardianship.child_id.in_(children), is_told(today))
        .order_by(Guardianship.contact_order, Guardianship.guardian_id)
    ).all()
    masks = contacts.masks_of(session, {guardian for _, guardian, _, _ in rows})
    told: dict[int, list[Silent]] = defaultdict(list)
    for child, guardian, relation, name in rows:
        told[child].append(Silent(name, RELATIONS[relation], masks.get(guardian)))
    row = NoticeRecipient
    own = (
        select(
            func.unnest(row.child_ids).label("child_id"),
            func.coalesce(row.confirmed_at, row.read_at).label("at"),
        )
        .where(row.guardian_id.in_({guardian for _, guardian, _, _ in rows}))
        .subquery("own")
    )
    last = session.execute(
        select(own.c.child_id, func.max(own.c.at).label("at"))
        .where(own.c.at.is_not(None))
        .group_by(own.c.child_id)
    )
    return told, {row.child_id: row.at for row in last}
