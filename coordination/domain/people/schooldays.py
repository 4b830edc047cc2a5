"""The district's school year: its terms, and where it departs from the published calendar.

Week numbers, the hours of venues, quiet hours and reminders all read the days here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from calendars import workdays
from calendars.workdays import Day, DayKind
from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.people.events import SchoolYearChanged
from coordination.domain.people.models import CalendarDay, Term
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# what the district may make of a day; a weekend is what is left
OWN_KINDS = {
    DayKind.HOLIDAY: Text("放假", "Day off"),
    DayKind.MAKE_UP_WORKDAY: Text("补课（调休上课）", "Make-up school day"),
    DayKind.EXAM: Text("考试", "Exams"),
}
LONGEST_TERM, LONGEST_STRETCH, LONGEST_NAME = 250, 60, 40
EARLIEST, LATEST = date(2000, 1, 1), date(2099, 12, 31)


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


def terms_of(session: Session) -> Sequence[Term]:
    """Every term, the latest first."""
    return session.scalars(select(Term).order_by(Term.starts_on.desc(), Term.id)).all()


def own_days(session: Session, since: date) -> Sequence[CalendarDay]:
    """The district's own days from `since` on."""
    return session.scalars(
        select(CalendarDay).where(CalendarDay.day >= since).order_by(CalendarDay.day)
    ).all()


def save_term(
    uow: UnitOfWork,
    *,
    org_id: int,
    term_id: int | None,
    name: Text,
    starts_on: date,
    ends_on: date,
) -> Term:
    """Enter or change a term; two terms never share a day, and the database holds that too."""
    uow.authorize(Action.SCHOOL_YEAR_SET, Scope(school=org_id))
    _refuse_unfit_span(starts_on, ends_on, LONGEST_TERM, "ends_on")
    _refuse_unfit_name(name, required=True)
    other = uow.session.scalar(
        select(Term).where(
            Term.org_id == org_id,
            Term.id != (term_id or 0),
            Term.starts_on <= ends_on,
            Term.ends_on >= starts_on,
        )
    )
    if other is not None:
        raise Conflict(
            Text(f"与“{other.name_zh}”的日期重叠。", f"It shares days with “{other.name_en}”."),
            code="term_overlaps",
        )
    term = _term(uow, org_id, term_id) if term_id else Term(org_id=org_id)
    term.name_zh, term.name_en = name.zh, name.en or name.zh
    term.starts_on, term.ends_on = starts_on, ends_on
    uow.session.add(term)
    uow.session.flush()  # the calendar is written from the rows
    uow.record(SchoolYearChanged(org_id))
    return term


def remove_term(uow: UnitOfWork, *, org_id: int, term_id: int) -> None:
    """Take a term out; its first and last day become cancelled entries."""
    uow.authorize(Action.SCHOOL_YEAR_SET, Scope(school=org_id))
    uow.session.delete(_term(uow, org_id, term_id))
    uow.session.flush()
    uow.record(SchoolYearChanged(org_id))


def set_days(
    uow: UnitOfWork, *, org_id: int, first: date, last: date, kind: DayKind, name: Text
) -> int:
    """Make days off, make-up days or exam days of a stretch; how many days that were.

    Exams leave out weekends and holidays; a make-up day takes the place of one.
    """
    uow.authorize(Action.SCHOOL_YEAR_SET, Scope(school=org_id))
    if kind not in OWN_KINDS:
        raise Invalid(fields={"kind": Text("请选择这一天是什么。", "Choose what the day is.")})
    _refuse_unfit_span(first, last, LONGEST_STRETCH, "last")
    _refuse_unfit_name(name, required=False)
    days = workdays.days(first, last)
    if kind is DayKind.EXAM:
        made_up = overrides_between(uow.session, first, last)
        days = tuple(d for d in workdays.days(first, last, made_up) if d.is_taught)
    elif kind is DayKind.MAKE_UP_WORKDAY and any(d.is_taught for d in days):
        raise Invalid(
            fields={
                "first": Text(
                    "其中有本来就上课的日子；补课日只能是周末或节假日。",
                    "Some of these are school days already; only a weekend or holiday can be a "
                    "make-up day.",
                )
            }
        )
    if not days:
        raise Invalid(
            fields={"first": Text("这段时间没有上课的日子。", "There is no school day in it.")}
        )
    named = name if name.zh else OWN_KINDS[kind]
    # row by row through the session, so that the audit trail has each day
    known = {
        row.day: row
        for row in uow.session.scalars(
            select(CalendarDay).where(
                CalendarDay.org_id == org_id, CalendarDay.day.between(first, last)
            )
        )
    }
    for day in days:
        row = known.get(day.date) or CalendarDay(org_id=org_id, day=day.date)
        row.kind, row.name_zh, row.name_en = kind.value, named.zh, named.en or named.zh
        uow.session.add(row)
    uow.session.flush()
    uow.record(SchoolYearChanged(org_id))
    return len(days)


