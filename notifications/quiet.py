"""Quiet hours and rest days, as a pure decision. Must not know who asks or what is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class QuietHours:
    """The policy: from `starts` to `ends` local time nothing is sent, nor on rest days."""

    starts: time
    ends: time
    zone: ZoneInfo
    rest_days: bool = False


@dataclass(frozen=True, slots=True)
class Gathering:
    """A part of every day whose messages wait for each other: all leave when it ends, that day."""

    starts: time
    ends: time


def _never(_day: date) -> bool:
    return False


def earliest(
    policy: QuietHours,
    now: datetime,
    is_rest_day: Callable[[date], bool] = _never,
    gathering: Gathering | None = None,
) -> datetime:
    """Return the first instant from `now` on at which the policy lets a message go, and, if it is
    one of those that are gathered, at which it need not wait for others."""
    at = now
    # a fortnight bounds the search: no holiday is longer
    for _ in range(32):
        moved = _step(policy, at, is_rest_day)
        if moved == at and gathering is not None:
            moved = _gathered(policy.zone, at, gathering)
        if moved == at:
            return at
        at = moved
    return at


def _step(policy: QuietHours, at: datetime, is_rest_day: Callable[[date], bool]) -> datetime:
    local = at.astimezone(policy.zone)
    if policy.rest_days and is_rest_day(local.date()):
        return _local(policy.zone, local.date() + timedelta(days=1), time(0))
    if policy.starts == policy.ends:
        return at
    clock = local.time()
    if policy.starts < policy.ends:
        if policy.starts <= clock < policy.ends:
            return _local(policy.zone, local.date(), policy.ends)
        return at
    if clock >= policy.starts:
        return _local(policy.zone, local.date() + timedelta(days=1), policy.ends)
    if clock < policy.ends:
        return _local(policy.zone, local.date(), policy.ends)
    return at


def _gathered(zone: ZoneInfo, at: datetime, gathering: Gathering) -> datetime:
    local = at.astimezone(zone)
    if gathering.starts <= local.time() < gathering.ends:
        return _local(zone, local.date(), gathering.ends)
    return at


def _local(zone: ZoneInfo, day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, tzinfo=zone)
