"""The day of a shift: the volunteer's own page with the field for the code, and the code for the place."""

from __future__ import annotations

from flask import Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.authz.actions import Action
from coordination.blueprints.volunteering.blueprint import bp, layout_of
from coordination.blueprints.volunteering.forms import SignForm
from coordination.domain.volunteering import objections, site_codes, time_queries, time_rules, times
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, both, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.urls import external_url

WRONG = both(
    "签到码不对或已更换，请看现场屏幕上现在的四位数字。",
    "This code is wrong or has turned; look at the four digits shown at the place now.",
)


@bp.route("/<int:need_id>", methods=["GET", "POST"])
@guard(Access.SIGNED_IN)
def shift(need_id: int) -> ResponseReturnValue:
    """One's own shift: sign in, sign out, and later what it counts for."""
    form, actor = SignForm(), current_actor()
    way: times.Way = "out" if request.form.get("way") == "out" else "in"
    if form.validate_on_submit():
        signed = None
        with attempt(form) as done, unit_of_work() as uow:
            signed = times.sign(uow, need_id=need_id, way=way, code=form.code.data or "")
        if done.ok and signed is not None:
            say(
                Text(
                    "签到成功，谢谢您来帮忙。走的时候请再签退。",
                    "You are signed in, thank you. Sign out when you go.",
                )
                if way == "in"
                else Text(
                    "已签退。时长由协调员核定后计入。",
                    "Signed out. Your time counts once it is confirmed.",
                )
            )
            return redirect(url_for("volunteering.shift", need_id=need_id), 303)
        if done.ok:
            form.code.errors = [WRONG]
    with reading() as held:
        mine = time_queries.own_time(held, actor, need_id)
        rule = time_rules.in_force(held)
    return render_form(
        "volunteering/shift.html",
        form,
        mine=mine,
        rule=rule,
        planned=times.planned(mine.shift.need),
        can_sign=times.is_open(mine.shift.need, clock.now()),
        opens_at=mine.shift.need.starts_at - times.BEFORE,
        object_until=objections.until(rule, mine.time) if mine.time else None,
        now=clock.now(),
        layout=layout_of(actor),
    )


@bp.get("/<int:need_id>/code")
@guard(Access.STAFF | Access.PARTNER)
def code(need_id: int) -> Response:
    """The code as large as the screen, for whoever is at the place; the page follows it by itself."""
    now = clock.now()
    with reading() as held:
        found = time_queries.shift_of(held, need_id)
        times.in_charge(held, current_actor(), found.need, Action.SHIFT_CODE)
    can_sign = times.is_open(found.need, now)
    answer = make_response(
        render_template(
            "volunteering/code.html",
            shift=found,
            can_sign=can_sign,
            opens_at=found.need.starts_at - times.BEFORE,
            over=now > found.need.ends_at + times.AFTER or found.need.state != "open",
            digits=site_codes.code_at(need_id, now),
            turns_at=when.clock_time(site_codes.turns_at(now)),
            address=external_url("volunteering.shift", need_id=need_id),
        )
    )
    answer.headers["Cache-Control"] = "private, no-store"
    if can_sign:
        # works without scripts; a second late, so that the next code is there
        left = site_codes.turns_at(now) - now
        answer.headers["Refresh"] = str(int(left.total_seconds()) + 1)
    return answer
