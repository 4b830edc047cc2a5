"""The school year in the district's calendar: first and last days of terms, holidays, make-up days, exams.

One entry per day, so that a day that changes is one entry that changes. Days of years that the State
Council has not published stand on the pages, marked provisional, and are not sent to calendars.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from sqlalchemy import select

from calendars import workdays
from calendars.zones import DISTRICT as ZONE
from calendars.zones import zone_named
from coordination.domain.agenda import services
from coordination.domain.agenda.audiences import DISTRICT
from coordination.domain.agenda.models import CalendarEntry
from coordination.domain.people import schooldays
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

SUBJECTS = ("school_day", "term_start", "term_end")
CATEGORY = "school_day"
Line = tuple[str, int, date, Text]


def write(uow: UnitOfWork) -> int:
    """Bring the district's entries up to its terms and days; how many were written or cancelled."""
    since = date(uow.now.year, 1, 1)
    wanted = {(kind, ident): (day, title) for kind, ident, day, title in _lines(uow, since)}
    known = {
        (row.subject_type, row.subject_id): row
        for row in uow.session.scalars(
            select(CalendarEntry).where(
                CalendarEntry.subject_type.in_(SUBJECTS),
                CalendarEntry.starts_at >= _midnight(since),
            )
        )
    }
    done = 0
    for key, (day, title) in wanted.items():
        row = known.get(key)
        if row is None or _says(row) != (day, title.zh, title.en):
            _put(uow, key, day, title)
            done += 1
    for kind, ident in known.keys() - wanted.keys():
        if known[kind, ident].status != "cancelled":
            services.cancel(uow, subject_type=kind, subject_id=ident)
            done += 1
    return done


def _lines(uow: UnitOfWork, since: date) -> Iterator[Line]:
    until = date(workdays.published_until(), 12, 31)
    for term in schooldays.terms_of(uow.session):
        if term.starts_on >= since:
            yield (
                "term_start",
                term.id,
                term.starts_on,
                Text(f"{term.name_zh}开学", f"{term.name_en} begins"),
            )
        if term.ends_on >= since:
            yield (
                "term_end",
                term.id,
                term.ends_on,
                Text(f"{term.name_zh}结束", f"{term.name_en} ends"),
            )
        until = max(until, term.ends_on)
    own = schooldays.overrides_between(uow.session, since, schooldays.LATEST)
    named = schooldays.named_between(uow.session, since, schooldays.LATEST)
    until = max([until, *own])
    for day in workdays.days(since, until, own):
        title = named.get(day.date) or schooldays.label_of(day)
        if title is not None and not day.provisional:
            yield "school_day", day.date.toordinal(), day.date, title


def _says(row: CalendarEntry) -> tuple[date, str, str] | None:
    if row.status == "cancelled":
        return None
    day = row.starts_at.astimezone(zone_named(ZONE)).date()
    return day, row.summary_zh, row.summary_en


def _put(uow: UnitOfWork, key: tuple[str, int], day: date, title: Text) -> None:
    services.put(
        uow,
        subject_type=key[0],
        subject_id=key[1],
        category=CATEGORY,
        starts_at=_midnight(day),
        ends_at=_midnight(day + timedelta(days=1)),
        summary=title,
        location=Text("", ""),
        description=Text("", ""),
        audiences=[DISTRICT],
        all_day=True,
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone_named(ZONE))
