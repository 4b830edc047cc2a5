"""The district's policy of when texts wait: read and set. Knows no message."""

from __future__ import annotations

from datetime import time

from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.communication import policies, rules
from coordination.domain.communication.events import QuietPolicySet
from coordination.domain.communication.models import QuietPolicy
from coordination.ground.uow import UnitOfWork


def policy_of(session: Session) -> QuietPolicy | None:
    """The district's policy; None if it has set none."""
    return policies.chosen(session, QuietPolicy)


def set_policy(
    uow: UnitOfWork,
    *,
    org_id: int,
    quiet_from: time,
    quiet_until: time,
    rest_days: bool,
    gather_from: time | None = None,
    gather_at: time | None = None,
) -> None:
    """Set the hours in which texts wait, and whether they wait on rest days; equal times: none. And
    from when on notices of a day wait for each other, and when they leave; neither: they do not.
    """
    uow.authorize(Action.QUIET_SET, Scope(school=org_id))
    rules.refuse_poor_gathering(
        gather_from=gather_from,
        gather_at=gather_at,
        quiet_from=quiet_from,
        quiet_until=quiet_until,
    )
    policy = policies.to_set(uow, QuietPolicy, org_id)
    policy.quiet_from, policy.quiet_until, policy.rest_days = quiet_from, quiet_until, rest_days
    policy.gather_from, policy.gather_at = gather_from, gather_at
    if uow.session.is_modified(policy):
        uow.record(QuietPolicySet(org_id))
