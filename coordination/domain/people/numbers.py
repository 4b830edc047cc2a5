"""Numbers to which no text arrives: whose they are, and putting them right.

A number is listed while it is the only one of a guardian who is told; a roster that brings another one
takes it off the list by itself. Phones are shown masked. Must not know how a number was found bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.visibility import where_visible
from coordination.domain.people import contacts
from coordination.domain.people.directory import RELATIONS
from coordination.domain.people.events import PhoneChecked
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    ContactPoint,
    Guardianship,
    Membership,
    Person,
)
from coordination.domain.people.recipients import is_told, member_on
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, NotFound
from coordination.ground.phones import normal_phone
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

_Guardian = aliased(Person, name="guardian")


@dataclass(frozen=True, slots=True)
class BadNumber:
    """A guardian whom no text reaches, beside one of the children."""

    guardianship_id: int
    guardian: str
    relation: Text
    child: str
    class_name: Text
    phone: str
    since: datetime


def bad_numbers_query(actor: Actor, day: date) -> Select[Any]:
    """Rows of guardians in the actor's classes whose only number fails, longest first; one per child."""
    point = (
        select(
            ContactPoint.person_id,
            func.bool_or(ContactPoint.suppressed_at.is_(None)).label("usable"),
            func.max(ContactPoint.suppressed_at)
            .filter(ContactPoint.suppressed_reason == contacts.BAD_NUMBER)
            .label("since"),
            func.max(ContactPoint.id)
            .filter(ContactPoint.suppressed_reason == contacts.BAD_NUMBER)
            .label("point_id"),
        )
        .where(
            ContactPoint.kind == "phone",
            # few have one: whoever has none is not looked at further
            ContactPoint.person_id.in_(
                select(ContactPoint.person_id).where(
                    ContactPoint.suppressed_reason == contacts.BAD_NUMBER
                )
            ),
        )
        .group_by(ContactPoint.person_id)
        .subquery("point")
    )
    return (
        select(
            Guardianship.id,
            _Guardian.name,
            Guardianship.relation,
            Person.name.label("child"),
            ClassGroup.name_zh,
            ClassGroup.name_en,
            ContactPoint.mask,
            point.c.since,
        )
        .join(_Guardian, _Guardian.id == Guardianship.guardian_id)
        .join(Person, Person.id == Guardianship.child_id)
        .join(ClassMember, and_(ClassMember.person_id == Person.id, member_on(day)))
        .join(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .join(point, point.c.person_id == Guardianship.guardian_id)
        .join(ContactPoint, ContactPoint.id == point.c.point_id)
        .where(
            where_visible(ClassGroup, actor, Action.PHONE_CORRECT),
            ClassGroup.active.is_(True),
            Person.status == "active",
            _Guardian.status == "active",
            is_told(day),
            point.c.usable.is_(False),
        )
        .order_by(point.c.since, Guardianship.id)
    )


def bad_number_lines(rows: Sequence[Any]) -> list[BadNumber]:
    """The rows of a page."""
    return [
        BadNumber(key, name, RELATIONS[relation], child, Text(zh, en), mask, since)
        for key, name, relation, child, zh, en, mask, since in rows
    ]


def count_bad_numbers(session: Session, actor: Actor, day: date) -> int:
    """How many guardians wait for their number to be looked at."""
    found = bad_numbers_query(actor, day).with_only_columns(
        Guardianship.guardian_id, maintain_column_froms=True
    )
    return (
        session.scalar(select(func.count()).select_from(found.order_by(None).distinct().subquery()))
        or 0
    )


def bad_number_of(session: Session, actor: Actor, guardianship_id: int, day: date) -> BadNumber:
    """One of them; NotFound if it is not the actor's to put right, or is right by now."""
    row = session.execute(
        bad_numbers_query(actor, day).where(Guardianship.id == guardianship_id).limit(1)
    ).first()
    if row is None:
        raise NotFound()
    return bad_number_lines([row])[0]


def correct(uow: UnitOfWork, *, guardianship_id: int, phone: str, day: date) -> None:
    """Write to another number from now on.

    Only in place of one that fails, and never to a number of staff: a phone signs its holder in.
    """
    kin = _locked(uow, guardianship_id, day)
    point = contacts.set_phone(uow.session, kin.guardian_id, phone)
    if point.suppressed_reason == contacts.BAD_NUMBER:
        raise Conflict(
            Text(
                "这就是打不通的号码。请填写新号码；确认无误的，请点“号码没错，再试”。",
                "This is the number that fails. Enter another one, or say that it is right.",
            ),
            code="same_number",
            fields={
                "phone": Text("这就是打不通的号码。", "This is the number that fails."),
            },
        )
    if is_of_staff(uow.session, kin, phone, day):
        raise Conflict(
            Text(
                "这个号码登记在教职工名下，不能填作家长的号码。",
                "This number belongs to a member of staff; it cannot be a guardian's.",
            ),
            code="number_of_staff",
            fields={
                "phone": Text(
                    "这个号码登记在教职工名下。", "This number belongs to a member of staff."
                )
            },
        )
    uow.record(PhoneChecked(kin.guardian_id))


def confirm(uow: UnitOfWork, *, guardianship_id: int, day: date) -> None:
    """The number is right: texts are tried again, and three failures list it again."""
    kin = _locked(uow, guardianship_id, day)
    contacts.resume(uow.session, kin.guardian_id, contacts.BAD_NUMBER, uow.now)
    uow.record(PhoneChecked(kin.guardian_id))


def _locked(uow: UnitOfWork, guardianship_id: int, day: date) -> Guardianship:
    kin = uow.session.get(Guardianship, guardianship_id)
    if kin is None:
        raise NotFound()
    # two who put it right at once: the second sees what the first did
    uow.session.execute(select(Person.id).where(Person.id == kin.guardian_id).with_for_update())
    groups = uow.session.scalars(
        select(ClassGroup)
        .join(ClassMember, ClassMember.class_id == ClassGroup.id)
        .where(ClassMember.person_id == kin.child_id, member_on(day))
    ).all()
    own = next((g for g in groups if allowed(uow.actor, Action.PHONE_CORRECT, g)), None)
    if own is None:
        raise NotFound()
    uow.authorize(Action.PHONE_CORRECT, own)
    if not _still_bad(uow, kin.id, day):
        raise Conflict(
            Text("这个号码已经处理过了。", "This number has been put right already."),
            code="number_fine",
        )
    return kin


def _still_bad(uow: UnitOfWork, guardianship_id: int, day: date) -> bool:
    query = bad_numbers_query(uow.actor, day).where(Guardianship.id == guardianship_id)
    return uow.session.execute(query.limit(1)).first() is not None


def is_of_staff(session: Session, kin: Guardianship, phone: str, day: date) -> bool:
    """Whether a number is of a member of staff who is no parent of the same child."""
    holders = set(contacts.persons_by_phone(session, normal_phone(phone) or "")) - {kin.guardian_id}
    # a member of staff who is the child's other parent may share a phone with this one
    family = session.scalars(
        select(Guardianship.guardian_id).where(Guardianship.child_id == kin.child_id)
    )
    return (
        session.scalar(
            select(Membership.id)
            .where(
                Membership.person_id.in_(holders.difference(family)),
                or_(Membership.ends_on.is_(None), Membership.ends_on >= day),
            )
            .limit(1)
        )
        is not None
    )
