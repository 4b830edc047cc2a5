"""Letters of a consent for the families that have not answered, and the page to which the code of a
slip leads: the teacher writes down the answer there.
"""

from __future__ import annotations

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.consents.blueprint import bp
from coordination.blueprints.consents.forms import RecordForm
from coordination.domain.consents import paper
from coordination.domain.consents.rules import RECORDED, STATES
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import sliced
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say
from coordination.web.urls import external_url

# drawing a code takes some milliseconds
SHEETS = 100
# how answers came that nobody had to write down
BY_OWN_HAND = {
    "code": Text("短码", "By code"),
    "web": Text("登录后", "Signed in"),
}


@bp.get("/<int:request_id>/letters")
@guard(Access.STAFF)
def letters(request_id: int) -> ResponseReturnValue:
    """The question on paper, a sheet for each child whose family has not answered."""
    with reading() as held:
        found = paper.letters_of(held, current_actor(), request_id, when.today())
    late = found.request.due_at <= clock.now()
    printable = found.request.state == "open" and not late
    return render_template(
        "consents/letters.html",
        found=found,
        asked=found.request,
        page=sliced(found.sheets if printable else (), size=SHEETS),
        sheets=SHEETS,
        late=late,
        day=when.day,
        short_moment=when.short_moment,
        today=when.today(),
        slip_of=lambda sheet: external_url(
            "consents.record", request_id=request_id, child_id=sheet.child_id
        ),
    )


@bp.route("/<int:request_id>/children/<int:child_id>", methods=["GET", "POST"])
@guard(Access.STAFF)
def record(request_id: int, child_id: int) -> ResponseReturnValue:
    """Write down what a family answered on paper or by word of mouth; what stands is shown beside it."""
    form = RecordForm()
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            paper.record(
                uow,
                request_id=request_id,
                child_id=child_id,
                guardian_id=_number(form.guardian.data),
                response=form.response.data or "",
                route=form.route.data or "",
                note=form.note.data or "",
                last_id=_number(form.last.data),
                today=when.today(),
            )
        if done.ok:
            say(Text("已登记答复。", "The answer is noted."))
            # the next slip of the pile comes by its own code
            return redirect(
                url_for("consents.record", request_id=request_id, child_id=child_id), 303
            )
    with reading() as held:
        slip = paper.slip_of(held, current_actor(), request_id, child_id, when.today())
    form.guardian.choices = [
        (
            str(s.guardian_id),
            f"{s.name}（{s.relation.zh}）" if zh else f"{s.name} ({s.relation.en})",
        )
        for zh in [language() == "zh"]
        for s in slip.sheet.signers
    ]
    if request.method == "GET" and len(slip.sheet.signers) == 1:
        form.guardian.data = str(slip.sheet.signers[0].guardian_id)
    # who is refused sees the newest answer below, and may press again
    form.last.data = str(slip.last_id)
    return render_form(
        "consents/record.html",
        form,
        slip=slip,
        asked=slip.request,
        states=STATES,
        routes={**RECORDED, **BY_OWN_HAND},
    )


def _number(typed: str | None) -> int:
    """An id as a form gives it back; anything else is none."""
    return int(typed) if typed and typed.isascii() and typed.isdigit() and len(typed) < 19 else -1
