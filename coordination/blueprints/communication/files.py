"""A file for each child of a class: hand them in, see which is whose, and send."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage
from wtforms import MultipleFileField, RadioField, SelectField

from coordination.authz.actor import Actor
from coordination.blueprints.communication import addressing, preview, typed
from coordination.blueprints.communication.blueprint import bp
from coordination.blueprints.communication.forms import CHOICE, DO, LEVELS, NoticeForm
from coordination.domain.communication.files import child_files
from coordination.domain.communication.files.filetypes import MIME
from coordination.domain.communication.files.handing_in import (
    MB,
    MOST_ALL,
    MOST_EACH,
    MOST_FILES,
    Handed,
    Refused,
)
from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import queries, services
from coordination.domain.communication.notices.audience import audience_of_children
from coordination.domain.communication.texts import budgets
from coordination.domain.people.models import ClassGroup, Organisation
from coordination.domain.people.recipients import children_in
from coordination.ground import clock, crypto
from coordination.ground.errors import CoordinationError, Forbidden, Invalid, NotFound
from coordination.ground.text import Text
from coordination.reactions.quiet_hours import wait_of_notice
from coordination.web import when
from coordination.web.downloads import handed_out
from coordination.web.forms import Form, attempt, both, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say
from coordination.web.waiting import Waiting, waits_for_staff

# of the body: what may be taken, and a little that may not, so that the page can say so by name
UPLOAD = MOST_ALL // MB + 3
LIMITS = {"each": MOST_EACH // MB, "all": MOST_ALL // MB, "files": MOST_FILES}
ACCEPT = ".pdf,.png,.jpg,.jpeg,.zip"


class WordsForm(NoticeForm):
    """What a notice says, without whom it goes to and when: one class, at once."""

    org_id = class_ids = send_on = send_time = test_key = None  # type: ignore[assignment]
    options_zh = options_en = None  # type: ignore[assignment]

    # with a file of its own for each child there is nothing to choose
    level = RadioField(DO, choices=[c for c in LEVELS if c[0] != CHOICE], default="confirm")

    def validate(self, extra_validators: Any = None) -> bool:
        """Without the times there is nothing that belongs together."""
        return bool(Form.validate(self, extra_validators))


class FilesForm(WordsForm):
    """The same with the class and the files."""

    class_id = SelectField(both("发给哪个班", "For which class"), coerce=int)
    files = MultipleFileField(both("文件", "Files"))


class MoreForm(Form):
    """Further files for a draft: by their names, or one for a child."""

    child_id = SelectField(both("给谁", "For whom"), default="")
    files = MultipleFileField(both("文件", "Files"))


def _received(form: FilesForm | MoreForm) -> list[Handed]:
    return [
        Handed(file.filename, file.stream.read())
        for file in form.files.data or []
        if isinstance(file, FileStorage) and file.filename
    ]


@bp.route("/files/new", methods=["GET", "POST"])
@guard(Access.STAFF, upload=UPLOAD)
def new_files() -> ResponseReturnValue:
    """Which class, what it is about, and the files; sent is nothing yet."""
    form = FilesForm()
    with reading() as held:
        groups = queries.classes_to_write_to(held, current_actor())
    form.class_id.choices = [(g.id, Text(g.name_zh, g.name_en).in_(language())) for g in groups]
    if not form.draft_key.data:
        form.draft_key.data = crypto.new_token()
    if form.validate_on_submit():
        notice_id, refused = None, []
        with attempt(form) as done, unit_of_work() as uow:
            notice_id = child_files.begin(
                uow,
                draft_key=(form.draft_key.data or "")[: typed.LONGEST_KEY],
                class_id=form.class_id.data,
                **typed.said_in(form),
            ).id
            refused = child_files.add(uow, notice_id=notice_id, handed=_received(form))
        if done.ok and notice_id is not None:
            if refused:
                return _check(notice_id, refused=refused)
            return redirect(url_for("communication.check_files", notice_id=notice_id), 303)
    return render_form(
        "communication/files_new.html",
        form,
        nobody=not groups,
        limits=LIMITS,
        days=child_files.KEPT.days,
        accept=ACCEPT,
    )


@bp.route("/files/<int:notice_id>", methods=["GET", "POST"])
@guard(Access.STAFF)
def check_files(notice_id: int) -> ResponseReturnValue:
    """Every child with the file that is theirs; the words, and the last button."""
    with reading() as held:
        notice = child_files.sendable_of(held, current_actor(), notice_id)
    if notice.state != "draft":
        return redirect(url_for("communication.show", notice_id=notice_id), 303)
    form = WordsForm(data=_as_typed(notice))
    if form.validate_on_submit():
        sending = request.form.get("step") == "send"
        with attempt(form) as done, unit_of_work() as uow:
            if sending:
                child_files.send(uow, notice_id=notice_id, **typed.said_in(form))
            else:
                child_files.change(uow, notice_id=notice_id, **typed.said_in(form))
        if done.ok:
            say(
                Text("材料已发送。", "The files are on their way.")
                if sending
                else Text("文字已保存，还没有发送。", "The words are saved; nothing is sent yet.")
            )
            to = "show" if sending else "check_files"
            return redirect(url_for(f"communication.{to}", notice_id=notice_id), 303)
    return _check(notice_id, form=form)


def _as_typed(notice: Notice) -> dict[str, object]:
    return {**typed.as_typed(notice), "looked_at": ""}


def _check(
    notice_id: int,
    *,
    form: WordsForm | None = None,
    more: MoreForm | None = None,
    refused: Sequence[Refused] = (),
) -> ResponseReturnValue:
    """The page of a draft; `refused` are the files that were just not taken."""
    with reading() as held:
        notice = child_files.sendable_of(held, current_actor(), notice_id)
        if form is None:
            form = WordsForm(formdata=None, data=_as_typed(notice))
        lines = child_files.lines_of(held, notice, when.today())
        whom = _addressees(held, notice, lines, form)
        title = Text(form.title_zh.data or "", form.title_en.data or "")
        found = services.concerns_of(
            held,
            children_in(notice.class_ids, when.today()),
            title,
            Text(form.body_zh.data or "", form.body_en.data or ""),
        )
    more = more or MoreForm(formdata=None)
    _offer(more, lines)
    previews = preview.previews_of(whom.counts, whom.sender, title)
    page, status = render_form(
        "communication/files_check.html",
        form,
        more=more,
        notice=notice,
        with_file=[line for line in lines if line.name is not None],
        without=[line for line in lines if line.name is None],
        refused=refused,
        until=child_files.kept_until(notice),
        whom=whom,
        concerns=[(getattr(form, c.field).label.text, c.says) for c in found if not c.stops],
        kinds=" ".join(sorted({c.kind for c in found})),
        previews=previews,
        cost=preview.cost_of(previews),
        limits=LIMITS,
        accept=ACCEPT,
    )
    if status == 200 and (refused or more.refusal):
        status = more.refusal.status if more.refusal else 422
    return page, status


def _offer(more: MoreForm, lines: Sequence[child_files.FileLine]) -> None:
    more.child_id.choices = [
        ("", Text("按文件名认孩子", "By the names of the files").in_(language())),
        *(
            (str(line.child_id), f"{line.child} {line.number}".strip())
            for line in lines
            if line.name is None
        ),
    ]


def _addressees(
    held: Session, notice: Notice, lines: Sequence[child_files.FileLine], form: WordsForm
) -> addressing.Addressees:
    group = held.get_one(ClassGroup, notice.class_ids[0])
    school = held.get_one(Organisation, notice.school_id)
    audience = audience_of_children(
        held, {line.child_id: line.child for line in lines if line.name is not None}, when.today()
    )
    alone = typed.alone(form)
    texts_at = clock.now() + alone if alone else None
    leaves = texts_at or clock.now()
    return addressing.Addressees(
        label=Text(group.name_zh, group.name_en),
        sender=addressing.sender_of([group], school),
        counts=audience.counts(),
        audience=audience,
        wait=wait_of_notice(held, leaves, when.zone()),
        texts_at=texts_at,
        account=budgets.account(held, school.id, leaves),
    )


@bp.route("/files/<int:notice_id>/add", methods=["GET", "POST"])
@guard(Access.STAFF, upload=UPLOAD)
def add_files(notice_id: int) -> ResponseReturnValue:
    """Further files for a draft; who comes back to this address sees the draft."""
    if request.method == "GET":
        return redirect(url_for("communication.check_files", notice_id=notice_id), 303)
    more = MoreForm()
    with reading() as held:
        notice = child_files.sendable_of(held, current_actor(), notice_id)
        _offer(more, child_files.lines_of(held, notice, when.today()))
    if notice.state != "draft":
        return redirect(url_for("communication.show", notice_id=notice_id), 303)
    refused: list[Refused] = []
    with attempt(more) as done:
        if not more.validate():
            raise Invalid()
        with unit_of_work() as uow:
            refused = child_files.add(
                uow,
                notice_id=notice_id,
                handed=_received(more),
                child_id=int(more.child_id.data) if more.child_id.data else None,
            )
    if done.ok and not refused:
        say(Text("已加上。", "Added."))
        return redirect(url_for("communication.check_files", notice_id=notice_id), 303)
    return _check(notice_id, more=more, refused=refused)


@bp.post("/files/<int:notice_id>/remove/<int:child_id>")
@guard(Access.STAFF)
def remove_file(notice_id: int, child_id: int) -> ResponseReturnValue:
    """Take one child's file out of a draft."""
    try:
        with unit_of_work() as uow:
            child_files.remove(uow, notice_id=notice_id, child_id=child_id)
    except CoordinationError as refusal:
        return _left(notice_id, refusal)
    say(Text("已移除，这个孩子现在没有文件。", "Removed; this child has no file now."))
    return redirect(url_for("communication.check_files", notice_id=notice_id), 303)


