"""可出发度: what Today says of sessions that are not ready, and what can be done about it in one press."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import Actor
from coordination.blueprints.readiness.forms import RatioForm
from coordination.domain.oversight.readiness import readiness_of
from coordination.domain.practice import nudging, queries, staffing
from coordination.domain.volunteering import services as volunteering
from coordination.ground.errors import Conflict, TooLate, TooMany
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, own_office, reading, require, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff

bp = Blueprint("readiness", __name__, url_prefix="/activities")

# what is missing a week before can still be found
SOON = timedelta(days=7)


@bp.post("/sessions/<int:session_id>/nudge")
@guard(Access.STAFF)
def nudge(session_id: int) -> ResponseReturnValue:
    """Ask the families once more of whom no answer has come."""
    try:
        with unit_of_work() as uow:
            count = nudging.nudge_families(uow, session_id=session_id)
    except (Conflict, TooLate, TooMany) as refused:
        say(refused.message, "need")
    else:
        say(
            Text(
                f"已提醒 {count} 名学生的家长，请他们答复。",
                f"The families of {count} children have been asked for their answer.",
            )
        )
    return redirect(url_for("practice.show", session_id=session_id), 303)


@bp.post("/sessions/<int:session_id>/recruit")
@guard(Access.STAFF)
def recruit(session_id: int) -> ResponseReturnValue:
    """Want as many parent helpers more as the ratio says there are too few adults."""
    require(Action.ACTIVITY_PLAN)
    with reading() as held:
        queries.session_of(held, current_actor(), session_id)
        checks = readiness_of(held, [session_id])[session_id].checks
    short = next((check.short for check in checks if check.key == "adults"), 0)
    if short:
        with unit_of_work() as uow:
            volunteering.recruit(uow, session_id=session_id, more=short)
        say(
            Text(
                f"已加招 {short} 名家长志愿者，家长在“志愿者”页可以报名。",
                f"Parent helpers wanted: {short} more. Parents find it under Volunteers.",
            )
        )
    else:
        say(Text("随队成人已够，不用加招。", "There are enough adults; nobody more is wanted."))
    return redirect(url_for("practice.show", session_id=session_id), 303)


@bp.route("/ratio", methods=["GET", "POST"])
@guard(Access.ADMIN)
def ratio() -> ResponseReturnValue:
    """For how many children the district wants one adult."""
    office, form = own_office(), RatioForm()
    with reading() as held:
        chosen = staffing.chosen(held)
    if not form.is_submitted():
        given = chosen or staffing.STANDARD
        form.low.data, form.high.data, form.middle.data = given.low, given.high, given.middle
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            staffing.set_ratio(
                uow,
                org_id=office,
                ratio=staffing.Ratio(
                    form.low.data or 0, form.high.data or 0, form.middle.data or 0
                ),
            )
        if done.ok:
            say(Text("师生比已保存。", "The ratio is saved."))
            return redirect(url_for("readiness.ratio"), 303)
    return render_form("readiness/ratio.html", form, chosen=chosen)


@waits_for_staff
def not_ready_yet(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """Sessions of the next days that lack something, for who plans them and who leads a class there."""
    lines = queries.sessions_to_prepare(session, actor, now, now + SOON)
    found = readiness_of(session, [line.session.id for line in lines])
    return [
        Waiting(
            title=Text(line.activity.title_zh, line.activity.title_en),
            url=url_for("practice.show", session_id=line.session.id),
            detail=Text(
                f"{when.short_moment(line.session.starts_at, 'zh')}出发，"
                + "；".join(check.says.zh for check in lacking),
                f"{when.short_moment(line.session.starts_at, 'en')}: "
                + "; ".join(check.says.en for check in lacking),
            ),
            due=line.session.starts_at,
        )
        for line in lines
        if (lacking := found[line.session.id].lacking)
    ]
