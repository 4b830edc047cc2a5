"""Search a resource, book it, follow it; the owner's inbox and the owner's resources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import Actor, Role
from coordination.authz.policy import allowed, refuse_unless_allowed
from coordination.blueprints.bookings import outside
from coordination.blueprints.bookings.blueprint import bp
from coordination.blueprints.bookings.forms import (
    APPROVAL,
    FACTS,
    FEES,
    GRADES,
    KINDS,
    BlockForm,
    DeclineForm,
    MoveForm,
    RequestForm,
    ResourceForm,
    durations,
    in_hours,
)
from coordination.domain.agenda.queries import week_of
from coordination.domain.bookings import queries, resources, rules, services
from coordination.domain.bookings.models import Resource
from coordination.domain.bookings.values import Slot, SlotClash
from coordination.domain.people.models import Organisation
from coordination.domain.people.recipients import children_of_classes
from coordination.ground import clock, crypto
from coordination.ground.errors import CoordinationError
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff

STATES = {
    "requested": (Text("待审核", "Requested"), "need"),
    "tentative": (Text("待审批", "Waiting for approval"), "need"),
    "confirmed": (Text("已确认", "Confirmed"), "ok"),
    "declined": (Text("已拒绝", "Declined"), "bad"),
    "expired": (Text("超时释放", "Released"), ""),
    "cancelled_by_school": (Text("校方取消", "Cancelled by school"), ""),
    "cancelled_by_partner": (Text("资源方取消", "Cancelled by owner"), "bad"),
    "checked_in": (Text("已到场", "Checked in"), "ok"),
    "completed": (Text("已完成", "Completed"), ""),
    "no_show": (Text("未到场", "No show"), "bad"),
    "blocked": (Text("已关闭", "Closed"), ""),
}
PUBLISHED = {
    "draft": (Text("草稿", "Draft"), "need"),
    "published": (Text("已发布", "Published"), "ok"),
    "archived": (Text("已下架", "Archived"), ""),
}
SHOWN = {"coming": Text("未来的", "Coming"), "all": Text("全部", "All")}
PAGE = 50

__all__ = ["bp", "outside"]


# -- what the address says ---------------------------------------------------------------------


def _date_of(name: str) -> date | None:
    try:
        day = date.fromisoformat(request.args.get(name, ""))
    except ValueError:
        return None
    return day if 2000 <= day.year <= 2100 else None


def _number_of(name: str, low: int, high: int) -> int | None:
    number = request.args.get(name, type=int)
    return number if number is not None and low <= number <= high else None


def _usual_minutes(resource: Resource) -> int:
    lengths = durations(resource.slot_minutes, resource.max_minutes)
    return max((n for n in lengths if n <= queries.USUAL_MINUTES), default=lengths[0])


def _slot_of(form: RequestForm | MoveForm) -> Slot | None:
    if form.day.data is None or form.starts.data is None or not form.minutes.data:
        return None
    starts = when.aware(form.day.data, form.starts.data)
    return Slot(starts, starts + timedelta(minutes=form.minutes.data))


def _show_slot(form: RequestForm | MoveForm, slot: Slot) -> None:
    local = when.local(slot.starts_at)
    form.day.data, form.starts.data = local.date(), local.time()
    form.minutes.data = int(slot.length.total_seconds() // 60)


def _use(form: RequestForm | MoveForm) -> bool:
    """Take over one of the free times that were offered, if its button was pressed."""
    chosen = _moment(request.form.get("use", ""))
    if chosen is None:
        return False
    local = when.local(chosen)
    form.day.data, form.starts.data = local.date(), local.time()
    # else the page would show again what was typed first
    form.day.raw_data, form.starts.raw_data = [f"{local:%Y-%m-%d}"], [f"{local:%H:%M}"]
    return True


def _moment(typed: str) -> datetime | None:
    """A moment from the address: ``+`` may have become a blank on the way."""
    try:
        found = datetime.fromisoformat(typed.replace(" ", "+"))
    except ValueError:
        return None
    if found.tzinfo is None or not 2000 <= found.year <= 2100:
        return None
    return found


# -- search ------------------------------------------------------------------------------------


@bp.get("/")
@guard(Access.STAFF | Access.PARTNER)
def index() -> ResponseReturnValue:
    """Search by date, size, distance, grade and words; the filter is the address."""
    actor = current_actor()
    people = _number_of("people", 1, 5000)
    km, grade = _number_of("km", 1, 200), _number_of("grade", 1, 12)
    words, kind = request.args.get("q", "").strip()[:60], request.args.get("kind", "")
    with reading() as held:
        found = queries.search_resources(
            held,
            actor,
            day=_date_of("day"),
            people=people or 1,
            max_km=km,
            grade=grade,
            kind=kind if kind in KINDS else None,
            now=clock.now(),
            zone=when.zone(),
            text=words,
        )
    return render_template(
        "bookings/index.html",
        found=found,
        kinds=KINDS,
        grades=GRADES,
        filters={"q": words, "people": people, "km": km, "grade": grade, "kind": kind},
        day=_date_of("day") or "",
        partner=Role.PARTNER_STAFF in actor.roles,
        may_book=_may_book(actor),
        minutes=queries.USUAL_MINUTES,
    )


def _may_book(actor: Actor) -> bool:
    return bool(actor.roles & {Role.CLASS_TEACHER, Role.SCHOOL_ADMIN})


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the week grid."""

    kind: str
    label: str
    href: str | None = None
    detail: str | None = None


