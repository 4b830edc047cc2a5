"""Pages of the district administration: what happened and why, and the hours of quiet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from calendars.workdays import DayKind
from coordination.blueprints.admin.forms import (
    ApprovalForm,
    BudgetForm,
    DaysForm,
    LimitForm,
    QuietForm,
    SecondLookForm,
    TermForm,
)
from coordination.domain.communication.models import WordingApproval
from coordination.domain.communication.notices import second_look
from coordination.domain.communication.texts import approvals, budgets, limits, quiet
from coordination.domain.oversight import audits, traces
from coordination.domain.oversight import running as circuits_and_jobs
from coordination.domain.oversight.running import board_of
from coordination.domain.oversight.wording import job_word, subject_word, table_word, tick_word
from coordination.domain.people import schooldays as days_of_school
from coordination.ground import clock
from coordination.ground.errors import CoordinationError, Forbidden, NotFound
from coordination.ground.text import LANGUAGES, Language, Text
from coordination.reactions import catalogue, notices, together, variables
from coordination.reactions.carriers import values_kept, ways_of
from coordination.web import delivery
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import any_office, current_actor, own_office, reading, unit_of_work
from coordination.web.say import say
from coordination.web.when import ago, today
from notifications.segments import Segments, segments

bp = Blueprint("admin", __name__, url_prefix="/admin")

ACTIONS = {
    "add": Text("新增", "Added"),
    "change": Text("修改", "Changed"),
    "look": Text("查看", "Looked at"),
    "remove": Text("删除", "Removed"),
}
KINDS = {
    "notice": Text("通知", "Notice"),
    "notices_together": Text("几条通知合并", "Several notices in one"),
    "notice_nudge": Text("通知提醒", "Notice reminder"),
    "notice_returned": Text("通知被退回", "Notice came back"),
    "notice_to_look_at": Text("通知待复核", "Notice waits for a second look"),
    "sign_in_code": Text("登录验证码", "Sign-in code"),
    "consent_asked": Text("知情同意", "Consent asked"),
    "consent_recorded": Text("学校登记了答复", "Answer noted by the school"),
    "consent_reminder": Text("催答复", "Reminder to answer"),
    "enrolment_base": Text("报名告知基地", "Sign-up, to the base"),
    "enrolment_place": Text("候补递补", "A place became free"),
    "session_reminder": Text("活动提醒", "Activity reminder"),
    "session_reminder_staff": Text("活动提醒（工作人员）", "Activity reminder, to staff"),
    "safe_return": Text("平安返校", "Back at school"),
    "session_return": Text("返校提醒", "Return reminder"),
    "session_roll": Text("补点名提醒", "Reminder of the roll"),
    "session_moved": Text("活动改期", "Activity moved"),
    "session_moved_family": Text("活动改期（无需答复）", "Activity moved, nothing to answer"),
    "session_moved_staff": Text("活动改期（工作人员）", "Activity moved, to staff"),
    "session_cancelled": Text("活动取消", "Activity cancelled"),
    "shift_taken": Text("志愿班次已报名", "Shift taken"),
    "shift_released": Text("志愿班次已退出", "Shift given back"),
    "booking_requested": Text("预约申请", "Booking requested"),
    "booking_confirmed": Text("预约成功", "Booking confirmed"),
    "booking_declined": Text("预约未通过", "Booking declined"),
    "booking_moved": Text("预约改期", "Booking moved"),
    "booking_cancelled": Text("预约被资源方取消", "Booking cancelled by the owner"),
    "booking_cancelled_family": Text("预约取消（家长）", "Booking cancelled, to families"),
    "booking_withdrawn": Text("预约撤回", "Booking withdrawn"),
    "booking_expired": Text("预约逾期", "Booking expired"),
    "calendar_failing": Text("外部日历读取失败", "Outside calendar cannot be read"),
    "invitation": Text("日历邀请（邮件）", "Calendar invitation, by mail"),
    "invitation_off": Text("日历邀请取消（邮件）", "Invitation cancelled, by mail"),
    "mail_alert": Text("紧急通知（邮件）", "Alert, by mail"),
    "mail_no_receipt": Text("短信没有回执，另发邮件", "By mail: no receipt of the text came"),
    "mail_in_doubt": Text("短信是否发出不确定，另发邮件", "By mail: the text is in doubt"),
    "mail_not_delivered": Text("短信没有送达，另发邮件", "By mail: the text was not delivered"),
}


# state -> (word, tone of its badge)
WORDING_STATES = {
    "draft": (approvals.STATES["draft"], ""),
    "submitted": (approvals.STATES["submitted"], "info"),
    "approved": (approvals.STATES["approved"], "ok"),
    "rejected": (approvals.STATES["rejected"], "bad"),
    approvals.CHANGED: (Text("文案已改，需重新报审", "Changed, hand it in again"), "need"),
}


def _number(name: str) -> int | None:
    asked = request.args.get(name, "").strip()
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 18 else None


def _kind(key: str) -> Text:
    return KINDS.get(key) or Text(key, key)


@bp.get("/")
@guard(Access.ADMIN)
def index() -> ResponseReturnValue:
    """What the administration can look up."""
    return render_template("admin/index.html", office=bool(any_office()))


@bp.route("/quiet", methods=["GET", "POST"])
@guard(Access.ADMIN)
def quiet_hours() -> ResponseReturnValue:
    """When texts wait, or wait for each other, and who did not let them wait, with the reason given."""
    office = any_office()
    if office is None:
        raise Forbidden()
    form = QuietForm()
    with reading() as held:
        policy = quiet.policy_of(held)
        sent = traces.urgent_notices(held, current_actor())
        rows = approvals.entered(held)
    if not form.is_submitted() and policy is not None:
        form.quiet_from.data, form.quiet_until.data = policy.quiet_from, policy.quiet_until
        form.rest_days.data = policy.rest_days
        form.gather_from.data, form.gather_at.data = policy.gather_from, policy.gather_at
    begin, end = form.quiet_from.data, form.quiet_until.data
    if form.validate_on_submit() and begin is not None and end is not None:
        with attempt(form) as done, unit_of_work() as uow:
            quiet.set_policy(
                uow,
                org_id=office,
                quiet_from=begin,
                quiet_until=end,
                rest_days=bool(form.rest_days.data),
                gather_from=form.gather_from.data,
                gather_at=form.gather_at.data,
            )
        if done.ok:
            say(Text("发送时间已保存。", "The times of sending are saved."))
            return redirect(url_for("admin.quiet_hours"), 303)
    sides = _sides(rows, together.KEY) if _needs_templates() else []
    return render_form(
        "admin/quiet.html",
        form,
        policy=policy,
        sent=sent,
        said_alone=[s.language for s in sides if s.state != "approved"],
        together=together.KEY,
    )


@bp.route("/limits", methods=["GET", "POST"])
@guard(Access.ADMIN)
def text_limits() -> ResponseReturnValue:
    """How many texts a phone gets in a day, and what each school's texts have cost this month."""
    office, form = own_office(), LimitForm()
    month = budgets.month_of(clock.now())
    with reading() as held:
        most = limits.chosen(held)
        accounts = budgets.accounts_of_district(held, office, month)
    if not form.is_submitted():
        form.per_day.data = limits.PROPOSED if most is None else most
    wanted = form.per_day.data
    if form.validate_on_submit() and wanted is not None:
        with attempt(form) as done, unit_of_work() as uow:
            limits.set_per_day(uow, org_id=office, per_day=wanted)
        if done.ok:
            say(Text("每日上限已保存。", "The daily limit is saved."))
            return redirect(url_for("admin.text_limits"), 303)
    return render_form("admin/limits.html", form, most=most, accounts=accounts)


