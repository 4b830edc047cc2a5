"""Dates and times as people read them, in the district's zone. Must not know any feature."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from flask import current_app, has_app_context

from coordination.ground import clock
from coordination.ground.text import Text

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
    return _weekday(_as_date(value), language)


def _weekday(d: date, language: str) -> str:
    index = d.weekday()
    return _EN_DAYS[index] if language == "en" else "周" + _ZH_DAYS[index]


def day(value: date | datetime, language: str) -> str:
    """2026年12月4日（周五） / Fri 4 Dec 2026."""
    return _day(_as_date(value), language)


def _day(d: date, language: str) -> str:
    if language == "en":
        return f"{_short_day(d, language)} {d.year}"
    return f"{d.year}年{_short_day(d, language)}"


def short_day(value: date | datetime, language: str) -> str:
    """12月4日（周五） / Fri 4 Dec."""
    return _short_day(_as_date(value), language)


def _short_day(d: date, language: str) -> str:
    if language == "en":
        return f"{_weekday(d, language)} {d.day} {_EN_MONTHS[d.month - 1]}"
    return f"{d.month}月{d.day}日（{_weekday(d, language)}）"


def clock_time(value: datetime | time) -> str:
    """19:00."""
    return _clock_time(local(value) if isinstance(value, datetime) else value)


def _clock_time(at: datetime | time) -> str:
    return f"{at.hour:02d}:{at.minute:02d}"


def moment(value: datetime, language: str) -> str:
    """2026年12月4日（周五）19:00 / Fri 4 Dec 2026, 19:00."""
    return _moment(local(value), language)


def _moment(here: datetime, language: str) -> str:
    joint = ", " if language == "en" else ""
    return f"{_day(here, language)}{joint}{_clock_time(here)}"


def short_moment(value: datetime, language: str) -> str:
    """12月4日（周五）19:00 / Fri 4 Dec, 19:00."""
    here = local(value)
    joint = ", " if language == "en" else ""
    return f"{_short_day(here, language)}{joint}{_clock_time(here)}"


def span(start: datetime, end: datetime, language: str) -> str:
    """2026年12月4日（周五）19:00–20:30; both days are named if they differ."""
    start, end = local(start), local(end)
    if start.date() == end.date():
        return f"{_moment(start, language)}–{_clock_time(end)}"
    return f"{_moment(start, language)} – {_moment(end, language)}"


def ago(age: timedelta) -> Text:
    """9小时前 / 9 h ago."""
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 2:
        return Text("刚刚", "just now")
    if minutes < 60:
        return Text(f"{minutes}分钟前", f"{minutes} min ago")
    if minutes < 48 * 60:
        return Text(f"{minutes // 60}小时前", f"{minutes // 60} h ago")
    return Text(f"{minutes // 1440}天前", f"{minutes // 1440} days ago")


def duration(minutes: int, language: str) -> str:
    """7小时45分 / 7 h 45 min."""
    hours, rest = divmod(minutes, 60)
    parts = [(hours, "小时", " h"), (rest, "分钟" if not hours else "分", " min")]
    said = [(n, zh, en) for n, zh, en in parts if n] or [(0, "分钟", " min")]
    if language == "en":
        return " ".join(f"{n}{en}" for n, _zh, en in said)
    return "".join(f"{n}{zh}" for n, zh, _en in said)