@bp.get("/<int:resource_id>")
@guard(Access.STAFF | Access.PARTNER)
def show(resource_id: int) -> ResponseReturnValue:
    """One resource: its facts, its rules before anything is chosen, its week."""
    actor, today = current_actor(), when.today()
    asked = _date_of("day")
    monday = max(asked or today, today)
    monday -= timedelta(days=monday.weekday())
    with reading() as held:
        resource, owner = queries.resource_of(held, actor, resource_id)
        minutes = _number_of("minutes", 1, resource.max_minutes) or _usual_minutes(resource)
        hours = queries.hours_of(held, resource_id)
        days = queries.days_of(
            held, resource, monday, 14, minutes=minutes, now=clock.now(), zone=when.zone()
        )
        # nobody wants to land on a day with nothing to choose from
        chosen = max(asked, today) if asked else next((d.day for d in days if d.free), today)
        first = chosen - timedelta(days=chosen.weekday())
        week = week_of(held, first)
    days = [d for d in days if first <= d.day < first + timedelta(days=7)]
    may_book = _may_book(actor) and resource.publish_state == "published"
    return render_template(
        "bookings/show.html",
        resource=resource,
        owner=owner,
        hours=hours,
        days=days,
        chosen=next(d for d in days if d.day == chosen),
        rows=_rows(resource, days, minutes, may_book),
        week=week,
        earlier=max(first - timedelta(days=7), today) if first > today else None,
        later=first + timedelta(days=7),
        minutes=minutes,
        lengths=[
            (n, in_hours(n).in_(language()))
            for n in durations(resource.slot_minutes, resource.max_minutes, minutes)
        ],
        facts=FACTS,
        kinds=KINDS,
        fees=FEES,
        grades=dict(GRADES),
        may_book=may_book,
        mine=allowed(actor, Action.RESOURCE_MANAGE, resource),
    )


def _rows(
    resource: Resource, days: list[queries.Day], minutes: int, may_book: bool
) -> list[tuple[str, list[Cell | None]]]:
    """The week as rows by starting time: what may be booked, what is taken."""
    starts = sorted({when.local(s.starts_at).time() for d in days for s in d.free})
    kind = "free" if resource.approval_mode == "direct" else "ask"
    word = Text("可预订", "Book") if kind == "free" else Text("可申请", "Ask")
    rows: list[tuple[str, list[Cell | None]]] = []
    for at in starts:
        cells: list[Cell | None] = []
        for day in days:
            slot = next((s for s in day.free if when.local(s.starts_at).time() == at), None)
            if slot is not None:
                cells.append(
                    Cell(
                        kind,
                        word.in_(language()),
                        _book_url(resource.id, slot, minutes) if may_book else None,
                        when.short_moment(slot.starts_at, language()),
                    )
                )
                continue
            moment = when.aware(day.day, at)
            wanted = Slot(moment, moment + timedelta(minutes=minutes)).widened(
                resource.buffer_before, resource.buffer_after
            )
            taken = any(wanted.overlaps(t) for t in day.taken)
            cells.append(Cell("taken", Text("已占用", "Taken").in_(language())) if taken else None)
        rows.append((when.clock_time(at), cells))
    return rows


