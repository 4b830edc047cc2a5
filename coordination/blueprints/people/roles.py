"""Roles in organisations: who holds which until when; granting and ending them."""

from __future__ import annotations

from datetime import timedelta

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.people.blueprint import bp
from coordination.blueprints.people.forms import EndForm, GrantForm
from coordination.domain.people import posts
from coordination.domain.people.models import Organisation
from coordination.ground.actor import Role
from coordination.ground.errors import Forbidden
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say

NO_CLASS = 0


def _named(org: Organisation) -> Text:
    return Text(org.name_zh, org.name_en)


@bp.get("/organisations")
@guard(Access.STAFF)
def organisations() -> ResponseReturnValue:
    """The organisations whose roles one deals with."""
    actor, name = current_actor(), request.args.get("name", "").strip()[:60]
    kind = request.args.get("kind", "")
    if not posts.deals_with_any(actor):
        raise Forbidden()
    with reading() as held:
        page = paged(
            held,
            posts.offices_query(
                actor, when.today(), name=name, kind=kind if kind in posts.KINDS else ""
            ),
        )
        lines = posts.office_lines(page.items)
    return render_template(
        "people/organisations.html", page=page, lines=lines, name=name, kind=kind, kinds=posts.KINDS
    )


@bp.get("/organisations/<int:org_id>")
@guard(Access.STAFF)
def organisation(org_id: int) -> ResponseReturnValue:
    """Who holds which role there, or held it."""
    ended = request.args.get("show") == "ended"
    with reading() as held:
        org = posts.office_of(held, current_actor(), org_id)
        page = paged(held, posts.posts_query(org_id, when.today(), ended=ended))
        lines = posts.post_lines(held, page.items)
    return render_template(
        "people/organisation.html",
        org=_named(org),
        org_id=org_id,
        page=page,
        lines=lines,
        ended=ended,
        labels=posts.LABELS,
        day=when.today(),
    )


@bp.route("/organisations/<int:org_id>/grant", methods=["GET", "POST"])
@guard(Access.STAFF)
def grant(org_id: int) -> ResponseReturnValue:
    """Give somebody a role there."""
    form = GrantForm()
    with reading() as held:
        org = posts.office_of(held, current_actor(), org_id)
        groups = posts.classes_of(held, org_id)
    said = language()
    form.role.choices = [(r.value, posts.LABELS[r].in_(said)) for r in posts.FITTING[org.kind]]
    form.class_id.choices = [
        (NO_CLASS, Text("不适用", "None").in_(said)),
        *((g.id, Text(g.name_zh, g.name_en).in_(said)) for g in groups),
    ]
    if request.method == "GET":
        form.starts_on.data = when.today()
    if form.validate_on_submit() and form.starts_on.data is not None:
        with attempt(form) as done, unit_of_work() as uow:
            posts.grant(
                uow,
                org_id=org_id,
                role=Role(form.role.data),
                name=form.name.data or "",
                phone=form.phone.number,
                starts_on=form.starts_on.data,
                ends_on=form.ends_on.data,
                class_id=form.class_id.data or None,
            )
        if done.ok:
            label = posts.LABELS[Role(form.role.data)]
            say(
                Text(
                    f"{form.name.data}已是{org.name_zh}的{label.zh}，可用手机号登录。",
                    f"{form.name.data} is now {label.en.lower()} of {org.name_en} and signs in "
                    "by phone.",
                )
            )
            return redirect(url_for("people.organisation", org_id=org_id), 303)
    return render_form(
        "people/grant.html", form, org=_named(org), org_id=org_id, has_classes=bool(groups)
    )


@bp.route("/roles/<int:membership_id>/end", methods=["GET", "POST"])
@guard(Access.STAFF)
def end(membership_id: int) -> ResponseReturnValue:
    """Let a role end, after a day or at once."""
    form = EndForm()
    with reading() as held:
        line, org = posts.post_of(held, current_actor(), membership_id)
    if request.method == "GET":
        form.last_day.data = line.ends_on or when.today()
    if form.validate_on_submit() and form.last_day.data is not None:
        with attempt(form) as done, unit_of_work() as uow:
            posts.end(uow, membership_id=membership_id, last_day=form.last_day.data)
        if done.ok:
            label = posts.LABELS[line.role]
            say(
                Text(
                    f"{line.name}的{label.zh}任职到 {form.last_day.data} 为止。",
                    f"{line.name} is {label.en.lower()} until {form.last_day.data}.",
                )
            )
            return redirect(url_for("people.organisation", org_id=org.id), 303)
    return render_form(
        "people/end.html",
        form,
        line=line,
        org=_named(org),
        org_id=org.id,
        label=posts.LABELS[line.role],
        yesterday=when.today() - timedelta(days=1),
    )
