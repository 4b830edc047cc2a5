"""Days and weeks of a page; the dates that are easy to get wrong."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.blueprints.calendars import grids
from coordination.blueprints.calendars.grids import FIRST, LAST, VIEWS, Shown, View
from coordination.ground.text import Text
from tests.unit.calendars.builders import unhurried

ZONE = ZoneInfo("Asia/Shanghai")


def shown(start: datetime, length: timedelta, *, all_day: bool = False) -> Shown:
    return Shown(1, start, start + length, all_day, Text("甲", "A"), Text("", ""), "confirmed", "x")


@unhurried
@given(st.dates(date(1990, 1, 1), date(2110, 1, 1)), st.sampled_from(VIEWS))
def test_every_page_is_whole_and_leads_on(day: date, view: View) -> None:
    page = grids.stretch(view, day)
    length = (page.last - page.first).days + 1
    assert page.first <= min(max(day, FIRST), LAST) <= page.last
    assert length == grids.LIST_DAYS if view == "list" else length % 7 == 0
    if page.earlier > FIRST and page.later < LAST:
        assert page.earlier < page.anchor < page.later
        assert grids.stretch(view, page.later).first <= page.last + timedelta(days=1)
        assert grids.stretch(view, page.earlier).last >= page.first - timedelta(days=1)


def test_a_page_never_skips_a_month_with_fewer_days() -> None:
    page = grids.stretch("month", date(2027, 1, 31))
    assert page.later == date(2027, 2, 1)
    assert page.earlier == date(2026, 12, 1)


def test_an_entry_over_three_days_stands_on_each() -> None:
    page = grids.stretch("week", date(2026, 12, 4))
    long = shown(datetime(2026, 12, 2, 4, tzinfo=UTC), timedelta(days=2))
    days = grids.squares(page, [long], zone=ZONE, overrides={}, names={})
    assert [d.date.day for d in days if d.entries] == [2, 3, 4]


def test_whole_days_come_first() -> None:
    page = grids.stretch("week", date(2026, 12, 4))
    early = shown(datetime(2026, 12, 3, 16, 0, tzinfo=UTC), timedelta(hours=1))
    whole = shown(datetime(2026, 12, 3, 16, 0, tzinfo=UTC), timedelta(days=1), all_day=True)
    days = grids.squares(page, [early, whole], zone=ZONE, overrides={}, names={})
    assert [e.all_day for e in days[4].entries] == [True, False]


@pytest.mark.parametrize(
    ("monday", "label"),
    [(date(2026, 8, 24), ""), (date(2026, 8, 31), "第1周"), (date(2026, 9, 14), "第3周")],
)
def test_weeks_are_counted_within_the_term_only(monday: date, label: str) -> None:
    page = grids.stretch("week", monday)
    days = grids.squares(page, [], zone=ZONE, overrides={}, names={})
    (week,) = grids.weeks(days, date(2026, 9, 1), date(2027, 1, 22))
    assert week.label.zh == label


def test_remarks_on_holidays_are_left_out() -> None:
    page = grids.stretch("month", date(2026, 10, 1))
    days = grids.squares(page, [], zone=ZONE, overrides={}, names={})
    named = {d.date.day: d.label.zh for d in days if d.label and not d.outside}
    assert named[1] == "国庆节" and named[7] == "调休放假" and named[10] == "调休上班"
