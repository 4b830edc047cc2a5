"""Notices as who wrote them sees them: the list, where each stands, stop, remind."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import Actor
from coordination.blueprints.communication import (
    addressing,
    alerting,
    calls,
    compose,
    files,
    guardian,
    load,
    looking,
    preview,
    unreachable,
)
from coordination.blueprints.communication.blueprint import bp
from coordination.domain.communication.files import child_files
from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import (
    choices,
    dispatch,
    queries,
    reach,
    second_look,
    services,
)
from coordination.domain.communication.texts.load import places as places_to_count
from coordination.domain.communication.unanswered import calls as domain_calls
from coordination.domain.communication.unanswered import silence
from coordination.domain.communication.unanswered.unreachable import (
    may_look as may_look_for_families,
)
from coordination.ground import clock
from coordination.ground.errors import CoordinationError
from coordination.ground.text import Text
from coordination.reactions.quiet_hours import wait_of_notice
from coordination.web import delivery, when
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import (
    current_actor,
    reading,
    require,
    unit_of_work,
)
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff
from notifications.progress import progress as delivered_so_far
from notifications.states import WAITING, State

__all__ = [
    "alerting",
    "bp",
    "calls",
    "compose",
    "files",
    "guardian",
    "load",
    "looking",
    "unreachable",
]


@bp.get("/")
@guard(Access.STAFF)
def index() -> ResponseReturnValue:
    """My school's and classes' notices, newest first."""
    with reading() as held:
        lines = queries.notices_of(held, current_actor())
        may_send_files = bool(queries.classes_to_write_to(held, current_actor()))
        may_write = may_send_files or bool(queries.organisations_to_write_to(held, current_actor()))
        drafts = child_files.drafts_of(held, current_actor())
        may_look = may_look_for_families(held, current_actor())
        may_count = bool(places_to_count(held, current_actor()))
    return render_template(
        "communication/index.html",
        lines=lines,
        may_write=may_write,
        may_send_files=may_send_files,
        drafts=[(draft, child_files.kept_until(draft)) for draft in drafts],
        may_look=may_look,
        may_count=may_count,
    )


@bp.get("/<int:notice_id>")
@guard(Access.STAFF)
def show(notice_id: int) -> ResponseReturnValue:
    """Where every message stands, who is silent, and the one button that reminds only them."""
    wanted = request.args.get("show", "")
    with reading() as held:
        notice = queries.notice_of(held, current_actor(), notice_id)
        if notice.sent_at is None:
            return _show_unsent(held, notice)
        page = paged(held, queries.progress_query(notice, wanted))
        lines = queries.progress_lines(held, page.items)
        counts = queries.funnel(held, notice, clock.now())
        may_call = bool(domain_calls.classes_to_call(held, current_actor(), notice))
        going = queries.is_going_out(held, notice)
        alone = queries.stands_alone(held, notice)
        too_many = queries.families_over(held, notice)
        second = second_look.name_of(held, notice.approved_by_id)
        due = notice.ladder_at
        looks = child_files.may_look(current_actor(), notice)
        tally = choices.tally_of(held, current_actor(), notice) if notice.options_zh else []
        filed = child_files.lines_of(held, notice, when.today()) if looks else []
        text_at = due if alone else None
        if text_at and (wait := wait_of_notice(held, text_at, when.zone())):
            text_at = wait.until
    return render_template(
        "communication/show.html",
        notice=notice,
        alone=alone,
        text_at=text_at,
        too_many=too_many,
        lines=lines,
        page=page,
        counts=counts,
        going=going,
        may_write=reach.may_nudge(current_actor(), notice),
        state_word=delivery.state_word,
        state_tone=delivery.state_tone,
        reason_word=delivery.reason_word,
        may_call=may_call,
        second=second,
        filed=filed,
        tally=tally,
        children_asked=sum(line.count for line in tally),
        can_be_opened=child_files.can_be_opened(notice, clock.now()),
        until=child_files.kept_until(notice),
        wanted=wanted,
    )


def _show_unsent(held: Session, notice: Notice) -> str:
    """A notice that waits for its time or its second person, or was withdrawn before it."""
    leaves = dispatch.texts_at(notice, max(notice.send_at or clock.now(), clock.now()))
    wait = None if notice.urgent_reason else wait_of_notice(held, leaves, when.zone())
    seconds = second_look.seconds_of(
        held, org_id=notice.school_id, writer_id=notice.sender_id, today=when.today()
    )
    waits = notice.state == "awaiting"
    return render_template(
        "communication/unsent.html",
        notice=notice,
        wait=wait,
        reason=delivery.reason_word(notice.unsent_reason),
        may_write=reach.may_nudge(current_actor(), notice),
        seconds=[person.name for person in seconds] if waits else [],
        may_look=waits and current_actor().person_id in {person.id for person in seconds},
        **addressing.said_of(held, notice),
    )


@bp.get("/<int:notice_id>/progress")
@guard(Access.STAFF)
def progress(notice_id: int) -> ResponseReturnValue:
    """Counts, pace and what is left of a notice that is going out; no list of people."""
    with reading() as held:
        notice = queries.notice_of(held, current_actor(), notice_id)
        if notice.sent_at is None:
            return redirect(url_for("communication.show", notice_id=notice_id), 303)
        found = delivered_so_far(held, "notice", notice.id, clock.now())
        more = queries.unwritten(held, notice)
        going = queries.is_going_out(held, notice)
        alone = queries.stands_alone(held, notice)
    return render_template(
        "communication/progress.html",
        notice=notice,
        alone=alone,
        found=found,
        more=more,
        going=going,
        # what was being sent when it was stopped is still on its way
        live=going or bool(found.count((State.SENDING,))),
        minutes=found.minutes_for(more),
        may_write=reach.may_nudge(current_actor(), notice),
        rows=[(state, found.states[state]) for state in State if found.states.get(state)],
        state_word=delivery.state_word,
        state_tone=delivery.state_tone,
        held_word=delivery.held_word,
    )


@bp.get("/<int:notice_id>/stop")
@guard(Access.STAFF)
def confirm_stop(notice_id: int) -> ResponseReturnValue:
    """Ask once more, with the number of families who would not hear."""
    with reading() as held:
        notice = queries.notice_of(held, current_actor(), notice_id)
        for place in reach.places_of(notice):
            require(Action.NOTICE_SEND, place)
        found = delivered_so_far(held, "notice", notice.id, clock.now())
        more = queries.unwritten(held, notice)
        going = queries.is_going_out(held, notice)
        alone = queries.stands_alone(held, notice)
    return render_template(
        "communication/stop.html",
        notice=notice,
        # a text would still come
        alone=alone and notice.ladder_at is not None,
        going=going,
        has_files=notice.reach == reach.CHILDREN,
        waiting=found.count(WAITING) + more,
        gone=found.total - found.count(WAITING),
    )


@bp.post("/<int:notice_id>/stop")
@guard(Access.STAFF)
def stop(notice_id: int) -> ResponseReturnValue:
    """Let nothing more leave."""
    with unit_of_work() as uow:
        notice = services.stop_notice(uow, notice_id=notice_id)
        unsent, alone = notice.sent_at is None, queries.stands_alone(uow.session, notice)
        has_files = notice.reach == reach.CHILDREN
    if unsent:
        say(Text("已撤回，没有任何家长收到。", "Withdrawn; nobody has been written to."))
        return redirect(url_for("communication.show", notice_id=notice_id), 303)
    if has_files:
        say(
            Text(
                "已收回：材料不能再打开，还没发出的短信不会再发。",
                "Taken back: the files can no longer be opened, and no more texts leave.",
            )
        )
        return redirect(url_for("communication.show", notice_id=notice_id), 303)
    if alone:
        say(
            Text(
                "已停止，不会再发短信。通知仍在平台上，家长看得到。",
                "Stopped; no text will leave. Families can still read it on the platform.",
            )
        )
        return redirect(url_for("communication.show", notice_id=notice_id), 303)
    say(
        Text(
            "已停止。尚未发出的短信不会再发；已交给运营商的无法撤回。",
            "Stopped. What has not left stays here; what the provider has cannot be called back.",
        )
    )
    return redirect(url_for("communication.progress", notice_id=notice_id), 303)


def _chased(count: int, *, alone: bool) -> Text:
    """What pressing the button has done; `alone` says that the notice was on the platform only."""
    if wait := preview.wait_at(clock.now()):
        zh, en = preview.moments(wait.until)
        if alone:
            return Text(
                f"将于 {zh} 给 {count} 位还没回应的家长发短信。",
                f"Texts to silent guardians leave on {en}: {count}.",
            )
        return Text(
            f"将于 {zh} 提醒 {count} 位未回复的家长。",
            f"{count} silent guardians will be reminded on {en}.",
        )
    if alone:
        return Text(
            f"正在给 {count} 位还没回应的家长发短信。",
            f"Texts to silent guardians on their way: {count}.",
        )
    return Text(f"已提醒 {count} 位未回复的家长。", f"{count} silent guardians were reminded.")


@bp.post("/<int:notice_id>/nudge")
@guard(Access.STAFF)
def nudge(notice_id: int) -> ResponseReturnValue:
    """Remind only the silent."""
    try:
        with unit_of_work() as uow:
            notice = uow.session.get(Notice, notice_id)
            alone = notice is not None and queries.stands_alone(uow.session, notice)
            count = silence.nudge_silent(uow, notice_id=notice_id)
        say(_chased(count, alone=alone))
    except CoordinationError as refusal:
        if refusal.status in (403, 404):
            raise
        say(refusal.message, "need")
    return redirect(url_for("communication.show", notice_id=notice_id), 303)


UNSENT_SHOWN = timedelta(days=7)


@waits_for_staff
def unsent(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """Scheduled notices that did not leave when their time came."""
    return [
        Waiting(
            title=Text(notice.title_zh, notice.title_en),
            url=url_for("communication.show", notice_id=notice.id),
            detail=Text("定时通知没有发出", "This scheduled notice was not sent"),
            urgent=True,
        )
        for notice in queries.unsent(session, actor, now - UNSENT_SHOWN)
    ]
