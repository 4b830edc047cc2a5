"""The head-count on the day: numbers for the office, one class and stage at a time for a thumb."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from flask import (
    Blueprint,
    Response,
    current_app,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import Actor
from coordination.authz.policy import allowed
from coordination.blueprints.headcount.forms import LeftForm, gone_of, sent, ticked
from coordination.blueprints.headcount.views import Shown, for_phone, state_of
from coordination.domain.practice import queries as practice
from coordination.domain.practice.headcount import closing, counting, leaving, stages, watching
from coordination.domain.practice.headcount import queries as headcounts
from coordination.domain.practice.headcount.closing import SomebodyMissing
from coordination.domain.practice.headcount.counting import Tap
from coordination.domain.practice.headcount.queries import Board
from coordination.domain.practice.queries import SessionLine
from coordination.domain.volunteering import helping
from coordination.ground import clock
from coordination.ground.errors import CoordinationError, Forbidden, NotFound
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard, is_staff
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_family, waits_for_staff

bp = Blueprint("headcount", __name__, url_prefix="/activities/sessions")

_WORKER = Path("js") / "headcount-worker.js"


@bp.get("/<int:session_id>/day")
@guard(Access.SIGNED_IN)
def show(session_id: int) -> ResponseReturnValue:
    """The classes of a session in numbers; whoever counts one class only is led to it."""
    actor = current_actor()
    with reading() as held:
        line = practice.session_of(held, actor, session_id)
        boards = headcounts.boards_of(held, [session_id]).get(session_id, [])
        helped = helping.classes_helped(held, actor, session_id, clock.now())
        by_name = [
            b
            for b in boards
            if b.row.class_id in helped or allowed(actor, Action.HEADCOUNT_KEEP, b.row)
        ]
        seen = [b for b in boards if b in by_name or allowed(actor, Action.HEADCOUNT_READ, b.row)]
    if not seen:
        if not allowed(actor, Action.ACTIVITY_PLAN):
            raise NotFound()
    elif seen == by_name and len(by_name) == 1:
        return redirect(
            url_for("headcount.roster", session_id=session_id, class_id=by_name[0].row.class_id)
        )
    return render_template(
        "headcount/show.html",
        line=line,
        boards=seen,
        by_name={b.row.class_id for b in by_name},
        names=stages.STAGES,
        layout=_layout(),
        not_yet=_not_yet(line),
    )


@bp.route("/<int:session_id>/day/<int:class_id>", methods=["GET", "POST"])
@guard(Access.SIGNED_IN)
def roster(session_id: int, class_id: int) -> ResponseReturnValue:
    """One class at one stage. Works as a plain form; with scripts every tap is kept at once."""
    shown, line = _shown(session_id, class_id)
    refusal: CoordinationError | None = None
    if request.method == "POST":
        try:
            _keep(
                session_id, class_id, ticked(request.form, shown.stage), may_close=shown.may_close
            )
            if "finish" in request.form:
                return _finish(shown)
            say(Text("已保存。", "Saved."))
            return redirect(_here(shown), 303)
        except CoordinationError as error:
            if error.status in (403, 404):
                raise
            refusal = error
            shown, line = _shown(session_id, class_id)
    page = render_template(
        "headcount/roster.html",
        line=line,
        shown=shown,
        names=stages.STAGES,
        reasons=stages.reasons_at(shown.stage),
        every_reason={**stages.FROM_THE_START, **stages.ON_THE_WAY},
        refusal=refusal,
        missing_now=refusal.enrolment_ids if isinstance(refusal, SomebodyMissing) else frozenset(),
        explaining=isinstance(refusal, SomebodyMissing) or bool(gone_of(request.form)),
        chosen=gone_of(request.form),
        batch=uuid4(),
        data=for_phone(shown),
        layout=_layout(),
        not_yet=_not_yet(line),
    )
    return page, refusal.status if refusal else 200


def _finish(shown: Shown) -> ResponseReturnValue:
    row = shown.board.row
    if not shown.may_close:
        raise Forbidden()
    with unit_of_work() as uow:
        count = closing.close_stage(
            uow,
            session_id=row.session_id,
            class_id=row.class_id,
            stage=shown.stage,
            gone=gone_of(request.form),
            consent_checked="checked" in request.form,
        )
        counted, explained = count.counted, count.expected - count.counted
    name = stages.STAGES[shown.stage]
    more = (
        Text(f"，{explained} 人已说明原因", f", {explained} with a reason")
        if explained
        else Text("", "")
    )
    told = (
        Text("。家长会收到平安返校短信。", ". Their families are told that they are back.")
        if shown.stage == stages.BACK and counted
        else Text("。", ".")
    )
    say(
        Text(
            f"{name.zh}：{counted} 人到齐{more.zh}{told.zh}",
            f"{name.en}: {counted} here{more.en}{told.en}",
        )
    )
    return redirect(
        url_for("headcount.roster", session_id=row.session_id, class_id=row.class_id), 303
    )


@bp.post("/<int:session_id>/day/<int:class_id>/marks")
@guard(Access.SIGNED_IN)
def marks(session_id: int, class_id: int) -> ResponseReturnValue:
    """Marks that a phone held: kept once each, however often they come; the state as it then is."""
    shown, _line = _shown(session_id, class_id)
    taps, phone_now = sent(request.get_json(silent=True))
    outcome = _keep(session_id, class_id, taps, may_close=shown.may_close, phone_now=phone_now)
    shown, _line = _shown(session_id, class_id)
    return jsonify(outcome={str(i): what for i, what in outcome.items()}, state=state_of(shown))


@bp.get("/<int:session_id>/day/<int:class_id>/state")
@guard(Access.SIGNED_IN)
def state(session_id: int, class_id: int) -> ResponseReturnValue:
    """What others have marked meanwhile."""
    shown, _line = _shown(session_id, class_id)
    return jsonify(state=state_of(shown))


@bp.route("/<int:session_id>/day/<int:class_id>/left/<int:enrolment_id>", methods=["GET", "POST"])
@guard(Access.STAFF)
def left(session_id: int, class_id: int, enrolment_id: int) -> ResponseReturnValue:
    """A child leaves the group on the way, or was noted as gone and is here after all."""
    shown, line = _shown(session_id, class_id)
    child = next((c for c in shown.board.children if c.enrolment_id == enrolment_id), None)
    if child is None or not shown.may_close:
        raise NotFound()
    stage = shown.board.current or stages.BACK
    form = LeftForm()
    form.reason.choices = [
        (code, words.in_(language())) for code, words in stages.reasons_at(stage).items()
    ]
    form.reason.validate_choice = False  # the rule is the domain's, and says more
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            if "back" in request.form:
                leaving.take_back(
                    uow, session_id=session_id, class_id=class_id, enrolment_id=enrolment_id
                )
            else:
                leaving.note_left(
                    uow,
                    session_id=session_id,
                    class_id=class_id,
                    enrolment_id=enrolment_id,
                    reason=form.reason.data or "",
                    note=form.note.data or "",
                )
        if done.ok:
            say(Text("已登记。", "Noted."))
            return redirect(
                url_for("headcount.roster", session_id=session_id, class_id=class_id), 303
            )
    return render_form(
        "headcount/left.html",
        form,
        line=line,
        shown=shown,
        child=child,
        stage=stages.STAGES[stage],
        every_reason={**stages.FROM_THE_START, **stages.ON_THE_WAY},
    )


@bp.get("/headcount-worker.js")
@guard(Access.PUBLIC)
def worker() -> Response:
    """The service worker, from here so that it reaches these pages and no others."""
    static = current_app.static_folder or ""
    script = (Path(static) / _WORKER).read_text(encoding="utf-8")
    return Response(script, mimetype="text/javascript")


def _shown(session_id: int, class_id: int) -> tuple[Shown, SessionLine]:
    """The class as the actor may see it by name; NotFound for everybody else."""
    actor = current_actor()
    with reading() as held:
        line = practice.session_of(held, actor, session_id)
        board = headcounts.board(held, session_id, class_id)
        may_close = allowed(actor, Action.HEADCOUNT_KEEP, board.row)
        if not may_close and class_id not in helping.classes_helped(
            held, actor, session_id, clock.now()
        ):
            raise NotFound()
    return Shown(board, _stage_of(board), may_close), line


def _stage_of(board: Board) -> str:
    """The stage that is asked for, else the one to be counted next, else the last."""
    known = [s.stage for s in board.stages]
    asked = request.values.get("stage", "")
    if asked in known:
        return asked
    return board.current or (stages.LEAVE if board.nobody_left else stages.BACK)


def _keep(
    session_id: int,
    class_id: int,
    taps: list[Tap],
    *,
    may_close: bool,
    phone_now: datetime | None = None,
) -> dict[UUID, str]:
    if not taps:
        return {}
    use = counting.keep_marks if may_close else helping.keep_marks_as_helper
    with unit_of_work() as uow:
        return use(uow, session_id=session_id, class_id=class_id, taps=taps, sent_at=phone_now)


def _here(shown: Shown) -> str:
    row = shown.board.row
    return url_for(
        "headcount.roster", session_id=row.session_id, class_id=row.class_id, stage=shown.stage
    )


def _layout() -> str:
    return "layouts/staff.html" if is_staff(current_actor()) else "layouts/parent.html"


def _not_yet(line: SessionLine) -> CoordinationError | None:
    """Why nobody can be counted now, if so."""
    held = line.session
    try:
        stages.refuse_other_day(held.state, held.starts_at, held.return_at, clock.now())
    except CoordinationError as refusal:
        return refusal
    return None


@waits_for_staff
def my_class_is_out(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """The class teacher's way to the list of today, in one tap."""
    title = Text("今天外出", "Out today")
    return [_out(one, title) for one in watching.out_today(session, actor.class_ids, now)]


