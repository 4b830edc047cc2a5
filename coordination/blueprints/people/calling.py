"""Noting for a guardian who cannot read texts that they are to be called, and their landline."""

from __future__ import annotations

from flask import current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.people.blueprint import bp
from coordination.blueprints.people.forms import CallsForm
from coordination.domain.people import calling
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say


@bp.route("/guardianships/<int:guardianship_id>/calls", methods=["GET", "POST"])
@guard(Access.STAFF)
def calls(guardianship_id: int) -> ResponseReturnValue:
    """Have a guardian called instead of left with a text, or not any more."""
    form = CallsForm()
    with reading() as held:
        found = calling.wish_of(held, current_actor(), guardianship_id, when.today())
    wanted = request.form.get("step") != "stop"
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            calling.note_calls(
                uow,
                guardianship_id=guardianship_id,
                wanted=wanted,
                landline=form.landline.data or "",
                day=when.today(),
            )
        if done.ok:
            say(
                Text(
                    f"已记下：需要确认的通知，打电话告诉{found.guardian}。",
                    f"Noted: {found.guardian} is called about what must be confirmed.",
                )
                if wanted
                else Text(
                    f"已取消：不再给{found.guardian}自动打电话。",
                    f"Noted: {found.guardian} is not called any more.",
                )
            )
            return redirect(url_for("people.children", name=found.child), 303)
    return render_form(
        "people/calls.html",
        form,
        wish=found,
        carried=bool(current_app.config["SETTINGS"].voice_channel),
    )
