"""Open shifts: take one, leave it."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from coordination.domain.volunteering import queries, services
from coordination.ground import clock
from coordination.ground.errors import CoordinationError
from coordination.ground.text import Text
from coordination.web.guards import Access, guard, is_staff
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say

bp = Blueprint("volunteering", __name__, url_prefix="/shifts")


@bp.get("/")
@guard(Access.SIGNED_IN)
def index() -> ResponseReturnValue:
    """Shifts to come; the ones I have first told."""
    actor = current_actor()
    with reading() as held:
        lines = queries.shifts_ahead(held, actor, clock.now())
    layout = "layouts/staff.html" if is_staff(actor) else "layouts/parent.html"
    return render_template("volunteering/index.html", lines=lines, layout=layout)


@bp.get("/mine")
@guard(Access.GUARDIAN)
def family() -> ResponseReturnValue:
    """Where the family page leads."""
    return redirect(url_for("volunteering.index"))


@bp.post("/<int:need_id>/take")
@guard(Access.SIGNED_IN)
def take(need_id: int) -> ResponseReturnValue:
    """Sign up."""
    try:
        with unit_of_work() as uow:
            services.take_shift(uow, need_id=need_id)
        say(
            Text(
                "报名成功，已加入您的日历，并发短信确认。",
                "You are in; it is in your calendar and a text is on its way.",
            )
        )
    except CoordinationError as refusal:
        if refusal.status in (403, 404):
            raise
        say(refusal.message, "need")
    return redirect(url_for("volunteering.index"), 303)


@bp.post("/<int:need_id>/leave")
@guard(Access.SIGNED_IN)
def leave(need_id: int) -> ResponseReturnValue:
    """Withdraw."""
    with unit_of_work() as uow:
        services.leave_shift(uow, need_id=need_id)
    say(Text("已退出这个班次，名额已放出。", "You have left the shift; the place is open again."))
    return redirect(url_for("volunteering.index"), 303)
