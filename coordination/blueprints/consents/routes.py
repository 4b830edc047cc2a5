"""The guardian's answer: one page, two buttons, a typed name; by code or signed in."""

from __future__ import annotations

from datetime import datetime

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.blueprints.consents import paper
from coordination.blueprints.consents.blueprint import bp
from coordination.domain.consents import queries, services
from coordination.domain.consents.rules import RECORDED, STATES
from coordination.domain.people import links
from coordination.domain.people.actors import actor_of
from coordination.ground import clock
from coordination.ground.errors import CoordinationError, NotFound
from coordination.ground.text import Text, clean, mask_name
from coordination.web import when
from coordination.web.guards import Access, guard
from coordination.web.opening import opens
from coordination.web.request import act_as, current_actor, language, reading, unit_of_work
from coordination.web.waiting import Waiting, waits_for_family

__all__ = ["bp", "paper"]

opens("consent", "consents.open_request")


def _by_code(code: str) -> int:
    """Let the code's holder act; returns the request it opens."""
    with reading() as held:
        row = links.open_code(held, code)
        if row.subject_type != "consent":
            raise NotFound()
        try:
            actor = actor_of(held, row.person_id, when.today())
        except LookupError:
            raise NotFound() from None
    act_as(actor)
    return row.subject_id


def _page(
    request_id: int, action: str, refusal: CoordinationError | None = None, typed: str = ""
) -> ResponseReturnValue:
    with reading() as held:
        family = queries.request_for(held, current_actor(), request_id)
    page = render_template(
        "consents/request.html",
        family=family,
        title=Text(family.request.title_zh, family.request.title_en),
        body=Text(family.request.body_zh, family.request.body_en),
        names={c.child_id: mask_name(c.name) for c in family.children},
        now=clock.now(),
        states=STATES,
        recorded=RECORDED,
        action=action,
        refusal=refusal,
        typed=typed,
    )
    return page, refusal.status if refusal else 200


def _answer(request_id: int, action: str, route: str) -> ResponseReturnValue:
    typed = clean(request.form.get("signed_name", ""))[:60]
    response = request.form.get("response", "")
    if "_lang" in request.form:
        return _page(request_id, action, typed=typed)
    try:
        with unit_of_work() as uow:
            services.answer(
                uow,
                request_id=request_id,
                child_id=request.form.get("child_id", type=int) or 0,
                response=response,
                signed_name=typed,
                route=route,
                language=language(),
            )
    except CoordinationError as refusal:
        if refusal.status in (403, 404):
            raise
        return _page(request_id, action, refusal, typed)
    return redirect(action, 303)


@bp.route("/open/<code>", methods=["GET", "POST"])
@guard(Access.SIGNED_LINK)
def open_request(code: str) -> ResponseReturnValue:
    """The question behind a code, and its answer. Looking changes nothing."""
    request_id = _by_code(code)
    action = url_for("consents.open_request", code=code)
    if request.method == "POST":
        return _answer(request_id, action, "code")
    return _page(request_id, action)


@bp.get("/")
@guard(Access.GUARDIAN)
def index() -> ResponseReturnValue:
    """All open questions of a guardian."""
    with reading() as held:
        families = queries.requests_of(held, current_actor())
    return render_template("consents/index.html", families=families, states=STATES, mask=mask_name)


@bp.route("/<int:request_id>", methods=["GET", "POST"])
@guard(Access.GUARDIAN)
def show(request_id: int) -> ResponseReturnValue:
    """The same page for a guardian who is signed in."""
    action = url_for("consents.show", request_id=request_id)
    if request.method == "POST":
        return _answer(request_id, action, "web")
    return _page(request_id, action)


@waits_for_family
def unanswered(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """Questions the guardian has not answered yet."""
    return [
        Waiting(
            title=Text(f.request.title_zh, f.request.title_en),
            url=url_for("consents.show", request_id=f.request.id),
            detail=Text("是否同意参加？", "May your child join?"),
            due=f.request.due_at,
            urgent=True,
        )
        for f in queries.requests_of(session, actor)
        if f.request.due_at > now and any(c.own is None for c in f.children)
    ]
