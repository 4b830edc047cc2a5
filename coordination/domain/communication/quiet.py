"""The district's policy of quiet hours and rest days: read and set. Knows no message."""

from __future__ import annotations

from datetime import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.communication.models import QuietPolicy
from coordination.ground.uow import UnitOfWork


def policy_of(session: Session) -> QuietPolicy | None:
    """The district's policy; None if it has set none."""
    return session.scalar(select(QuietPolicy).order_by(QuietPolicy.id).limit(1))


def set_policy(
    uow: UnitOfWork, *, org_id: int, quiet_from: time, quiet_until: time, rest_days: bool
) -> None:
    """Set the hours in which texts wait, and whether they wait on rest days; equal times: none."""
    uow.authorize(Action.QUIET_SET, Scope(school=org_id))
    policy = policy_of(uow.session)
    if policy is None:
        policy = QuietPolicy(org_id=org_id)
        uow.session.add(policy)
    policy.quiet_from, policy.quiet_until, policy.rest_days = quiet_from, quiet_until, rest_days
