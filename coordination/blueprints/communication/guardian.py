"""A notice as its reader sees it: behind a code without a password, or signed in. Looking changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.blueprints.communication.blueprint import bp
from coordination.domain.communication.files import child_files
from coordination.domain.communication.files.filetypes import MIME
from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import choices, queries, reach, services
from coordination.domain.communication.notices.queries import InboxLine
from coordination.domain.people import links
from coordination.domain.people.actors import actor_of
from coordination.domain.people.models import Organisation
from coordination.ground import clock
from coordination.ground.errors import NotFound
from coordination.ground.text import Text, mask_name
from coordination.web import when
from coordination.web.downloads import handed_out
from coordination.web.guards import Access, guard
from coordination.web.opening import opens
from coordination.web.request import act_as, current_actor, language, reading, unit_of_work
from coordination.web.waiting import Waiting, waits_for_family

opens("notice", "communication.open_notice")
opens("together", "communication.open_together")


def _holder(held: Session, code: str, opened: str) -> tuple[Actor, int]:
    """Who holds the code and what of the kind `opened` it opens; the code itself is the identity."""
    row = links.open_code(held, code)
    if row.subject_type != opened:
        raise NotFound()
    try:
        return actor_of(held, row.person_id, when.today()), row.subject_id
    except LookupError:
        raise NotFound() from None


def _by_code(code: str) -> tuple[Actor, int]:
    with reading() as held:
        return _holder(held, code, "notice")


@dataclass(frozen=True, slots=True)
class _Choosing:
    """A child for whom something is to be chosen."""

    id: int
    name: str
    chosen: Text | None


def _notice_page(
    actor: Actor, notice_id: int, action: str, file_at: Callable[[int], str], back: str = ""
) -> ResponseReturnValue:
    """`file_at` is where the file of a child is opened by the way that led here."""
    with reading() as held:
        row = services.recipient_of(held, notice_id, actor.person_id or 0)
        # custody may have changed since the text was sent
        children = [c for c in row.child_ids if c in actor.child_ids]
        if not children:
            raise NotFound()
        notice = held.get_one(Notice, notice_id)
        school = held.get_one(Organisation, notice.school_id)
        names = queries.names_of(held, set(children))
        chosen = choices.chosen_for(held, notice_id, children)
    options = choices.offered_by(notice)
    files = children if notice.reach == reach.CHILDREN else []
    return render_template(
        "communication/notice.html",
        notice=notice,
        row=row,
        school=Text(school.name_zh, school.name_en),
        children=[mask_name(names[c]) for c in children],
        files=[(mask_name(names[c]), file_at(c)) for c in files],
        options=options,
        choosing=[
            _Choosing(c, mask_name(names[c]), options[chosen[c]] if c in chosen else None)
            for c in (children if options else [])
        ],
        open_to_choose=choices.is_open(notice, clock.now()),
        can_be_opened=child_files.can_be_opened(notice, clock.now()),
        until=child_files.kept_until(notice),
        title=Text(notice.title_zh, notice.title_en),
        body=Text(notice.body_zh, notice.body_en),
        action=action,
        back=back,
    )


@bp.get("/open/<code>")
@guard(Access.SIGNED_LINK)
def open_notice(code: str) -> ResponseReturnValue:
    """The notice behind a code, without a password. Looking changes nothing."""
    actor, notice_id = _by_code(code)
    act_as(actor)
    return _notice_page(
        actor,
        notice_id,
        url_for("communication.confirm_by_code", code=code),
        lambda child: url_for("communication.file_by_code", code=code, child_id=child),
    )


@bp.post("/open/<code>")
@guard(Access.SIGNED_LINK)
def confirm_by_code(code: str) -> ResponseReturnValue:
    """Read or confirmed, by whoever holds the code."""
    actor, notice_id = _by_code(code)
    act_as(actor)
    _acknowledge(notice_id)
    return redirect(url_for("communication.open_notice", code=code), 303)


def _by_code_of_several(code: str) -> tuple[Actor, list[InboxLine]]:
    """Who holds the code of a text that says several notices, and which of these are open to them."""
    with reading() as held:
        actor, text_id = _holder(held, code, "together")
        lines = queries.said_together(held, actor, text_id)
    if not lines:
        raise NotFound()
    return actor, lines


@bp.get("/together/<code>")
@guard(Access.SIGNED_LINK)
def open_together(code: str) -> ResponseReturnValue:
    """The notices that one text told of, without a password. Looking changes nothing."""
    actor, lines = _by_code_of_several(code)
    act_as(actor)
    return render_template("communication/together.html", lines=lines, code=code)


def _one_of_several(code: str, notice_id: int) -> Actor:
    actor, lines = _by_code_of_several(code)
    if notice_id not in {line.notice.id for line in lines}:
        raise NotFound()
    act_as(actor)
    return actor


@bp.get("/together/<code>/<int:notice_id>")
@guard(Access.SIGNED_LINK)
def one_together(code: str, notice_id: int) -> ResponseReturnValue:
    """One of them."""
    actor = _one_of_several(code, notice_id)
    here = url_for("communication.confirm_together", code=code, notice_id=notice_id)

    def file_at(child: int) -> str:
        return url_for(
            "communication.file_together", code=code, notice_id=notice_id, child_id=child
        )

    back = url_for("communication.open_together", code=code)
    return _notice_page(actor, notice_id, here, file_at, back)


@bp.post("/together/<code>/<int:notice_id>")
@guard(Access.SIGNED_LINK)
def confirm_together(code: str, notice_id: int) -> ResponseReturnValue:
    """Read or confirmed, by whoever holds the code."""
    _one_of_several(code, notice_id)
    _acknowledge(notice_id)
    return redirect(url_for("communication.one_together", code=code, notice_id=notice_id), 303)


@bp.get("/mine/<int:notice_id>")
@guard(Access.GUARDIAN)
def mine(notice_id: int) -> ResponseReturnValue:
    """The same page for a guardian who is signed in."""
    return _notice_page(
        current_actor(),
        notice_id,
        url_for("communication.confirm_mine", notice_id=notice_id),
        lambda child: url_for("communication.my_file", notice_id=notice_id, child_id=child),
    )


@bp.post("/mine/<int:notice_id>")
@guard(Access.GUARDIAN)
def confirm_mine(notice_id: int) -> ResponseReturnValue:
    """Read or confirmed, by a guardian who is signed in."""
    _acknowledge(notice_id)
    return redirect(url_for("communication.mine", notice_id=notice_id), 303)


def _acknowledge(notice_id: int) -> None:
    choice = request.form.get("choice", type=int)
    with unit_of_work() as uow:
        if choice is not None:
            child = request.form.get("child", 0, type=int)
            choices.choose(uow, notice_id=notice_id, child_id=child, position=choice)
            return
        services.acknowledge(
            uow, notice_id=notice_id, confirm=request.form.get("answer") == "confirm"
        )


# -- the file of a child ---------------------------------------------------------------------------


@bp.route("/open/<code>/files/<int:child_id>", methods=["GET", "POST"])
@guard(Access.SIGNED_LINK)
def file_by_code(code: str, child_id: int) -> ResponseReturnValue:
    """The file of a child, for whoever holds the code of the notice."""
    actor, notice_id = _by_code(code)
    act_as(actor)
    return _file(notice_id, child_id, url_for("communication.open_notice", code=code))


@bp.route("/together/<code>/<int:notice_id>/files/<int:child_id>", methods=["GET", "POST"])
@guard(Access.SIGNED_LINK)
def file_together(code: str, notice_id: int, child_id: int) -> ResponseReturnValue:
    """The same behind the code of several notices."""
    _one_of_several(code, notice_id)
    page = url_for("communication.one_together", code=code, notice_id=notice_id)
    return _file(notice_id, child_id, page)


@bp.route("/mine/<int:notice_id>/files/<int:child_id>", methods=["GET", "POST"])
@guard(Access.GUARDIAN)
def my_file(notice_id: int, child_id: int) -> ResponseReturnValue:
    """The same for a guardian who is signed in."""
    return _file(notice_id, child_id, url_for("communication.mine", notice_id=notice_id))


def _file(notice_id: int, child_id: int, page: str) -> ResponseReturnValue:
    """Pressing the button notes that it was opened; the file itself comes by a look, which notes
    nothing, and to nobody before. In-app browsers save what they can ask for once more."""
    if request.method == "POST":
        with unit_of_work() as uow:
            child_files.note_opened(uow, notice_id=notice_id, child_id=child_id)
        return redirect(request.path, 303)
    with reading() as held:
        found = child_files.opened(
            held, current_actor(), notice_id=notice_id, child_id=child_id, now=clock.now()
        )
    if found is None:
        return redirect(page, 303)
    return handed_out(found.body, MIME[found.kind], found.name.in_(language()))


@bp.get("/inbox")
@guard(Access.GUARDIAN)
def family() -> ResponseReturnValue:
    """All notices of a guardian, over all children."""
    with reading() as held:
        lines = queries.inbox_of(held, current_actor())
    return render_template("communication/inbox.html", lines=lines)


@waits_for_family
def unanswered(session: Session, actor: Actor, _now: datetime) -> list[Waiting]:
    """Notices that a guardian has still to confirm, or to read where no text has told of them."""
    return [
        Waiting(
            title=Text(line.notice.title_zh, line.notice.title_en),
            url=url_for("communication.mine", notice_id=line.notice.id),
            detail=Text("请选一项", "Please choose")
            if line.notice.options_zh
            else Text("请确认收到", "Please confirm")
            if line.notice.level == "confirm"
            else Text("新通知，请查看", "New; please read it"),
            due=line.notice.due_at,
            child_ids=frozenset(line.child_ids),
        )
        for line in queries.inbox_of(session, actor)
        if line.is_open and (line.notice.level == "confirm" or line.notice.page_first)
    ]
