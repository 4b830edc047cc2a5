"""师生比 (B92): for how many children one adult goes along, as the district sets it. Knows no volunteer.

Until the district sets its own, the figure of LB/T 054-2016《研学旅行服务规范》holds: about one for twenty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.practice.models import AdultRatio
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

MOST_CHILDREN = 50


@dataclass(frozen=True, slots=True)
class Ratio:
    """Children for one adult: grades 1 to 3, 4 to 6, and 7 to 9."""

    low: int = 20
    high: int = 20
    middle: int = 20

    def of_grade(self, grade: int | None) -> int:
        """Where no grade is known, the most careful figure."""
        if grade is None:
            return min(self.low, self.high, self.middle)
        return self.low if grade <= 3 else self.high if grade <= 6 else self.middle


STANDARD = Ratio()


def chosen(session: Session) -> Ratio | None:
    """What the district has set; None if it has not."""
    row = session.scalar(select(AdultRatio).order_by(AdultRatio.id).limit(1))
    return None if row is None else Ratio(row.low, row.high, row.middle)


def in_force(session: Session) -> Ratio:
    """The district's ratio, or the standard's."""
    return chosen(session) or STANDARD


def adults_needed(classes: Iterable[tuple[int, int | None]], ratio: Ratio) -> int:
    """Adults for classes given as (children, grade): each class needs its own, rounded up."""
    return sum(-(-children // ratio.of_grade(grade)) for children, grade in classes)


def set_ratio(uow: UnitOfWork, *, org_id: int, ratio: Ratio) -> None:
    """Set for how many children one adult is wanted."""
    uow.authorize(Action.RATIO_SET, Scope(school=org_id))
    wrong = Text(
        f"请填写 1 到 {MOST_CHILDREN} 之间的整数。",
        f"Enter a whole number from 1 to {MOST_CHILDREN}.",
    )
    fields = {
        name: wrong for name, count in asdict(ratio).items() if not 1 <= count <= MOST_CHILDREN
    }
    if fields:
        raise Invalid(fields=fields)
    row = uow.session.scalar(select(AdultRatio).order_by(AdultRatio.id).limit(1))
    if row is None:
        row = AdultRatio(org_id=org_id)
        uow.session.add(row)
    row.low, row.high, row.middle = ratio.low, ratio.high, ratio.middle
