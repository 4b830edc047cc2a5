"""Until when a text has to wait, by the district's policy and calendar, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from calendars import workdays
from coordination.domain.communication.texts import budgets, family_budget
from coordination.domain.communication.texts.quiet import policy_of
from coordination.domain.people.schooldays import overrides_between
from coordination.ground.text import Text
from notifications.quiet import Gathering, QuietHours, earliest

# longer than any holiday
_HORIZON = timedelta(days=32)
# a sign-in code is wanted now; an urgent notice has named its reason
AT_ONCE = frozenset({"otp", "urgent"})
# why a text is held by the policy, as its message keeps it
QUIET, EVENING = "quiet_hours", "evening"
# and by its reader's own wish
OWN_HOUR = "own_hour"
HELD_FOR = frozenset({QUIET, EVENING})


@dataclass(frozen=True, slots=True)
class Waits:
    """Until when what is due at one moment waits; None: it leaves at once."""

    text: datetime | None
    # a notice, or a reminder of one, which the evening gathers
    notice: datetime | None

    @property
    def evening(self) -> bool:
        """Whether a notice waits for the evening, longer than any other text."""
        return self.notice != self.text


@dataclass(frozen=True, slots=True)
class Wait:
    """Until when a notice waits, and what keeps it, as a part of a sentence."""

    until: datetime
    why: Text


def quiet_at(session: Session, at: time) -> time | None:
    """Until when a text of this time of day waits on a school day; None if it does not."""
    policy = policy_of(session)
    if policy is None:
        return None
    hours = QuietHours(policy.quiet_from, policy.quiet_until, ZoneInfo("UTC"))
    any_day = datetime.combine(date(2000, 1, 3), at, tzinfo=hours.zone)
    until = earliest(hours, any_day)
    return until.time() if until > any_day else None


def waits_of(session: Session, at: datetime, zone: ZoneInfo) -> Waits:
    """Until when texts that are due at a moment, and are not urgent, wait."""
    policy = policy_of(session)
    if policy is None:
        return Waits(None, None)
    hours = QuietHours(policy.quiet_from, policy.quiet_until, zone, policy.rest_days)
    today = at.astimezone(zone).date()
    own = overrides_between(session, today, today + _HORIZON) if policy.rest_days else {}

    def is_rest_day(day: date) -> bool:
        return not workdays.day_kind(day, own).is_taught

    def later(until: datetime) -> datetime | None:
        return until if until > at else None

    text = later(earliest(hours, at, is_rest_day))
    if policy.gather_from is None or policy.gather_at is None:
        return Waits(text, text)
    evening = Gathering(policy.gather_from, policy.gather_at)
    return Waits(text, later(earliest(hours, at, is_rest_day, evening)))


def own_wait(
    session: Session, hours: Mapping[int, time], at: datetime, zone: ZoneInfo
) -> dict[int, datetime]:
    """Until when notices that can wait are to wait by their readers' own wish, for those whose hour
    has not come. An hour at which the district keeps quiet never comes, so it is nobody's."""
    local = at.astimezone(zone)
    loud = {hour for hour in set(hours.values()) if quiet_at(session, hour) is None}
    return {
        person: datetime.combine(local.date(), hour, zone)
        for person, hour in hours.items()
        if hour in loud and local.time() < hour
    }


def waits_until(session: Session, at: datetime, zone: ZoneInfo) -> datetime | None:
    """When a text that is not urgent, nor a notice, may leave; None if at once."""
    return waits_of(session, at, zone).text


def wait_of_notice(session: Session, at: datetime, zone: ZoneInfo) -> Wait | None:
    """How long a notice that is due at a moment, and is not urgent, waits; None if it does not."""
    waits = waits_of(session, at, zone)
    if waits.notice is None:
        return None
    return Wait(waits.notice, _why(session, at, zone, evening=waits.evening))


def _why(session: Session, at: datetime, zone: ZoneInfo, *, evening: bool) -> Text:
    policy = policy_of(session)
    if evening and policy is not None:
        begin, end = f"{policy.gather_from:%H:%M}", f"{policy.gather_at:%H:%M}"
        return Text(
            f"全区傍晚合并发送：{begin}–{end} 写的通知 {end} 一起发出，同一家庭只收一条短信",
            f"what is written from {begin} to {end} leaves together at {end}, as one text per family",
        )
    day = at.astimezone(zone).date()
    if policy is not None and policy.rest_days:
        own = overrides_between(session, day, day)
        if not workdays.day_kind(day, own).is_taught:
            return Text("当天是休息日", "that day is a day of rest")
    return Text("那时是免打扰时段", "those are quiet hours")


family_budget.held_by(lambda session, at: waits_of(session, at, budgets.zone()).notice)