def _book_url(resource_id: int, slot: Slot, minutes: int) -> str:
    return url_for(
        "bookings.book",
        resource_id=resource_id,
        at=when.local(slot.starts_at).isoformat(),
        minutes=minutes,
    )


# -- book --------------------------------------------------------------------------------------


@bp.route("/<int:resource_id>/book", methods=["GET", "POST"])
@guard(Access.STAFF)
def book(resource_id: int) -> ResponseReturnValue:
    """Request a slot: form, check, send. A clash keeps what was typed and offers other times."""
    form, actor = RequestForm(), current_actor()
    with reading() as held:
        resource, owner = queries.resource_of(held, actor, resource_id)
        groups = queries.classes_to_book_for(held, actor)
        schools = {g.school_id: held.get_one(Organisation, g.school_id) for g in groups}
        wholes = queries.schools_to_book_for(held, actor)
        if request.method == "GET" and len(groups) == 1:  # a class teacher comes with the class
            form.children.data = len(children_of_classes(held, [groups[0].id], when.today()))
    several = len(schools) > 1
    form.class_id.choices = [
        (
            g.id,
            Text(
                f"{schools[g.school_id].name_zh} {g.name_zh}" if several else g.name_zh,
                f"{schools[g.school_id].name_en}, {g.name_en}" if several else g.name_en,
            ).in_(language()),
        )
        for g in groups
    ]
    # a school as a whole has its number with a minus: one field, one choice
    form.class_id.choices += [
        (-s.id, Text(f"{s.name_zh}（全校）", f"{s.name_en} (whole school)").in_(language()))
        for s in wholes
    ]
    if request.method == "GET":
        _prefill(form, resource)
    _offer_lengths(form, resource)
    used = _use(form)
    step = request.form.get("step", "") or ("check" if used else "")
    slot = None
    if form.validate_on_submit() and step != "edit":
        slot = _slot_of(form)
    if slot is None:
        return _book_page(form, resource, owner, None)
    if step == "send":
        booking_id, chosen = None, form.class_id.data or 0
        with attempt(form) as done, unit_of_work() as uow:
            booking_id = services.request_booking(
                uow,
                resource_id=resource_id,
                starts_at=slot.starts_at,
                ends_at=slot.ends_at,
                class_id=chosen if chosen > 0 else None,
                school_id=-chosen if chosen < 0 else None,
                children=form.children.data or 0,
                adults=form.adults.data or 0,
                purpose=form.purpose.data or "",
                needs=form.needs.data or "",
                request_key=form.request_key.data or crypto.new_token(),
                weeks=form.weeks.data or 1,
                zone=when.zone(),
            ).id
        if done.ok and booking_id is not None:
            say(
                Text("预约成功，已通知资源方。", "Booked; the owner has been told.")
                if resource.approval_mode == "direct"
                else Text(
                    "申请已提交，时段先为您保留。", "Requested; the time is held for you meanwhile."
                )
            )
            return redirect(url_for("bookings.booking", booking_id=booking_id), 303)
        return _book_page(form, resource, owner, slot)
    with attempt(form) as done, reading() as held:
        slots = rules.weekly(slot, form.weeks.data or 1, when.zone())
        rules.refuse_unfit_request(
            queries.terms_of(held, resource),
            slots,
            children=form.children.data or 0,
            adults=form.adults.data or 0,
            purpose=form.purpose.data or "",
            needs=form.needs.data or "",
            now=clock.now(),
            zone=when.zone(),
            overrides=queries.overrides_between(held, slots[0], slots[-1], when.zone()),
        )
        if clashes := queries.clashes_with(held, resource, slots):
            free = queries.nearest_free(held, resource, slot, now=clock.now(), zone=when.zone())
            raise SlotClash(clashes, free, when.zone())
    if not done.ok:
        return _book_page(form, resource, owner, slot)
    return render_template(
        "bookings/check.html",
        form=form,
        resource=resource,
        owner=owner,
        slots=slots,
        class_label=next(c[1] for c in form.class_id.choices if c[0] == form.class_id.data),
    )


def _prefill(form: RequestForm, resource: Resource) -> None:
    form.request_key.data = crypto.new_token()
    minutes = _number_of("minutes", 1, resource.max_minutes) or _usual_minutes(resource)
    form.minutes.data = minutes
    if chosen := _moment(request.args.get("at", "")):
        _show_slot(form, Slot(chosen, chosen + timedelta(minutes=minutes)))


