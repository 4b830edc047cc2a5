"""Writing a notice: whom it reaches, what it costs, what gives reason to think, and the last button."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from flask import current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.blueprints.communication.blueprint import bp
from coordination.blueprints.communication.forms import PAGE, SPANS, NoticeForm, WhomForm
from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import queries, reach, rules, second_look, services
from coordination.domain.communication.notices.audience import (
    Audience,
    Counts,
    audience_of,
    counts_of_organisation,
)
from coordination.domain.communication.notices.content import Concern
from coordination.domain.communication.texts import budgets, family_budget, quiet
from coordination.domain.people.models import ClassGroup, Organisation
from coordination.ground import clock, crypto
from coordination.ground.text import LANGUAGES, Text, mask_name
from coordination.ground.uow import UnitOfWork
from coordination.reactions import notices as wording
from coordination.reactions.quiet_hours import Wait, wait_of_notice
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import (
    current_actor,
    language,
    reading,
    require,
    unit_of_work,
)
from coordination.web.say import say
from notifications.segments import Segments, segments

LONGEST_KEY = 64
HANDED_OVER = Text(
    "已送交复核。复核通过以前，家长不会收到。",
    "It waits for a second person; no family gets it before that.",
)


def links_allowed() -> bool:
    return bool(current_app.config["SETTINGS"].sms_links == "allowed")


@dataclass(frozen=True, slots=True)
class Preview:
    """The text of one language as a phone would show it, with what it costs."""

    language: str
    body: str
    size: Segments
    messages: int

    @property
    def cost(self) -> Decimal:
        """In yuan, for all messages of this language."""
        return budgets.cost(self.size.count * self.messages)


def previews_of(counts: Counts, sender: Text, title: Text) -> list[Preview]:
    found = []
    for chosen in LANGUAGES:
        example = counts.examples.get(chosen)
        children = [mask_name(name) for name in (example.children if example else ())]
        joined = ("、" if chosen == "zh" else ", ").join(children) or "王*雨"
        body = wording.render(
            "notice",
            chosen,
            {
                "sender": sender,
                "children": joined,
                "title": Text(title.zh or "……", title.en or "…"),
            },
            "7K3QX9MD2F",
        )
        found.append(Preview(chosen, body, segments(body), counts.languages.get(chosen, 0)))
    return found


@dataclass(frozen=True, slots=True)
class Addressees:
    """Whom a draft is for, as its pages show it."""

    label: Text
    sender: Text
    counts: Counts
    # the lists of names, for some classes only
    audience: Audience | None
    # what the sender chose, if not at once
    planned: datetime | None = None
    # until when the texts will wait then, and why
    wait: Wait | None = None
    # when the platform has had it alone long enough; None if the texts leave with it
    texts_at: datetime | None = None
    # for whom it would wait, if so many may not be written to by one person alone
    seconds: tuple[str, ...] = ()
    # whose texts these are, and what their month has cost; None before anybody is chosen
    account: budgets.Account | None = None


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom a form names: what they are called, who writes to them, how many they are."""

    label: Text
    sender: Text
    counts: Counts
    audience: Audience | None
    org_id: int | None


def whom_of(held: Session, form: WhomForm) -> Whom:
    """Whom the form names now; the choices of the form are what the actor may write to."""
    if form.org_id.data:
        org = held.get_one(Organisation, int(form.org_id.data))
        counts = counts_of_organisation(held, org.id, when.today())
        return Whom(everybody(org), Text(org.name_zh, org.name_en), counts, None, org.id)
    groups = [
        g
        for g in queries.classes_to_write_to(held, current_actor())
        if g.id in (form.class_ids.data or [])
    ]
    audience = audience_of(held, [g.id for g in groups], when.today())
    school = held.get(Organisation, groups[0].school_id) if groups else None
    label = Text("、".join(g.name_zh for g in groups), ", ".join(g.name_en for g in groups))
    sender = sender_of(groups, school)
    return Whom(label, sender, audience.counts(), audience, school.id if school else None)