def clear_day(uow: UnitOfWork, *, org_id: int, day_id: int) -> None:
    """Let the published calendar hold for a day again."""
    uow.authorize(Action.SCHOOL_YEAR_SET, Scope(school=org_id))
    row = uow.session.get(CalendarDay, day_id)
    if row is None or row.org_id != org_id:
        raise NotFound()
    uow.session.delete(row)
    uow.session.flush()
    uow.record(SchoolYearChanged(org_id))


def _term(uow: UnitOfWork, org_id: int, term_id: int) -> Term:
    term = uow.session.get(Term, term_id, with_for_update=True)
    if term is None or term.org_id != org_id:
        raise NotFound()
    return term


def _refuse_unfit_span(first: date, last: date, longest: int, field: str) -> None:
    if last < first:
        raise Invalid(
            fields={field: Text("不能早于开始日期。", "It cannot be before the first day.")}
        )
    if first < EARLIEST or last > LATEST:
        raise Invalid(fields={field: Text("请检查年份。", "Check the year.")})
    if (last - first).days >= longest:
        raise Invalid(fields={field: Text(f"最长 {longest} 天。", f"At most {longest} days.")})


def _refuse_unfit_name(name: Text, *, required: bool) -> None:
    if required and not name.zh:
        raise Invalid(fields={"name_zh": Text("请填写名称。", "Enter a name.")})
    if len(name.zh) > LONGEST_NAME or len(name.en) > LONGEST_NAME:
        raise Invalid(
            fields={
                "name_zh": Text(
                    f"名称最长 {LONGEST_NAME} 个字。", f"At most {LONGEST_NAME} characters."
                )
            }
        )


def label_of(day: Day) -> Text | None:
    """What is special about a day; what the State Council has not published yet says so."""
    if day.kind == DayKind.HOLIDAY:
        name = _holiday(day.name)
    elif day.kind == DayKind.MAKE_UP_WORKDAY:
        name = Text("调休上班", "Make-up school day")
    elif day.kind == DayKind.EXAM:
        name = Text("考试", "Exams")
    else:
        return None
    return Text(f"{name.zh}（暂定）", f"{name.en} (provisional)") if day.provisional else name


def _holiday(written: str) -> Text:
    """The name of a holiday without remarks: 国庆节（补假）, 休息日（由 2026-09-20 调休）."""
    plain = [name.partition("（")[0].strip() for name in written.replace("；", ";").split(";")]
    known = [name for name in plain if name in HOLIDAYS_EN]
    if not known:
        # a day that was moved here from a weekend
        return Text("调休放假", "Day off")
    return Text("、".join(known), ", ".join(HOLIDAYS_EN[name] for name in known))


HOLIDAYS_EN = {
    "元旦": "New Year's Day",
    "春节": "Spring Festival",
    "清明节": "Qingming",
    "劳动节": "Labour Day",
    "端午节": "Dragon Boat Festival",
    "中秋节": "Mid-Autumn Festival",
    "国庆节": "National Day",
    "农历除夕": "Lunar New Year's Eve",
    "春节延长假期": "Spring Festival, extended",
}