def _offer_lengths(form: RequestForm | MoveForm, resource: Resource) -> None:
    form.minutes.choices = [
        (n, in_hours(n).in_(language()))
        for n in durations(resource.slot_minutes, resource.max_minutes, form.minutes.data)
    ]


def _book_page(
    form: RequestForm, resource: Resource, owner: Organisation, slot: Slot | None
) -> ResponseReturnValue:
    clash = form.refusal if isinstance(form.refusal, SlotClash) else None
    similar: list[queries.Found] = []
    if clash is not None and slot is not None:
        people = (form.children.data or 0) + (form.adults.data or 0)
        with reading() as held:
            similar = queries.similar_free(
                held,
                current_actor(),
                resource,
                slot,
                people,
                now=clock.now(),
                zone=when.zone(),
            )
    return render_form(
        "bookings/book.html",
        form,
        resource=resource,
        owner=owner,
        clash=clash,
        similar=similar,
        similar_urls={
            f.resource.id: _book_url(f.resource.id, f.slots[0], form.minutes.data) for f in similar
        },
        nobody=not form.class_id.choices,
        fees=FEES,
    )


# -- follow ------------------------------------------------------------------------------------


@bp.get("/bookings")
@guard(Access.STAFF | Access.PARTNER)
def mine() -> ResponseReturnValue:
    """The bookings of my school or of my venues: those to come, or all."""
    wanted = "all" if request.args.get("show") == "all" else "coming"
    page = _number_of("page", 1, 1000) or 1
    with reading() as held:
        lines = queries.bookings_of(
            held,
            current_actor(),
            since=clock.now() if wanted == "coming" else None,
            states=("tentative", "confirmed", "checked_in") if wanted == "coming" else (),
            limit=PAGE + 1,
            offset=(page - 1) * PAGE,
        )
    return render_template(
        "bookings/mine.html",
        lines=lines[:PAGE],
        states=STATES,
        wanted=wanted,
        shown=SHOWN,
        page=page,
        more=len(lines) > PAGE,
    )


@bp.get("/bookings/<int:booking_id>")
@guard(Access.STAFF | Access.PARTNER)
def booking(booking_id: int) -> ResponseReturnValue:
    """One booking, with what either side may still do."""
    return _booking_page(booking_id, DeclineForm(), 200)


def _booking_page(booking_id: int, form: DeclineForm, status: int) -> ResponseReturnValue:
    actor = current_actor()
    with reading() as held:
        line = queries.booking_of(held, actor, booking_id)
        name = queries.requester_name(held, line.booking)
        may_decide = allowed(actor, Action.BOOKING_DECIDE, line.booking)
        near = queries.neighbours_of(held, actor, [line], when.zone()) if may_decide else {}
        outside_at = queries.outside_clashes_of(held, [line]) if may_decide else {}
    _reasons(form)
    approved = line.booking.state == "confirmed" and line.resource.approval_mode == "request"
    return (
        render_template(
            "bookings/booking.html",
            line=line,
            requester=name,
            states=STATES,
            reasons=rules.DECLINE_REASONS,
            near=near.get(booking_id, []),
            outside_at=outside_at,
            may_decide=may_decide,
            may_withdraw=allowed(actor, Action.BOOKING_WITHDRAW, line.booking),
            may_move=allowed(actor, Action.BOOKING_MOVE, line.booking)
            and (may_decide or not approved),
            form=form,
        ),
        status,
    )


def _reasons(form: DeclineForm) -> None:
    form.code.choices = [
        ("", Text("请选择", "Choose").in_(language())),
        *((code, text.in_(language())) for code, text in rules.DECLINE_REASONS.items()),
    ]


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
@guard(Access.STAFF | Access.PARTNER)
def move(booking_id: int) -> ResponseReturnValue:
    """Another time for the same booking; refused as a whole, the old time stays."""
    form = MoveForm()
    with reading() as held:
        line = queries.booking_of(held, current_actor(), booking_id)
    refuse_unless_allowed(current_actor(), Action.BOOKING_MOVE, line.booking)
    if request.method == "GET":
        _show_slot(form, line.slots[0])
    _offer_lengths(form, line.resource)
    used = _use(form)
    slot = _slot_of(form) if form.validate_on_submit() else None
    if slot is not None and not used:
        with attempt(form) as done, unit_of_work() as uow:
            services.move_booking(
                uow,
                booking_id=booking_id,
                starts_at=slot.starts_at,
                ends_at=slot.ends_at,
                zone=when.zone(),
            )
        if done.ok:
            say(Text("已改期，已通知相关的人。", "Moved; those concerned have been told."))
            return redirect(url_for("bookings.booking", booking_id=booking_id), 303)
    clash = form.refusal if isinstance(form.refusal, SlotClash) else None
    return render_form("bookings/move.html", form, line=line, clash=clash)


