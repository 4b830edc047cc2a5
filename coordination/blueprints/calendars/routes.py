"""Month, week and list of a calendar, one entry's page and its file. No script is needed for any.

Which entries a person sees is decided in `domain/agenda/queries.py`.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from flask import Blueprint, Response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from calendars import feed as ics
from calendars.values import FeedHead
from coordination.blueprints.calendars import grids
from coordination.blueprints.calendars.grids import Shown, View
from coordination.domain.agenda import queries
from coordination.domain.agenda.queries import Choice, Line, Viewed
from coordination.domain.people.family import tell_apart
from coordination.domain.people.schooldays import named_between, overrides_between
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.guards import Access, guard, is_staff
from coordination.web.request import current_actor, language, reading

bp = Blueprint("calendars", __name__, url_prefix="/calendars")

KINDS = {
    "practice": Text("实践活动", "Activities"),
    "booking": Text("场地预约", "Bookings"),
    "volunteering": Text("志愿服务", "Volunteering"),
    "meeting": Text("会议", "Meetings"),
    "school_day": Text("校历", "School calendar"),
}
# pages and feeds of one calendar have two words for it
FEED_OF = {"mine": "teacher", "venue": "resource"}
TAKEN = Text("已占用", "Taken")


@bp.get("/family")
@guard(Access.GUARDIAN)
def family() -> ResponseReturnValue:
    """All children's entries and the guardian's own; `?child=` shows one child."""
    child = request.args.get("child", type=int)
    with reading() as held:
        viewed = queries.family_calendar(held, current_actor(), child, when.today())
    return _page(viewed, child)


@bp.get("/mine")
@guard(Access.SIGNED_IN)
def mine() -> ResponseReturnValue:
    """Whatever the actor leads or has taken on, and the actor's classes."""
    return _page(queries.own_calendar(current_actor()))


@bp.get("/district")
@guard(Access.SIGNED_IN)
def district() -> ResponseReturnValue:
    """Terms, holidays and make-up days."""
    return _page(queries.district_calendar())


@bp.get("/class/<int:class_id>")
@guard(Access.SIGNED_IN)
def class_calendar(class_id: int) -> ResponseReturnValue:
    """A class, for its staff and its families."""
    with reading() as held:
        viewed = queries.class_calendar(held, current_actor(), class_id, when.today())
    return _page(viewed)


@bp.get("/school/<int:school_id>")
@guard(Access.SIGNED_IN)
def school(school_id: int) -> ResponseReturnValue:
    """A school: its public part; its office sees what all classes do."""
    with reading() as held:
        viewed = queries.school_calendar(held, current_actor(), school_id)
    return _page(viewed)


@bp.get("/venue/<int:resource_id>")
@guard(Access.STAFF | Access.PARTNER)
def venue(resource_id: int) -> ResponseReturnValue:
    """A venue: in full for its owner, only taken or free for whoever may book it."""
    with reading() as held:
        viewed = queries.venue_calendar(held, current_actor(), resource_id)
    return _page(viewed)


@bp.get("/entries/<int:entry_id>")
@guard(Access.SIGNED_IN)
def entry(entry_id: int) -> ResponseReturnValue:
    """One entry in full."""
    with reading() as held:
        found = queries.entry_open_to(held, current_actor(), entry_id, when.today())
    return render_template(
        "calendars/entry.html",
        layout=_layout(),
        entry=_shown(Line(found, frozenset()), {}, opaque=False),
        about=Text(found.description_zh, found.description_en),
        changed=found.last_modified if found.sequence else None,
        kinds=KINDS,
        back=_back(),
    )


@bp.get("/entries/<int:entry_id>.ics")
@guard(Access.SIGNED_IN)
def entry_file(entry_id: int) -> ResponseReturnValue:
    """One entry as a file, for calendars that cannot subscribe."""
    with reading() as held:
        found = queries.entry_open_to(held, current_actor(), entry_id, when.today())
    head = FeedHead(
        name=Text(found.summary_zh, found.summary_en).in_(language()),
        description="",
        zone=str(when.zone()),
        refresh_hours=24,
        color=None,
    )
    fragment = found.fragment_en if language() == "en" else found.fragment_zh
    return Response(
        ics.assemble(head, [bytes(fragment)]),
        200,
        {"Content-Disposition": f'attachment; filename="{entry_id}.ics"'},
        content_type="text/calendar; charset=utf-8",
    )


# -- one page for every calendar ------------------------------------------------------------------


