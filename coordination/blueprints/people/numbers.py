"""Numbers to which no text arrives: the list, and the page on which one is put right."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.blueprints.people.blueprint import bp
from coordination.blueprints.people.forms import NumberForm
from coordination.domain.people import directory, numbers
from coordination.ground.errors import Forbidden
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff


@bp.get("/numbers")
@guard(Access.STAFF)
def bad_numbers() -> ResponseReturnValue:
    """Guardians of one's classes whose number fails."""
    actor = current_actor()
    if not directory.may_search(actor):
        raise Forbidden(directory.NUMBERS_ONLY)
    with reading() as held:
        page = paged(held, numbers.bad_numbers_query(actor, when.today()))
        lines = numbers.bad_number_lines(page.items)
    return render_template("people/numbers.html", page=page, lines=lines)


@bp.route("/numbers/<int:guardianship_id>", methods=["GET", "POST"])
@guard(Access.STAFF)
def bad_number(guardianship_id: int) -> ResponseReturnValue:
    """Enter the right number, or say that this one is right."""
    form = NumberForm()
    with reading() as held:
        found = numbers.bad_number_of(held, current_actor(), guardianship_id, when.today())
    if request.form.get("step") == "right":
        with unit_of_work() as uow:
            numbers.confirm(uow, guardianship_id=guardianship_id, day=when.today())
        say(Text(f"下次会再给{found.guardian}发短信。", f"{found.guardian} will be texted again."))
        return redirect(url_for("people.bad_numbers"), 303)
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            numbers.correct(
                uow,
                guardianship_id=guardianship_id,
                phone=form.phone.data or "",
                day=when.today(),
            )
        if done.ok:
            say(
                Text(
                    f"已保存，以后发到{found.guardian}的新号码。",
                    f"Saved. Texts to {found.guardian} go to the new number.",
                )
            )
            return redirect(url_for("people.bad_numbers"), 303)
    return render_form("people/number.html", form, line=found)


@waits_for_staff
def numbers_to_check(session: Session, actor: Actor, _now: datetime) -> Sequence[Waiting]:
    """Guardians of one's classes whom no text reaches."""
    if not directory.may_search(actor):
        return []
    count = numbers.count_bad_numbers(session, actor, when.today())
    if not count:
        return []
    return [
        Waiting(
            title=Text(
                f"{count} 位家长的号码打不通，请核对",
                f"Check the numbers of {count} guardian{'s' if count > 1 else ''}: texts fail",
            ),
            detail=Text(
                "连续三次发送失败，短信已停发。", "Three texts in a row failed; no more are sent."
            ),
            url=url_for("people.bad_numbers"),
        )
    ]
