"""Objecting to the time that was confirmed, and answering: both sides keep both sentences."""

from __future__ import annotations

from datetime import datetime

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import Actor
from coordination.blueprints.volunteering.blueprint import bp, layout_of
from coordination.blueprints.volunteering.forms import AnswerForm, ObjectionForm
from coordination.domain.volunteering import objections, time_queries, time_rules, times
from coordination.ground import clock
from coordination.ground.errors import NotFound
from coordination.ground.text import Text
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, reading, require, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff


@bp.route("/<int:need_id>/object", methods=["GET", "POST"])
@guard(Access.SIGNED_IN)
def object_to(need_id: int) -> ResponseReturnValue:
    """The volunteer's sentence against the time of a shift of their own."""
    form, actor = ObjectionForm(), current_actor()
    with reading() as held:
        mine = time_queries.own_time(held, actor, need_id)
        rule = time_rules.in_force(held)
    if mine.time is None or not mine.confirmed:
        raise NotFound()
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            objections.object_to(uow, time_id=mine.time.id, words=form.words.data or "")
        if done.ok:
            say(
                Text(
                    f"已提出，协调员会在 {rule.objection_days} 天内答复。",
                    f"Noted; the coordinator answers within {rule.objection_days} days.",
                )
            )
            return redirect(url_for("volunteering.shift", need_id=need_id), 303)
    return render_form(
        "volunteering/object_to.html",
        form,
        mine=mine,
        rule=rule,
        until=objections.until(rule, mine.time),
        longest=objections.LONGEST,
        layout=layout_of(actor),
        now=clock.now(),
    )


@bp.get("/objections", endpoint="objections")
@guard(Access.STAFF)
def open_ones() -> ResponseReturnValue:
    """What waits for an answer."""
    require(Action.SHIFT_CONFIRM)
    with reading() as held:
        found = time_queries.open_objections(held, current_actor())
    return render_template("volunteering/objections.html", found=found, now=clock.now())


@bp.route("/objections/<int:objection_id>", methods=["GET", "POST"])
@guard(Access.STAFF)
def answer(objection_id: int) -> ResponseReturnValue:
    """Answer one, with the minutes that count from now on."""
    require(Action.SHIFT_CONFIRM)
    form = AnswerForm()
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            objections.answer(
                uow,
                objection_id=objection_id,
                words=form.answer.data or "",
                minutes=form.minutes.data or 0,
            )
        if done.ok:
            say(Text("已答复，志愿者在自己的记录里能看到。", "Answered; the volunteer sees it."))
            return redirect(url_for("volunteering.objections"), 303)
    with reading() as held:
        found = time_queries.objection_of(held, current_actor(), objection_id)
    if not form.is_submitted():
        form.minutes.data = found.time.minutes
    return render_form(
        "volunteering/answer.html",
        form,
        found=found,
        planned=times.planned(found.shift.need),
        spent=times.spent(found.time),
        longest=objections.LONGEST,
    )


@waits_for_staff
def objections_to_answer(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """Objections, with the day by which to answer."""
    return [
        Waiting(
            title=Text(f"{o.name}对志愿时长有异议", f"{o.name} objects to the time confirmed"),
            url=url_for("volunteering.answer", objection_id=o.objection.id),
            detail=Text(o.shift.activity.title_zh, o.shift.activity.title_en),
            due=o.due,
            urgent=o.due <= now,
        )
        for o in time_queries.open_objections(session, actor)
    ]