# -- the owner's inbox -------------------------------------------------------------------------


@bp.get("/inbox")
@guard(Access.PARTNER)
def inbox() -> ResponseReturnValue:
    """Requests that wait for the owner, oldest first, each beside the owner's own day."""
    with reading() as held:
        lines = queries.bookings_awaiting(held, current_actor())
        near = queries.neighbours_of(held, current_actor(), lines, when.zone())
        outside_at = queries.outside_clashes_of(held, lines)
    return render_template(
        "bookings/inbox.html", lines=lines, near_by=near, states=STATES, outside_at=outside_at
    )


@bp.post("/bookings/<int:booking_id>/approve")
@guard(Access.PARTNER)
def approve(booking_id: int) -> ResponseReturnValue:
    """The owner says yes, or yes in spite of what the page has shown of an outside calendar."""
    despite = _slots(request.form.get("despite", ""))
    return _act(
        booking_id,
        lambda uow: services.approve(uow, booking_id=booking_id, despite=despite, zone=when.zone()),
        Text("已同意，已通知学校。", "Approved; the school has been told."),
    )


def _slots(typed: str) -> list[Slot]:
    """`start~end` with commas between; what cannot be read is left out, and so not overridden."""
    found = []
    for pair in typed[:20_000].split(","):
        first, _, last = pair.partition("~")
        starts, ends = _moment(first), _moment(last)
        if starts is not None and ends is not None and starts < ends:
            found.append(Slot(starts, ends))
    return found


@bp.post("/bookings/<int:booking_id>/decline")
@guard(Access.PARTNER)
def decline(booking_id: int) -> ResponseReturnValue:
    """The owner says no, or takes a confirmed booking back."""
    form = DeclineForm()
    _reasons(form)
    if not form.validate_on_submit():
        return _booking_page(booking_id, form, 422)
    refuse = services.cancel_by_partner if request.form.get("confirmed") else services.decline
    with attempt(form) as done, unit_of_work() as uow:
        refuse(uow, booking_id=booking_id, code=form.code.data or "", note=form.note.data or "")
    if not done.ok:
        return _booking_page(booking_id, form, form.refusal.status if form.refusal else 422)
    say(Text("已告知学校及原因。", "The school has been told, with the reason."))
    return redirect(url_for("bookings.booking", booking_id=booking_id), 303)


# -- the owner's resources ---------------------------------------------------------------------


@bp.get("/manage")
@guard(Access.PARTNER)
def manage() -> ResponseReturnValue:
    """My resources: what schools see, what is a draft, what waits for an answer."""
    with reading() as held:
        lines = queries.resources_managed_by(held, current_actor())
    return render_template(
        "bookings/manage.html", lines=lines, kinds=KINDS, published=PUBLISHED, approval=APPROVAL
    )


def _choices(form: ResourceForm, owners: list[Organisation]) -> None:
    form.owner_id.choices = [(o.id, Text(o.name_zh, o.name_en).in_(language())) for o in owners]
    form.grades.choices = list(GRADES)
    form.facts.choices = list(FACTS.items())


@bp.route("/manage/new", methods=["GET", "POST"])
@guard(Access.PARTNER)
def add() -> ResponseReturnValue:
    """A new resource, kept as a draft."""
    form = ResourceForm()
    with reading() as held:
        owners = [
            held.get_one(Organisation, i) for i in sorted(current_actor().orgs(Role.PARTNER_STAFF))
        ]
    _choices(form, owners)
    if request.method == "GET":
        form.owner_id.data = owners[0].id
        form.address_zh.data, form.address_en.data = owners[0].address_zh, owners[0].address_en
    if form.validate_on_submit():
        resource_id = None
        with attempt(form) as done, unit_of_work() as uow:
            resource_id = resources.add_resource(
                uow, owner_id=form.owner_id.data, offer=form.offer()
            ).id
        if done.ok and resource_id is not None:
            say(
                Text(
                    "已存为草稿，核对后即可发布。",
                    "Kept as a draft; look it over, then publish it.",
                )
            )
            return redirect(url_for("bookings.edit", resource_id=resource_id), 303)
    return render_form("bookings/edit.html", form, resource=None, published=PUBLISHED, blocks=[])