def _addressees(held: Session, form: NoticeForm) -> Addressees:
    """The same, with when it would leave, at whose cost, and whether a second person looks first."""
    planned = _send_at(form)
    texts_at = (planned or clock.now()) + alone(form) if alone(form) else None
    leaves = texts_at or planned or clock.now()
    wait = wait_of_notice(held, leaves, when.zone())
    whom = whom_of(held, form)
    urgent = bool((form.urgent_reason.data or "").strip())
    return Addressees(
        whom.label,
        whom.sender,
        whom.counts,
        whom.audience,
        planned,
        wait,
        texts_at,
        seconds_of(held, whom, urgent=urgent),
        budgets.account(held, whom.org_id, leaves) if whom.org_id else None,
    )


def seconds_of(held: Session, whom: Whom, *, urgent: bool) -> tuple[str, ...]:
    """Who could be the second person of a notice to so many; empty if it needs none."""
    policy = second_look.policy_of(held)
    if whom.org_id is None or not second_look.is_needed(
        policy, whom.counts.guardians, urgent=urgent
    ):
        return ()
    writer = current_actor().person_id or 0
    found = second_look.seconds_of(held, org_id=whom.org_id, writer_id=writer, today=when.today())
    return tuple(person.name for person in found)


def cost_of(previews: list[Preview]) -> Decimal:
    return sum((p.cost for p in previews), Decimal(0))


def everybody(org: Organisation) -> Text:
    return Text(f"{org.name_zh}全体家长", f"All families of {org.name_en}")


def sender_of(held_groups: list[ClassGroup], school: Organisation | None) -> Text:
    if school is None:
        return Text("学校", "School")
    if len(held_groups) == 1:
        group = held_groups[0]
        return Text(f"{school.name_zh}{group.name_zh}", f"{school.name_en}, {group.name_en}")
    return Text(school.name_zh, school.name_en)


def _due(form: NoticeForm) -> datetime | None:
    """Until eight in the evening of the day: nobody is asked to answer at midnight."""
    return when.aware(form.due_on.data, time(20)) if form.due_on.data else None


def _send_at(form: NoticeForm) -> datetime | None:
    """The moment the sender chose; None for at once."""
    if form.send_on.data is None or form.send_time.data is None:
        return None
    return when.aware(form.send_on.data, form.send_time.data)


def _hours(form: NoticeForm) -> int | None:
    return int(form.ladder.data) if form.ladder.data else None


def alone(form: NoticeForm) -> timedelta:
    """How long the platform has the notice alone, before any text."""
    if form.begins.data != PAGE:
        return timedelta(0)
    return timedelta(hours=_hours(form) or 0)


def how(level: str, hours: int | None, *, page_first: bool) -> Text:
    """How families are told, in words."""
    if not page_first or hours is None:
        return Text("直接发短信", "By text")
    span = SPANS[hours]
    if level == "confirm":
        return Text(
            f"先在平台发布；{span.zh}后还没确认的家庭才发短信",
            f"On the platform first; families that have not confirmed after {span.en} get a text",
        )
    return Text(
        f"先在平台发布；{span.zh}后还没看的家庭才发短信",
        f"On the platform first; families that have not read it after {span.en} get a text",
    )


def then(level: str, hours: int | None, *, page_first: bool) -> Text:
    """What follows by itself if nobody confirms, in words."""
    if level != "confirm" or hours is None:
        return Text("不自动跟进", "Nothing follows")
    span = SPANS[hours]
    if page_first:
        return Text(f"短信发出 {span.zh}后列入电话名单", f"Call list {span.en} after the text")
    return Text(
        f"{span.zh}后提醒一次，再过 {span.zh}列入电话名单",
        f"Remind after {span.en}, call list {span.en} later",
    )


