"""志愿时长规定 (B115): how the time of a volunteer is rounded and capped, as the district publishes it.

Until the district sets its own, the platform's proposal holds; pages say which of the two it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.volunteering.models import VolunteerRule
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

STEPS = (1, 5, 10, 15, 30, 60)
MOST_OVER = 240
FEWEST_DAYS, MOST_DAYS = 3, 60
LONGEST_SOURCE = 120
# more than this between plan and fact is shown to whoever confirms
DEVIATION = timedelta(minutes=30)
# 民政部令第67号: records are true, exact, complete, free of charge and in time; corrected on request
MEASURES = "《志愿服务记录与证明出具办法（试行）》（民政部令第67号）"


@dataclass(frozen=True, slots=True)
class TimeRule:
    """To how many minutes one rounds, how far past the plan counts, how many days one may object."""

    round_to: int = 15
    most_over: int = 60
    objection_days: int = 15
    source: str = MEASURES
    # None: nobody has set it
    set_on: date | None = None

    def minutes(self, came: datetime, left: datetime, planned: int) -> int:
        """What counts: from coming to going, to the nearest step (a half goes up), up to the most."""
        spent = int((left - came).total_seconds() // 60)
        rounded = (2 * spent + self.round_to) // (2 * self.round_to) * self.round_to
        return max(0, min(rounded, self.most(planned)))

    def most(self, planned: int) -> int:
        """The most that counts for a shift of `planned` minutes."""
        return planned + self.most_over


PROPOSED = TimeRule()


def in_force(session: Session) -> TimeRule:
    """The district's rule, or what is proposed."""
    row = session.scalar(select(VolunteerRule).order_by(VolunteerRule.id).limit(1))
    if row is None:
        return PROPOSED
    return TimeRule(row.round_to, row.most_over, row.objection_days, row.source, row.set_on)


def set_rule(uow: UnitOfWork, *, org_id: int, rule: TimeRule, today: date) -> None:
    """Publish how time is counted; what is confirmed already stays as it is."""
    uow.authorize(Action.SHIFT_RULE_SET, Scope(school=org_id))
    fields: dict[str, Text] = {}
    if rule.round_to not in STEPS:
        fields["round_to"] = Text("请选择取整到多少分钟。", "Choose to how many minutes to round.")
    for name, value, low, high in (
        ("most_over", rule.most_over, 0, MOST_OVER),
        ("objection_days", rule.objection_days, FEWEST_DAYS, MOST_DAYS),
    ):
        if not low <= value <= high:
            fields[name] = Text(
                f"请填写 {low} 到 {high} 之间的整数。",
                f"Enter a whole number from {low} to {high}.",
            )
    if not rule.source.strip() or len(rule.source) > LONGEST_SOURCE:
        fields["source"] = Text(
            f"请写明依据，不超过 {LONGEST_SOURCE} 字，志愿者会看到。",
            f"Name what it rests on, in at most {LONGEST_SOURCE} characters; volunteers see it.",
        )
    if fields:
        raise Invalid(fields=fields)
    row = uow.session.scalar(select(VolunteerRule).order_by(VolunteerRule.id).limit(1))
    if row is None:
        row = VolunteerRule(org_id=org_id)
        uow.session.add(row)
    row.round_to, row.most_over = rule.round_to, rule.most_over
    row.objection_days, row.source, row.set_on = rule.objection_days, rule.source, today
