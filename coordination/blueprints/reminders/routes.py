"""Rules of reminders: the district's, a school's and an activity's page are one page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.blueprints.reminders.forms import RuleForm
from coordination.domain.practice import reminding
from coordination.domain.practice.reminding import Place, Rule
from coordination.ground import clock
from coordination.ground.errors import CoordinationError
from coordination.ground.text import Text
from coordination.reactions import notices, quiet_hours, reminders
from coordination.reactions.reminders import Upcoming
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import (
    language,
    own_office,
    reading,
    require,
    unit_of_work,
)
from coordination.web.say import say
from notifications.templates import placeholders

bp = Blueprint("reminders", __name__)

# what stands in a wording, when it is shown without a session
_PLACES = {
    "activity": Text("活动", "activity"),
    "back": Text("返校时间", "time of return"),
    "bring": Text("携带物品", "what to bring"),
    "children": Text("孩子", "children"),
    "class": Text("班级", "class"),
    "due": Text("截止时间", "deadline"),
    "meet": Text("集合地点", "meeting point"),
    "open": Text("打开方式", "how to open it"),
    "people": Text("人数", "number"),
    "school": Text("学校", "school"),
    "when": Text("活动时间", "date and time"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A rule as the page says it."""

    rule: Rule
    when: Text
    whom: Text
    texts: tuple[str, ...]
    waits: time | None


@dataclass(frozen=True, slots=True)
class Next:
    """A reminder that is planned; `leaves` if quiet hours hold it, `lost` if it is too late then."""

    coming: Upcoming
    when: Text
    whom: Text
    leaves: datetime | None
    lost: bool


def _district() -> Place:
    return Place("district", own_office())


@bp.route("/admin/reminders", methods=["GET", "POST"])
@guard(Access.ADMIN)
def district() -> ResponseReturnValue:
    """What the whole district is reminded by."""
    return _page(_district())


@bp.post("/admin/reminders/remove")
@guard(Access.ADMIN)
def remove_of_district() -> ResponseReturnValue:
    """One rule less."""
    return _remove(_district())


@bp.post("/admin/reminders/inherit")
@guard(Access.ADMIN)
def inherit_of_district() -> ResponseReturnValue:
    """Back to the product's rules."""
    return _inherit(_district())


@bp.route("/activities/reminders/schools/<int:school_id>", methods=["GET", "POST"])
@guard(Access.STAFF)
def school(school_id: int) -> ResponseReturnValue:
    """What the classes of a school are reminded by."""
    return _page(Place("school", school_id))


@bp.post("/activities/reminders/schools/<int:school_id>/remove")
@guard(Access.STAFF)
def remove_of_school(school_id: int) -> ResponseReturnValue:
    """One rule less."""
    return _remove(Place("school", school_id))


@bp.post("/activities/reminders/schools/<int:school_id>/inherit")
@guard(Access.STAFF)
def inherit_of_school(school_id: int) -> ResponseReturnValue:
    """Back to the district's rules."""
    return _inherit(Place("school", school_id))


@bp.route("/activities/<int:activity_id>/reminders", methods=["GET", "POST"])
@guard(Access.STAFF)
def activity(activity_id: int) -> ResponseReturnValue:
    """What those who take part in one activity are reminded by."""
    return _page(Place("activity", activity_id))


@bp.post("/activities/<int:activity_id>/reminders/remove")
@guard(Access.STAFF)
def remove_of_activity(activity_id: int) -> ResponseReturnValue:
    """One rule less."""
    return _remove(Place("activity", activity_id))


@bp.post("/activities/<int:activity_id>/reminders/inherit")
@guard(Access.STAFF)
def inherit_of_activity(activity_id: int) -> ResponseReturnValue:
    """Back to the rules of the district and the schools."""
    return _inherit(Place("activity", activity_id))


# -- the one page ---------------------------------------------------------------------------------


def _address(place: Place, verb: str = "") -> str:
    """The page of a place, or what one does there."""
    endpoint = f"reminders.{verb}_of_{place.scope}" if verb else f"reminders.{place.scope}"
    values: dict[str, Any] = {} if place.scope == "district" else {f"{place.scope}_id": place.id}
    return url_for(endpoint, **values)


def _page(place: Place) -> ResponseReturnValue:
    require(*reminding.permission(place))
    form = RuleForm()
    if not form.is_submitted():
        form.at.data = time(18)
    if form.validate_on_submit():
        rule = None
        with attempt(form) as done, unit_of_work() as uow:
            rule = reminding.rule_of(
                form.kind.data,
                form.number.data,
                form.unit.data,
                form.at.data,
                form.useful_hours.data,
            )
            reminding.add_rule(uow, place, rule)
        if done.ok and rule is not None:
            words = reminding.when_words(rule)
            say(Text(f"已添加：{words.zh}。", f"Added: {words.en}."))
            return redirect(_address(place), 303)
    now = clock.now()
    with reading() as held:
        name = reminding.name_of(held, place)
        rules = reminding.in_force(held, place)
        lines = [_line(held, rule) for rule in rules.rules]
        coming = [_next(held, up) for up in reminders.upcoming(held, place, now)]
        others = reminding.others(held)
    return render_form(
        "reminders/rules.html",
        form,
        place=place,
        name=name,
        rules=rules,
        lines=lines,
        coming=coming,
        others=others,
        most=reminding.MOST_RULES,
        most_days=reminding.MOST_DAYS,
        remove_url=_address(place, "remove"),
        inherit_url=_address(place, "inherit"),
    )


def _line(held: Session, rule: Rule) -> Line:
    at = reminding.clock_of(rule)
    return Line(
        rule,
        reminding.when_words(rule),
        reminding.AUDIENCES[rule.audience],
        tuple(_sample(key) for key in reminders.TEXTS[rule.audience]),
        quiet_hours.quiet_at(held, at) if at else None,
    )


def _next(held: Session, coming: Upcoming) -> Next:
    leaves = quiet_hours.waits_until(held, coming.due_at, when.zone())
    until = coming.valid_until
    return Next(
        coming,
        reminding.when_words(coming.rule),
        reminding.AUDIENCES[coming.rule.audience],
        leaves,
        lost=leaves is not None and until is not None and leaves >= until,
    )


def _sample(key: str) -> str:
    """A wording with the names of its places in place of what they will hold."""
    text = notices.wording(key, language())
    for name in placeholders(text):
        word = _PLACES[name].in_(language())
        text = text.replace("{" + name + "}", f"〔{word}〕" if language() == "zh" else f"<{word}>")
    return text


def _remove(place: Place) -> ResponseReturnValue:
    with _told(place):
        with unit_of_work() as uow:
            gone = reminding.remove_rule(uow, place, request.form.get("rule", ""))
        words = reminding.when_words(gone)
        say(Text(f"已删除：{words.zh}。", f"Removed: {words.en}."))
    return redirect(_address(place), 303)


def _inherit(place: Place) -> ResponseReturnValue:
    with _told(place):
        with unit_of_work() as uow:
            reminding.inherit(uow, place)
        say(
            Text("已恢复系统默认的规则。", "Back to the usual rules.")
            if place.scope == "district"
            else Text("已恢复全区规则。", "Back to the district's rules.")
        )
    return redirect(_address(place), 303)


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """Say why not; who may not do it at all gets the page that says so."""
    require(*reminding.permission(place))
    try:
        yield
    except CoordinationError as refusal:
        if refusal.status in (403, 404):
            raise
        say(refusal.message, "need")