@bp.route("/manage/<int:resource_id>", methods=["GET", "POST"])
@guard(Access.PARTNER)
def edit(resource_id: int) -> ResponseReturnValue:
    """Facts, rules and opening hours of one of my resources."""
    with reading() as held:
        resource = queries.resource_managed(held, current_actor(), resource_id)
        owner = held.get_one(Organisation, resource.owner_id)
        hours = queries.hours_of(held, resource_id)
        blocks = queries.blocks_of(held, resource, clock.now())
    form = ResourceForm(obj=resource)
    _choices(form, [owner])
    if request.method == "GET":
        form.show(hours)
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            resources.edit_resource(uow, resource_id=resource_id, offer=form.offer())
        if done.ok:
            say(Text("已保存，对之后的申请生效。", "Saved; it holds for requests from now on."))
            return redirect(url_for("bookings.edit", resource_id=resource_id), 303)
    return render_form(
        "bookings/edit.html", form, resource=resource, published=PUBLISHED, blocks=blocks
    )


@bp.post("/manage/<int:resource_id>/publish")
@guard(Access.PARTNER)
def publish(resource_id: int) -> ResponseReturnValue:
    """Show it to schools, or take it off the list."""
    state = request.form.get("state", "published")
    try:
        with unit_of_work() as uow:
            resources.publish_resource(uow, resource_id=resource_id, state=state)
        say(
            Text("已发布，学校现在可以预约。", "Published; schools can book it now.")
            if state == "published"
            else Text("已下架。已有的预约不受影响。", "Taken off the list. Existing bookings stay.")
        )
    except CoordinationError as refusal:
        if refusal.status in (403, 404):
            raise
        say(refusal.message, "need")
    return redirect(url_for("bookings.edit", resource_id=resource_id), 303)


@bp.route("/manage/<int:resource_id>/block", methods=["GET", "POST"])
@guard(Access.PARTNER)
def block(resource_id: int) -> ResponseReturnValue:
    """Close some time; refused while a booking stands in the way."""
    form: BlockForm = BlockForm()
    with reading() as held:
        resource = queries.resource_managed(held, current_actor(), resource_id)
        blocks = queries.blocks_of(held, resource, clock.now())
    if form.validate_on_submit() and form.day.data and form.starts.data and form.ends.data:
        with attempt(form) as done, unit_of_work() as uow:
            services.block_time(
                uow,
                resource_id=resource_id,
                starts_at=when.aware(form.day.data, form.starts.data),
                ends_at=when.aware(form.day.data, form.ends.data),
                reason=form.reason.data or "",
                zone=when.zone(),
            )
        if done.ok:
            say(Text("该时段已关闭。", "This time is closed now."))
            return redirect(url_for("bookings.block", resource_id=resource_id), 303)
    return render_form("bookings/block.html", form, resource=resource, blocks=blocks)


@bp.post("/manage/<int:resource_id>/lift")
@guard(Access.PARTNER)
def lift(resource_id: int) -> ResponseReturnValue:
    """Open a closed time again."""
    with reading() as held:
        queries.resource_managed(held, current_actor(), resource_id)
    starts, ends = _moment(request.form.get("starts", "")), _moment(request.form.get("ends", ""))
    if starts is not None and ends is not None:
        with unit_of_work() as uow:
            services.lift_block(uow, resource_id=resource_id, starts_at=starts, ends_at=ends)
        say(Text("该时段重新开放。", "This time is open again."))
    return redirect(url_for("bookings.block", resource_id=resource_id), 303)


@waits_for_staff
def undecided(session: Session, actor: Actor, _now: datetime) -> list[Waiting]:
    """Requests an owner has to answer."""
    if Role.PARTNER_STAFF not in actor.roles:
        return []
    lines = queries.bookings_awaiting(session, actor)
    if not lines:
        return []
    return [
        Waiting(
            title=Text(
                f"{len(lines)} 个预约申请待审批",
                "1 booking request to answer"
                if len(lines) == 1
                else f"{len(lines)} booking requests to answer",
            ),
            url=url_for("bookings.inbox"),
            due=min((x.booking.hold_until for x in lines if x.booking.hold_until), default=None),
            urgent=True,
        )
    ]
