"""The values every other file here speaks: an entry, the head of a feed, a span.

Must not know how they are stored or written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from calendars.errors import UnfitEntry

Status = Literal["confirmed", "cancelled", "tentative"]
STATUSES: tuple[Status, ...] = ("confirmed", "cancelled", "tentative")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a calendar (日程). `ends_at` is exclusive, for whole days too.

    Timed entries carry aware datetimes; all-day entries carry dates.
    """

    uid: str
    sequence: int
    summary: str
    description: str
    location: str
    starts_at: datetime | date
    ends_at: datetime | date
    all_day: bool
    status: Status
    last_modified: datetime
    created: datetime
    categories: tuple[str, ...]
    url: str | None
    geo: tuple[float, float] | None
    alarm_minutes: int | None = None

    def __post_init__(self) -> None:
        if not self.uid or not self.uid.isprintable():
            raise UnfitEntry("a UID is printable and not empty")
        if self.sequence < 0:
            raise UnfitEntry("SEQUENCE starts at 0")
        if self.status not in STATUSES:
            raise UnfitEntry(f"unknown status {self.status!r}")
        _refuse_unfit_times(self.starts_at, self.ends_at, all_day=self.all_day)
        for moment in (self.last_modified, self.created):
            _refuse_naive(moment)
        if self.alarm_minutes is not None and self.alarm_minutes < 0:
            raise UnfitEntry("an alarm rings before the start")
        if self.geo is not None and not _on_earth(*self.geo):
            raise UnfitEntry(f"no such place {self.geo}")


@dataclass(frozen=True, slots=True)
class FeedHead:
    """What a subscriber sees of the calendar itself: name, zone, how often to come back."""

    name: str
    description: str
    zone: str
    refresh_hours: int
    color: str | None


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch of time [starts_at, ends_at)."""

    starts_at: datetime
    ends_at: datetime


def _refuse_naive(moment: datetime) -> None:
    if moment.utcoffset() is None:
        raise UnfitEntry(f"naive time {moment.isoformat()}")


def _refuse_unfit_times(
    starts_at: datetime | date, ends_at: datetime | date, *, all_day: bool
) -> None:
    if isinstance(starts_at, datetime) and isinstance(ends_at, datetime):
        if all_day:
            raise UnfitEntry("an all-day entry has dates, not times")
        _refuse_naive(starts_at)
        _refuse_naive(ends_at)
        if ends_at < starts_at:
            raise UnfitEntry("an entry ends before it starts")
        return
    if isinstance(starts_at, datetime) or isinstance(ends_at, datetime):
        raise UnfitEntry("start and end are of one kind")
    if not all_day:
        raise UnfitEntry("a timed entry has times, not dates")
    if ends_at < starts_at:
        raise UnfitEntry("an entry ends before it starts")


def _on_earth(latitude: float, longitude: float) -> bool:
    return (
        math.isfinite(latitude)
        and math.isfinite(longitude)
        and abs(latitude) <= 90
        and abs(longitude) <= 180
    )
