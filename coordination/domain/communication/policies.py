"""What the district sets for its texts: one row of each kind, whoever of the office wrote it."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.communication.models import (
    FamilyBudget,
    QuietPolicy,
    SecondLookPolicy,
    TextLimit,
)
from coordination.ground.uow import UnitOfWork

P = TypeVar("P", FamilyBudget, QuietPolicy, SecondLookPolicy, TextLimit)


def chosen(session: Session, kind: type[P]) -> P | None:
    """What the district has set of a kind; None if it has not."""
    return session.scalar(select(kind).order_by(kind.id).limit(1))


def to_set(uow: UnitOfWork, kind: type[P], org_id: int) -> P:
    """The row to set it in, a new one the first time."""
    found = chosen(uow.session, kind)
    if found is None:
        found = kind(org_id=org_id)
        uow.session.add(found)
    return found
