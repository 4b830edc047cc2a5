"""Roster imports: hand in a file, read the preview, apply or discard it, undo what was applied.

Looking changes nothing; every step is a button. Must not know how a file is read.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage
from wtforms import FileField

from coordination.authz.actions import Action
from coordination.blueprints.people.blueprint import bp
from coordination.domain.people.roster import batches, queries
from coordination.domain.people.roster.template import workbook
from coordination.domain.people.roster.uploads import MOST_BY_WEB
from coordination.ground import clock
from coordination.ground.errors import Conflict, Invalid
from coordination.ground.text import Text, clean
from coordination.ground.uow import UnitOfWork
from coordination.web import when
from coordination.web.forms import Form, attempt, both, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import PAGE_SIZE, Page, page_number
from coordination.web.request import language, reading, require, unit_of_work
from coordination.web.say import say

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TONES = {"previewed": "need", "applied": "ok", "undone": "", "discarded": ""}
SHOWN = ("refused", "change", "end", "add")


class UploadForm(Form):
    """One file."""

    roster = FileField(both("名册文件", "Roster file"))


def _page(found: queries.Page[Any]) -> Page[Any]:
    number = page_number()
    return Page(found.lines, number, number * PAGE_SIZE < found.total)


def _offset() -> int:
    return (page_number() - 1) * PAGE_SIZE


@bp.get("/imports")
@guard(Access.ADMIN)
def imports() -> ResponseReturnValue:
    """All imports, newest first."""
    require(Action.ROSTER_IMPORT)
    with reading() as held:
        page = _page(queries.batches_page(held, limit=PAGE_SIZE, offset=_offset()))
    return render_template("people/imports.html", page=page, tones=TONES)


@bp.get("/import/template.xlsx")
@guard(Access.ADMIN)
def template() -> ResponseReturnValue:
    """The workbook to fill in, in the language of the page."""
    require(Action.ROSTER_IMPORT)
    name = "roster-template.xlsx" if language() == "en" else "名册模板.xlsx"
    book = io.BytesIO(workbook(language(), when.local(clock.now())))
    return send_file(book, mimetype=_XLSX, as_attachment=True, download_name=name)


@bp.route("/import", methods=["GET", "POST"])
@guard(Access.ADMIN, upload=10)
def start_import() -> ResponseReturnValue:
    """Hand in a file; nothing but its preview is kept."""
    require(Action.ROSTER_IMPORT)
    form = UploadForm()
    if form.validate_on_submit():
        batch_id = None
        with (
            attempt(form) as done,
            _received(form.roster.data) as (path, name),
            unit_of_work() as uow,
        ):
            batch_id = batches.preview(uow, path=path, name=name)
        if done.ok and batch_id is not None:
            return redirect(url_for("people.show_import", batch_id=batch_id), 303)
    return render_form("people/import.html", form, most=MOST_BY_WEB // (1024 * 1024))


@contextmanager
def _received(handed_in: object) -> Iterator[tuple[Path, str]]:
    """The uploaded file as a file of ours, for as long as it is needed."""
    if not isinstance(handed_in, FileStorage) or not handed_in.filename:
        raise Invalid(fields={"roster": Text("请选择一个文件。", "Choose a file.")})
    handle, where = tempfile.mkstemp(prefix="roster-")
    path = Path(where)
    try:
        with os.fdopen(handle, "wb") as target:
            handed_in.save(target)
        if path.stat().st_size > MOST_BY_WEB:
            raise Invalid(
                fields={
                    "roster": Text(
                        "文件超过 10 MB，请分学校上传。",
                        "The file has more than 10 MB; hand it in school by school.",
                    )
                }
            )
        if path.stat().st_size == 0:
            raise Invalid(fields={"roster": Text("文件是空的。", "The file is empty.")})
        yield path, clean(handed_in.filename)
    finally:
        path.unlink(missing_ok=True)


@bp.get("/import/<int:batch_id>")
@guard(Access.ADMIN)
def show_import(batch_id: int) -> ResponseReturnValue:
    """What an import would do or did: counts, refusals, and the rows by name."""
    require(Action.ROSTER_IMPORT)
    with reading() as held:
        summary = queries.batch_summary(held, batch_id)
        show = request.args.get("show", "")
        if show not in SHOWN:
            show = _most_telling(summary)
        page = _page(
            queries.refusals_page(held, batch_id, limit=PAGE_SIZE, offset=_offset())
            if show == "refused"
            else queries.changes_page(held, batch_id, op=show, limit=PAGE_SIZE, offset=_offset())
        )
    totals = {
        "refused": summary.batch.refusals,
        "change": summary.batch.changed,
        "end": summary.batch.ended,
        "add": summary.batch.added,
    }
    return render_template(
        "people/batch.html",
        summary=summary,
        batch=summary.batch,
        page=page,
        show=show,
        totals=totals,
        ops=queries.OP_LABELS,
        tones=TONES,
        leaving=next((e.end for e in summary.entities if e.key == "student"), 0),
    )


def _most_telling(summary: queries.BatchSummary) -> str:
    batch = summary.batch
    counts = (batch.refusals, batch.changed, batch.ended, batch.added)
    return next((op for op, n in zip(SHOWN, counts, strict=True) if n), "add")


def _step(batch_id: int, use: Callable[[UnitOfWork], Text]) -> ResponseReturnValue:
    try:
        with unit_of_work() as uow:
            said = use(uow)
    except (Conflict, Invalid) as refusal:
        say(refusal.message, "need")
    else:
        say(said)
    return redirect(url_for("people.show_import", batch_id=batch_id), 303)


@bp.post("/import/<int:batch_id>/apply")
@guard(Access.ADMIN)
def apply_import(batch_id: int) -> ResponseReturnValue:
    """Write what the preview showed."""

    def use(uow: UnitOfWork) -> Text:
        written = batches.apply(uow, batch_id=batch_id)
        return Text(f"已写入 {written} 行。", f"{written} rows written.")

    return _step(batch_id, use)


@bp.post("/import/<int:batch_id>/discard")
@guard(Access.ADMIN)
def discard_import(batch_id: int) -> ResponseReturnValue:
    """Give a preview up."""

    def use(uow: UnitOfWork) -> Text:
        batches.discard(uow, batch_id=batch_id)
        return Text(
            "已放弃，上传的文件已删除，名册没有变化。",
            "Discarded; the uploaded file is deleted and the roster is as it was.",
        )

    return _step(batch_id, use)


@bp.post("/import/<int:batch_id>/undo")
@guard(Access.ADMIN)
def undo_import(batch_id: int) -> ResponseReturnValue:
    """Take back what was written."""

    def use(uow: UnitOfWork) -> Text:
        batches.undo(uow, batch_id=batch_id)
        return Text("已撤销这次导入。", "The import is undone.")

    return _step(batch_id, use)
