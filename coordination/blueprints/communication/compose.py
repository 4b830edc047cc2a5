"""Writing a notice: whom it reaches, what it costs, what gives reason to think, and the last button."""

from __future__ import annotations

from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.blueprints.communication import addressing, preview, typed
from coordination.blueprints.communication.blueprint import bp
from coordination.blueprints.communication.forms import PAGE, NoticeForm
from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import queries, reach, rules, services
from coordination.domain.communication.notices.content import Concern
from coordination.domain.communication.texts import budgets, family_budget, quiet
from coordination.domain.people.models import Organisation
from coordination.ground import clock, crypto
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions.quiet_hours import wait_of_notice
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import (
    current_actor,
    reading,
    require,
    unit_of_work,
)
from coordination.web.say import say


def _addressees(held: Session, form: NoticeForm) -> addressing.Addressees:
    """The same, with when it would leave, at whose cost, and whether a second person looks first."""
    planned = typed.send_at(form)
    texts_at = (planned or clock.now()) + typed.alone(form) if typed.alone(form) else None
    leaves = texts_at or planned or clock.now()
    wait = wait_of_notice(held, leaves, when.zone())
    whom = addressing.whom_of(held, form)
    urgent = bool((form.urgent_reason.data or "").strip())
    return addressing.Addressees(
        whom.label,
        whom.sender,
        whom.counts,
        whom.audience,
        planned,
        wait,
        texts_at,
        addressing.seconds_of(held, whom, urgent=urgent),
        budgets.account(held, whom.org_id, leaves) if whom.org_id else None,
    )


def _compose(form: NoticeForm, changing: int | None = None) -> ResponseReturnValue:
    if form.refusal is not None and form.refusal.code in ("notice_left", "notice_stopped"):
        # too late to change it, but what was typed can leave as a notice of its own
        form.draft_key.data, changing = crypto.new_token(), None
    with reading() as held:
        somebody = addressing.offer(held, form)
        whom = _addressees(held, form)
    title = Text(form.title_zh.data or "", form.title_en.data or "")
    previews = preview.previews_of(whom.counts, whom.sender, title)
    return render_form(
        "communication/compose.html",
        form,
        whom=whom,
        previews=previews,
        cost=preview.cost_of(previews),
        nobody=not somebody,
        changing=changing,
        action=_action(changing),
    )


def _action(changing: int | None) -> str:
    """Where the pages of a draft, or of the notice that is changed, lead."""
    if changing is None:
        return url_for("communication.compose")
    return url_for("communication.change", notice_id=changing)


@bp.route("/new", methods=["GET", "POST"])
@guard(Access.STAFF)
def compose() -> ResponseReturnValue:
    """Write a notice. Three buttons: refresh the counts, check, and (after the check) send."""
    form = NoticeForm()
    with reading() as held:
        addressing.offer(held, form)
    if not form.draft_key.data:
        form.draft_key.data = crypto.new_token()
    return _writing(form)


@bp.route("/<int:notice_id>/change", methods=["GET", "POST"])
@guard(Access.STAFF)
def change(notice_id: int) -> ResponseReturnValue:
    """The same pages for a notice that waits for its time."""
    with reading() as held:
        notice = queries.notice_of(held, current_actor(), notice_id)
        for place in reach.places_of(notice):
            require(Action.NOTICE_SEND, place)
        form = NoticeForm(data=typed.as_typed(notice))
        addressing.offer(held, form)
    if notice.state not in services.CHANGEABLE and not form.is_submitted():
        return redirect(url_for("communication.show", notice_id=notice_id), 303)
    with attempt(form) as still:
        services.refuse_unless_changeable(notice)
    return _writing(form, notice_id) if still.ok else _compose(form)


def _writing(form: NoticeForm, changing: int | None = None) -> ResponseReturnValue:
    """The step that was asked for: refresh, check, or send (now, or later by the clock)."""
    step = request.form.get("step", "")
    if not form.validate_on_submit() or step == "count":
        return _compose(form, changing)
    if step == "send":
        notice_id, waits = None, False
        with attempt(form) as done, unit_of_work() as uow:
            notice = _send(uow, form, changing)
            notice_id, waits = notice.id, notice.state == "awaiting"
        if done.ok and notice_id is not None:
            planned = typed.send_at(form)
            texts = not form.urgent_reason.data and not typed.alone(form)
            wait = preview.wait_at(planned or clock.now()) if texts else None
            zh, en = preview.moments(wait.until if wait else planned or clock.now())
            if waits:
                say(preview.HANDED_OVER)
            elif planned:
                say(Text(f"已定时，将于 {zh} 发出。", f"Scheduled: it leaves on {en}."))
            elif typed.alone(form):
                say(
                    Text(
                        "已在平台发布，现在不发短信。",
                        "It is on the platform; no text leaves now.",
                    )
                )
            elif wait:
                say(Text(f"通知已写好，短信将于 {zh} 发出。", f"Done: the texts leave on {en}."))
            else:
                say(Text("通知已发送。", "The notice is on its way."))
            return redirect(url_for("communication.show", notice_id=notice_id), 303)
        if form.refusal is not None and form.refusal.code == "unseen_concerns":
            return _check(form, changing)
        return _compose(form, changing)
    if step == "test":
        return _try(form, changing)
    with attempt(form) as done, reading() as held:
        rules.refuse_poor_text(
            title_zh=form.title_zh.data or "",
            title_en=form.title_en.data or "",
            body_zh=form.body_zh.data or "",
            body_en=form.body_en.data or "",
            links_allowed=preview.links_allowed(),
        )
        typed.options_in(form)
        rules.refuse_poor_reason(form.urgent_reason.data or "")
        rules.refuse_odd_beginning(
            page_first=form.begins.data == PAGE,
            hours=typed.hours_of(form),
            urgent_reason=form.urgent_reason.data or "",
        )
        rules.refuse_poor_times(
            send_at=typed.send_at(form),
            due_at=typed.due(form),
            now=clock.now(),
            alone=typed.alone(form),
        )
        rules.refuse_concerns([c for c in _concerns(held, form) if c.stops], ())
    if not done.ok or not (form.org_id.data or form.class_ids.data):
        return _compose(form, changing)
    return _check(form, changing)


