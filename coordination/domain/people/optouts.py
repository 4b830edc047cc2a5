"""Who asked for no more texts, and who asked for them again, each by a text from their own phone.

An opt-out stops what is routine: a sign-in code, and what cannot wait, still come. Must not know how
texts come in or go out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from coordination.authz.actions import Action
from coordination.domain.people import contacts
from coordination.domain.people.events import TextsResumed, TextsStopped
from coordination.domain.people.models import Person
from coordination.ground.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class Heard:
    """How many people the text spoke for, and the language to answer in."""

    people: int
    language: str


def stop(uow: UnitOfWork, *, phone: str, said_at: datetime | None = None) -> Heard:
    """No more routine texts to whoever is written to at this phone (E.164)."""
    uow.authorize(Action.SYSTEM_RUN)
    holders = _holders(uow, phone)
    for person in holders:
        contacts.suppress(uow.session, person.id, contacts.OPTED_OUT, _said(uow, said_at))
        uow.record(TextsStopped(person.id))
    return _heard(holders)


def resume(uow: UnitOfWork, *, phone: str, said_at: datetime | None = None) -> Heard:
    """Routine texts again; a number to which nothing arrives stays stopped.

    `said_at` is when the text was sent, if that is known: one that comes late does not undo a later
    stop. A stop that comes late holds: no texts is the smaller harm, and can be undone by a text.
    """
    uow.authorize(Action.SYSTEM_RUN)
    holders = [
        person
        for person in _holders(uow, phone)
        if contacts.resume(uow.session, person.id, contacts.OPTED_OUT, _said(uow, said_at))
    ]
    for person in holders:
        uow.record(TextsResumed(person.id))
    return _heard(holders)


def _said(uow: UnitOfWork, said_at: datetime | None) -> datetime:
    """Never later than now: another machine's clock may be ahead."""
    return min(said_at or uow.now, uow.now)


def _holders(uow: UnitOfWork, phone: str) -> list[Person]:
    """Whose present phone it is: somebody's old number may be a stranger's by now."""
    found = contacts.persons_by_phone(uow.session, phone)
    # one order for all, so that two texts from shared phones wait for each other
    people = uow.session.scalars(
        select(Person).where(Person.id.in_(found)).order_by(Person.id).with_for_update()
    )
    return [p for p in people if contacts.in_use(uow.session, p.id, phone)]


def _heard(holders: list[Person]) -> Heard:
    return Heard(len(holders), holders[0].language if holders else "zh")
