"""The district's policy of when texts wait: read and set. Knows no message."""

from __future__ import annotations

from datetime import time

from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.communication import policies
from coordination.domain.communication.events import QuietPolicySet
from coordination.domain.communication.models import QuietPolicy
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
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
    refuse_poor_gathering(
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


def refuse_poor_gathering(
    *, gather_from: time | None, gather_at: time | None, quiet_from: time, quiet_until: time
) -> None:
    """Refuse an evening that lacks an end, ends before it begins, or ends when nothing may leave."""
    fields: dict[str, Text] = {}
    if gather_from is None and gather_at is not None:
        fields["gather_from"] = Text(
            "填了发出的时间，也要填从几点开始等；不合并请把两项都清空。",
            "The time to leave is given, so say from when notices wait; to gather none, clear both.",
        )
    elif gather_from is not None and gather_at is None:
        fields["gather_at"] = Text(
            "填了从几点开始等，也要填几点发出；不合并请把两项都清空。",
            "It is given from when notices wait, so say when they leave; to gather none, clear both.",
        )
    elif gather_from is not None and gather_at is not None:
        if gather_at <= gather_from:
            fields["gather_at"] = Text(
                f"发出的时间要晚于开始等的 {gather_from:%H:%M}。请改晚，或把开始的时间改早。",
                f"They would leave before they wait, from {gather_from:%H:%M}. Let them leave later,"
                " or wait from an earlier time.",
            )
        elif _within(gather_at, quiet_from, quiet_until):
            fields["gather_at"] = Text(
                f"{gather_at:%H:%M} 在免打扰时段（{quiet_from:%H:%M}–{quiet_until:%H:%M}）内，"
                "那时发不出去。请改到时段以外，或调整免打扰时段。",
                f"{gather_at:%H:%M} lies within the quiet hours, {quiet_from:%H:%M}–{quiet_until:%H:%M},"
                " when nothing leaves. Choose a time outside them, or change the hours.",
            )
    if fields:
        raise Invalid(fields=fields)


def _within(at: time, begin: time, end: time) -> bool:
    """Whether a time of day lies between two, over midnight too; equal ones are no hours at all."""
    if begin <= end:
        return begin <= at < end
    return at >= begin or at < end