def said_of(held: Session, notice: Notice) -> dict[str, Any]:
    """Whom a notice that has not left is for, as its pages say it."""
    if notice.reach in reach.WIDE:
        org = held.get_one(Organisation, notice.school_id)
        label, counts = everybody(org), counts_of_organisation(held, org.id, when.today())
    else:
        names = queries.class_names(held, notice.class_ids)
        label = Text("、".join(n.zh for n in names), ", ".join(n.en for n in names))
        counts = audience_of(held, notice.class_ids, when.today()).counts()
    chosen = {"page_first": notice.page_first}
    return {
        "label": label,
        "counts": counts,
        "how": how(notice.level, notice.ladder_hours, **chosen),
        "then": then(notice.level, notice.ladder_hours, **chosen),
    }


def offer(held: Session, form: WhomForm) -> bool:
    """Fill in whom the actor may write to, in this page's language; False if to nobody."""
    groups = queries.classes_to_write_to(held, current_actor())
    offices = queries.organisations_to_write_to(held, current_actor())
    form.class_ids.choices = [(g.id, Text(g.name_zh, g.name_en).in_(language())) for g in groups]
    form.org_id.choices = [
        *([("", Text("选择班级", "Some classes").in_(language()))] if groups else []),
        *((str(o.id), everybody(o).in_(language())) for o in offices),
    ]
    if not form.is_submitted():
        if len(groups) == 1:
            form.class_ids.data = [groups[0].id]
        if not groups and offices and not form.org_id.data:
            form.org_id.data = str(offices[0].id)
    return bool(groups or offices)


def _compose(form: NoticeForm, changing: int | None = None) -> ResponseReturnValue:
    if form.refusal is not None and form.refusal.code in ("notice_left", "notice_stopped"):
        # too late to change it, but what was typed can leave as a notice of its own
        form.draft_key.data, changing = crypto.new_token(), None
    with reading() as held:
        somebody = offer(held, form)
        whom = _addressees(held, form)
    title = Text(form.title_zh.data or "", form.title_en.data or "")
    previews = previews_of(whom.counts, whom.sender, title)
    return render_form(
        "communication/compose.html",
        form,
        whom=whom,
        previews=previews,
        cost=cost_of(previews),
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
        offer(held, form)
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
        form = NoticeForm(data=as_typed(notice))
        offer(held, form)
    if notice.state not in services.CHANGEABLE and not form.is_submitted():
        return redirect(url_for("communication.show", notice_id=notice_id), 303)
    with attempt(form) as still:
        services.refuse_unless_changeable(notice)
    return _writing(form, notice_id) if still.ok else _compose(form)


def as_typed(notice: Notice) -> dict[str, object]:
    """A notice as its form would hold it."""
    planned = when.local(notice.send_at) if notice.send_at else None
    return {
        "draft_key": notice.draft_key,
        "org_id": str(notice.school_id) if notice.reach in reach.WIDE else "",
        "class_ids": notice.class_ids,
        "title_zh": notice.title_zh,
        "title_en": notice.title_en,
        "body_zh": notice.body_zh,
        "body_en": notice.body_en,
        "level": notice.level,
        "urgent_reason": notice.urgent_reason or "",
        "begins": PAGE if notice.page_first else "text",
        "ladder": str(notice.ladder_hours or ""),
        "due_on": when.local(notice.due_at).date() if notice.due_at else None,
        "send_on": planned.date() if planned else None,
        "send_time": planned.time() if planned else None,
    }


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
            planned = _send_at(form)
            texts = not form.urgent_reason.data and not alone(form)
            wait = wait_at(planned or clock.now()) if texts else None
            zh, en = moments(wait.until if wait else planned or clock.now())
            if waits:
                say(HANDED_OVER)
            elif planned:
                say(Text(f"已定时，将于 {zh} 发出。", f"Scheduled: it leaves on {en}."))
            elif alone(form):
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
            links_allowed=links_allowed(),
        )
        rules.refuse_poor_reason(form.urgent_reason.data or "")
        rules.refuse_odd_beginning(
            page_first=form.begins.data == PAGE,
            hours=_hours(form),
            urgent_reason=form.urgent_reason.data or "",
        )
        rules.refuse_poor_times(
            send_at=_send_at(form), due_at=_due(form), now=clock.now(), alone=alone(form)
        )
        rules.refuse_concerns([c for c in _concerns(held, form) if c.stops], ())
    if not done.ok or not (form.org_id.data or form.class_ids.data):
        return _compose(form, changing)
    return _check(form, changing)