@bp.route("/second-look", methods=["GET", "POST"])
@guard(Access.ADMIN)
def second_looks() -> ResponseReturnValue:
    """Above how many guardians a notice waits for a second person."""
    office, form = own_office(), SecondLookForm()
    with reading() as held:
        policy = second_look.policy_of(held)
    if not form.is_submitted():
        form.above.data = policy.above if policy else second_look.PROPOSED
        form.urgent_too.data = bool(policy and policy.urgent_too)
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            second_look.set_policy(
                uow,
                org_id=office,
                above=form.above.data,
                urgent_too=bool(form.urgent_too.data),
            )
        if done.ok:
            say(Text("复核的规定已保存。", "The rule of second looks is saved."))
            return redirect(url_for("admin.second_looks"), 303)
    return render_form("admin/second_look.html", form, above=policy.above if policy else None)


@bp.route("/limits/budgets/<int:org_id>", methods=["GET", "POST"])
@guard(Access.ADMIN)
def text_budget(org_id: int) -> ResponseReturnValue:
    """What the texts of a school, or of the district's own notices, may cost in a month."""
    office, form = own_office(), BudgetForm()
    with reading() as held:
        found = budgets.accounts_of_district(held, office, budgets.month_of(clock.now()))
    account = next((a for a in found if a.org_id == org_id), None)
    if account is None:
        raise NotFound()
    if not form.is_submitted() and account.budget is not None:
        form.yuan.data = int(account.budget)
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            budgets.set_budget(uow, office_id=office, org_id=org_id, yuan=form.yuan.data)
        if done.ok:
            say(Text("预算已保存。", "The budget is saved."))
            return redirect(url_for("admin.text_limits"), 303)
    return render_form("admin/budget.html", form, account=account)


