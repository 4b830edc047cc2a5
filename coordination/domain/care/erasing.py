"""What erases itself (到期自动删除): cards nobody confirms or whose child left, collectors past their day."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

from sqlalchemy import delete, or_, select

from coordination.authz.actions import Action
from coordination.domain.care import keeping
from coordination.domain.care.models import CardLook, HealthCard, PickupPermit
from coordination.domain.people.models import Person
from coordination.ground.uow import UnitOfWork


def erase_due(uow: UnitOfWork, today: date) -> dict[str, int]:
    """Erase what is past its time; the audit trail keeps which rows, and never what they said. How many
    rows of each table went."""
    uow.authorize(Action.SYSTEM_RUN)
    gone = select(Person.id).where(Person.status != "active")
    elsewhere = select(HealthCard.id).join(
        Person,
        (Person.id == HealthCard.child_id)
        & Person.school_id.is_distinct_from(HealthCard.school_id),
    )
    left = or_(HealthCard.child_id.in_(gone), HealthCard.id.in_(elsewhere))
    unconfirmed = HealthCard.confirmed_at <= uow.now - keeping.UNCONFIRMED
    erased: dict[str, int] = defaultdict(int)
    for table, which, reason in (
        (HealthCard, left, "left_school"),
        (HealthCard, unconfirmed, "not_confirmed"),
        (PickupPermit, PickupPermit.child_id.in_(gone), "left_school"),
        (PickupPermit, PickupPermit.ends_on < today, "kept_long_enough"),
        (CardLook, CardLook.at <= uow.now - keeping.LOOKS_KEPT, "kept_long_enough"),
        (CardLook, CardLook.child_id.in_(gone), "left_school"),
    ):
        ids = uow.session.scalars(delete(table).where(which).returning(table.id)).all()
        if ids:
            uow.trail.line("erase", table.__tablename__, None, {"ids": list(ids)}, None, reason)
            erased[table.__tablename__] += len(ids)
    return erased
