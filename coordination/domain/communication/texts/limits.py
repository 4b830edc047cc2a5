"""How many routine texts a phone gets in a day: read and set. Knows no message."""

from __future__ import annotations

from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.communication import policies
from coordination.domain.communication.models import TextLimit
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# until the district sets its own there is none; this many are proposed to it
PROPOSED = 8
MOST_PER_DAY = 100


def chosen(session: Session) -> int | None:
    """What the district has set; None if it has not."""
    found = policies.chosen(session, TextLimit)
    return found.per_day if found is not None else None


def per_day(session: Session) -> int:
    """Routine texts per phone and day; 0 is any number."""
    return chosen(session) or 0


def set_per_day(uow: UnitOfWork, *, org_id: int, per_day: int) -> None:
    """Set how many routine texts a phone may get in a day; 0 lifts the limit."""
    uow.authorize(Action.LIMIT_SET, Scope(school=org_id))
    if not 0 <= per_day <= MOST_PER_DAY:
        raise Invalid(
            fields={
                "per_day": Text(
                    f"请填写 0 到 {MOST_PER_DAY} 之间的整数；0 表示不限。",
                    f"Enter a whole number from 0 to {MOST_PER_DAY}; 0 means no limit.",
                )
            }
        )
    policies.to_set(uow, TextLimit, org_id).per_day = per_day
