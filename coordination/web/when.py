"""Dates and times as people read them, in the district's zone. Must not know any feature."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import cast
from zoneinfo import ZoneInfo

from flask import current_app, has_app_context

from coordination.ground import clock

_ZH_DAYS = "一二三四五六日"
_EN_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EN_MONTHS = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)


def zone() -> ZoneInfo:
    """The district's zone."""
    name = current_app.config["TIMEZONE"] if has_app_context() else "Asia/Shanghai"
    return ZoneInfo(cast(str, name))


def aware(day: date, at: time) -> datetime:
    """The moment of a local date and time, in UTC."""
    return datetime.combine(day, at, tzinfo=zone()).astimezone(UTC)


def local(moment: datetime) -> datetime:
    """`moment` in the district's zone."""
    return moment.astimezone(zone())


def today() -> date:
    """The present date in the district's zone."""
    return clock.today(zone())


def _as_date(value: date | datetime) -> date:
    return local(value).date() if isinstance(value, datetime) else value


def weekday(value: date | datetime, language: str) -> str:
    """周五 / Fri."""
    index = _as_date(value).weekday()
    return _EN_DAYS[index] if language == "en" else "周" + _ZH_DAYS[index]


def day(value: date | datetime, language: str) -> str:
    """2026年12月4日（周五） / Fri 4 Dec 2026."""
    d = _as_date(value)
    if language == "en":
        return f"{weekday(d, 'en')} {d.day} {_EN_MONTHS[d.month - 1]} {d.year}"
    return f"{d.year}年{d.month}月{d.day}日（{weekday(d, 'zh')}）"


def short_day(value: date | datetime, language: str) -> str:
    """12月4日（周五） / Fri 4 Dec."""
    d = _as_date(value)
    if language == "en":
        return f"{weekday(d, 'en')} {d.day} {_EN_MONTHS[d.month - 1]}"
    return f"{d.month}月{d.day}日（{weekday(d, 'zh')}）"


def clock_time(value: datetime | time) -> str:
    """19:00."""
    at = local(value).time() if isinstance(value, datetime) else value
    return f"{at.hour:02d}:{at.minute:02d}"


def moment(value: datetime, language: str) -> str:
    """2026年12月4日（周五）19:00 / Fri 4 Dec 2026, 19:00."""
    joint = ", " if language == "en" else ""
    return f"{day(value, language)}{joint}{clock_time(value)}"


def short_moment(value: datetime, language: str) -> str:
    """12月4日（周五）19:00 / Fri 4 Dec, 19:00."""
    joint = ", " if language == "en" else ""
    return f"{short_day(value, language)}{joint}{clock_time(value)}"


def span(start: datetime, end: datetime, language: str) -> str:
    """2026年12月4日（周五）19:00–20:30; both days are named if they differ."""
    if _as_date(start) == _as_date(end):
        return f"{moment(start, language)}–{clock_time(end)}"
    return f"{moment(start, language)} – {moment(end, language)}"


def week_number(value: date | datetime) -> int:
    """ISO week of the year."""
    return _as_date(value).isocalendar().week