@dataclass(frozen=True, slots=True)
class Side:
    """A wording in one language: as a phone shows it, and what the provider says of it."""

    language: Language
    body: str
    size: Segments
    version: str
    # of approvals.STATES, or approvals.CHANGED
    state: str
    template_id: str
    to_submit: str


def _sides(rows: Mapping[tuple[str, str], WordingApproval], message: str) -> list[Side]:
    site, found = catalogue.site_of(notices.route().public_url), []
    for chosen in LANGUAGES:
        said = notices.wording(message, chosen)
        body = catalogue.reads(said, chosen, notices.route())
        version, row = catalogue.version_of(message, chosen, site), rows.get((message, chosen))
        found.append(
            Side(
                chosen,
                body,
                segments(body),
                version,
                approvals.standing(row, version),
                row.template_id if row is not None else "",
                catalogue.to_submit(said, chosen, site),
            )
        )
    return found


def _needs_templates() -> bool:
    return values_kept(current_app.config["SETTINGS"])


@bp.get("/wordings")
@guard(Access.ADMIN)
def wordings() -> ResponseReturnValue:
    """Every text message as it reads in both languages, and whether the provider approves it."""
    own_office()
    with reading() as held:
        rows = approvals.entered(held)
    lines = [(key, _kind(key), _sides(rows, key)) for key in catalogue.messages()]
    states = [side.state for _, _, sides in lines for side in sides]
    return render_template(
        "admin/wordings.html",
        lines=lines,
        approved=states.count("approved"),
        changed=states.count(approvals.CHANGED),
        total=len(states),
        states=WORDING_STATES,
        needed=_needs_templates(),
    )


@bp.route("/wordings/<message>/<language>", methods=["GET", "POST"])
@guard(Access.ADMIN)
def wording(message: str, language: str) -> ResponseReturnValue:
    """One message in one language: what to hand in, and the provider's id and state."""
    office, form = own_office(), ApprovalForm()
    if message not in catalogue.messages() or language not in LANGUAGES:
        raise NotFound()
    with reading() as held:
        rows = approvals.entered(held)
    side = next(s for s in _sides(rows, message) if s.language == language)
    if not form.is_submitted():
        form.template_id.data = side.template_id
        form.state.data = "draft" if side.state == approvals.CHANGED else side.state
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            approvals.enter(
                uow,
                org_id=office,
                key=message,
                language=language,
                version=side.version,
                template_id=form.template_id.data or "",
                state=form.state.data,
            )
        if done.ok:
            say(Text("已保存，十几秒内生效。", "Saved; it takes effect within seconds."))
            return redirect(url_for("admin.wordings", _anchor=message), 303)
    types = variables.declared()[message]
    return render_form(
        "admin/wording.html",
        form,
        name=_kind(message),
        side=side,
        states=WORDING_STATES,
        longest=variables.GATEWAY_LONGEST,
        places=[
            (
                place,
                variables.TYPES[kind],
                variables.TYPES[kind].longest(language),
                catalogue.sample_of(message, place, language),
            )
            for place, kind in types.items()
        ],
    )


