"""Activities and sessions for coordinators, teachers, bases and families."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import Actor, Role
from coordination.authz.policy import allowed
from coordination.blueprints.practice.forms import (
    TYPES,
    ActivityForm,
    CancelForm,
    EnrolForm,
    MoveForm,
    SessionForm,
)
from coordination.domain.care.leading import counts_of
from coordination.domain.consents import services as consents
from coordination.domain.consents.paper import children_to_record
from coordination.domain.consents.rules import STATES as CONSENTS
from coordination.domain.oversight.readiness import readiness_of
from coordination.domain.people.models import ClassGroup
from coordination.domain.people.recipients import children_of_classes, guardians_of_children
from coordination.domain.practice import nudging, queries, rules, services
from coordination.domain.volunteering import services as volunteering
from coordination.domain.volunteering.queries import shifts_of_session
from coordination.ground import clock
from coordination.ground.errors import CoordinationError, Invalid
from coordination.ground.text import Text, mask_name
from coordination.reactions import reminders
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, language, reading, require, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff

bp = Blueprint("practice", __name__, url_prefix="/activities")

STATES = {
    "planned": (Text("待定", "Planned"), ""),
    "open": (Text("报名中", "Open"), "info"),
    "closed": (Text("报名截止", "Closed"), ""),
    "ready": (Text("可出发", "Ready"), "ok"),
    "departed": (Text("已出发", "Departed"), "info"),
    "on_site": (Text("在场", "On site"), "info"),
    "returned": (Text("已返回", "Returned"), "ok"),
    "closed_out": (Text("已结案", "Closed out"), ""),
    "cancelled": (Text("已取消", "Cancelled"), "bad"),
    "aborted": (Text("中止", "Aborted"), "bad"),
}
ENROLMENTS = {
    "enrolled": (Text("待同意", "Consent open"), "need"),
    "cleared": (Text("可参加", "Cleared"), "ok"),
    "waiting": (Text("候补", "Waiting"), ""),
    "refused": (Text("不参加", "Not going"), ""),
    "withdrawn": (Text("已退出", "Withdrawn"), ""),
    "attended": (Text("已参加", "Attended"), "ok"),
    "absent": (Text("缺席", "Absent"), "bad"),
    "cancelled": (Text("已取消", "Cancelled"), ""),
    "offered": (Text("待确认", "Offered"), "need"),
    "excused": (Text("请假", "Excused"), ""),
    "lapsed": (Text("逾期", "Lapsed"), ""),
}
MARKS = {
    "present": Text("到", "Here"),
    "late": Text("迟到", "Late"),
    "absent": Text("缺", "Absent"),
    "left_early": Text("早退", "Left early"),
}


@bp.get("/")
@guard(Access.STAFF | Access.PARTNER)
def index() -> ResponseReturnValue:
    """Sessions to come; for a base its own."""
    actor = current_actor()
    base_ids = actor.orgs(Role.PARTNER_STAFF)
    with reading() as held:
        lines = queries.sessions_ahead(held, actor, clock.now(), base_ids=base_ids)
        offered = queries.activities(held, actor) if allowed(actor, Action.ACTIVITY_PLAN) else []
        own_schools = queries.schools_administered(held, actor)
    return render_template(
        "practice/index.html",
        lines=lines,
        offered=offered,
        own_schools=own_schools,
        states=STATES,
        types=TYPES,
        may_plan=allowed(actor, Action.ACTIVITY_PLAN),
    )


@bp.route("/new", methods=["GET", "POST"])
@guard(Access.STAFF)
def plan() -> ResponseReturnValue:
    """Plan an activity."""
    require(Action.ACTIVITY_PLAN)
    form = ActivityForm()
    with reading() as held:
        bases = queries.bases(held)
    form.base_id.choices = [(b.id, Text(b.name_zh, b.name_en).in_(language())) for b in bases]
    if form.validate_on_submit():
        activity_id = None
        with attempt(form) as done, unit_of_work() as uow:
            activity_id = services.plan_activity(
                uow,
                type=form.type.data,
                title=Text(form.title_zh.data or "", form.title_en.data or ""),
                purpose=Text(form.purpose_zh.data or "", form.purpose_en.data or ""),
                bring=Text(form.bring_zh.data or "", form.bring_en.data or ""),
                base_id=form.base_id.data,
                grades=form.grades.data or [],
            ).id
        if done.ok and activity_id is not None:
            say(Text("活动已建立，请添加场次。", "Saved; now add a session."))
            return redirect(url_for("practice.add_session", activity_id=activity_id), 303)
    return render_form("practice/plan.html", form)


@bp.route("/<int:activity_id>/sessions/new", methods=["GET", "POST"])
@guard(Access.STAFF)
def add_session(activity_id: int) -> ResponseReturnValue:
    """Add a session; it takes sign-ups at once."""
    require(Action.ACTIVITY_PLAN)
    form = SessionForm()
    with reading() as held:
        activity = queries.activity_of(held, current_actor(), activity_id)
    if form.validate_on_submit() and form.day.data:
        session_id = None
        with attempt(form) as done, unit_of_work() as uow:
            added = services.add_session(
                uow,
                activity_id=activity_id,
                starts_at=_at(form, "starts"),
                ends_at=_at(form, "ends"),
                return_at=_at(form, "returns"),
                capacity=form.capacity.data or 0,
                meeting_point=Text(form.meeting_zh.data or "", form.meeting_en.data or ""),
                signup_until=_moment(form.signup_until.data, form.starts.data),
            )
            session_id = added.id
            if form.helpers.data:
                volunteering.open_shift(
                    uow,
                    session_id=added.id,
                    role=Text("随队家长志愿者", "Parent helper"),
                    min_people=1,
                    max_people=form.helpers.data,
                )
        if done.ok and session_id is not None:
            say(Text("场次已发布，老师可以报名。", "Published; teachers can sign up."))
            return redirect(url_for("practice.show", session_id=session_id), 303)
    return render_form("practice/session_form.html", form, activity=activity)


def _at(form: SessionForm | MoveForm, name: str) -> datetime:
    return _moment(form.day.data, form[name].data)


def _moment(day: date | None, at: time | None) -> datetime:
    """A local date and time of a form that has passed its own checks."""
    if day is None or at is None:
        raise Invalid()
    return when.aware(day, at)


@bp.get("/sessions/<int:session_id>")
@guard(Access.STAFF | Access.PARTNER)
def show(session_id: int) -> ResponseReturnValue:
    """One session: places, classes, consents, volunteers; names only for their own school."""
    actor = current_actor()
    with reading() as held:
        line = queries.session_of(held, actor, session_id)
        everybody = queries.classes_in(held, session_id)
        classes = [c for c in everybody if queries.may_see_class(actor, line, c)]
        counts = queries.consent_counts(held, session_id)
        children = queries.children_in(held, actor, session_id)
        asked = consents.open_request(held, "session", session_id)
        # child -> whether the family has answered, of those whose answers the viewer may note
        noting = (
            children_to_record(held, actor, asked.id, when.today())
            if asked is not None and asked.state == "open" and line.session.starts_at > clock.now()
            else {}
        )
        shifts = shifts_of_session(held, session_id)
        enrollable = queries.classes_to_enrol(held, actor)
        next_reminder = reminders.next_of(held, session_id)
        missed = reminders.missed(held, session_id)
        going, with_card = counts_of(held, actor, line)
        ahead = line.session.state in services.OPEN and line.session.starts_at > clock.now()
        ready = readiness_of(held, [session_id])[session_id] if ahead else None
        to_nudge = nudging.to_nudge(held, actor, session_id, clock.now()) if ahead else 0
    taken = {c.group.id for c in everybody}
    school_side = actor.roles & {Role.DISTRICT_ADMIN, Role.COORDINATOR} or children
    return render_template(
        "practice/show.html",
        line=line,
        classes=classes,
        counts=counts,
        children=children,
        asked=asked,
        noting=noting,
        shifts=shifts,
        states=STATES,
        enrolments=ENROLMENTS,
        consents=CONSENTS,
        reason=rules.reason_in_words(
            line.session.cancel_reason, line.session.cancel_note_zh, line.session.cancel_note_en
        ),
        may_plan=allowed(actor, Action.ACTIVITY_PLAN),
        ready=ready,
        to_nudge=to_nudge,
        may_enrol=any(g.id not in taken for g in enrollable) and line.session.state == "open",
        sees_helpers=bool(school_side),
        hosts=line.session.base_id in actor.orgs(Role.PARTNER_STAFF),
        next_reminder=next_reminder,
        missed=missed if school_side else [],
        going=going,
        with_card=with_card,
    )


@bp.route("/sessions/<int:session_id>/enrol", methods=["GET", "POST"])
@guard(Access.STAFF)
def enrol(session_id: int) -> ResponseReturnValue:
    """Sign a class up: everybody is ticked, untick who does not go, press once."""
    form = EnrolForm()
    actor = current_actor()
    with reading() as held:
        line = queries.session_of(held, actor, session_id)
        taken = {c.group.id for c in queries.classes_in(held, session_id)}
        groups = [g for g in queries.classes_to_enrol(held, actor) if g.id not in taken]
        chosen = _chosen(form, groups)
        children = (
            children_of_classes(held, [chosen.id], when.today()) if chosen is not None else []
        )
    form.class_id.choices = [(g.id, Text(g.name_zh, g.name_en).in_(language())) for g in groups]
    going = set(request.form.getlist("going", type=int))
    if form.validate_on_submit() and "save" in request.form and chosen is not None:
        result = None
        with attempt(form) as done, unit_of_work() as uow:
            result = services.enrol_class(
                uow,
                session_id=session_id,
                class_id=chosen.id,
                adults=form.adults.data or 0,
                needs=form.needs.data or "",
                leave_out=[c.id for c in children if c.id not in going],
            )
        if done.ok and result is not None:
            placed, waiting = result
            more = (
                Text(f"，{waiting} 名候补", f", {waiting} on the waiting list")
                if waiting
                else Text("", "")
            )
            say(
                Text(
                    f"{placed} 名学生已报名{more.zh}，家长已收到知情同意短信。",
                    f"{placed} children have a place{more.en}; families have been asked.",
                )
            )
            return redirect(url_for("practice.show", session_id=session_id), 303)
    return render_form(
        "practice/enrol.html",
        form,
        line=line,
        children=children,
        chosen=chosen,
        going=going if "save" in request.form else {c.id for c in children},
        free=line.session.capacity - line.session.taken,
    )


def _chosen(form: EnrolForm, groups: list[ClassGroup]) -> ClassGroup | None:
    wanted = form.class_id.data
    return next((g for g in groups if g.id == wanted), groups[0] if groups else None)


@bp.route("/sessions/<int:session_id>/move", methods=["GET", "POST"])
@guard(Access.STAFF)
def move(session_id: int) -> ResponseReturnValue:
    """Other times; says first, in numbers, who will be told."""
    require(Action.ACTIVITY_PLAN)
    form = MoveForm()
    with reading() as held:
        line = queries.session_of(held, current_actor(), session_id)
        told = _told(held, session_id, services.GOING)
    if request.method == "GET":
        held_session = line.session
        form.day.data = when.local(held_session.starts_at).date()
        form.starts.data = when.local(held_session.starts_at).time()
        form.ends.data = when.local(held_session.ends_at).time()
        form.returns.data = when.local(held_session.return_at).time()
    if form.validate_on_submit() and form.day.data:
        with attempt(form) as done, unit_of_work() as uow:
            services.move_session(
                uow,
                session_id=session_id,
                starts_at=_at(form, "starts"),
                ends_at=_at(form, "ends"),
                return_at=_at(form, "returns"),
            )
        if done.ok:
            say(Text("已改期，相关的人都已收到短信。", "Moved; everybody concerned has been told."))
            return redirect(url_for("practice.show", session_id=session_id), 303)
    return render_form("practice/move.html", form, line=line, told=told)


@bp.route("/sessions/<int:session_id>/cancel", methods=["GET", "POST"])
@guard(Access.STAFF)
def cancel(session_id: int) -> ResponseReturnValue:
    """Cancel; says first, in numbers, who will be told."""
    require(Action.ACTIVITY_PLAN)
    form = CancelForm()
    form.code.choices = [
        ("", Text("请选择", "Choose").in_(language())),
        *((code, text.in_(language())) for code, text in rules.CANCEL_REASONS.items()),
    ]
    with reading() as held:
        line = queries.session_of(held, current_actor(), session_id)
        told = _told(held, session_id, (*services.GOING, "waiting"))
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            services.cancel_session(
                uow,
                session_id=session_id,
                code=form.code.data or "",
                note=Text(form.note_zh.data or "", form.note_en.data or ""),
            )
        if done.ok:
            say(Text("场次已取消，相关的人都已收到短信。", "Cancelled; everybody has been told."))
            return redirect(url_for("practice.show", session_id=session_id), 303)
    return render_form("practice/cancel.html", form, line=line, told=told)


def _told(held: Session, session_id: int, states: Collection[str]) -> dict[str, int]:
    """Numbers of those a change reaches: the families of children in these states, and the adults."""
    children = services.children_of(held, session_id, states)
    guardians = guardians_of_children(held, children, when.today())
    return {
        "children": len(children),
        "phones": len({g.household_key for g in guardians if g.phone_mask}),
        "classes": len(queries.classes_in(held, session_id)),
        "helpers": sum(len(names) for _, names in shifts_of_session(held, session_id)),
    }


@bp.route("/sessions/<int:session_id>/attendance", methods=["GET", "POST"])
@guard(Access.STAFF)
def attendance(session_id: int) -> ResponseReturnValue:
    """The roll, for wet fingers: one big row per child, saved by one plain post."""
    actor = current_actor()
    with reading() as held:
        line = queries.session_of(held, actor, session_id)
        children = [
            c
            for c in queries.children_in(held, actor, session_id)
            if c.enrolment.state in ("enrolled", "cleared", "attended", "absent")
        ]
    if request.method == "POST" and "save" in request.form:
        marks = {
            c.enrolment.id: mark
            for c in children
            if (mark := request.form.get(f"mark-{c.enrolment.id}", "")) in MARKS
        }
        try:
            with unit_of_work() as uow:
                count = services.take_attendance(uow, session_id=session_id, marks=marks)
            say(Text(f"已记录 {count} 名学生的考勤。", f"{count} children marked."))
        except CoordinationError as refusal:
            if refusal.status in (403, 404):
                raise
            say(next(iter(refusal.fields.values()), refusal.message), "need")
        return redirect(url_for("practice.attendance", session_id=session_id), 303)
    return render_template(
        "practice/attendance.html", line=line, children=children, marks=MARKS, consents=CONSENTS
    )


@bp.get("/mine")
@guard(Access.GUARDIAN)
def family() -> ResponseReturnValue:
    """A guardian's children in activities to come."""
    with reading() as held:
        rows = queries.own_children_in(held, current_actor(), clock.now())
    lines = [(s, a, mask_name(name), state) for s, a, name, state in rows]
    return render_template("practice/family.html", lines=lines, enrolments=ENROLMENTS)


@waits_for_staff
def open_for_my_class(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """Sessions a class teacher can sign up for, by their deadline."""
    return [
        Waiting(
            title=Text(x.activity.title_zh, x.activity.title_en),
            url=url_for("practice.show", session_id=x.session.id),
            detail=Text(
                f"{when.short_moment(x.session.starts_at, 'zh')}出发，可为班级报名",
                f"{when.short_moment(x.session.starts_at, 'en')}: open for your class",
            ),
            due=x.session.signup_until,
        )
        for x in queries.sessions_open_to(session, actor, now)
    ]
