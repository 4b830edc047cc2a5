"""紧急通知: chosen from lists, looked at once, sent; then who has confirmed, place by place."""

from __future__ import annotations

from datetime import datetime, time

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.communication import addressing, preview
from coordination.blueprints.communication.blueprint import bp
from coordination.blueprints.communication.forms import AlertForm
from coordination.domain.communication.notices import alerts, queries, reach, rules
from coordination.domain.communication.unanswered import calls as domain_calls
from coordination.ground import clock, crypto
from coordination.ground.errors import CoordinationError
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say

# a page that everybody looks at must not be what the database is busy with
LIVE, LIVE_WIDE, WIDE = 3, 15, 5000


@bp.route("/alert", methods=["GET", "POST"])
@guard(Access.STAFF)
def alert() -> ResponseReturnValue:
    """Choose what has happened, check it, send it."""
    form = AlertForm()
    with reading() as held:
        somebody = addressing.offer(held, form)
    if not form.draft_key.data:
        form.draft_key.data = crypto.new_token()
    step = request.form.get("step", "")
    if somebody and step in ("check", "send") and form.validate_on_submit():
        if step == "send" and (sent := _send(form)):
            return sent
        if step == "check" or (form.refusal and form.refusal.code == "unseen_concerns"):
            return _check(form)
    return _form(form, somebody=somebody)


def _form(form: AlertForm, *, somebody: bool) -> ResponseReturnValue:
    _own_fields(form)
    return render_form("communication/alert.html", form, nobody=not somebody)


def _chosen(form: AlertForm) -> alerts.Alert:
    kind, _, fact = (form.fact.data or "").partition(":")
    return alerts.Alert(
        kind=kind,
        fact=fact,
        why=form.why.data or "",
        act=form.act.data or "",
        at=when.aware(when.today(), form.at.data) if form.at.data else None,
        extra=Text(form.extra_zh.data or "", form.extra_en.data or ""),
    )


def _clock_time(at: time | None) -> str:
    return f"{at:%H:%M}" if at else ""


def _check(form: AlertForm) -> ResponseReturnValue:
    chosen = _chosen(form)
    with attempt(form) as done, reading() as held:
        alerts.refuse_poor_alert(chosen, clock.now())
        title = alerts.title_of(chosen, _clock_time(form.at.data))
        body = alerts.body_of(chosen, title)
        rules.refuse_poor_text(
            title_zh=title.zh,
            title_en=title.en,
            body_zh=body.zh,
            body_en=body.en,
            links_allowed=preview.links_allowed(),
        )
        found = addressing.concerns_for(held, form, title, body)
        rules.refuse_concerns([c for c in found if c.stops], ())
        whom = addressing.whom_of(held, form)
        if whom.org_id is None:
            reach.refuse_no_classes()
        seconds = addressing.seconds_of(held, whom, urgent=True)
    if not done.ok:
        return _form(form, somebody=True)
    return render_form(
        "communication/alert_check.html",
        form,
        whom=whom,
        title=title,
        body=body,
        seconds=seconds,
        previews=preview.previews_of(whom.counts, whom.sender, title),
        concerns=[(_field_words(c.field), c.says) for c in found],
        kinds=" ".join(sorted({c.kind for c in found})),
    )


def _field_words(field: str) -> str:
    return str(Text("中文", "Chinese") if field.endswith("zh") else Text("英文", "English"))


def _own_fields(form: AlertForm) -> None:
    """Show what is wrong with the whole text at the words that were added to it."""
    refusal: CoordinationError | None = form.refusal
    fields = refusal.fields if refusal else {}
    for said, own in (("body_zh", form.extra_zh), ("body_en", form.extra_en)):
        if said in fields:
            own.errors = [*own.errors, fields[said].in_(language())]


def _send(form: AlertForm) -> ResponseReturnValue | None:
    notice_id, waits = None, False
    with attempt(form) as done, unit_of_work() as uow:
        notice = alerts.send_alert(
            uow,
            draft_key=form.draft_key.data or "",
            alert=_chosen(form),
            clock_time=_clock_time(form.at.data),
            class_ids=[] if form.org_id.data else form.class_ids.data or [],
            org_id=int(form.org_id.data) if form.org_id.data else None,
            looked_at=(form.looked_at.data or "").split(),
            links_allowed=preview.links_allowed(),
        )
        notice_id, waits = notice.id, notice.state == "awaiting"
    if not done.ok or notice_id is None:
        return None
    if waits:
        say(preview.HANDED_OVER)
        return redirect(url_for("communication.show", notice_id=notice_id), 303)
    say(Text("紧急通知正在发出。", "The alert is on its way."))
    return redirect(url_for("communication.confirmed", notice_id=notice_id), 303)


@bp.get("/<int:notice_id>/confirmed")
@guard(Access.STAFF)
def confirmed(notice_id: int) -> ResponseReturnValue:
    """How many children have somebody at home who has confirmed, by class or school, as it changes."""
    with reading() as held:
        notice = queries.notice_of(held, current_actor(), notice_id)
        if notice.sent_at is None or notice.level != "confirm":
            return redirect(url_for("communication.show", notice_id=notice_id), 303)
        places = alerts.confirmed_by_place(held, notice, when.today())
        may_call = bool(domain_calls.classes_to_call(held, current_actor(), notice))
        going = queries.is_going_out(held, notice)
    children = sum(place.children for place in places)
    known = sum(place.known for place in places)
    return render_template(
        "communication/confirmed.html",
        notice=notice,
        places=places,
        children=children,
        known=known,
        going=going,
        minutes=_minutes(notice.sent_at),
        every=LIVE_WIDE if children > WIDE else LIVE,
        may_call=may_call,
        may_write=reach.may_nudge(current_actor(), notice),
    )


def _minutes(since: datetime) -> int:
    return int((clock.now() - since).total_seconds() // 60)