@waits_for_family
def i_help_today(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """The helper's way there."""
    title = Text("今天随队帮忙", "You help today")
    return [_out(one, title) for one in helping.helped_today(session, actor, now)]


def _out(one: watching.OutToday, title: Text) -> Waiting:
    starts = when.clock_time(one.session.starts_at)
    return Waiting(
        title=Text(f"{title.zh}：{one.activity.title_zh}", f"{title.en}: {one.activity.title_en}"),
        url=url_for("headcount.roster", session_id=one.session.id, class_id=one.group.id),
        detail=Text(
            f"{one.group.name_zh} {starts} 出发，请逐站点名",
            f"{one.group.name_en} leaves at {starts}; count at every stage",
        ),
        urgent=True,
    )


@waits_for_staff
def counts_to_look_at(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """A count that is not finished, a class that should have left or be back: on the day itself."""
    return [_waiting(s) for s in watching.stuck(session, actor, now)]


def _waiting(one: watching.Stuck) -> Waiting:
    group, stage = one.board.group, stages.STAGES[one.stage]
    since = when.clock_time(one.since)
    if one.why == "overdue":
        detail = Text(
            f"“{stage.zh}”应在 {since}，还没有清点完成",
            f"“{stage.en}” was due at {since} and has not been counted",
        )
    elif one.why == "doubtful":
        detail = Text(
            f"清点之后又有 {one.missing} 名学生的标记与结果不一致，请核实",
            f"{one.missing} later marks disagree with a finished count; please check",
        )
    else:
        detail = Text(
            f"“{stage.zh}”从 {since} 开始清点，还差 {one.missing} 人",
            f"“{stage.en}” is being counted since {since}: {one.missing} missing",
        )
    return Waiting(
        title=Text(
            f"{group.name_zh} {one.activity.title_zh}：清点人数",
            f"{group.name_en}, {one.activity.title_en}: head-count",
        ),
        url=url_for("headcount.show", session_id=one.session.id),
        detail=detail,
        due=one.since,
        urgent=True,
    )
