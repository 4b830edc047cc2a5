"""Who may speak for a child, whom to phone, and who must never collect it: as custody stands today."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from coordination.domain.people.contacts import numbers_to_call
from coordination.domain.people.directory import RELATIONS
from coordination.domain.people.models import ContactPoint, Guardianship, Person
from coordination.domain.people.recipients import guards_on
from coordination.ground.errors import Forbidden
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class Kin:
    """A guardian whom custody does not keep out."""

    id: int
    child_id: int
    name: str
    relation: Text
    may_pick_up: bool


@dataclass(frozen=True, slots=True)
class Never:
    """By what to know those who must not collect a child: their numbers and names."""

    numbers: frozenset[bytes] = frozenset()
    names: frozenset[str] = frozenset()

    def means(self, phone_index: bytes, name: str) -> bool:
        """Whether this is one of them."""
        return phone_index in self.numbers or _bare(name) in self.names


def _bare(name: str) -> str:
    return "".join(name.split()).casefold()


def speaks_for(today: date) -> ColumnElement[bool]:
    """The condition under which a guardianship lets somebody decide for a child today."""
    return and_(
        Guardianship.legal.is_(True),
        Guardianship.may_consent.is_(True),
        Guardianship.no_disclosure.is_(False),
        guards_on(today),
    )


def may_speak(session: Session, guardian_id: int | None, child_id: int, today: date) -> bool:
    """Whether a guardian may decide for a child today."""
    return (
        session.scalar(
            select(Guardianship.id)
            .where(
                Guardianship.guardian_id == guardian_id,
                Guardianship.child_id == child_id,
                speaks_for(today),
            )
            .limit(1)
        )
        is not None
    )


def speaker(uow: UnitOfWork, child_id: int, today: date) -> int:
    """The actor, who may decide for the child; Forbidden otherwise."""
    guardian = uow.actor.person_id
    if guardian is None or not may_speak(uow.session, guardian, child_id, today):
        raise Forbidden(
            Text(
                "只有可以代表孩子作决定的法定监护人能填写和更改。",
                "Only a legal guardian who may decide for the child can write this.",
            )
        )
    return guardian


def lock_child(uow: UnitOfWork, child_id: int) -> Person:
    """Two guardians of one child queue up: the second sees what the first has written."""
    return uow.session.scalars(
        select(Person).where(Person.id == child_id).with_for_update(key_share=True)
    ).one()


def kin_of(session: Session, child_ids: Collection[int], today: date) -> dict[int, list[Kin]]:
    """The guardians of each child whom custody does not keep out, in the order to phone them."""
    found: dict[int, list[Kin]] = defaultdict(list)
    for row in session.execute(
        select(
            Guardianship.guardian_id,
            Guardianship.child_id,
            Person.name,
            Guardianship.relation,
            Guardianship.may_pick_up,
        )
        .join(Person, Person.id == Guardianship.guardian_id)
        .where(
            Guardianship.child_id.in_(child_ids),
            Guardianship.no_disclosure.is_(False),
            Person.status == "active",
            guards_on(today),
        )
        .order_by(Guardianship.child_id, Guardianship.contact_order, Guardianship.guardian_id)
    ):
        guardian, child, name, relation, may_pick_up = row
        found[child].append(Kin(guardian, child, name, RELATIONS[relation], may_pick_up))
    return found


def numbers_of(session: Session, kin: Collection[Kin]) -> dict[int, str]:
    """The number of each guardian who has one, by guardian."""
    return numbers_to_call(session, {k.id for k in kin})


def never_to_collect(session: Session, child_ids: Collection[int], today: date) -> dict[int, Never]:
    """Who must not collect each child: whom custody limits, for ever, and who may not pick it up."""
    numbers: dict[int, set[bytes]] = defaultdict(set)
    names: dict[int, set[str]] = defaultdict(set)
    for child, name, index in session.execute(
        select(Guardianship.child_id, Person.name, ContactPoint.value_index)
        .join(Person, Person.id == Guardianship.guardian_id)
        .outerjoin(
            ContactPoint,
            and_(ContactPoint.person_id == Person.id, ContactPoint.kind == "phone"),
        )
        .where(
            Guardianship.child_id.in_(child_ids),
            or_(
                Guardianship.no_disclosure.is_(True),
                and_(Guardianship.may_pick_up.is_(False), guards_on(today)),
            ),
        )
    ):
        names[child].add(_bare(name))
        if index is not None:
            numbers[child].add(bytes(index))
    return {c: Never(frozenset(numbers[c]), frozenset(names[c])) for c in child_ids}
