"""看不了短信，请打电话: who cannot read texts and is called instead, by their own wish or as the school notes
it; and a landline, which takes no text at all. Must not know how calls are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.people import contacts
from coordination.domain.people.directory import RELATIONS
from coordination.domain.people.models import ClassGroup, ClassMember, Guardianship, Person
from coordination.domain.people.recipients import is_told, member_on
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class Wish:
    """A guardian beside a child, whether they are called, and at which number."""

    guardianship_id: int
    guardian: str
    relation: Text
    child: str
    phone: str | None
    # texts go there, and calls too
    mobile: bool
    since: date | None


def called_since(session: Session, person_id: int | None) -> date | None:
    """Since when somebody is called; None if they are not."""
    person = session.get(Person, person_id) if person_id else None
    return person.call_since if person is not None else None


def choose_calls(uow: UnitOfWork, *, wanted: bool, day: date) -> None:
    """The actor wants to be called about what must be confirmed, or does not any more."""
    uow.authorize(Action.CALLS_CHOOSE, Scope(person=uow.actor.person_id))
    person = uow.session.get(Person, uow.actor.person_id, with_for_update=True)
    if person is None:
        raise NotFound()
    if wanted:
        _refuse_without_number(uow.session, person.id)
    _set(person, wanted=wanted, day=day)


def wish_of(session: Session, actor: Actor, guardianship_id: int, day: date) -> Wish:
    """A guardian of a child of the actor's classes; NotFound if it is none of theirs, or not told."""
    kin = session.get(Guardianship, guardianship_id)
    if kin is None or _own(session, actor, kin, day) is None:
        raise NotFound()
    guardian = session.get_one(Person, kin.guardian_id)
    return Wish(
        kin.id,
        guardian.name,
        RELATIONS[kin.relation],
        session.get_one(Person, kin.child_id).name,
        contacts.masks_of(session, [guardian.id]).get(guardian.id),
        bool(contacts.phones_of(session, [guardian.id])),
        guardian.call_since,
    )


def note_calls(
    uow: UnitOfWork, *, guardianship_id: int, wanted: bool, landline: str = "", day: date
) -> None:
    """Note for a guardian that they are to be called, at a landline if one is given."""
    kin = uow.session.get(Guardianship, guardianship_id)
    own = _own(uow.session, uow.actor, kin, day) if kin is not None else None
    if kin is None or own is None:
        raise NotFound()
    uow.authorize(Action.CALLS_NOTE, own)
    person = uow.session.get_one(Person, kin.guardian_id, with_for_update=True)
    if wanted and landline.strip():
        _refuse_second_number(uow.session, person.id)
        contacts.set_landline(uow.session, person.id, landline, uow.now)
    if wanted:
        _refuse_without_number(uow.session, person.id)
    _set(person, wanted=wanted, day=day)


def _set(person: Person, *, wanted: bool, day: date) -> None:
    if not wanted:
        person.call_since = None
    elif person.call_since is None:
        person.call_since = day


def _refuse_second_number(session: Session, person_id: int) -> None:
    if contacts.phones_of(session, [person_id]):
        raise Invalid(
            fields={
                "landline": Text(
                    "这位家长登记了手机号，电话会打到手机，请把座机留空。",
                    "A mobile is known of this guardian and is called; leave the landline empty.",
                )
            }
        )


def _refuse_without_number(session: Session, person_id: int) -> None:
    if contacts.phone_to_call(session, person_id) is None:
        raise Conflict(
            Text(
                "没有登记电话号码，无法打电话。请填写座机号码，或先登记手机号。",
                "No number is known to call. Enter a landline, or have a mobile registered first.",
            ),
            code="no_phone",
        )


def _own(session: Session, actor: Actor, kin: Guardianship, day: date) -> ClassGroup | None:
    """The class by which the actor may note it; None also for who may not be told of the child."""
    told = session.scalar(select(Guardianship.id).where(Guardianship.id == kin.id, is_told(day)))
    if told is None:
        return None
    groups = session.scalars(
        select(ClassGroup)
        .join(ClassMember, ClassMember.class_id == ClassGroup.id)
        .where(ClassMember.person_id == kin.child_id, member_on(day), ClassGroup.active.is_(True))
        .order_by(ClassGroup.id)
    )
    return next((g for g in groups if allowed(actor, Action.CALLS_NOTE, g)), None)
