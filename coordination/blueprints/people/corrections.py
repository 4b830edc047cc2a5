"""Corrections that guardians propose: the school compares, takes over or declines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import Actor
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.blueprints.people.blueprint import bp
from coordination.blueprints.people.forms import DecisionForm
from coordination.domain.people.corrections import deciding
from coordination.ground.errors import Forbidden
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff


def _decides_any(actor: Actor) -> bool:
    return any(allowed(actor, Action.CORRECTION_DECIDE, Scope(school=org)) for org in actor.orgs())


@bp.get("/corrections")
@guard(Access.STAFF)
def corrections() -> ResponseReturnValue:
    """What waits for the school, or was decided."""
    actor, decided = current_actor(), request.args.get("show") == "decided"
    if not _decides_any(actor):
        raise Forbidden()
    with reading() as held:
        page = paged(held, deciding.waiting_query(actor, decided=decided))
        lines = deciding.lines_of(held, page.items)
    return render_template(
        "people/corrections.html", page=page, lines=lines, decided=decided, states=deciding.STATES
    )


@bp.route("/corrections/<int:correction_id>", methods=["GET", "POST"])
@guard(Access.STAFF)
def correction(correction_id: int) -> ResponseReturnValue:
    """Old and new side by side; take it over or decline it."""
    form = DecisionForm()
    with reading() as held:
        line = deciding.one_of(held, current_actor(), correction_id)
    if form.validate_on_submit():
        declined = request.form.get("step") == "decline"
        with attempt(form) as done, unit_of_work() as uow:
            if declined:
                deciding.decline(uow, correction_id=correction_id, said=form.said.data or "")
            else:
                deciding.accept(
                    uow,
                    correction_id=correction_id,
                    seen=form.seen.data or "",
                    said=form.said.data or "",
                    today=when.today(),
                )
        if done.ok:
            say(
                Text(f"未采纳，已告诉{line.by}。", f"Declined; {line.by} is told.")
                if declined
                else Text(
                    f"已采纳，已告诉{line.by}。学籍系统里也请改过来，免得下次导入又改回去。",
                    f"Accepted; {line.by} is told. Change it in the registry too, or the next import "
                    "brings the old one back.",
                )
            )
            return redirect(url_for("people.corrections"), 303)
    form.seen.data = line.now
    return render_form("people/correction.html", form, line=line, states=deciding.STATES)


@waits_for_staff
def corrections_to_decide(session: Session, actor: Actor, _now: datetime) -> Sequence[Waiting]:
    """Corrections of families that wait for the school's office."""
    if not _decides_any(actor):
        return []
    count = deciding.count_waiting(session, actor)
    if not count:
        return []
    return [
        Waiting(
            title=Text(
                f"{count} 条家长提交的更正待核对",
                f"{count} correction{'s' if count > 1 else ''} by families to check",
            ),
            detail=Text("核对后采纳或说明原因。", "Accept them, or say why not."),
            url=url_for("people.corrections"),
        )
    ]
