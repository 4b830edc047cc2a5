"""Open shifts: take one, leave it; on the day, the way to signing in."""

from __future__ import annotations

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.volunteering.blueprint import bp, layout_of
from coordination.domain.volunteering import queries, services, time_queries
from coordination.domain.volunteering.sums import may_sum
from coordination.ground import clock
from coordination.ground.errors import Conflict, CoordinationError
from coordination.ground.text import Text
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say


@bp.get("/")
@guard(Access.SIGNED_IN)
def index() -> ResponseReturnValue:
    """Shifts to come; the ones I have first told."""
    actor = current_actor()
    with reading() as held:
        lines = queries.shifts_ahead(held, actor, clock.now())
        present = time_queries.own_present(held, actor, clock.now())
    return render_template(
        "volunteering/index.html",
        lines=lines,
        present=present,
        may_sum=may_sum(actor),
        may_confirm=time_queries.confirms(actor),
        layout=layout_of(actor),
    )


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
    try:
        with unit_of_work() as uow:
            services.leave_shift(uow, need_id=need_id)
    except Conflict as refusal:  # has signed in meanwhile
        say(refusal.message, "need")
        return redirect(url_for("volunteering.index"), 303)
    say(Text("已退出这个班次，名额已放出。", "You have left the shift; the place is open again."))
    return redirect(url_for("volunteering.index"), 303)
