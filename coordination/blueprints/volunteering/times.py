"""The times of a shift for those in charge: written down by hand, looked at, confirmed in one press."""

from __future__ import annotations

from datetime import datetime, time

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import Actor
from coordination.authz.policy import allowed
from coordination.blueprints.volunteering.blueprint import bp
from coordination.domain.volunteering import time_queries, time_rules, times
from coordination.domain.volunteering.models import ShiftNeed
from coordination.domain.volunteering.time_queries import VolunteerLine
from coordination.domain.volunteering.times import Mark
from coordination.ground import clock
from coordination.ground.errors import CoordinationError
from coordination.ground.text import Text, half_width
from coordination.web import when
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff

_NO_TIME = Text("请填写时间，例如 08:30。", "Enter a time, for example 08:30.")


@bp.route("/<int:need_id>/times", methods=["GET", "POST"], endpoint="times")
@guard(Access.STAFF)
def times_of(need_id: int) -> ResponseReturnValue:
    """Who came and left when, what it counts for; saved, filled as planned, or confirmed."""
    actor = current_actor()
    with reading() as held:
        found = time_queries.shift_of(held, need_id)
        lines = time_queries.volunteers(held, actor, found.need)
        rule = time_rules.in_force(held)
    wrong: dict[str, Text] = {}
    refusal: CoordinationError | None = None
    do = request.form.get("do", "")
    if request.method == "POST" and do in ("save", "plan", "confirm"):
        marks, wrong = _typed(found.need, lines)
        if not wrong:
            if do == "plan":
                marks.update(_as_planned(found.need, lines, marks))
            try:
                _carry_out(need_id, marks, do)
                return redirect(url_for("volunteering.times", need_id=need_id), 303)
            except CoordinationError as refused:
                if refused.status in (403, 404):
                    raise
                refusal, wrong = refused, dict(refused.fields)
    status = refusal.status if refusal else 422 if wrong else 200
    page = render_template(
        "volunteering/times.html",
        shift=found,
        lines=lines,
        rule=rule,
        planned=times.planned(found.need),
        typed=request.form if status != 200 else {},
        wrong=wrong,
        refusal=refusal,
        stamp=times.stamp,
        ripe=sum(1 for line in lines if line.ripe),
        may_confirm=allowed(actor, Action.SHIFT_CONFIRM),
        begun=clock.now() >= found.need.starts_at - times.BEFORE,
        opens_at=found.need.starts_at - times.BEFORE,
    )
    return page, status


def _carry_out(need_id: int, marks: dict[int, Mark], do: str) -> None:
    with unit_of_work() as uow:
        written = times.mark(uow, need_id=need_id, marks=marks)
    if do != "confirm":
        say(
            Text(f"已登记 {written} 人的时间。", f"The times of {written} are noted.")
            if written
            else Text("没有改动。", "Nothing has changed.")
        )
        return
    if written:
        say(
            Text(
                f"{written} 人的时间有改动，已保存。请再看一遍，然后核定。",
                f"The times of {written} were changed and are saved. Look once more, then confirm.",
            ),
            "need",
        )
        return
    seen = {
        int(name.removeprefix("seen-")): value
        for name, value in request.form.items()
        if name.startswith("seen-") and name.removeprefix("seen-").isdecimal()
    }
    with unit_of_work() as uow:
        done = times.confirm(uow, need_id=need_id, seen=seen)
    say(
        Text(f"已核定 {done.count} 人的时长。", f"The time of {done.count} is confirmed."),
        "ok" if done.count else "info",
    )
    if done.changed:
        say(
            Text(
                f"{done.changed} 人的时间刚刚有变动，没有核定，请再看一遍。",
                f"The times of {done.changed} have just changed and are not confirmed; look again.",
            ),
            "need",
        )


def _typed(need: ShiftNeed, lines: list[VolunteerLine]) -> tuple[dict[int, Mark], dict[str, Text]]:
    """What the page says of each volunteer, without those of whom it says nothing."""
    marks: dict[int, Mark] = {}
    wrong: dict[str, Text] = {}
    for line in lines:
        key, known = line.assignment.id, line.time
        if line.confirmed or line.own or f"in-{key}" not in request.form:
            continue
        absent = f"absent-{key}" in request.form
        try:
            came = _moment(need.starts_at, known.in_at if known else None, f"in-{key}")
            left = _moment(need.ends_at, known.out_at if known else None, f"out-{key}")
        except ValueError:
            wrong[f"row-{key}"] = _NO_TIME
            continue
        if known is not None or absent or came or left:
            marks[key] = Mark(came, left, absent)
    return marks, wrong


def _moment(planned: datetime, known: datetime | None, name: str) -> datetime | None:
    """A time of day that was typed, on the day of the plan; one that was not touched stays as it was."""
    typed = half_width(request.form.get(name, ""))
    if not typed:
        return None
    at = time.fromisoformat(typed)
    if at.tzinfo is not None:
        raise ValueError(typed)
    if known is not None and when.clock_time(known) == when.clock_time(at):
        return known
    return when.aware(when.local(planned).date(), at.replace(second=0, microsecond=0))


def _as_planned(
    need: ShiftNeed, lines: list[VolunteerLine], marks: dict[int, Mark]
) -> dict[int, Mark]:
    """The planned times for whoever has none yet."""
    return {
        line.assignment.id: Mark(need.starts_at, need.ends_at)
        for line in lines
        if line.time is None and not line.own and line.assignment.id not in marks
    }


@waits_for_staff
def time_to_confirm(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """Shifts that are over and whose time does not count yet."""
    return [
        Waiting(
            title=Text(shift.activity.title_zh, shift.activity.title_en),
            url=url_for("volunteering.times", need_id=shift.need.id),
            detail=Text(
                f"{people} 名志愿者的时长待核定",
                f"The time of {people} volunteers is to be confirmed",
            ),
        )
        for shift, people in time_queries.to_settle(session, actor, now)
    ]
