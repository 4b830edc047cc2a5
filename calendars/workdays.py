"""Which days are taught: statutory holidays, make-up workdays (调休), district overrides.

The State Council publishes each year's arrangement in the autumn before. Years beyond the
last one that the `holidays` package carries are computed from statute and marked provisional
(暂定); they are never guessed silently and never an error. Must not know the wall clock or
where overrides are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from typing import Literal

SATURDAY = 5
_FIRST_YEAR, _LAST_YEAR = 1950, 2099
_WEEKDAYS_ZH = "一二三四五六日"
_WEEKDAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class DayKind(StrEnum):
    """What a day is in the school calendar (校历日)."""

    SCHOOL_DAY = "school_day"
    HOLIDAY = "holiday"
    MAKE_UP_WORKDAY = "make_up_workday"
    WEEKEND = "weekend"
    EXAM = "exam"


Overrides = Mapping[date, DayKind] | Mapping[date, str]


@dataclass(frozen=True, slots=True)
class Day:
    """A day's kind, whether it may still change, and why it is a holiday (in Chinese)."""

    date: date
    kind: DayKind
    provisional: bool
    name: str = ""
    overridden: bool = False

    @property
    def is_taught(self) -> bool:
        """Whether school is open: a school day, a make-up workday or an exam day."""
        return self.kind in (DayKind.SCHOOL_DAY, DayKind.MAKE_UP_WORKDAY, DayKind.EXAM)


@dataclass(frozen=True, slots=True)
class _Year:
    holidays: Mapping[date, str]
    make_up: frozenset[date]


def day_kind(day: date, overrides: Overrides | None = None) -> Day:
    """What `day` is. The district's override wins and is final."""
    given = (overrides or {}).get(day)
    if given is not None:
        return Day(day, DayKind(given), provisional=False, overridden=True)
    year = _year(day.year)
    provisional = not _FIRST_YEAR <= day.year <= published_until()
    weekend = day.weekday() >= SATURDAY
    if name := year.holidays.get(day):
        return Day(day, DayKind.HOLIDAY, provisional, name)
    if day in year.make_up:
        return Day(day, DayKind.MAKE_UP_WORKDAY, provisional)
    return Day(day, DayKind.WEEKEND if weekend else DayKind.SCHOOL_DAY, provisional)


def days(first: date, last: date, overrides: Overrides | None = None) -> tuple[Day, ...]:
    """Every day from `first` to `last`, both included."""
    length = (last - first).days + 1
    return tuple(day_kind(first + timedelta(days=n), overrides) for n in range(length))


@cache
def published_until() -> int:
    """The last year whose arrangement the State Council has published, as far as we carry it."""
    from holidays.countries.china import ChinaStaticHolidays

    return max(int(year) for year in ChinaStaticHolidays.special_public_holidays)


def term_week(day: date, term_start: date) -> int:
    """The week of the term, Monday to Sunday; 1 holds `term_start`, 0 and less lie before it."""
    return (_monday(day) - _monday(term_start)).days // 7 + 1


def week_of_term(day: date, starts: date, ends: date) -> int | None:
    """The week of the term that the week of `day` is, counted from 1; None outside the term."""
    number = term_week(day, starts)
    return number if number > 0 and _monday(day) <= ends else None


def term_week_label(day: date, term_start: date, language: Literal["zh", "en"] = "zh") -> str:
    """第3周 周二, or Week 3, Tuesday; before the term only the weekday."""
    week = term_week(day, term_start)
    if language == "zh":
        weekday = f"周{_WEEKDAYS_ZH[day.weekday()]}"
        return f"第{week}周 {weekday}" if week > 0 else weekday
    weekday = _WEEKDAYS_EN[day.weekday()]
    return f"Week {week}, {weekday}" if week > 0 else weekday


def _monday(day: date) -> date:
    return date.fromordinal(max(1, day.toordinal() - day.weekday()))


@cache
def _year(year: int) -> _Year:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return _Year({}, frozenset())
    # it takes half a second to load: not at every start
    from holidays import country_holidays

    # A New Year's arrangement reaches over the turn of the year, in both directions.
    near = [y for y in (year - 1, year, year + 1) if _FIRST_YEAR <= y <= _LAST_YEAR]
    table = country_holidays("CN", years=near, expand=False, language="zh_CN")
    return _Year(
        {day: name for day, name in table.items() if day.year == year},
        frozenset(day for day in table.weekend_workdays if day.year == year),
    )
