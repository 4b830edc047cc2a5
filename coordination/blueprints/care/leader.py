"""The leader's side on the day: signs and masks at first; cards, numbers and the sheet by a press.

What is opened comes by POST and stands in the answer alone: no address, no cookie, no cache keeps it.
"""

from __future__ import annotations

from collections import Counter
from datetime import date

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.care.blueprint import bp
from coordination.domain.care import leading, window
from coordination.domain.care.content import LEFT_OPEN
from coordination.domain.care.leading import NO_CARD, NOTHING, SOMETHING, OpenedCard
from coordination.domain.care.pickups import Collector
from coordination.ground import clock
from coordination.ground.actor import Role
from coordination.ground.errors import Conflict, TooLate
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say

SIGNS = {
    SOMETHING: (Text("有要注意的", "Something to know"), "need"),
    NO_CARD: (Text("没有填卡", "No card"), ""),
    leading.LEFT_OPEN: (Text("有没填的", "Partly answered"), ""),
    NOTHING: (Text("没有特别情况", "Nothing special"), "ok"),
}
STAGES = (
    Text("集合", "Meet"),
    Text("上车", "Board"),
    Text("到达", "Arrive"),
    Text("返程", "Return"),
    Text("交接签字", "Handed over"),
)


def spoken(number: str) -> str:
    """A number as one reads and dials it at home: 138 0013 8001."""
    if not number.startswith("+86"):
        return number
    digits = number.removeprefix("+86")
    return f"{digits[:3]} {digits[3:7]} {digits[7:]}"


def until(day: date) -> Text:
    """2027年5月27日 / 27 May 2027: a last day within brackets, so without the weekday in its own."""
    return Text(f"{day.year}年{day.month}月{day.day}日", f"{day.day} {day:%b %Y}")


@bp.get("/activities/sessions/<int:session_id>/cards")
@guard(Access.STAFF | Access.PARTNER)
def cards(session_id: int) -> ResponseReturnValue:
    """Which children have something to know, for their leaders in time; numbers for everybody else."""
    return _page(session_id)


def _page(
    session_id: int,
    *,
    opened: OpenedCard | None = None,
    numbers_of: int | None = None,
    numbers: tuple[Collector, ...] = (),
) -> str:
    with reading() as held:
        found = leading.cards_of(held, current_actor(), session_id, clock.now(), when.today())
    return render_template(
        "care/cards.html",
        found=found,
        signs=SIGNS,
        tally=Counter(line.sign for line in found.lines),
        opened=opened,
        numbers_of=numbers_of,
        numbers={c.id: spoken(c.phone) for c in numbers},
        spoken=spoken,
        until=until,
        hours=window.OPENS_BEFORE.seconds // 3600,
        # who may name a second leader: a colleague who holds the class until a day
        naming=min(current_actor().orgs(Role.SCHOOL_ADMIN), default=None),
    )


@bp.post("/activities/sessions/<int:session_id>/cards/<int:child_id>")
@guard(Access.STAFF)
def open_card(session_id: int, child_id: int) -> ResponseReturnValue:
    """The same page with one card opened."""
    try:
        with unit_of_work() as uow:
            opened = leading.open_card(
                uow, session_id=session_id, child_id=child_id, today=when.today()
            )
    except (Conflict, TooLate) as refusal:
        return _back(session_id, refusal)
    return _page(session_id, opened=opened)


@bp.post("/activities/sessions/<int:session_id>/cards/<int:child_id>/pickup")
@guard(Access.STAFF)
def open_pickup(session_id: int, child_id: int) -> ResponseReturnValue:
    """The same page with the numbers of one child's collectors."""
    try:
        with unit_of_work() as uow:
            numbers = leading.open_pickup(
                uow, session_id=session_id, child_id=child_id, today=when.today()
            )
    except (Conflict, TooLate) as refusal:
        return _back(session_id, refusal)
    return _page(session_id, numbers_of=child_id, numbers=numbers)


def _back(session_id: int, refusal: Conflict | TooLate) -> ResponseReturnValue:
    say(refusal.message, "need")
    return redirect(url_for("care.cards", session_id=session_id), 303)


@bp.get("/activities/sessions/<int:session_id>/roster")
@guard(Access.STAFF)
def roster(session_id: int) -> ResponseReturnValue:
    """What will be printed, and that it counts as opening every card."""
    with reading() as held:
        found = leading.cards_of(held, current_actor(), session_id, clock.now(), when.today())
    return render_template("care/roster.html", found=found, sheets=())


@bp.post("/activities/sessions/<int:session_id>/roster")
@guard(Access.STAFF)
def print_roster(session_id: int) -> ResponseReturnValue:
    """The field roster to print; every child on it is noted as looked at."""
    try:
        with unit_of_work() as uow:
            sheets = leading.print_sheet(uow, session_id=session_id, today=when.today())
    except (Conflict, TooLate) as refusal:
        return _back(session_id, refusal)
    with reading() as held:
        found = leading.cards_of(held, current_actor(), session_id, clock.now(), when.today())
    return render_template(
        "care/roster.html",
        found=found,
        sheets=sheets,
        stages=STAGES,
        spoken=spoken,
        until=until,
        printed_at=clock.now(),
        left_open=LEFT_OPEN,
    )
