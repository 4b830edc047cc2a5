"""How volunteer time is counted: published by the district office."""

from __future__ import annotations

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.volunteering.blueprint import bp
from coordination.blueprints.volunteering.forms import TimeRuleForm
from coordination.domain.volunteering import time_rules
from coordination.domain.volunteering.time_rules import TimeRule
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import own_office, reading, unit_of_work
from coordination.web.say import say


@bp.route("/rule", methods=["GET", "POST"])
@guard(Access.ADMIN)
def rule() -> ResponseReturnValue:
    """Rounding, the most that counts, and the days in which one may object."""
    office, form = own_office(), TimeRuleForm()
    with reading() as held:
        known = time_rules.in_force(held)
    if not form.is_submitted():
        form.round_to.data = str(known.round_to)
        form.most_over.data, form.objection_days.data = known.most_over, known.objection_days
        form.source.data = known.source
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            time_rules.set_rule(
                uow,
                org_id=office,
                rule=TimeRule(
                    int(form.round_to.data),
                    form.most_over.data or 0,
                    form.objection_days.data or 0,
                    form.source.data or "",
                ),
                today=when.today(),
            )
        if done.ok:
            say(Text("志愿时长规定已保存并公布。", "The rule is saved and published."))
            return redirect(url_for("volunteering.rule"), 303)
    return render_form("volunteering/rule.html", form, known=known)
