"""Front page, today's work, and where a short code leads."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.home.forms import OpenCode
from coordination.domain.agenda.queries import week_of
from coordination.domain.people.accounts import admit_code_guess
from coordination.domain.people.links import open_code
from coordination.ground import clock
from coordination.ground.crypto import normal_code
from coordination.ground.errors import CoordinationError, NotFound
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard, is_staff
from coordination.web.navigation import staff_navigation
from coordination.web.opening import endpoint_for
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.waiting import waiting_for_staff

bp = Blueprint("home", __name__)

SOON = timedelta(days=2)


@bp.route("/", methods=["GET", "POST"])
@guard(Access.PUBLIC)
def index() -> ResponseReturnValue:
    """Staff see what waits for them today, guardians their family, everybody else the front page."""
    actor = current_actor()
    if request.method == "GET" and actor.signed_in:
        if is_staff(actor):
            with reading() as session:
                waiting = waiting_for_staff(session, actor, clock.now())
                week = week_of(session, when.today())
            tasks = [entry for entry, _ in staff_navigation() if entry.endpoint != "home.index"]
            return render_template("home/today.html", waiting=waiting, tasks=tasks, week=week)
        return redirect(url_for("family.index" if actor.is_guardian else "home.after_sign_in"))
    form = OpenCode()
    if form.validate_on_submit():
        with attempt(form):
            return redirect(_page_of(form.code.data or "", field="code"))
    return render_form("home/front.html", form)


@bp.get("/a/<code>")
@guard(Access.SIGNED_LINK)
def open_link(code: str) -> ResponseReturnValue:
    """A code from a message; only looks, so that link scanners change nothing."""
    return redirect(_page_of(code))


def _page_of(typed: str, *, field: str = "") -> str:
    """The address of the page behind a code; guesses are counted per network address."""
    with unit_of_work() as uow:
        admit_code_guess(uow, address=request.remote_addr or "unknown")
    code = normal_code(typed)
    try:
        with reading() as session:
            subject = open_code(session, code).subject_type
    except NotFound as error:
        if not field:
            raise
        raise _Unknown(error.message, code=error.code, fields={field: error.message}) from error
    endpoint = endpoint_for(subject)
    if endpoint is None:
        raise NotFound()
    return url_for(endpoint, code=code)


class _Unknown(CoordinationError):
    """A wrong code typed into the form: shown at the field instead of as a page."""

    status = 404


@bp.get("/welcome")
@guard(Access.SIGNED_IN)
def after_sign_in() -> ResponseReturnValue:
    """The first page after signing in, for whoever has no staff page."""
    if current_actor().is_guardian:
        return redirect(url_for("family.index"))
    return render_template("home/welcome.html")
