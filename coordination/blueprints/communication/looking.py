"""复核: a notice to very many families as its second person sees it, the text and the numbers alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.blueprints.communication import addressing, preview
from coordination.blueprints.communication.blueprint import bp
from coordination.blueprints.communication.forms import LookForm
from coordination.domain.communication.notices import second_look
from coordination.domain.people.models import Person
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff


@bp.route("/<int:notice_id>/look", methods=["GET", "POST"])
@guard(Access.STAFF)
def look(notice_id: int) -> ResponseReturnValue:
    """Let a notice leave that somebody else has written, or give it back with what to change."""
    form = LookForm()
    with reading() as held:
        second_look.notice_to_look_at(held, current_actor(), notice_id)
    if form.validate_on_submit():
        seal, back = form.seal.data or "", request.form.get("step") == "back"
        with attempt(form) as done, unit_of_work() as uow:
            if back:
                notice = second_look.send_back(
                    uow, notice_id=notice_id, seal=seal, reason=form.reason.data or ""
                )
            else:
                notice = second_look.approve(uow, notice_id=notice_id, seal=seal)
        if done.ok:
            if back:
                say(Text("已退回。家长没有收到。", "Given back; no family has it."))
            elif notice.state == "scheduled" and notice.send_at:
                zh, en = preview.moments(notice.send_at)
                say(Text(f"复核通过，将于 {zh} 发出。", f"Approved: it leaves on {en}."))
            else:
                say(Text("复核通过，通知已发出。", "Approved: the notice is on its way."))
            return redirect(url_for("communication.look", notice_id=notice_id), 303)
    with reading() as held:
        notice = second_look.notice_to_look_at(held, current_actor(), notice_id)
        form.seal.data = second_look.seal_of(notice)
        return render_form(
            "communication/look.html",
            form,
            notice=notice,
            writer=held.get_one(Person, notice.sender_id).name,
            own=notice.sender_id == current_actor().person_id,
            second=second_look.name_of(held, notice.approved_by_id or notice.returned_by_id),
            **addressing.said_of(held, notice),
        )


@waits_for_staff
def to_look_at(session: Session, actor: Actor, _now: datetime) -> list[Waiting]:
    """Notices that wait for the actor, and the actor's own that came back."""
    return [*_awaiting(session, actor), *_returned(session, actor)]


def _awaiting(session: Session, actor: Actor) -> Iterator[Waiting]:
    for notice in second_look.awaiting(session, actor, when.today()):
        yield Waiting(
            title=Text(notice.title_zh, notice.title_en),
            url=url_for("communication.look", notice_id=notice.id),
            detail=Text("等您复核，通过后才会发出", "Waits for your second look before it leaves"),
            due=notice.send_at or notice.due_at,
            urgent=bool(notice.urgent_reason),
        )


def _returned(session: Session, actor: Actor) -> Iterator[Waiting]:
    for notice in second_look.returned(session, actor):
        yield Waiting(
            title=Text(notice.title_zh, notice.title_en),
            url=url_for("communication.show", notice_id=notice.id),
            detail=Text(
                "复核后退回，请修改或撤回", "Came back from its second look: change or withdraw it"
            ),
        )
