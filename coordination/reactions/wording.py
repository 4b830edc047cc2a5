"""Dates and places as messages say them. Knows no event."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from coordination.ground.text import Text

_ZH_DAYS = "一二三四五六日"
_EN_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EN_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def when(moment: datetime, zone: ZoneInfo) -> Text:
    """12月4日（周五）19:00 / Fri 4 Dec, 19:00."""
    at = moment.astimezone(zone)
    clock = f"{at.hour:02d}:{at.minute:02d}"
    return Text(
        f"{at.month}月{at.day}日（周{_ZH_DAYS[at.weekday()]}）{clock}",
        f"{_EN_DAYS[at.weekday()]} {at.day} {_EN_MONTHS[at.month - 1]}, {clock}",
    )


def span(start: datetime, end: datetime, zone: ZoneInfo) -> Text:
    """12月4日（周五）19:00–20:30 / Fri 4 Dec, 19:00–20:30."""
    first, last = when(start, zone), end.astimezone(zone)
    return Text(*(f"{side}–{last.hour:02d}:{last.minute:02d}" for side in (first.zh, first.en)))
