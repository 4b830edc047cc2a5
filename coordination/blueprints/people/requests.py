"""What guardians ask the school about their data, and answering it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor, Role
from coordination.blueprints.people.blueprint import bp
from coordination.blueprints.people.forms import AnswerForm
from coordination.domain.oversight import data_requests
from coordination.ground.errors import Forbidden
from coordination.ground.text import Text
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff

SOON = timedelta(days=5)


@bp.get("/requests")
@guard(Access.STAFF)
def data_requests_list() -> ResponseReturnValue:
    """Requests to one's school, the open ones first."""
    actor = current_actor()
    if Role.SCHOOL_ADMIN not in actor.roles:
        raise Forbidden(
            Text(
                "个人信息申请由学校管理员答复。",
                "Requests about data are answered by the school office.",
            )
        )
    with reading() as held:
        page = paged(held, data_requests.requests_query(actor))
        lines = data_requests.lines(held, page.items)
    return render_template(
        "people/data_requests_list.html", page=page, lines=lines, kinds=data_requests.KINDS
    )


@bp.route("/requests/<int:asked_id>", methods=["GET", "POST"])
@guard(Access.STAFF)
def data_request(asked_id: int) -> ResponseReturnValue:
    """One request, and the answer."""
    form = AnswerForm()
    with reading() as held:
        found = data_requests.request_of(held, current_actor(), asked_id)
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            data_requests.answer(
                uow,
                request_id=asked_id,
                agreed=form.agreed.data == "done",
                words=form.words.data or "",
            )
        if done.ok:
            say(
                Text(
                    "已答复，家长在自己的页面上能看到。",
                    "Answered; the family sees it on their page.",
                )
            )
            return redirect(url_for("people.data_requests_list"), 303)
    return render_form("people/data_request.html", form, line=found, kinds=data_requests.KINDS)


@waits_for_staff
def requests_to_answer(session: Session, actor: Actor, now: datetime) -> Sequence[Waiting]:
    """Requests about personal data that the school office has to answer."""
    if Role.SCHOOL_ADMIN not in actor.roles:
        return []
    count, due = data_requests.open_requests(session, actor)
    if not count:
        return []
    return [
        Waiting(
            title=Text(
                f"{count} 条个人信息申请等学校答复",
                f"Answer {count} request{'s' if count > 1 else ''} about personal data",
            ),
            detail=Text("家长要求更正或删除。", "A guardian asks for a correction or an erasure."),
            url=url_for("people.data_requests_list"),
            due=due,
            urgent=due is not None and due < now + SOON,
        )
    ]