@bp.get("/schooldays")
@guard(Access.ADMIN)
def schooldays() -> ResponseReturnValue:
    """Terms, and the days on which the district departs from the published calendar."""
    own_office()
    now = today()
    with reading() as held:
        terms = days_of_school.terms_of(held)
        days = days_of_school.own_days(held, now.replace(month=1, day=1))
    return render_template(
        "admin/schooldays.html",
        terms=terms,
        days=days,
        kinds={kind.value: word for kind, word in days_of_school.OWN_KINDS.items()},
        today=now,
    )


@bp.route("/schooldays/terms/new", methods=["GET", "POST"])
@guard(Access.ADMIN)
def new_term() -> ResponseReturnValue:
    """Enter a term."""
    return _term_page(None)


@bp.route("/schooldays/terms/<int:term_id>", methods=["GET", "POST"])
@guard(Access.ADMIN)
def term(term_id: int) -> ResponseReturnValue:
    """Change a term."""
    return _term_page(term_id)


def _term_page(term_id: int | None) -> ResponseReturnValue:
    office, form, known = own_office(), TermForm(), None
    if term_id is not None:
        with reading() as held:
            known = next((t for t in days_of_school.terms_of(held) if t.id == term_id), None)
        if known is None:
            raise NotFound()
        if not form.is_submitted():
            form.process(obj=known)
    starts_on, ends_on = form.starts_on.data, form.ends_on.data
    if form.validate_on_submit() and starts_on is not None and ends_on is not None:
        with attempt(form) as done, unit_of_work() as uow:
            days_of_school.save_term(
                uow,
                org_id=office,
                term_id=term_id,
                name=Text(form.name_zh.data or "", form.name_en.data or ""),
                starts_on=starts_on,
                ends_on=ends_on,
            )
        if done.ok:
            say(Text("学期已保存，全区校历随之更新。", "The term is saved; the calendar follows."))
            return redirect(url_for("admin.schooldays"), 303)
    return render_form("admin/term.html", form, term=known)


@bp.post("/schooldays/terms/<int:term_id>/remove")
@guard(Access.ADMIN)
def remove_term(term_id: int) -> ResponseReturnValue:
    """Take a term out."""
    office = own_office()
    with _told(Text("学期已删除。", "The term is removed.")), unit_of_work() as uow:
        days_of_school.remove_term(uow, org_id=office, term_id=term_id)
    return redirect(url_for("admin.schooldays"), 303)


@bp.route("/schooldays/days/new", methods=["GET", "POST"])
@guard(Access.ADMIN)
def new_days() -> ResponseReturnValue:
    """Make days off, make-up days or exam days."""
    office, form = own_office(), DaysForm()
    first, last = form.first.data, form.last.data
    if form.validate_on_submit() and first is not None and last is not None:
        with attempt(form) as done, unit_of_work() as uow:
            count = days_of_school.set_days(
                uow,
                org_id=office,
                first=first,
                last=last,
                kind=DayKind(form.kind.data),
                name=Text(form.name_zh.data or "", form.name_en.data or ""),
            )
        if done.ok:
            say(Text(f"已设置 {count} 天。", f"Days set: {count}."))
            return redirect(url_for("admin.schooldays"), 303)
    return render_form("admin/days.html", form)


@bp.post("/schooldays/days/<int:day_id>/remove")
@guard(Access.ADMIN)
def remove_day(day_id: int) -> ResponseReturnValue:
    """Let the published calendar hold for a day again."""
    office = own_office()
    done = Text("已恢复为国家公布的安排。", "The published calendar holds for that day again.")
    with _told(done), unit_of_work() as uow:
        days_of_school.clear_day(uow, org_id=office, day_id=day_id)
    return redirect(url_for("admin.schooldays"), 303)


