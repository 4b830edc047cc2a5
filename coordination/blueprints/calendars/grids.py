"""Entries and days to what a month, a week or a list shows. Must not know who looks or how it is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from calendars import workdays
from calendars.workdays import Day, DayKind
from coordination.domain.people.schooldays import label_of
from coordination.ground.text import Text

View = Literal["month", "week", "list"]
VIEWS: tuple[View, ...] = ("month", "week", "list")
LIST_DAYS = 42
FIRST, LAST = date(2000, 1, 1), date(2100, 12, 31)


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry as the page writes it; `whose` is empty unless it has to be told apart."""

    id: int | None
    starts_at: datetime
    ends_at: datetime
    all_day: bool
    title: Text
    place: Text
    status: str
    category: str
    whose: tuple[str, ...] = ()

    @property
    def cancelled(self) -> bool:
        """Whether it will not take place."""
        return self.status == "cancelled"

    @property
    def tentative(self) -> bool:
        """Whether it is still to be confirmed."""
        return self.status == "tentative"


@dataclass(frozen=True, slots=True)
class Square:
    """One day of a page: what the school calendar says of it and what stands on it."""

    date: date
    day: Day
    label: Text | None
    outside: bool
    entries: tuple[Shown, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days and the week's name (第3周)."""

    label: Text
    days: tuple[Square, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which days a page shows, and where the pages before and after it begin."""

    view: View
    first: date
    last: date
    anchor: date
    earlier: date
    later: date


def stretch(view: View, day: date) -> Stretch:
    """The days of the page that holds `day`."""
    day = min(max(day, FIRST), LAST)
    if view == "week":
        first = _monday(day)
        return Stretch(view, first, first + timedelta(days=6), day, *_around(first, 7))
    if view == "list":
        end = day + timedelta(days=LIST_DAYS - 1)
        return Stretch(view, day, end, day, *_around(day, LIST_DAYS))
    start = day.replace(day=1)
    after = (start + timedelta(days=32)).replace(day=1)
    before = (start - timedelta(days=1)).replace(day=1)
    last = after - timedelta(days=1)
    whole = _monday(last) + timedelta(days=6)
    return Stretch(view, _monday(start), whole, start, before, after)


def squares(
    shown: Stretch,
    entries: Iterable[Shown],
    *,
    zone: ZoneInfo,
    overrides: Mapping[date, DayKind],
    names: Mapping[date, Text],
) -> tuple[Square, ...]:
    """Every day of the stretch with the entries that touch it, whole days first."""
    by_day: dict[date, list[Shown]] = {}
    for entry in entries:
        for day in _days_of(entry, shown, zone):
            by_day.setdefault(day, []).append(entry)
    month = shown.anchor.month if shown.view == "month" else None
    return tuple(
        Square(
            day.date,
            day,
            names.get(day.date) or label_of(day),
            month is not None and day.date.month != month,
            tuple(sorted(by_day.get(day.date, ()), key=lambda e: (not e.all_day, e.starts_at))),
        )
        for day in workdays.days(shown.first, shown.last, overrides)
    )


def weeks(days: Sequence[Square], term_start: date | None, term_end: date | None) -> list[Week]:
    """Days by weeks, named by the term's count inside the term and not at all outside it."""
    found = []
    for at in range(0, len(days), 7):
        row = tuple(days[at : at + 7])
        found.append(Week(_week_label(row[0].date, term_start, term_end), row))
    return found


def _week_label(monday: date, term_start: date | None, term_end: date | None) -> Text:
    if term_start is None or term_end is None:
        return Text("", "")
    number = workdays.week_of_term(monday, term_start, term_end)
    return Text(f"第{number}周", f"Week {number}") if number else Text("", "")


def _days_of(entry: Shown, shown: Stretch, zone: ZoneInfo) -> Iterable[date]:
    start, end = entry.starts_at.astimezone(zone), entry.ends_at.astimezone(zone)
    first = max(start.date(), shown.first)
    # an entry that ends at midnight does not stand on the day that begins there
    last = min(max((end - timedelta(microseconds=1)).date(), start.date()), shown.last)
    day = first
    while day <= last:
        yield day
        day += timedelta(days=1)


def _around(first: date, length: int) -> tuple[date, date]:
    step = timedelta(days=length)
    return max(first - step, FIRST), min(first + step, LAST)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
