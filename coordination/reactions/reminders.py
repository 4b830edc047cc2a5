"""Reminders as rules: when they fall due, and who answers for what they say.

A rule is a row per subject; the recipients are found when it is due, so whoever left, refused or was
cut off meanwhile is not reminded. Moving a session rewrites its rows in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from coordination.authz.actions import Action
from coordination.ground.uow import UnitOfWork
from notifications import reminders
from notifications.reminders import Rule

Remind = Callable[[UnitOfWork, int, str], None]

RULES: Mapping[str, Sequence[Rule]] = {
    "session": (Rule("three_days_before", "3d@18:00"), Rule("day_before", "1d@18:00")),
}

_zone = ZoneInfo("Asia/Shanghai")
_answers: dict[str, Remind] = {}


def use_zone(zone: ZoneInfo) -> None:
    """Set once by the composition root: 18:00 is the district's."""
    global _zone
    _zone = zone


def zone() -> ZoneInfo:
    """The district's zone, for every wording of a time."""
    return _zone


def answers_for(subject_type: str, remind: Remind) -> None:
    """Say who writes the reminders of a kind of subject when they are due."""
    _answers[subject_type] = remind


def plan(uow: UnitOfWork, subject_type: str, subject_id: int, anchor_at: datetime) -> int:
    """Write, or after a move rewrite, the reminders of a subject; those already past are left out."""
    return reminders.rewrite(
        uow.session,
        RULES[subject_type],
        subject_type=subject_type,
        subject_id=subject_id,
        anchor_at=anchor_at,
        zone=_zone,
        now=uow.now,
    )


def drop(uow: UnitOfWork, subject_type: str, subject_id: int) -> int:
    """Cancel what is still to come."""
    return reminders.drop(uow.session, subject_type, subject_id, now=uow.now)


def send_due(uow: UnitOfWork, limit: int = 100) -> int:
    """Take due reminders and write their messages, all in one transaction; how many were taken."""
    uow.authorize(Action.SYSTEM_RUN)
    due = reminders.take_due(uow.session, uow.now, limit)
    for reminder in due:
        _answers[reminder.subject_type](uow, reminder.subject_id, reminder.rule_key)
    return len(due)
