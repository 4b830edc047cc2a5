"""Search a resource, book it, follow it; the owner's inbox."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import Actor, Role
from coordination.authz.policy import allowed
from coordination.blueprints.bookings.forms import DeclineForm, MoveForm, RequestForm
from coordination.domain.bookings import queries, rules, services
from coordination.domain.bookings.models import Resource
from coordination.ground import clock, crypto
from coordination.ground.errors import CoordinationError, SlotTaken
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff

bp = Blueprint("bookings", __name__, url_prefix="/venues")

STATES = {
    "requested": (Text("待审核", "Requested"), "need"),
    "tentative": (Text("待审批", "Waiting for approval"), "need"),
    "confirmed": (Text("已确认", "Confirmed"), "ok"),
    "declined": (Text("已拒绝", "Declined"), "bad"),
    "expired": (Text("已过期", "Expired"), ""),
    "cancelled_by_school": (Text("校方取消", "Cancelled by school"), ""),
    "cancelled_by_partner": (Text("资源方取消", "Cancelled by owner"), "bad"),
    "checked_in": (Text("已到场", "Checked in"), "ok"),
    "completed": (Text("已完成", "Completed"), ""),
    "no_show": (Text("未到场", "No show"), "bad"),
}
FACTS = {
    "toilets": Text("卫生间", "toilets"),
    "indoor": Text("室内", "indoors"),
    "outdoor": Text("室外", "outdoors"),
    "first_aid": Text("急救点", "first aid"),
    "step_free": Text("无障碍", "step-free"),
    "coats": Text("存衣处", "cloakroom"),
    "snack": Text("点心区", "snack area"),
}
KINDS = {
    "space": Text("场地", "Venue"),
    "programme": Text("课程", "Programme"),
    "expert": Text("专家", "Expert"),
    "kit": Text("器材", "Kit"),
    "vehicle": Text("车辆", "Vehicle"),
}
DEFAULT_MINUTES = 120


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(request.args.get(name, ""))
    except ValueError:
        return None


@bp.get("/")
@guard(Access.STAFF | Access.PARTNER)
def index() -> ResponseReturnValue:
    """Search by date, size, distance and words; the filter is the address."""
    actor = current_actor()
    people = request.args.get("people", type=int) or 1
    km = request.args.get("km", type=float)
    words = request.args.get("q", "")[:60]
    with reading() as held:
        found = queries.search(
            held,
            actor,
            day=_day("day"),
            people=max(1, people),
            max_km=km,
            now=clock.now(),
            zone=when.zone(),
            text=words,
        )
    return render_template(
        "bookings/index.html",
        found=found,
        kinds=KINDS,
        facts=FACTS,
        people=people if people > 1 else "",
        km=km or "",
        q=words,
        day=request.args.get("day", ""),
        partner=Role.PARTNER_STAFF in actor.roles,
        may_book=bool(actor.roles & {Role.CLASS_TEACHER, Role.SCHOOL_ADMIN}),
    )


@bp.get("/<int:resource_id>")
@guard(Access.STAFF | Access.PARTNER)
def show(resource_id: int) -> ResponseReturnValue:
    """One resource: its facts, its rules before anything is chosen, its free week."""
    first = max(_day("from") or when.today(), when.today())
    with reading() as held:
        resource, owner = queries.resource_of(held, current_actor(), resource_id)
        hours = queries.hours_of(held, resource_id)
        days = queries.slots_by_day(
            held,
            resource,
            first,
            7,
            clock.now(),
            when.zone(),
            min(DEFAULT_MINUTES, resource.max_minutes),
        )
        may_book = bool(queries.classes_to_book_for(held, current_actor()))
    return render_template(
        "bookings/show.html",
        resource=resource,
        owner=owner,
        hours=hours,
        days=days,
        first=first,
        earlier=first - timedelta(days=7) if first > when.today() else None,
        later=first + timedelta(days=7),
        facts=FACTS,
        kinds=KINDS,
        may_book=may_book,
    )


@bp.route("/<int:resource_id>/book", methods=["GET", "POST"])
@guard(Access.STAFF)
def book(resource_id: int) -> ResponseReturnValue:
    """Request a slot; a clash keeps what was typed and names the nearest free times."""
    form = RequestForm()
    actor = current_actor()
    with reading() as held:
        resource, owner = queries.resource_of(held, actor, resource_id)
        groups = queries.classes_to_book_for(held, actor)
    form.class_id.choices = [(g.id, Text(g.name_zh, g.name_en).in_(language())) for g in groups]
    if request.method == "GET":
        _prefill(form, resource)
    clash: list[tuple[datetime, datetime]] = []
    nearest: list[tuple[datetime, datetime]] = []
    if form.validate_on_submit() and form.day.data and form.starts.data and form.ends.data:
        starts = when.aware(form.day.data, form.starts.data)
        ends = when.aware(form.day.data, form.ends.data)
        booking_id = None
        with attempt(form) as done, unit_of_work() as uow:
            booking_id = services.request_booking(
                uow,
                resource_id=resource_id,
                starts_at=starts,
                ends_at=ends,
                class_id=form.class_id.data,
                children=form.children.data or 0,
                adults=form.adults.data or 0,
                purpose=form.purpose.data or "",
                needs=form.needs.data or "",
                request_key=form.request_key.data or crypto.new_token(),
                zone=when.zone(),
                weeks=form.weeks.data or 1,
            ).id
        if done.ok and booking_id is not None:
            say(
                Text("预约成功。", "Booked.")
                if resource.approval_mode == "direct"
                else Text("已提交，等待对方审批。", "Requested; the owner will answer.")
            )
            return redirect(url_for("bookings.booking", booking_id=booking_id), 303)
        if isinstance(form.refusal, SlotTaken):
            with reading() as held:
                clash = queries.clashing(held, resource, starts, ends)
                nearest = _nearest(held, resource, starts, ends)
    return render_form(
        "bookings/book.html",
        form,
        resource=resource,
        owner=owner,
        clash=clash,
        nearest=nearest,
        nobody=not groups,
    )


def _prefill(form: RequestForm, resource: Resource) -> None:
    form.request_key.data = crypto.new_token()
    try:
        chosen = datetime.fromisoformat(request.args.get("at", ""))
    except ValueError:
        return
    if chosen.tzinfo is None:
        return
    local = when.local(chosen)
    form.day.data, form.starts.data = local.date(), local.time()
    form.ends.data = (local + timedelta(minutes=min(DEFAULT_MINUTES, resource.max_minutes))).time()


def _nearest(
    held: Session, resource: Resource, starts: datetime, ends: datetime
) -> list[tuple[datetime, datetime]]:
    minutes = int((ends - starts).total_seconds() // 60)
    days = queries.slots_by_day(
        held, resource, when.local(starts).date(), 7, clock.now(), when.zone(), minutes
    )
    free = [slot for _, slots in days for slot in slots]
    return sorted(free, key=lambda slot: abs(slot[0] - starts))[:3]


@bp.get("/bookings")
@guard(Access.STAFF | Access.PARTNER)
def mine() -> ResponseReturnValue:
    """The bookings of my school or of my venues."""
    with reading() as held:
        lines = queries.bookings_of(held, current_actor())
    return render_template("bookings/mine.html", lines=lines, states=STATES)


@bp.get("/bookings/<int:booking_id>")
@guard(Access.STAFF | Access.PARTNER)
def booking(booking_id: int) -> ResponseReturnValue:
    """One booking, with what either side may still do."""
    actor = current_actor()
    with reading() as held:
        line = queries.booking_of(held, actor, booking_id)
        name = queries.requester_name(held, line.booking)
    form = DeclineForm()
    _reasons(form)
    return render_template(
        "bookings/booking.html",
        line=line,
        requester=name,
        states=STATES,
        reasons=rules.DECLINE_REASONS,
        may_decide=allowed(actor, Action.BOOKING_DECIDE, line.booking),
        may_withdraw=allowed(actor, Action.BOOKING_WITHDRAW, line.booking),
        form=form,
    )


def _reasons(form: DeclineForm) -> None:
    form.code.choices = [
        (code, text.in_(language())) for code, text in rules.DECLINE_REASONS.items()
    ]


@bp.get("/inbox")
@guard(Access.PARTNER)
def inbox() -> ResponseReturnValue:
    """Requests that wait for the owner, oldest first."""
    with reading() as held:
        lines = queries.awaiting(held, current_actor())
    form = DeclineForm()
    _reasons(form)
    return render_template("bookings/inbox.html", lines=lines, states=STATES, form=form)


@bp.post("/bookings/<int:booking_id>/approve")
@guard(Access.PARTNER)
def approve(booking_id: int) -> ResponseReturnValue:
    """The owner says yes."""
    return _act(
        booking_id,
        lambda uow: services.approve(uow, booking_id=booking_id),
        Text("已同意，已通知学校。", "Approved; the school has been told."),
    )


@bp.post("/bookings/<int:booking_id>/decline")
@guard(Access.PARTNER)
def decline(booking_id: int) -> ResponseReturnValue:
    """The owner says no, or takes a confirmed booking back."""
    code, note = request.form.get("code", ""), request.form.get("note", "")[:100]

    def act(uow: UnitOfWork) -> None:
        refuse = services.cancel_by_partner if request.form.get("confirmed") else services.decline
        refuse(uow, booking_id=booking_id, code=code, note=note)

    return _act(
        booking_id, act, Text("已告知学校及原因。", "The school has been told, with the reason.")
    )


@bp.post("/bookings/<int:booking_id>/withdraw")
@guard(Access.STAFF)
def withdraw(booking_id: int) -> ResponseReturnValue:
    """The school cancels."""
    return _act(
        booking_id,
        lambda uow: services.withdraw(uow, booking_id=booking_id),
        Text("预约已取消，已通知对方。", "Cancelled; the owner has been told."),
    )


def _act(booking_id: int, act: Callable[[UnitOfWork], None], done: Text) -> ResponseReturnValue:
    try:
        with unit_of_work() as uow:
            act(uow)
        say(done)
    except CoordinationError as refusal:
        if refusal.status in (403, 404):
            raise
        say(refusal.message, "need")
    return redirect(url_for("bookings.booking", booking_id=booking_id), 303)


@bp.route("/bookings/<int:booking_id>/move", methods=["GET", "POST"])
@guard(Access.STAFF)
def move(booking_id: int) -> ResponseReturnValue:
    """Another time for the same booking; refused as a whole, the old time stays."""
    form = MoveForm()
    with reading() as held:
        line = queries.booking_of(held, current_actor(), booking_id)
    if request.method == "GET":
        form.day.data = when.local(line.starts_at).date()
        form.starts.data = when.local(line.starts_at).time()
        form.ends.data = when.local(line.ends_at).time()
    if form.validate_on_submit() and form.day.data and form.starts.data and form.ends.data:
        with attempt(form) as done, unit_of_work() as uow:
            services.move_booking(
                uow,
                booking_id=booking_id,
                starts_at=when.aware(form.day.data, form.starts.data),
                ends_at=when.aware(form.day.data, form.ends.data),
                zone=when.zone(),
            )
        if done.ok:
            say(Text("已改期，已通知相关的人。", "Moved; those concerned have been told."))
            return redirect(url_for("bookings.booking", booking_id=booking_id), 303)
    return render_form("bookings/move.html", form, line=line)


@waits_for_staff
def undecided(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """Requests an owner has to answer."""
    if Role.PARTNER_STAFF not in actor.roles:
        return []
    lines = queries.awaiting(session, actor)
    if not lines:
        return []
    return [
        Waiting(
            title=Text(
                f"{len(lines)} 个预约申请待审批", f"{len(lines)} booking requests to answer"
            ),
            url=url_for("bookings.inbox"),
            due=min((x.booking.hold_until for x in lines if x.booking.hold_until), default=None),
            urgent=True,
        )
    ]