def wait_at(at: datetime) -> Wait | None:
    with reading() as held:
        return wait_of_notice(held, at, when.zone())


def moments(at: datetime) -> tuple[str, ...]:
    return tuple(when.short_moment(at, chosen) for chosen in LANGUAGES)


def _try(form: NoticeForm, changing: int | None = None) -> ResponseReturnValue:
    """A text to the writer's own phone, and the same page again."""
    with attempt(form) as done, unit_of_work() as uow:
        services.try_notice(
            uow,
            test_key=(form.test_key.data or "")[:LONGEST_KEY],
            class_ids=[] if form.org_id.data else form.class_ids.data or [],
            org_id=int(form.org_id.data) if form.org_id.data else None,
            title=Text(form.title_zh.data or "", form.title_en.data or ""),
            body=Text(form.body_zh.data or "", form.body_en.data or ""),
            links_allowed=links_allowed(),
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


def said_in(form: NoticeForm) -> services.Said:
    """What a form says and how, but for the time it leaves."""
    return {
        "title": Text(form.title_zh.data or "", form.title_en.data or ""),
        "body": Text(form.body_zh.data or "", form.body_en.data or ""),
        "level": form.level.data or "confirm",
        "due_at": _due(form),
        "ladder_hours": _hours(form),
        "page_first": form.begins.data == PAGE,
        "links_allowed": links_allowed(),
        "urgent_reason": form.urgent_reason.data or "",
        "looked_at": (form.looked_at.data or "").split(),
    }


def _send(uow: UnitOfWork, form: NoticeForm, changing: int | None) -> Notice:
    said: dict[str, Any] = {
        **said_in(form),
        "class_ids": [] if form.org_id.data else form.class_ids.data or [],
        "org_id": int(form.org_id.data) if form.org_id.data else None,
        "send_at": _send_at(form),
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
    previews = previews_of(whom.counts, whom.sender, title)
    with attempt(form) as done:
        # said before the last button, and held to again when it is pressed
        if whom.account is not None and not form.urgent_reason.data:
            budgets.refuse_beyond(whom.account, cost_of(previews))
    if not done.ok:
        return _compose(form, changing)
    return render_form(
        "communication/check.html",
        form,
        whom=whom,
        concerns=[(getattr(form, c.field).label.text, c.says) for c in found],
        kinds=" ".join(sorted({c.kind for c in found})),
        previews=previews,
        cost=cost_of(previews),
        outlook=outlook,
        gathering=policy.gather_from and (policy.gather_from, policy.gather_at) if policy else None,
        how=how(form.level.data, _hours(form), page_first=form.begins.data == PAGE),
        then=then(form.level.data, _hours(form), page_first=form.begins.data == PAGE),
        action=_action(changing),
    )


def _outlook(held: Session, form: NoticeForm) -> family_budget.Outlook | None:
    """What it would be to families that get other texts in the same week; see `rounds` for which
    notices are counted."""
    if form.urgent_reason.data or alone(form):
        return None
    now, whom = clock.now(), int(form.org_id.data or 0)
    wide = bool(whom) and held.get_one(Organisation, whom).kind == "district"
    children = reach.children_named(form.class_ids.data or [], whom, when.today())
    families = family_budget.families_of(children, when.today())
    return family_budget.outlook(held, families, at=_send_at(form) or now, now=now, wide=wide)


def _concerns(held: Session, form: NoticeForm) -> list[Concern]:
    title = Text(form.title_zh.data or "", form.title_en.data or "")
    body = Text(form.body_zh.data or "", form.body_en.data or "")
    return concerns_for(held, form, title, body)


def concerns_for(held: Session, form: WhomForm, title: Text, body: Text) -> list[Concern]:
    """What in a text to whom the form names gives reason to think."""
    children = reach.children_named(
        form.class_ids.data or [], int(form.org_id.data or 0), when.today()
    )
    return services.concerns_of(held, children, title, body)