@bp.get("/running")
@guard(Access.ADMIN)
def running() -> ResponseReturnValue:
    """What runs by itself: the clock's ticks, workers, queues, doubt, halted channels, jobs."""
    with reading() as held:
        found = board_of(
            held,
            current_actor(),
            clock.now(),
            ways_of(current_app.config["SETTINGS"])["sms"],
        )
    return render_template(
        "admin/running.html",
        board=found,
        tick_word=tick_word,
        job_word=job_word,
        ago=lambda at: ago(found.at - at),
        channel_word=delivery.channel_word,
        halt_word=delivery.halt_word,
    )


@bp.post("/running/circuits/<channel>/close")
@guard(Access.ADMIN)
def close_circuit(channel: str) -> ResponseReturnValue:
    """Try a halted channel again at once."""
    done = Text("通道已恢复，等待的消息马上发送。", "The channel is tried again now.")
    with _told(done), unit_of_work() as uow:
        circuits_and_jobs.close_circuit(uow, channel=channel)
    return redirect(url_for("admin.running"), 303)


@bp.post("/running/jobs/<int:job_id>/retry")
@guard(Access.ADMIN)
def retry_job(job_id: int) -> ResponseReturnValue:
    """Put a failed or stalled job back."""
    done = Text("任务已重新排队。", "The job waits for a worker again.")
    with _told(done), unit_of_work() as uow:
        circuits_and_jobs.retry_job(uow, job_id=job_id)
    return redirect(url_for("admin.running"), 303)


@contextmanager
def _told(done: Text) -> Iterator[None]:
    """Say that it is done, or why not; who may not do it at all gets the page that says so."""
    try:
        yield
    except CoordinationError as refusal:
        if refusal.status in (403, 404):
            raise
        say(refusal.message, "need")
    else:
        say(done)


@bp.get("/audit")
@guard(Access.ADMIN)
def audit() -> ResponseReturnValue:
    """Who changed what, newest first; the filter stands in the address."""
    table = request.args.get("table", "").strip()
    with reading() as held:
        actor = current_actor()
        tables = audits.tables_changed(held, actor)
        page = paged(
            held,
            audits.audit_query(
                actor, table=table, row_id=_number("row"), actor_id=_number("person")
            ),
        )
        lines = audits.audit_lines(page.items)
    return render_template(
        "admin/audit.html",
        lines=lines,
        page=page,
        tables=tables,
        table=table,
        row=_number("row"),
        person=_number("person"),
        actions=ACTIONS,
        word=table_word,
    )


@bp.get("/messages")
@guard(Access.ADMIN)
def messages() -> ResponseReturnValue:
    """Find the person whose messages are in question."""
    name = request.args.get("name", "").strip()[:60]
    with reading() as held:
        people = traces.people_called(held, current_actor(), name)
    return render_template("admin/messages.html", people=people, name=name)


@bp.get("/messages/of/<int:person_id>")
@guard(Access.ADMIN)
def story(person_id: int) -> ResponseReturnValue:
    """What one person was sent, what not, and why."""
    with reading() as held:
        found = traces.story_of(held, current_actor(), person_id, today())
    return render_template("admin/story.html", story=found, kind=_kind, **_words())


@bp.get("/messages/<int:message_id>")
@guard(Access.ADMIN)
def journey(message_id: int) -> ResponseReturnValue:
    """One message step by step."""
    with reading() as held:
        found = traces.journey_of(held, current_actor(), message_id)
    return render_template("admin/journey.html", journey=found, kind=_kind, **_words())


def _words() -> dict[str, object]:
    return {
        "state_word": delivery.state_word,
        "state_tone": delivery.state_tone,
        "subject_word": subject_word,
        "reason_word": delivery.reason_word,
        "channel_word": delivery.channel_word,
    }
