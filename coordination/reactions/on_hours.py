"""What follows for the hours of children: the ledger keeps up with rolls, sessions and the rule.

Nobody is texted: absent children are called, and hours are looked up.
"""

from __future__ import annotations

from coordination.domain.practice import ledger
from coordination.domain.practice.events import (
    AttendanceTaken,
    HourRuleSet,
    SessionCancelled,
    SessionMoved,
)
from coordination.ground.uow import UnitOfWork
from coordination.reactions import reminders


def session_changed(
    uow: UnitOfWork, event: AttendanceTaken | SessionCancelled | SessionMoved
) -> None:
    """The roll was called or corrected; or a session whose roll was called early moved or was called off."""
    ledger.write(uow, session_id=event.session_id, zone=reminders.zone())


def rule_set(uow: UnitOfWork, event: HourRuleSet) -> None:
    """What has been counted since that day is counted anew."""
    ledger.count_again(uow, since=event.starts_on, zone=reminders.zone())
