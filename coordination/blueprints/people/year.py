"""升级: a school's turn of the year, from the checklist to taking it back. Looking changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.blueprints.people.blueprint import bp
from coordination.blueprints.people.year_forms import (
    KEEP,
    NOBODY,
    LineForm,
    NewClassForm,
    TurnForm,
)
from coordination.domain.people import directory
from coordination.domain.people.year import (
    checklist,
    naming,
    plan,
    preparing,
    taking_back,
    turning,
)
from coordination.domain.people.year.models import SchoolTurn
from coordination.ground.errors import Conflict, Forbidden, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say

# a class of a school is not larger; its children stand on one page
MOST_CHILDREN = 200


@bp.get("/year")
@guard(Access.STAFF)
def years() -> ResponseReturnValue:
    """The schools whose year one turns; whoever has one only gets it at once."""
    with reading() as held:
        page = paged(held, plan.schools_query(current_actor()))
        lines = plan.school_states(page.items)
    if not lines and page.number == 1:
        raise Forbidden()
    if len(lines) == 1 and page.number == 1:
        return redirect(url_for("people.year", school_id=lines[0].id))
    return render_template("people/years.html", page=page, lines=lines, states=plan.STATES)


@bp.route("/year/<int:school_id>", methods=["GET", "POST"])
@guard(Access.STAFF)
def year(school_id: int) -> ResponseReturnValue:
    """Checklist, preview and apply of a draft; else what was done, and taking it back."""
    form = TurnForm()
    with reading() as held:
        school = plan.school_of(held, current_actor(), school_id)
        turn = plan.latest_turn(held, school_id)
        ident = turn.id if turn is not None and turn.state == "draft" else None
    if request.method == "POST" and ident is None:
        # given up, or carried out by somebody else
        say(Text("没有正在准备的升级，请刷新后查看。", "Nothing is in preparation."), "need")
        return redirect(url_for("people.year", school_id=school_id), 303)
    if ident is not None and form.validate_on_submit() and form.starts_on.data is not None:
        with attempt(form) as done, unit_of_work() as uow:
            written = turning.apply(
                uow,
                turn_id=ident,
                starts_on=form.starts_on.data,
                digest=form.digest.data or "",
                seen=bool(form.seen.data),
                today=when.today(),
                begins=when.aware(when.today(), time(0)),
            )
        if done.ok:
            say(_said(written))
            return redirect(url_for("people.year", school_id=school_id), 303)
    return _shown(school_id, Text(school.name_zh, school.name_en), form)


def _said(written: turning.Turned) -> Text:
    along = (
        Text(
            f"；{written.along} 项未办完的事随班转到新班",
            f"; {written.along} open things went along",
        )
        if written.along
        else Text("", "")
    )
    return Text(
        f"已升级：{written.classes} 个新班，{written.up} 名学生升入，{written.graduated} 名毕业{along.zh}。",
        f"Done: {written.classes} new classes, {written.up} children moved up, "
        f"{written.graduated} graduated{along.en}.",
    )


def _shown(school_id: int, school: Text, form: TurnForm) -> ResponseReturnValue:
    today = when.today()
    with reading() as held:
        turn = plan.latest_turn(held, school_id)
        if turn is None or turn.state == "undone":
            next_year = naming.school_year(preparing.year_of(today))
            return render_template(
                "people/year_begin.html",
                school=school,
                school_id=school_id,
                year=next_year,
                undone=turn is not None,
                back=_has_list(held),
            )
        if turn.state == "applied":
            return _done(held, turn, school)
        shown = plan.plan_of(held, turn, today)
        checks = checklist.checks_of(
            held, turn, shown, day=today, begins=when.aware(today, time(0))
        )
        back = _has_list(held)
    if not form.is_submitted():
        form.starts_on.data = today
    # whatever is shown now is what the button is about
    form.digest.data = shown.digest
    return render_form(
        "people/year.html",
        form,
        plan=shown,
        year=naming.school_year(shown.year),
        checks=checks,
        fates=plan.FATES,
        all_good=all(check.good for check in checks),
        back=back,
    )


def _done(held: Session, turn: SchoolTurn, school: Text) -> ResponseReturnValue:
    shown = plan.plan_of(held, turn, when.today())
    return render_template(
        "people/year_done.html",
        school=school,
        turn=turn,
        lines=shown.lines,
        year=naming.school_year(turn.year),
        past=taking_back.past_classes(held, turn),
        blockers=taking_back.blockers(held, turn),
        may_begin=preparing.year_of(when.today()) > turn.year,
        back=_has_list(held),
    )


def _has_list(held: Session) -> bool:
    return (
        len(paged(held, plan.schools_query(current_actor()), size=1).items) > 0
        and paged(held, plan.schools_query(current_actor()), size=1).has_next
    )


@bp.post("/year/<int:school_id>/begin")
@guard(Access.STAFF)
def begin_year(school_id: int) -> ResponseReturnValue:
    """Start to prepare, or add the classes that came since."""
    with reading() as held:
        plan.school_of(held, current_actor(), school_id)
    return _step(
        school_id,
        lambda uow: preparing.begin(uow, school_id=school_id, day=when.today()),
        Text(
            "已按规则排好，请逐班核对。现在还没有改动任何班级。",
            "Laid out by the rules: check each class. No class has changed yet.",
        ),
    )


@bp.post("/year/turns/<int:turn_id>/discard")
@guard(Access.STAFF)
def discard_year(turn_id: int) -> ResponseReturnValue:
    """Give the preparation up."""
    return _step(
        _school_id(turn_id),
        lambda uow: preparing.discard(uow, turn_id=turn_id),
        Text("已放弃，班级没有变化。", "Given up; the classes are as they were."),
    )


@bp.post("/year/turns/<int:turn_id>/back")
@guard(Access.STAFF)
def take_year_back(turn_id: int) -> ResponseReturnValue:
    """Take a turn of the year back."""
    return _step(
        _school_id(turn_id),
        lambda uow: taking_back.take_back(uow, turn_id=turn_id, today=when.today()),
        Text(
            "已撤销，班级、学生和班主任都和升级前一样。",
            "Taken back: classes, children and teachers are as before.",
        ),
    )


def _school_id(turn_id: int) -> int:
    with reading() as held:
        turn = held.get(SchoolTurn, turn_id)
        if turn is None:
            raise NotFound()
        return plan.school_of(held, current_actor(), turn.school_id).id


def _step(school_id: int, use: Callable[[UnitOfWork], object], said: Text) -> ResponseReturnValue:
    try:
        with unit_of_work() as uow:
            use(uow)
    except Conflict as refusal:
        say(refusal.message, "need")
    else:
        say(said)
    return redirect(url_for("people.year", school_id=school_id), 303)


@bp.route("/year/turns/<int:turn_id>/classes/new", methods=["GET", "POST"])
@guard(Access.STAFF)
def new_class(turn_id: int) -> ResponseReturnValue:
    """One more class that begins empty, or that takes some children of one that is split."""
    form = NewClassForm()
    school_id = _school_id(turn_id)
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            preparing.add_class(
                uow,
                turn_id=turn_id,
                grade=form.grade.data or 0,
                number=form.number.data or 0,
            )
        if done.ok:
            say(Text("已加上。", "Added."))
            return redirect(url_for("people.year", school_id=school_id), 303)
    return render_form("people/new_class.html", form, school_id=school_id)


def _line(held: Session, line_id: int) -> tuple[plan.Plan, plan.Line]:
    turn = plan.draft_with(held, current_actor(), line_id)
    shown = plan.plan_of(held, turn, when.today())
    return shown, plan.line_of(shown, line_id)


@bp.route("/year/lines/<int:line_id>", methods=["GET", "POST"])
@guard(Access.STAFF)
def year_line(line_id: int) -> ResponseReturnValue:
    """What becomes of one class, by hand."""
    form = LineForm()
    with reading() as held:
        shown, line = _line(held, line_id)
        staff = plan.staff_of(held, shown.school_id, when.today())
    fates = ("new",) if line.fate == "new" else ("up", "into", "leaves", "stays")
    said = language()
    form.fate.choices = [(f, plan.FATES[f].in_(said)) for f in fates]
    form.into.choices = [
        (NOBODY, Text("请选择", "Choose").in_(said)),
        *((x.id, x.name.in_(said)) for x in shown.lines if x.makes and x.id != line.id),
    ]
    keep = [] if line.fate == "new" else [(KEEP, Text("随班不变", "Goes along").in_(said))]
    form.teacher.choices = [
        *keep,
        (NOBODY, Text("暂不指定", "Nobody yet").in_(said)),
        *staff,
    ]
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            preparing.change(
                uow,
                line_id=line_id,
                fate=form.fate.data,
                name=Text(form.name_zh.data or "", form.name_en.data or ""),
                grade=form.grade.data,
                into_id=form.into.data or None,
                keeps_teacher=form.teacher.data == KEEP,
                teacher_id=form.teacher.data if form.teacher.data > 0 else None,
                day=when.today(),
            )
        if done.ok:
            say(Text("已保存。", "Saved."))
            return redirect(url_for("people.year", school_id=shown.school_id), 303)
    if not form.is_submitted():
        form.fate.data, form.grade.data = line.fate, line.grade
        form.name_zh.data, form.name_en.data = line.name.zh, line.name.en
        form.into.data = line.into_id or NOBODY
        form.teacher.data = KEEP if line.keeps_teacher else line.teacher_id or NOBODY
    return render_form("people/year_line.html", form, line=line, plan=shown)


@bp.post("/year/lines/<int:line_id>/remove")
@guard(Access.STAFF)
def remove_line(line_id: int) -> ResponseReturnValue:
    """Take out a class that was to begin."""
    with reading() as held:
        shown, _ = _line(held, line_id)
    return _step(
        shown.school_id,
        lambda uow: preparing.remove_class(uow, line_id=line_id),
        Text("已删除这个新班。", "The new class is taken out."),
    )


@bp.route("/year/lines/<int:line_id>/children", methods=["GET", "POST"])
@guard(Access.STAFF)
def year_children(line_id: int) -> ResponseReturnValue:
    """Children who do not go where their class goes: a class that is split, somebody who repeats."""
    with reading() as held:
        shown, line = _line(held, line_id)
        if line.class_id is None:
            raise NotFound()
        directory.class_head(held, current_actor(), line.class_id)  # names: school and teacher only
        children = plan.children_of(held, shown.id, line.class_id, when.today(), MOST_CHILDREN)
    if request.method == "POST":
        targets = {}
        for child in children:
            typed = request.form.get(f"child-{child.id}", "")
            if typed.isascii() and typed.isdigit():
                targets[child.id] = int(typed) or None
        with unit_of_work() as uow:
            count = preparing.place(uow, line_id=line_id, targets=targets, day=when.today())
        say(
            Text(f"已保存，{count} 名学生另行安排。", f"Saved: {count} go elsewhere.")
            if count
            else Text("已保存，全班一起走。", "Saved: all go with the class.")
        )
        return redirect(url_for("people.year", school_id=shown.school_id), 303)
    return render_template(
        "people/year_children.html",
        line=line,
        plan=shown,
        children=children,
        targets=[x for x in shown.lines if x.makes and x.id != line.id],
    )
