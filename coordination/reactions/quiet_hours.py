"""Until when a text has to wait, by the district's policy and calendar."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from calendars import workdays
from coordination.domain.communication.quiet import policy_of
from coordination.domain.people.schooldays import overrides_between
from coordination.ground.text import Text
from notifications.quiet import QuietHours, earliest

# longer than any holiday
_HORIZON = timedelta(days=32)
# a sign-in code is wanted now; an urgent notice has named its reason
AT_ONCE = frozenset({"otp", "urgent"})


def quiet_at(session: Session, at: time) -> time | None:
    """Until when a text of this time of day waits on a school day; None if it does not."""
    policy = policy_of(session)
    if policy is None:
        return None
    hours = QuietHours(policy.quiet_from, policy.quiet_until, ZoneInfo("UTC"))
    any_day = datetime.combine(date(2000, 1, 3), at, tzinfo=hours.zone)
    until = earliest(hours, any_day)
    return until.time() if until > any_day else None


def why_waits(session: Session, at: datetime, zone: ZoneInfo) -> Text:
    """What of the policy keeps a text of this moment waiting, as the end of a sentence."""
    policy = policy_of(session)
    day = at.astimezone(zone).date()
    if policy is not None and policy.rest_days:
        own = overrides_between(session, day, day)
        if not workdays.day_kind(day, own).is_taught:
            return Text("当天是休息日", "that day is a day of rest")
    return Text("那时是免打扰时段", "those are quiet hours")


def waits_until(session: Session, now: datetime, zone: ZoneInfo) -> datetime | None:
    """When a text that is not urgent may leave; None if at once."""
    policy = policy_of(session)
    if policy is None:
        return None
    hours = QuietHours(policy.quiet_from, policy.quiet_until, zone, policy.rest_days)
    today = now.astimezone(zone).date()
    own = overrides_between(session, today, today + _HORIZON) if policy.rest_days else {}
    until = earliest(hours, now, lambda day: not workdays.day_kind(day, own).is_taught)
    return until if until > now else None
