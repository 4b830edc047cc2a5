"""School days, holidays and make-up workdays, day by day."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendars.workdays import (
    DayKind,
    day_kind,
    days,
    published_until,
    term_week,
    term_week_label,
)
from tests.unit.calendars.builders import unhurried

PUBLISHED = Path(__file__).parents[2] / "data/calendars/cn"


@pytest.mark.parametrize("year", [2024, 2025, 2026])
def test_every_day_of_a_published_year_agrees(year: int) -> None:
    notice = json.loads((PUBLISHED / f"{year}.json").read_text())["days"]
    off = {date.fromisoformat(day["date"]): day["isOffDay"] for day in notice}
    for offset in range((date(year + 1, 1, 1) - date(year, 1, 1)).days):
        day = date(year, 1, 1) + timedelta(days=offset)
        found = day_kind(day)
        closed = off.get(day, day.weekday() >= 5)
        assert found.is_taught is not closed, day
        if day in off and not closed and day.weekday() >= 5:
            assert found.kind is DayKind.MAKE_UP_WORKDAY
        if closed and day.weekday() < 5:
            assert found.kind is DayKind.HOLIDAY
        assert not found.provisional


def test_an_unpublished_year_is_provisional() -> None:
    new_year = day_kind(date(published_until() + 1, 1, 1))
    assert (new_year.kind, new_year.provisional, new_year.name) == (DayKind.HOLIDAY, True, "元旦")


def test_the_district_overrides_and_is_final() -> None:
    day = date(2027, 3, 3)
    decided = day_kind(day, {day: DayKind.HOLIDAY})
    assert (decided.kind, decided.provisional, decided.overridden) == (
        DayKind.HOLIDAY,
        False,
        True,
    )
    assert day_kind(day, {day: "exam"}).is_taught
    assert not day_kind(day, {date(2027, 3, 4): DayKind.HOLIDAY}).overridden


@unhurried
@given(st.dates())
def test_no_date_is_an_error(day: date) -> None:
    assert day_kind(day).provisional is not (1950 <= day.year <= published_until())


def test_a_range_holds_both_ends() -> None:
    assert [day.date.day for day in days(date(2026, 9, 1), date(2026, 9, 3))] == [1, 2, 3]


def test_weeks_of_a_term_run_from_monday() -> None:
    start = date(2026, 9, 1)
    assert term_week(date(2026, 8, 31), start) == 1
    assert term_week(date(2026, 9, 6), start) == 1
    assert term_week(date(2026, 9, 7), start) == 2
    assert term_week(date(2026, 8, 30), start) == 0
    assert term_week_label(date(2026, 9, 15), start) == "第3周 周二"
    assert term_week_label(date(2026, 9, 15), start, "en") == "Week 3, Tuesday"
    assert term_week_label(date(2026, 8, 30), start) == "周日"
