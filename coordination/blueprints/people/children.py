"""Schools and classes with their numbers, children with their guardians, custody limits."""

from __future__ import annotations

from datetime import date

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.authz.actions import Action
from coordination.authz.actor import Role
from coordination.authz.policy import allowed
from coordination.blueprints.people.blueprint import bp
from coordination.blueprints.people.forms import LimitForm
from coordination.domain.people import custody, directory, posts
from coordination.domain.people.year import plan
from coordination.ground.errors import Forbidden
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say


def _asked(name: str) -> str:
    return request.args.get(name, "").strip()[:60]


def _day() -> date:
    """``?on=``: a day of the past; anything else is today."""
    today = when.today()
    try:
        asked = date.fromisoformat(_asked("on"))
    except ValueError:
        return today
    return asked if date(2000, 1, 1) <= asked < today else today


@bp.get("/")
@guard(Access.STAFF)
def index() -> ResponseReturnValue:
    """The schools one may see; whoever has one only gets its classes at once."""
    actor, name = current_actor(), _asked("name")
    with reading() as held:
        page = paged(held, directory.schools_query(actor, name))
        if len(page.items) == 1 and page.number == 1 and not name:
            school = page.items[0][0]
            lines = directory.classes_of_school(held, actor, school.id, when.today())
            return _school_page(Text(school.name_zh, school.name_en), school.id, lines, False)
        schools = directory.school_lines(held, actor, page.items, when.today())
    return render_template("people/index.html", schools=schools, page=page, name=name, **_may())


@bp.get("/schools/<int:school_id>")
@guard(Access.STAFF)
def school(school_id: int) -> ResponseReturnValue:
    """The classes of a school with their numbers."""
    actor = current_actor()
    with reading() as held:
        found = directory.school_of(held, actor, school_id)
        lines = directory.classes_of_school(held, actor, school_id, when.today())
    return _school_page(Text(found.name_zh, found.name_en), school_id, lines, True)


def _school_page(
    name: Text, school_id: int, lines: list[directory.ClassLine], back: bool
) -> ResponseReturnValue:
    total = directory.Numbers(
        children=sum(x.numbers.children for x in lines),
        without_phone=sum(x.numbers.without_phone for x in lines),
    )
    return render_template(
        "people/school.html",
        school=name,
        school_id=school_id,
        lines=lines,
        total=total,
        back=back,
        **_may(),
    )


def _may() -> dict[str, bool]:
    actor = current_actor()
    return {
        "may_search": directory.may_search(actor),
        "may_import": allowed(actor, Action.ROSTER_IMPORT),
        "may_deal": posts.deals_with_any(actor),
        "answers_requests": Role.SCHOOL_ADMIN in actor.roles,
        "may_turn": plan.turns_any(actor),
    }


@bp.get("/classes/<int:class_id>")
@guard(Access.STAFF)
def group(class_id: int) -> ResponseReturnValue:
    """The children of a class today, or on a day of the past, with their guardians."""
    actor, name, day = current_actor(), _asked("name"), _day()
    without_phone = _asked("show") == "without-phone"
    with reading() as held:
        head = directory.class_head(held, actor, class_id)
        page = paged(
            held,
            directory.children_query(
                actor,
                day,
                class_id=class_id,
                name=name,
                without_phone=without_phone,
                history=day < when.today(),
            ),
        )
        lines = directory.child_lines(held, actor, page.items, day)
    return render_template(
        "people/class.html",
        head=head,
        page=page,
        lines=lines,
        name=name,
        show="without-phone" if without_phone else "",
        day=day,
        past=day < when.today(),
    )


@bp.get("/children")
@guard(Access.STAFF)
def children() -> ResponseReturnValue:
    """Find a child by name among those one may see."""
    actor, name = current_actor(), _asked("name")
    without_phone = _asked("show") == "without-phone"
    if not directory.may_search(actor):
        raise Forbidden(directory.NUMBERS_ONLY)
    page, lines = None, []
    if name or without_phone:
        with reading() as held:
            page = paged(
                held,
                directory.children_query(
                    actor, when.today(), name=name, without_phone=without_phone
                ),
            )
            lines = directory.child_lines(held, actor, page.items, when.today())
    return render_template(
        "people/children.html",
        page=page,
        lines=lines,
        name=name,
        show="without-phone" if without_phone else "",
    )


@bp.route("/guardianships/<int:guardianship_id>/limit", methods=["GET", "POST"])
@guard(Access.STAFF)
def limit(guardianship_id: int) -> ResponseReturnValue:
    """Set or lift a custody limit, with the ground for it."""
    form = LimitForm()
    with reading() as held:
        found = custody.limit_of(held, current_actor(), guardianship_id)
    if form.validate_on_submit():
        use = custody.lift if request.form.get("step") == "lift" else custody.limit
        with attempt(form) as done, unit_of_work() as uow:
            use(uow, guardianship_id=guardianship_id, reason=form.reason.data or "")
        if done.ok:
            say(
                Text(
                    f"已解除对{found.guardian}的限制。", f"The limit on {found.guardian} is lifted."
                )
                if use is custody.lift
                else Text(
                    f"{found.guardian}从现在起收不到也看不到{found.child}的任何信息。",
                    f"From now on {found.guardian} is told and shown nothing of {found.child}.",
                )
            )
            return redirect(url_for("people.children", name=found.child), 303)
    return render_form(
        "people/limit.html", form, limit=found, relation=directory.RELATIONS[found.relation]
    )
