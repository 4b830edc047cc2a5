"""The call list of a notice: whom to phone, their number when asked for, and the tick that they know;
letters on paper for the same families, whose slip leads back to the list.
"""

from __future__ import annotations

from datetime import datetime

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.blueprints.communication.blueprint import bp
from coordination.domain.communication.notices import queries
from coordination.domain.communication.unanswered import calls
from coordination.ground.errors import Conflict
from coordination.ground.text import Text
from coordination.web import delivery, when
from coordination.web.guards import Access, guard
from coordination.web.paging import sliced
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.urls import external_url
from coordination.web.waiting import Waiting, waits_for_staff

# drawing a code takes some milliseconds, and nobody prints a whole school in one go
SHEETS = 100


@bp.get("/<int:notice_id>/calls")
@guard(Access.STAFF)
def call_list(notice_id: int) -> ResponseReturnValue:
    """Children of one's classes whose families have not answered, to be told by phone."""
    return _page(notice_id)


def _page(notice_id: int, shown: int | None = None, number: str = "") -> str:
    with reading() as held:
        found = calls.calls_of(held, current_actor(), notice_id, when.today())
        alone = queries.stands_alone(held, found.notice)
    return render_template(
        "communication/calls.html",
        found=found,
        notice=found.notice,
        alone=alone,
        shown=shown,
        number=number,
        spoken=_spoken(number),
        # somebody has scanned the slip of a letter
        slip="slip" in request.args,
        state_word=delivery.state_word,
        state_tone=delivery.state_tone,
        reason_word=delivery.reason_word,
    )


def _spoken(number: str) -> str:
    """A number as one reads and dials it at home: 138 0013 8001."""
    if not number.startswith("+86"):
        return number
    digits = number.removeprefix("+86")
    return f"{digits[:3]} {digits[3:7]} {digits[7:]}"


@bp.get("/<int:notice_id>/letters")
@guard(Access.STAFF)
def letters(notice_id: int) -> ResponseReturnValue:
    """The notice on paper, a sheet for each child whose family it has not reached; all who are silent
    with `all`. The code on its slip opens the call list at that child.
    """
    with reading() as held:
        found = calls.calls_of(held, current_actor(), notice_id, when.today())
    everybody = "all" in request.args or not found.pressing
    lines = found.lines if everybody else found.pressing
    back = external_url("communication.call_list", notice_id=notice_id, slip=1)
    return render_template(
        "communication/letters.html",
        found=found,
        notice=found.notice,
        page=sliced(lines, size=SHEETS),
        count=len(lines),
        sheets=SHEETS,
        everybody=everybody,
        day=when.day,
        short_day=when.short_day,
        slip_of=lambda line: f"{back}#child-{line.child_id}",
    )


@waits_for_staff
def to_call(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """Families of one's classes who have not confirmed although reminded."""
    return [
        Waiting(
            title=Text(
                f"请打电话：{len(found.lines)} 个孩子的家长还没有确认",
                f"To call: families of {len(found.lines)} children have not confirmed",
            ),
            url=url_for("communication.call_list", notice_id=found.notice.id),
            detail=Text(found.notice.title_zh, found.notice.title_en),
            due=found.notice.due_at,
        )
        for found in calls.to_call(session, actor, now, when.today())
    ]


@bp.post("/<int:notice_id>/calls/<int:recipient_id>/number")
@guard(Access.STAFF)
def show_number(notice_id: int, recipient_id: int) -> ResponseReturnValue:
    """The same page with one number in full. It stands in no address and in no cookie."""
    try:
        with unit_of_work() as uow:
            number = calls.show_number(
                uow, notice_id=notice_id, recipient_id=recipient_id, today=when.today()
            )
    except Conflict as refusal:
        say(refusal.message, "need")
        return redirect(url_for("communication.call_list", notice_id=notice_id), 303)
    return _page(notice_id, recipient_id, number)


@bp.post("/<int:notice_id>/calls/<int:recipient_id>/reached")
@guard(Access.STAFF)
def reached(notice_id: int, recipient_id: int) -> ResponseReturnValue:
    """A guardian was told by phone, or has signed the slip of a letter."""
    by_letter = request.form.get("by") == "letter"
    with unit_of_work() as uow:
        new = calls.mark_reached(
            uow,
            notice_id=notice_id,
            recipient_id=recipient_id,
            today=when.today(),
            by_letter=by_letter,
        )
    if not new:
        say(Text("这位家长已经登记过了。", "This guardian had been noted already."), "info")
    elif by_letter:
        say(Text("已记下：收到纸质回执。", "Noted: the slip came back."))
    else:
        say(Text("已记下：电话告知。", "Noted: told by phone."))
    # the next slip of the pile comes by its own code
    return redirect(url_for("communication.call_list", notice_id=notice_id), 303)


@bp.post("/<int:notice_id>/calls/<int:recipient_id>/undo")
@guard(Access.STAFF)
def not_reached(notice_id: int, recipient_id: int) -> ResponseReturnValue:
    """The tick was at the wrong name."""
    with unit_of_work() as uow:
        calls.unmark_reached(
            uow, notice_id=notice_id, recipient_id=recipient_id, today=when.today()
        )
    say(Text("已撤销，这家回到名单上。", "Taken back; the family is on the list again."))
    return redirect(url_for("communication.call_list", notice_id=notice_id), 303)
