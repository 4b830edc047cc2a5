"""实践课时: a family's children, a class by name, schools and the district in numbers; the rule."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.blueprints.hours.forms import HourRuleForm
from coordination.domain.people.family import children_of, tell_apart
from coordination.domain.practice import hour_rules, hours
from coordination.domain.practice.hour_rules import GRADES, Rule
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import sliced
from coordination.web.request import (
    any_office,
    current_actor,
    language,
    own_office,
    reading,
    unit_of_work,
)
from coordination.web.say import say
from coordination.web.sheets import csv_file

bp = Blueprint("hours", __name__, url_prefix="/hours")

STATES = {
    "done": (Text("已完成", "Done"), "ok"),
    "booked": (Text("已报名", "Booked"), "info"),
    "unmarked": (Text("待点名", "Roll not called"), "need"),
    "absent": (Text("缺席", "Absent"), "bad"),
    "left_early": (Text("早退", "Left early"), "bad"),
}


def _season(held: Session) -> hours.Season:
    return hours.season_of(held, when.today(), clock.now(), when.zone())


@bp.get("/")
@guard(Access.STAFF)
def index() -> ResponseReturnValue:
    """The schools one may see, in numbers; whoever has one only gets its classes at once."""
    actor = current_actor()
    with reading() as held:
        season = _season(held)
        found = hours.schools(held, season, actor)
        if len(found) == 1:
            lines = hours.classes(held, season, actor, found[0].id)
            return _school_page(found[0].id, found[0].name, season, lines, back=False)
    return render_template(
        "hours/index.html",
        season=season,
        page=sliced(found),
        may_set=any_office() is not None,
        few=hours.FEWEST,
    )


@bp.get("/schools/<int:school_id>")
@guard(Access.STAFF)
def school(school_id: int) -> ResponseReturnValue:
    """The classes of a school, in numbers."""
    actor = current_actor()
    with reading() as held:
        found = hours.school_of(held, actor, school_id)
        season = _season(held)
        lines = hours.classes(held, season, actor, school_id)
    return _school_page(school_id, Text(found.name_zh, found.name_en), season, lines, back=True)


def _school_page(
    school_id: int,
    name: Text,
    season: hours.Season,
    lines: list[hours.PlaceHours],
    *,
    back: bool,
) -> ResponseReturnValue:
    return render_template(
        "hours/school.html",
        school_id=school_id,
        name=name,
        season=season,
        lines=lines,
        back=back,
        few=hours.FEWEST,
    )


@bp.get("/classes/<int:class_id>")
@guard(Access.STAFF)
def group(class_id: int) -> ResponseReturnValue:
    """The children of a class, whoever lacks most first."""
    with reading() as held:
        found, school = hours.class_of(held, current_actor(), class_id)
        season = _season(held)
        lines = hours.of_class(held, season, found)
    return render_template(
        "hours/group.html",
        group=found,
        school=school,
        season=season,
        target=season.rule.target(found.grade),
        lines=lines,
        short=sum(1 for c in lines if c.tally.missing or c.tally.missing_times),
        unmarked=sum(c.tally.unmarked for c in lines),
    )


@bp.get("/classes/<int:class_id>/hours.csv")
@guard(Access.STAFF)
def class_csv(class_id: int) -> ResponseReturnValue:
    """The same list as a file for a spreadsheet."""
    with reading() as held:
        found, _school = hours.class_of(held, current_actor(), class_id)
        season = _season(held)
        lines = hours.of_class(held, season, found)
    heads = (
        Text("班级", "Class"),
        Text("姓名", "Name"),
        Text("目标课时", "Target periods"),
        Text("已完成课时", "Periods done"),
        Text("已报名课时", "Periods booked"),
        Text("还差课时", "Periods missing"),
        Text("目标次数", "Target times"),
        Text("已完成次数", "Times done"),
        Text("已报名次数", "Times booked"),
        Text("还差次数", "Times missing"),
        Text("待点名场次", "Rolls not called"),
    )
    name = Text(found.name_zh, found.name_en).in_(language())
    return csv_file(
        f"{name}-{season.stretch.name.in_(language())}.csv",
        [head.in_(language()) for head in heads],
        [
            (
                name,
                c.name,
                c.tally.target.periods,
                c.tally.done,
                c.tally.booked,
                c.tally.missing,
                c.tally.target.times,
                c.tally.done_times,
                c.tally.booked_times,
                c.tally.missing_times,
                c.tally.unmarked,
            )
            for c in lines
        ],
    )


@bp.get("/mine")
@guard(Access.GUARDIAN)
def mine() -> ResponseReturnValue:
    """A guardian's children: what each has done, booked and still lacks."""
    actor = current_actor()
    with reading() as held:
        season = _season(held)
        called = tell_apart(children_of(held, actor, when.today()))
        found = [
            (child, hours.sessions_of(held, season, actor, child.id))
            for child in hours.of_children(held, season, actor)
        ]
    return render_template(
        "hours/mine.html", season=season, found=found, called=called, states=STATES
    )


@bp.route("/rule", methods=["GET", "POST"])
@guard(Access.ADMIN)
def rule() -> ResponseReturnValue:
    """What sessions count for and what grades should reach: set by the district office."""
    office, form = own_office(), HourRuleForm()
    with reading() as held:
        stretch = hour_rules.stretch_of(held, when.today())
        rules = hour_rules.rules_of(held)
    known = hour_rules.on(rules, when.today())
    given = known if known.starts_on else hour_rules.proposed(stretch)
    if not form.is_submitted():
        form.starts_on.data = max(given.starts_on or stretch.first, stretch.first)
        form.minutes.data, form.most_a_day.data = given.minutes, given.most_a_day
        form.source.data = given.source
        for grade in GRADES:
            form[f"periods_{grade}"].data = given.periods[grade - 1]
            form[f"times_{grade}"].data = given.times[grade - 1]
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            hour_rules.set_rule(uow, org_id=office, rule=_typed(form), today=when.today())
        if done.ok:
            say(Text("课时规定已保存。", "The rule is saved."))
            return redirect(url_for("hours.rule"), 303)
    return render_form(
        "hours/rule.html",
        form,
        stretch=stretch,
        chosen=known if known.starts_on else None,
        ahead=[r for r in rules if r.starts_on and r.starts_on > when.today()],
        grades=GRADES,
    )


def _typed(form: HourRuleForm) -> Rule:
    return Rule(
        form.minutes.data or 0,
        form.most_a_day.data or 0,
        tuple(form[f"periods_{grade}"].data or 0 for grade in GRADES),
        tuple(form[f"times_{grade}"].data or 0 for grade in GRADES),
        form.source.data or "",
        form.starts_on.data,
    )
