"""What is kept about a family, who looked at it, a copy as a file, and asking for a change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime

from flask import Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.blueprints.family.blueprint import bp
from coordination.blueprints.family.forms import AskForm
from coordination.domain.oversight import data_requests, own_data
from coordination.domain.oversight.looks import looks_at
from coordination.domain.oversight.own_data import Section, Value
from coordination.domain.people.family import children_of, tell_apart
from coordination.ground import clock
from coordination.ground.errors import CoordinationError
from coordination.ground.text import Text
from coordination.web import delivery, downloads
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_family
from coordination.web.when import today

# of one kind on the page; the file holds all
SHOWN = 10


@bp.get("/family/data")
@guard(Access.GUARDIAN)
def kept() -> ResponseReturnValue:
    """Everything that is kept, in words; fit to be printed."""
    actor = current_actor()
    with reading() as held:
        sections = own_data.kept_about(held, actor, today())
        looks = looks_at(held, actor)
        asked = data_requests.own_requests(held, actor)
        called = tell_apart(children_of(held, actor, today()))
    return render_template(
        "family/kept.html",
        sections=[s for s in sections if s.entries and s.key != "requests"],
        shown=SHOWN,
        looks=looks,
        asked=asked,
        called=called,
        kinds=data_requests.KINDS,
        state_word=delivery.state_word,
    )


@bp.post("/family/data/copy")
@guard(Access.GUARDIAN)
def take_copy() -> ResponseReturnValue:
    """The same as a file for machines."""
    try:
        with unit_of_work() as uow:
            sections = own_data.take_copy(uow, today=today())
    except CoordinationError as refused:
        if refused.status != 429:
            raise
        say(refused.message, "need")
        return redirect(url_for("family.kept"), 303)
    body = json.dumps(
        {"made_at": clock.now().isoformat(), "kept": [_plain(s) for s in sections]},
        ensure_ascii=False,
        indent=1,
    )
    # the same to a JSON reader, and no markup to whatever takes the file for a page
    body = body.replace("<", "\\u003c")
    answer: Response = downloads.handed_out(
        body.encode(), "application/json", f"my-data-{today():%Y-%m-%d}.json"
    )
    return answer


@bp.route("/family/data/ask", methods=["GET", "POST"])
@guard(Access.GUARDIAN)
def ask() -> ResponseReturnValue:
    """Ask the school to correct or erase something."""
    form = AskForm()
    with reading() as held:
        children = children_of(held, current_actor(), today())
    called = tell_apart(children)
    form.about.choices = [
        *((str(c.id), called[c.id].in_(language())) for c in children),
        ("me", Text("我自己", "Myself").in_(language())),
    ]
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            data_requests.ask(
                uow,
                kind=form.kind.data or "",
                child_id=None if form.about.data == "me" else int(form.about.data),
                words=form.words.data or "",
            )
        if done.ok:
            say(
                Text(
                    f"已交给学校，{data_requests.ANSWERED_WITHIN.days} 天内会在这里答复您。",
                    f"The school has it, and answers here within {data_requests.ANSWERED_WITHIN.days}"
                    " days.",
                )
            )
            return redirect(url_for("family.kept"), 303)
    return render_form("family/ask.html", form, days=data_requests.ANSWERED_WITHIN.days)


def _plain(section: Section) -> dict[str, object]:
    return {
        "section": section.key,
        "title": _value(section.title),
        "kept_for": _value(section.why),
        "entries": [
            {field.key: _value(field.value) for field in entry} for entry in section.entries
        ],
    }


def _value(value: Value) -> object:
    if isinstance(value, Text):
        return {"zh": value.zh, "en": value.en}
    return value.isoformat() if isinstance(value, datetime | date) else value


@waits_for_family
def answers_to_read(session: Session, actor: Actor, now: datetime) -> Sequence[Waiting]:
    """Answers of the school to what the guardian asked, for a month."""
    return [
        Waiting(
            title=Text(
                "学校答复了您的个人信息申请", "The school answered what you asked about your data"
            ),
            url=url_for("family.kept", _anchor=f"asked-{one.id}"),
            child_ids=frozenset({one.child_id} if one.child_id else ()),
        )
        for one in data_requests.own_requests(session, actor)
        if one.answered_at and one.answered_at > now - data_requests.SHOWN_ANSWERED
    ]
