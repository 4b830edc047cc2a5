"""The guardian's home: to-dos, what is coming and the latest notices, of one child or of all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from flask import current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.family import corrections, data
from coordination.blueprints.family.blueprint import bp
from coordination.blueprints.family.forms import CallsForm, HourForm
from coordination.domain.agenda.audiences import family_audiences
from coordination.domain.agenda.models import CalendarEntry
from coordination.domain.agenda.queries import entries_between
from coordination.domain.care.cards import standing_of
from coordination.domain.communication.notices import queries
from coordination.domain.people import calling, hours
from coordination.domain.people.family import OwnChild, children_of, tell_apart
from coordination.domain.practice.headcount import stages
from coordination.domain.practice.headcount.watching import whereabouts
from coordination.ground import clock
from coordination.ground.errors import NotFound
from coordination.ground.text import Text
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import waiting_for_family
from coordination.web.when import today, zone

__all__ = ["bp", "corrections", "data"]

AHEAD = timedelta(days=60)
# what a finished count says to a family
IS_AT = {
    stages.LEAVE: Text("已出校", "has left school"),
    stages.ARRIVE: Text("已到达", "has arrived"),
    stages.LUNCH: Text("已用午餐", "has had lunch"),
    stages.BOARD: Text("已上车返程", "is on the way back"),
    stages.BACK: Text("已回到学校", "is back at school"),
}
NOTICES = 5


@dataclass(frozen=True, slots=True)
class Coming:
    """An entry of the calendar as the family sees it."""

    starts_at: datetime
    ends_at: datetime
    title: Text
    place: Text
    cancelled: bool
    tentative: bool


@bp.get("/family")
@guard(Access.GUARDIAN)
def index() -> ResponseReturnValue:
    """Everything of the family; `?child=` shows one child."""
    actor, now = current_actor(), clock.now()
    with reading() as held:
        children = children_of(held, actor, today())
        chosen = _chosen(children)
        waiting = waiting_for_family(held, actor, now)
        ids = [chosen.id] if chosen else sorted(actor.child_ids)
        audiences = family_audiences(held, ids, None if chosen else actor.person_id, today())
        entries = entries_between(held, audiences, now, now + AHEAD)
        inbox = queries.inbox_of(held, actor)
        cards = standing_of(held, actor, today(), zone())
        out = whereabouts(held, actor, now)
    if chosen:
        waiting = [w for w in waiting if not w.child_ids or chosen.id in w.child_ids]
        inbox = [line for line in inbox if chosen.id in line.child_ids]
        out = [w for w in out if w.child_id == chosen.id]
    return render_template(
        "family/index.html",
        waiting=waiting,
        children=children,
        called=tell_apart(children),
        chosen=chosen,
        coming=[_coming(e) for e in entries],
        inbox=inbox[:NOTICES],
        cards=cards,
        out=out,
        is_at=IS_AT,
        left_because=stages.ON_THE_WAY,
        calls=_are_calls_carried(),
    )


@bp.route("/family/hours", methods=["GET", "POST"])
@guard(Access.GUARDIAN)
def notice_hours() -> ResponseReturnValue:
    """From when on in a day routine notices may come."""
    form = HourForm()
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            hour = time.fromisoformat(form.hour.data) if form.hour.data else None
            hours.choose_hour(uow, hour=hour)
        if done.ok:
            say(Text("已保存。", "Saved."))
            return redirect(url_for("family.notice_hours"), 303)
    if not form.is_submitted():
        with reading() as held:
            chosen = hours.chosen_hour(held, current_actor().person_id)
        form.hour.data = f"{chosen:%H:%M}" if chosen else ""
    return render_form("family/hours.html", form)


@bp.route("/family/calls", methods=["GET", "POST"])
@guard(Access.GUARDIAN)
def calls() -> ResponseReturnValue:
    """Whether the phone rings about what must be confirmed."""
    if not _are_calls_carried():
        raise NotFound()
    form = CallsForm()
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            calling.choose_calls(uow, wanted=form.how.data == "call", day=today())
        if done.ok:
            say(Text("已保存。", "Saved."))
            return redirect(url_for("family.calls"), 303)
    with reading() as held:
        since = calling.called_since(held, current_actor().person_id)
    if not form.is_submitted():
        form.how.data = "call" if since else "text"
    return render_form("family/calls.html", form, since=since)


def _are_calls_carried() -> bool:
    return bool(current_app.config["SETTINGS"].voice_channel)


def _chosen(children: list[OwnChild]) -> OwnChild | None:
    asked = request.args.get("child", "")
    return next((c for c in children if str(c.id) == asked), None)


def _coming(entry: CalendarEntry) -> Coming:
    return Coming(
        entry.starts_at,
        entry.ends_at,
        Text(entry.summary_zh, entry.summary_en),
        Text(entry.location_zh, entry.location_en),
        entry.status == "cancelled",
        entry.status == "tentative",
    )
