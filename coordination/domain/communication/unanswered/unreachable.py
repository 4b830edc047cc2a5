"""联系不上的家庭: children of whose family nobody has a phone, no phone works, or nobody opens a notice.

By child and of the actor's own classes, as the call list is. The list is as true as today: who has a
new number is off it at once. A class teacher says once a month what was done about a child; whoever is
still on the list in the next month is asked about again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    func,
    or_,
    select,
)
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.authz.visibility import where_visible
from coordination.domain.communication.events import FamilyFollowedUp
from coordination.domain.communication.models import FollowUp, Notice, NoticeRecipient
from coordination.domain.people import contacts
from coordination.domain.people.directory import RELATIONS
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    ContactPoint,
    Guardianship,
    Person,
)
from coordination.domain.people.recipients import children_in, is_told, member_on
from coordination.ground.actor import Actor
from coordination.ground.errors import Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from notifications import outbox

# two months of notices; fewer than three may be a coincidence, and the newest may still be opened
WITHIN = timedelta(days=60)
LEAST = 3
TO_LOOK = timedelta(days=1)

NO_PHONE, STOPPED, UNREAD = "no_phone", "stopped", "unread"
WHY: Mapping[str, Text] = {
    NO_PHONE: Text("没有手机号", "No phone is known"),
    STOPPED: Text("号码都收不到短信", "No number takes texts"),
    UNREAD: Text("一直没看通知", "Opens no notice"),
}
# what a class teacher can have done about it
DONE: Mapping[str, Text] = {
    "number": Text("已问到新号码", "Got the right number"),
    "spoke": Text("已联系上，家里会看了", "Spoke with the family"),
    "paper": Text("以后发纸质通知", "The family wants letters"),
    "other": Text("已用其他办法联系", "Reached them another way"),
}


@dataclass(frozen=True, slots=True)
class Silent:
    """A guardian who is told of the child, with the masked phone."""

    name: str
    relation: Text
    phone: str | None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A child whose family is not reached, why, and when they last were."""

    child_id: int
    child: str
    class_id: int
    class_name: Text
    why: str
    # notices of two months that nobody of the family opened
    notices: int
    last_delivered: datetime | None
    last_opened: datetime | None
    # what was done about it this month, by whom
    done: str | None
    done_by: str | None
    guardians: tuple[Silent, ...]


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How many children of a class are on the list, and about how many something was done."""

    class_id: int
    name: Text
    listed: int
    done: int


def month_of(today: date) -> date:
    """The month whose list is due, by its first day."""
    return today.replace(day=1)


def _classes(actor: Actor) -> Select[int]:
    return select(ClassGroup.id).where(
        where_visible(ClassGroup, actor, Action.NOTICE_CALL), ClassGroup.active.is_(True)
    )


def _phones(children: Select[int], today: date) -> Subquery:
    """Of each child, whether anybody who is told has a phone, and one that takes texts."""
    return (
        select(
            Guardianship.child_id,
            func.count(ContactPoint.id).label("phones"),
            func.count(ContactPoint.id)
            .filter(ContactPoint.suppressed_at.is_(None))
            .label("usable"),
        )
        .outerjoin(
            ContactPoint,
            and_(ContactPoint.person_id == Guardianship.guardian_id, ContactPoint.kind == "phone"),
        )
        .where(Guardianship.child_id.in_(children), is_told(today))
        .group_by(Guardianship.child_id)
        .subquery("phones")
    )


def _quiet(children: Select[int], now: datetime) -> Subquery:
    """Children of whose family nobody opened any of the last notices, with how many these are."""
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
    return (
        select(sent.c.child_id, count.label("notices"))
        .group_by(sent.c.child_id)
        .having(count >= LEAST, func.count(sent.c.opened_at) == 0)
        .subquery("quiet")
    )


def unreachable_query(session: Session, actor: Actor, now: datetime, today: date) -> Select[Any]:
    """Children of the actor's classes whose families are not reached, for `unreachable_lines`: what
    is still to be done first, by class."""
    classes = session.scalars(_classes(actor)).all()
    children = children_in(classes, today)
    phones, quiet = _phones(children, today), _quiet(children, now)
    # nobody who may be told has a phone, or there is nobody
    known = func.coalesce(phones.c.phones, 0)
    usable = func.coalesce(phones.c.usable, 0)
    # whoever may be told nothing cannot be silent
    unread: ColumnElement[bool] = and_(
        quiet.c.child_id.is_not(None), phones.c.child_id.is_not(None)
    )
    return (
        select(
            Person.id,
            Person.name,
            ClassGroup.id.label("class_id"),
            ClassGroup.name_zh,
            ClassGroup.name_en,
            case((known == 0, NO_PHONE), (usable == 0, STOPPED), else_=UNREAD).label("why"),
            func.coalesce(quiet.c.notices, 0).label("notices"),
            FollowUp.done,
            FollowUp.by_id,
        )
        .join(ClassMember, and_(ClassMember.person_id == Person.id, member_on(today)))
        .join(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .outerjoin(phones, phones.c.child_id == Person.id)
        .outerjoin(quiet, quiet.c.child_id == Person.id)
        .outerjoin(
            FollowUp,
            and_(FollowUp.child_id == Person.id, FollowUp.month == month_of(today)),
        )
        .where(
            Person.id.in_(children),
            ClassMember.class_id.in_(classes),
            or_(usable == 0, unread),
        )
        .order_by(
            FollowUp.id.is_not(None), ClassGroup.grade, ClassGroup.id, Person.pinyin, Person.id
        )
    )


def unreachable_lines(session: Session, rows: Sequence[Any], today: date) -> list[Unreachable]:
    """The rows of a page, each with its guardians and when they were last reached."""
    guardians, opened, delivered = _families(session, {row.id for row in rows}, today)
    staff = {row.by_id for row in rows if row.by_id}
    names = {
        person: name
        for person, name in session.execute(
            select(Person.id, Person.name).where(Person.id.in_(staff))
        )
    }
    return [
        Unreachable(
            child_id=row.id,
            child=row.name,
            class_id=row.class_id,
            class_name=Text(row.name_zh, row.name_en),
            why=row.why,
            notices=row.notices,
            last_delivered=delivered.get(row.id),
            last_opened=opened.get(row.id),
            done=row.done,
            done_by=names.get(row.by_id),
            guardians=tuple(guardians[row.id]),
        )
        for row in rows
    ]


def counts_by_class(session: Session, actor: Actor, now: datetime, today: date) -> list[ClassCount]:
    """How the list of this month stands in each of the actor's classes; classes without one are
    left out."""
    found = unreachable_query(session, actor, now, today).order_by(None).subquery("found")
    return [
        ClassCount(class_id, Text(zh, en), listed, done)
        for class_id, zh, en, listed, done in session.execute(
            select(
                found.c.class_id,
                found.c.name_zh,
                found.c.name_en,
                func.count(),
                func.count(found.c.done),
            )
            .group_by(found.c.class_id, found.c.name_zh, found.c.name_en)
            .order_by(func.count(found.c.done) - func.count(), found.c.class_id)
        )
    ]


def count_to_do(session: Session, actor: Actor, now: datetime, today: date) -> int:
    """About how many children nothing was done yet this month.

    Counted over the whole list: asked for those without a row, PostgreSQL takes them for one and
    goes through all notices for each child.
    """
    found = unreachable_query(session, actor, now, today).order_by(None).subquery("found")
    return session.scalar(select(func.count().filter(found.c.done.is_(None)))) or 0


def follow_up(uow: UnitOfWork, *, child_id: int, done: str, today: date) -> None:
    """Say what was done this month about a child's family; said again, the last word stands."""
    place = uow.session.execute(
        select(ClassGroup.id, ClassGroup.school_id)
        .join(ClassMember, ClassMember.class_id == ClassGroup.id)
        .where(
            ClassMember.person_id == child_id,
            member_on(today),
            where_visible(ClassGroup, uow.actor, Action.NOTICE_CALL),
        )
        .limit(1)
    ).first()
    if place is None or uow.actor.person_id is None:
        raise NotFound()
    uow.authorize(Action.NOTICE_CALL, Scope(school=place.school_id, class_=place.id))
    if done not in DONE:
        raise Invalid(fields={"done": Text("请选择列出的一项。", "Choose one of those listed.")})
    month = month_of(today)
    # two who say so at once: the second finds the first's row, and changes it
    known = uow.session.scalar(
        select(FollowUp)
        .where(FollowUp.child_id == child_id, FollowUp.month == month)
        .with_for_update()
    )
    if known is None:
        known = FollowUp(child_id=child_id, month=month)
        uow.session.add(known)
    known.done, known.by_id = done, uow.actor.person_id
    uow.record(FamilyFollowedUp(child_id))


def may_look(session: Session, actor: Actor) -> bool:
    """Whether there is a class whose families the actor may call."""
    return session.scalar(_classes(actor).limit(1)) is not None


def _families(
    session: Session, children: set[int], today: date
) -> tuple[dict[int, list[Silent]], dict[int, datetime], dict[int, datetime]]:
    """Who is told of each child; when somebody of them last opened a notice about it, and when a text
    last arrived there."""
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
    arrived = outbox.last_delivered(session, {guardian for _, guardian, _, _ in rows})
    delivered: dict[int, datetime] = {}
    for child, guardian, _, _ in rows:
        if (at := arrived.get(guardian)) is not None:
            delivered[child] = max(at, delivered.get(child, at))
    return told, {row.child_id: row.at for row in last}, delivered