def _page(viewed: Viewed, child: int | None = None) -> str:
    actor, today = current_actor(), when.today()
    shown = grids.stretch(_view(), _day() or today)
    since, until = _starts(shown.first), _starts(shown.last + timedelta(days=1))
    with reading() as held:
        lines = queries.lines_between(held, viewed, since, until, today)
        overrides = overrides_between(held, shown.first, shown.last)
        names = named_between(held, shown.first, shown.last)
        choices = queries.choices_of(held, actor, today)
        term = queries.term_of(held, shown.anchor)
    called = {c: name.in_(language()) for c, name in tell_apart(viewed.children).items()}
    whose = called if len(called) > 1 else {}
    kind = request.args.get("kind", "")
    if viewed.opaque:  # a cancelled booking leaves the time free
        lines = [line for line in lines if line.entry.status != "cancelled"]
    kinds = [k for k in KINDS if k == kind or any(line.entry.category == k for line in lines)]
    entries = [_shown(line, whose, opaque=viewed.opaque) for line in lines]
    if kind in KINDS:
        entries = [e for e in entries if e.category == kind]
    days = grids.squares(shown, entries, zone=when.zone(), overrides=overrides, names=names)
    starts, ends = (term.starts_on, term.ends_on) if term else (None, None)
    return render_template(
        "calendars/show.html",
        layout=_layout(),
        viewed=viewed,
        feed_scope=FEED_OF.get(viewed.scope, viewed.scope),
        shown=shown,
        weeks=grids.weeks(days, starts, ends) if shown.view != "list" else [],
        days=days,
        filled=[d for d in days if not d.outside and (d.entries or d.label)],
        term=term if term and starts and starts <= shown.last else None,
        provisional=any(d.day.provisional and d.label for d in days),
        choices=[(c, _address(c), _is(c, viewed)) for c in choices],
        child=child,
        called=called,
        kind=kind if kind in KINDS else "",
        kinds=[] if viewed.opaque else [(k, KINDS[k]) for k in kinds],
        period=_period(shown),
        link=_link,
    )


def _shown(line: Line, whose: dict[int, str], *, opaque: bool) -> Shown:
    entry = line.entry
    return Shown(
        id=None if opaque else entry.id,
        starts_at=entry.starts_at,
        ends_at=entry.ends_at,
        all_day=entry.all_day,
        title=TAKEN if opaque else Text(entry.summary_zh, entry.summary_en),
        place=Text("", "") if opaque else Text(entry.location_zh, entry.location_en),
        status=entry.status,
        category=entry.category,
        whose=tuple(whose[c] for c in sorted(line.child_ids) if c in whose),
    )


def _layout() -> str:
    return "layouts/staff.html" if is_staff(current_actor()) else "layouts/parent.html"


def _view() -> View:
    asked = request.args.get("view", "")
    return next((v for v in grids.VIEWS if v == asked), "month")


def _day() -> date | None:
    try:
        return date.fromisoformat(request.args.get("day", ""))
    except ValueError:
        return None


def _starts(day: date) -> datetime:
    return when.aware(day, time())


def _link(**changed: object) -> str:
    """This page with another view, day or filter."""
    kept = {k: v for k, v in request.args.items() if k in ("view", "day", "child", "kind")}
    values = {**kept, **(request.view_args or {}), **changed}
    return url_for(request.endpoint or "calendars.mine", **{k: v for k, v in values.items() if v})


def _back() -> str:
    return url_for("calendars.family" if current_actor().is_guardian else "calendars.mine")


def _address(choice: Choice) -> str:
    view = request.args.get("view")
    match choice.scope:
        case "class":
            return url_for("calendars.class_calendar", class_id=choice.scope_id, view=view)
        case "school":
            return url_for("calendars.school", school_id=choice.scope_id, view=view)
        case "venue":
            return url_for("calendars.venue", resource_id=choice.scope_id, view=view)
    return url_for(f"calendars.{choice.scope}", view=view)


def _is(choice: Choice, viewed: Viewed) -> bool:
    return (choice.scope, choice.scope_id) == (viewed.scope, viewed.scope_id)


def _period(shown: grids.Stretch) -> Text:
    if shown.view == "month":
        day = shown.anchor
        return Text(f"{day.year}年{day.month}月", f"{day:%B} {day.year}")
    first, last = shown.first, shown.last
    return Text(
        f"{first.year}年{first.month}月{first.day}日—{last.month}月{last.day}日",
        f"{first.day} {first:%b} – {last.day} {last:%b} {last.year}",
    )