@bp.post("/files/<int:notice_id>/discard")
@guard(Access.STAFF)
def discard_files(notice_id: int) -> ResponseReturnValue:
    """Give a draft up."""
    try:
        with unit_of_work() as uow:
            child_files.discard(uow, notice_id=notice_id)
    except CoordinationError as refusal:
        return _left(notice_id, refusal)
    say(
        Text(
            "已放弃，文件已删除，没有发给任何人。",
            "Given up; the files are deleted, nobody got them.",
        )
    )
    return redirect(url_for("communication.index"), 303)


def _left(notice_id: int, refusal: CoordinationError) -> ResponseReturnValue:
    """It has been sent meanwhile, in another window."""
    if isinstance(refusal, (Forbidden, NotFound)):
        raise refusal
    say(refusal.message, "need")
    return redirect(url_for("communication.show", notice_id=notice_id), 303)


@bp.post("/<int:notice_id>/files/<int:child_id>")
@guard(Access.STAFF)
def look_at_file(notice_id: int, child_id: int) -> ResponseReturnValue:
    """The file of one child, for the class teacher and the school; a button, for it is recorded."""
    with unit_of_work() as uow:
        found = child_files.look(uow, notice_id=notice_id, child_id=child_id)
    return handed_out(found.body, MIME[found.kind], found.name.in_(language()))


@waits_for_staff
def unsent_files(session: Session, actor: Actor, _now: datetime) -> list[Waiting]:
    """Drafts that are erased if nobody sends them."""
    return [
        Waiting(
            title=Text(draft.title_zh, draft.title_en),
            url=url_for("communication.check_files", notice_id=draft.id),
            detail=Text("一人一份材料还没有发送", "A file per child, not sent yet"),
            due=child_files.kept_until(draft),
        )
        for draft in child_files.drafts_of(session, actor)
    ]
