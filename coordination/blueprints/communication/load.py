"""How many texts families get in a week and from whom; and how many they should get, for the bureau."""

from __future__ import annotations

from datetime import date, timedelta

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.communication.blueprint import bp
from coordination.blueprints.communication.forms import FamilyBudgetForm
from coordination.domain.agenda.queries import week_of
from coordination.domain.communication.texts import family_budget, load
from coordination.ground import clock
from coordination.ground.errors import Forbidden
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import sliced
from coordination.web.request import any_office, current_actor, own_office, reading, unit_of_work
from coordination.web.say import say

# what the lower table of the page is by
SENDERS, PARTS = "senders", "parts"


@bp.get("/load")
@guard(Access.STAFF)
def load_start() -> ResponseReturnValue:
    """The district's page for the bureau, that of the school for its leaders."""
    with reading() as held:
        places = load.places(held, current_actor())
    if not places:
        raise Forbidden()
    return redirect(url_for("communication.load_of", school_id=places[0].id))


@bp.get("/load/<int:school_id>")
@guard(Access.STAFF)
def load_of(school_id: int) -> ResponseReturnValue:
    """A week of a school, or of the district itself: what its families got, and who wrote it."""
    this = family_budget.monday_of(clock.now())
    monday = min(_monday() or this, this)
    by = PARTS if request.args.get("by") == PARTS else SENDERS
    with reading() as held:
        org = load.place_of(held, current_actor(), school_id)
        places = load.places(held, current_actor())
        week = load.Week(org, monday, family_budget.chosen(held), when.today())
        total, parts = load.load_of(held, week)
        senders = load.senders_of(held, week) if by == SENDERS and not total.is_small else []
        number = week_of(held, monday)
    return render_template(
        "communication/load.html",
        org=org,
        places=places,
        # whoever opens a school from the district's page finds the way back
        district=next((p for p in places if p.id == org.parent_id), None),
        may_set=bool(any_office()),
        week=week,
        number=number,
        sunday=monday + timedelta(days=6),
        earlier=monday - timedelta(days=7),
        later=monday + timedelta(days=7) if monday < this else None,
        total=total,
        bands=_bands(total),
        by=by,
        page=sliced(parts if by == PARTS else senders),
        kinds=load,
    )


def _bands(total: load.Total) -> list[tuple[Text, int, int]]:
    """Each band in words, with its families and their share."""
    found = []
    for at, first in enumerate(load.BANDS):
        if at + 1 == len(load.BANDS):
            word = Text(f"{first} 条以上", f"{first} or more")
        elif (last := load.BANDS[at + 1] - 1) == first:
            word = Text(f"{first} 条", f"{first}")
        else:
            word = Text(f"{first}–{last} 条", f"{first}–{last}")
        found.append((word, total.bands[at], total.percent(total.bands[at])))
    return found


def _monday() -> date | None:
    """The Monday of the week that was asked for."""
    try:
        day = date.fromisoformat(request.args.get("week", ""))
    except ValueError:
        return None
    return day - timedelta(days=day.weekday()) if 2000 <= day.year <= 2100 else None


@bp.route("/load/budget", methods=["GET", "POST"])
@guard(Access.ADMIN)
def load_budget() -> ResponseReturnValue:
    """How many routine texts a family should get in a week."""
    office, form = own_office(), FamilyBudgetForm()
    with reading() as held:
        known = family_budget.chosen(held)
    if not form.is_submitted():
        form.per_week.data = known
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            family_budget.set_per_week(uow, org_id=office, per_week=form.per_week.data)
        if done.ok:
            say(Text("每周条数已保存。", "The weekly number is saved."))
            return redirect(url_for("communication.load_of", school_id=office), 303)
    return render_form("communication/load_budget.html", form, known=known)
