"""联系不上的家庭: the list of this month, and ticking off what was done."""

from __future__ import annotations

from datetime import datetime

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.blueprints.communication.blueprint import bp
from coordination.domain.communication.unanswered import unreachable
from coordination.ground import clock
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff


@bp.get("/unreachable")
@guard(Access.STAFF)
def unreachable_families() -> ResponseReturnValue:
    """Children of one's classes whose families are not reached, and what was done about it."""
    actor, now, today = current_actor(), clock.now(), when.today()
    with reading() as held:
        page = paged(held, unreachable.unreachable_query(held, actor, now, today))
        lines = unreachable.unreachable_lines(held, page.items, today)
        classes = unreachable.counts_by_class(held, actor, now, today)
    return render_template(
        "communication/unreachable.html",
        page=page,
        lines=lines,
        classes=classes,
        why=unreachable.WHY,
        done=unreachable.DONE,
        month=unreachable.month_of(today),
    )


@bp.post("/unreachable/<int:child_id>")
@guard(Access.STAFF)
def follow_up(child_id: int) -> ResponseReturnValue:
    """Tick a family off until the next month."""
    try:
        with unit_of_work() as uow:
            unreachable.follow_up(
                uow, child_id=child_id, done=request.form.get("done", ""), today=when.today()
            )
        say(Text("已记下。", "Noted."))
    except Invalid as refusal:
        say(refusal.fields["done"], "need")
    return redirect(url_for("communication.unreachable_families") + f"#child-{child_id}", 303)


@waits_for_staff
def families_to_reach(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """The class teacher's list of the month, until something was done about each child."""
    if not actor.class_ids:
        return []
    count = unreachable.count_to_do(session, actor, now, when.today())
    if not count:
        return []
    return [
        Waiting(
            title=Text(f"本月有 {count} 个孩子的家里联系不上", f"Families not reached: {count}"),
            url=url_for("communication.unreachable_families"),
            detail=Text(
                "请联系后记一笔，下个月还联系不上再提醒",
                "Reach them and note it; whoever is not reached next month comes back",
            ),
        )
    ]
