"""Where the district departs from the published calendar: its own holidays and make-up days."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from calendars.workdays import DayKind
from coordination.domain.people.models import CalendarDay
from coordination.ground.text import Text


def overrides_between(session: Session, first: date, last: date) -> dict[date, DayKind]:
    """The district's own days from `first` to `last`, both included."""
    known = {kind.value for kind in DayKind}
    rows = session.execute(
        select(CalendarDay.day, CalendarDay.kind).where(CalendarDay.day.between(first, last))
    )
    return {day: DayKind(kind) for day, kind in rows if kind in known}


def named_between(session: Session, first: date, last: date) -> dict[date, Text]:
    """What the district calls its own days."""
    rows = session.execute(
        select(CalendarDay.day, CalendarDay.name_zh, CalendarDay.name_en).where(
            CalendarDay.day.between(first, last)
        )
    )
    return {day: Text(zh, en) for day, zh, en in rows if zh}
