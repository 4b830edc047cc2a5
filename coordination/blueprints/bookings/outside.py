"""The owner's own calendars of a venue (外部日历): give one, look at what was understood, use it.

Nothing takes time away before the owner has seen the preview. Must not know how a file is read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage

from calendars.busy import LIMITS
from coordination.authz.actor import Actor, Role
from coordination.blueprints.bookings.blueprint import bp
from coordination.blueprints.bookings.forms import OutsideForm
from coordination.domain.agenda import busy
from coordination.domain.agenda.models import BusySource
from coordination.domain.agenda.refusals import in_words, whole_sentence
from coordination.domain.bookings import queries
from coordination.ground import clock
from coordination.ground.errors import CoordinationError, Invalid, NotFound
from coordination.ground.text import Text, clean
from coordination.ground.uow import UnitOfWork
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff

SHOWN = 10
MONTHS = busy.AHEAD.days // 30


def trouble(source: BusySource) -> Text | None:
    """Why it could not be read at last."""
    if source.failed_reason is None:
        return None
    return in_words(source.failed_part, source.failed_reason)


def advice(source: BusySource) -> Text | None:
    """Why it could not be read at last, and what can be done."""
    if source.failed_reason is None:
        return None
    return whole_sentence(source.failed_part, source.failed_reason)


def state_of(source: BusySource) -> tuple[Text, str]:
    """A badge: whether it is used, waits for its owner, or fails."""
    if source.failing_since is not None:
        return Text("读取失败", "Cannot be read"), "bad"
    if source.read_at is None:
        return Text("正在读取", "Being read"), "info"
    if not source.in_use:
        return Text("待您确认", "Waits for you"), "need"
    return Text("使用中", "In use"), "ok"


@bp.route("/manage/<int:resource_id>/calendars", methods=["GET", "POST"])
@guard(Access.PARTNER, upload=10)
def outside(resource_id: int) -> ResponseReturnValue:
    """The calendars a venue follows, and a form for one more."""
    form = OutsideForm()
    with reading() as held:
        resource = queries.resource_managed(held, current_actor(), resource_id)
        sources = busy.sources_of(held, resource_id)
        lines = [(s, busy.understood(held, s, clock.now(), 0)) for s in sources]
    if form.validate_on_submit():
        source_id = None
        with attempt(form) as done, unit_of_work() as uow:
            source_id = _add(uow, resource_id, form)
        if done.ok and source_id is not None:
            return redirect(url_for("bookings.outside_one", source_id=source_id), 303)
    return render_form(
        "bookings/outside.html",
        form,
        resource=resource,
        lines=lines,
        trouble=trouble,
        state_of=state_of,
        most=LIMITS.octets // 1_000_000,
        full=len(sources) >= busy.MOST_SOURCES,
    )


def _add(uow: UnitOfWork, resource_id: int, form: OutsideForm) -> int:
    handed_in, address = form.file.data, form.address.data or ""
    if isinstance(handed_in, FileStorage) and handed_in.filename:
        if address:
            said = Text("网址和文件请只填一项。", "Give an address or a file, not both.")
            raise Invalid(fields={"file": said})
        content = handed_in.stream.read(LIMITS.octets + 1)
        name = form.name.data or clean(handed_in.filename)
        return busy.upload(
            uow, resource_id=resource_id, content=content, name=name, zone=when.zone()
        ).id
    if not address:
        said = Text("请填写网址，或选择一个文件。", "Give an address or choose a file.")
        raise Invalid(fields={"address": said})
    return busy.follow(uow, resource_id=resource_id, address=address, name=form.name.data or "").id


@bp.get("/calendars/<int:source_id>")
@guard(Access.PARTNER)
def outside_one(source_id: int) -> ResponseReturnValue:
    """What was understood of one calendar, and which bookings it would meet."""
    with reading() as held:
        source = busy.source_of(held, source_id)
        resource = queries.resource_managed(held, current_actor(), source.resource_id)
        found = busy.understood(held, source, clock.now(), SHOWN)
        met = queries.bookings_met(held, current_actor(), resource, source_id, clock.now())
    return render_template(
        "bookings/outside_one.html",
        resource=resource,
        source=source,
        found=found,
        met=met,
        months=MONTHS,
        trouble=advice(source),
        state=state_of(source),
    )


@bp.post("/calendars/<int:source_id>/use")
@guard(Access.PARTNER)
def confirm_outside(source_id: int) -> ResponseReturnValue:
    """From now on its busy times take time away."""
    return _act_on(
        source_id,
        lambda uow: busy.take_into_use(uow, source_id=source_id),
        Text("已启用：这些时段不再开放预约。", "In use: these times are no longer offered."),
    )


@bp.post("/calendars/<int:source_id>/read")
@guard(Access.PARTNER)
def read_outside(source_id: int) -> ResponseReturnValue:
    """Read it again at once."""
    return _act_on(
        source_id,
        lambda uow: busy.read_now(uow, source_id=source_id),
        Text("马上重新读取，请稍后刷新。", "It is read at once; reload in a moment."),
    )


@bp.post("/calendars/<int:source_id>/remove")
@guard(Access.PARTNER)
def remove_outside(source_id: int) -> ResponseReturnValue:
    """Forget it and its busy times."""
    with reading() as held:
        source = busy.source_of(held, source_id)
        resource_id = queries.resource_managed(held, current_actor(), source.resource_id).id
    with unit_of_work() as uow:
        busy.remove(uow, source_id=source_id)
    say(
        Text(
            "已移除，它的忙碌时段不再占用。", "Removed; its busy times take no time away any more."
        )
    )
    return redirect(url_for("bookings.outside", resource_id=resource_id), 303)


def _act_on(source_id: int, act: Callable[[UnitOfWork], None], done: Text) -> ResponseReturnValue:
    # what is another owner's does not exist
    with reading() as held:
        source = busy.source_of(held, source_id)
        queries.resource_managed(held, current_actor(), source.resource_id)
    try:
        with unit_of_work() as uow:
            act(uow)
        say(done)
    except CoordinationError as refusal:
        if isinstance(refusal, NotFound):
            raise
        say(refusal.message, "need")
    return redirect(url_for("bookings.outside_one", source_id=source_id), 303)


@waits_for_staff
def failing_calendars(session: Session, actor: Actor, _now: datetime) -> list[Waiting]:
    """Calendars of the owner's own that cannot be read."""
    if Role.PARTNER_STAFF not in actor.roles:
        return []
    return [
        Waiting(
            title=Text(
                f"外部日历“{s.name}”读取失败", f"Outside calendar “{s.name}” cannot be read"
            ),
            detail=in_words(s.failed_part, s.failed_reason or ""),
            url=url_for("bookings.outside_one", source_id=s.id),
        )
        for s in busy.failing(session, actor.orgs(Role.PARTNER_STAFF))
    ]