def _try(form: NoticeForm, changing: int | None = None) -> ResponseReturnValue:
    """A text to the writer's own phone, and the same page again."""
    with attempt(form) as done, unit_of_work() as uow:
        services.try_notice(
            uow,
            test_key=(form.test_key.data or "")[: typed.LONGEST_KEY],
            class_ids=[] if form.org_id.data else form.class_ids.data or [],
            org_id=int(form.org_id.data) if form.org_id.data else None,
            title=Text(form.title_zh.data or "", form.title_en.data or ""),
            body=Text(form.body_zh.data or "", form.body_en.data or ""),
            links_allowed=preview.links_allowed(),
        )
    if done.ok:
        say(
            Text(
                "已发到您自己的手机，短信里标有“测试”，短码打不开内容。家长没有收到。",
                "It is on its way to your own phone, marked TEST; its code opens nothing. No family"
                " has got it.",
            )
        )
    elif form.refusal is not None and form.refusal.fields:
        return _compose(form, changing)
    return _check(form, changing)


def _send(uow: UnitOfWork, form: NoticeForm, changing: int | None) -> Notice:
    said: dict[str, Any] = {
        **typed.said_in(form),
        "class_ids": [] if form.org_id.data else form.class_ids.data or [],
        "org_id": int(form.org_id.data) if form.org_id.data else None,
        "send_at": typed.send_at(form),
    }
    if changing is not None:
        return services.change_notice(uow, notice_id=changing, **said)
    return services.send_notice(uow, draft_key=form.draft_key.data or "", **said)


def _check(form: NoticeForm, changing: int | None = None) -> ResponseReturnValue:
    """Everything once more before it leaves, and what in it gives reason to think."""
    form.test_key.data = crypto.new_token()
    with reading() as held:
        whom = _addressees(held, form)
        found = _concerns(held, form)
        outlook = _outlook(held, form)
        policy = quiet.policy_of(held)
    title = Text(form.title_zh.data or "", form.title_en.data or "")
    previews = preview.previews_of(whom.counts, whom.sender, title)
    with attempt(form) as done:
        # said before the last button, and held to again when it is pressed
        if whom.account is not None and not form.urgent_reason.data:
            budgets.refuse_beyond(whom.account, preview.cost_of(previews))
    if not done.ok:
        return _compose(form, changing)
    return render_form(
        "communication/check.html",
        form,
        whom=whom,
        concerns=[(getattr(form, c.field).label.text, c.says) for c in found],
        kinds=" ".join(sorted({c.kind for c in found})),
        previews=previews,
        cost=preview.cost_of(previews),
        outlook=outlook,
        gathering=policy.gather_from and (policy.gather_from, policy.gather_at) if policy else None,
        how=preview.how(
            typed.level_of(form), typed.hours_of(form), page_first=form.begins.data == PAGE
        ),
        then=preview.then(
            typed.level_of(form), typed.hours_of(form), page_first=form.begins.data == PAGE
        ),
        action=_action(changing),
    )


def _outlook(held: Session, form: NoticeForm) -> family_budget.Outlook | None:
    """What it would be to families that get other texts in the same week; see `rounds` for which
    notices are counted."""
    if form.urgent_reason.data or typed.alone(form):
        return None
    now, whom = clock.now(), int(form.org_id.data or 0)
    wide = bool(whom) and held.get_one(Organisation, whom).kind == "district"
    children = reach.children_named(form.class_ids.data or [], whom, when.today())
    families = family_budget.families_of(children, when.today())
    return family_budget.outlook(held, families, at=typed.send_at(form) or now, now=now, wide=wide)


def _concerns(held: Session, form: NoticeForm) -> list[Concern]:
    title = Text(form.title_zh.data or "", form.title_en.data or "")
    body = Text(form.body_zh.data or "", form.body_en.data or "")
    return addressing.concerns_for(held, form, title, body)
