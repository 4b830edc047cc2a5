"""Use cases of the roster import: preview, apply, undo, discard. Every batch is kept (B4).

A preview reads, stages and compares, and writes nothing but its findings. An apply does the same
again and writes, in one transaction: what is written is what was shown, or nothing.
Knows the order of things; the statements stand in `difference.py`, `writing.py` and `undoing.py`.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.people.events import RosterApplied, RosterUndone
from coordination.domain.people.models import (
    Organisation,
    RosterBatch,
    RosterChange,
    RosterRefusal,
)
from coordination.domain.people.roster import findings, undoing, uploads, writing
from coordination.domain.people.roster.difference import compare
from coordination.domain.people.roster.first_load import checked_at_once
from coordination.domain.people.roster.reading import reading
from coordination.domain.people.roster.staging import fill, make_tables
from coordination.domain.people.roster.undoing import Undone
from coordination.domain.people.roster.values import Format
from coordination.ground.errors import Conflict, NotFound, Stale
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# one import at a time in the whole district
_LOCK = 74_203
_PREVIEW_LIFE = timedelta(days=7)

_zone = ZoneInfo("Asia/Shanghai")


def use_zone(zone: ZoneInfo) -> None:
    """In which zone a day begins; once per process."""
    global _zone
    _zone = zone


def preview(uow: UnitOfWork, *, path: Path, name: str) -> int:
    """Read what stands at `path` (its owner calls it `name`) and say what it would do.

    Returns the id of the batch. Invalid if the file as a whole cannot be read.
    """
    uow.authorize(Action.ROSTER_IMPORT)
    _forget_old(uow)
    with uploads.one_file(path) as file:
        found = _stage(uow, file, name)
        today = _today(uow)
        compare(uow.session, found, today=today, real_ids=False)
        counts, digest = findings.counted(uow.session, _last_day(today))
        batch = RosterBatch(
            source_name=name[:200],
            format=found.key,
            state="previewed",
            made_by_id=uow.actor.person_id,
        )
        uow.session.add(batch)
        uow.session.flush()  # its number goes into what is kept with it
        uploads.keep(uow.session, batch.id, file)
    findings.keep_named(uow.session, batch.id, _last_day(today))
    refusals = findings.keep_refusals(uow.session, batch.id, found)
    batch.counts = {
        "entities": counts,
        "refusals": refusals,
        "digest": digest,
        "label": [found.label.zh, found.label.en],
    }
    return batch.id


def apply(uow: UnitOfWork, *, batch_id: int) -> int:
    """Write what the preview showed; returns how many rows were written.

    Stale if the present rows have changed so that something else would be written.
    """
    uow.authorize(Action.ROSTER_IMPORT)
    batch = _locked(uow.session, batch_id)
    if batch.state != "previewed":
        raise Conflict(
            Text(
                "这次导入已经处理过了，请刷新页面查看。",
                "This import has been dealt with already; reload the page.",
            ),
            code="not_previewed",
        )
    with uploads.kept(uow.session, batch.id) as file:
        found = _stage(uow, file, batch.source_name)
    writing.hold_present_rows(uow.session)
    today = _today(uow)
    compare(uow.session, found, today=today, real_ids=True)
    counts, digest = findings.counted(uow.session, _last_day(today))
    if digest != batch.counts.get("digest"):
        raise Stale(
            Text(
                "预览之后系统中的名册有变动，实际写入会与预览不同。未写入任何内容，请重新预览。",
                "The present rows changed after the preview, so that something else would be"
                " written. Nothing was written; preview again.",
            )
        )
    findings.keep_all_changes(uow.session, batch.id, _last_day(today))
    with checked_at_once(uow.session, sum(line["add"] for line in counts.values())):
        written = writing.write(uow.session, batch.id, today=today, ended=_last_day(today))
    uploads.forget(uow.session, batch.id)
    batch.state, batch.applied_at = "applied", uow.now
    batch.counts = {**batch.counts, "entities": counts, "written": written}
    uow.record(RosterApplied(batch.id))
    return written


def undo(uow: UnitOfWork, *, batch_id: int) -> Undone:
    """Take back what a batch wrote; what cannot be taken back is named in the result.

    Conflict if a later batch was applied to the same rows: that one must be undone first.
    """
    uow.authorize(Action.ROSTER_UNDO)
    batch = _locked(uow.session, batch_id)
    if batch.format == "year":
        raise Conflict(
            Text(
                "这是学校的升级，请在“升级”页撤销。",
                "This is a school's turn of the year; take it back on its own page.",
            ),
            code="turn_of_the_year",
        )
    if batch.state != "applied":
        raise Conflict(
            Text("这次导入没有写入，或已经撤销。", "This import was not applied, or is undone."),
            code="not_applied",
        )
    writing.hold_present_rows(uow.session)
    undoing.refuse_if_built_upon(uow.session, batch)
    result = undoing.undo(uow.session, batch.id, ended=_last_day(_today(uow)))
    batch.state, batch.undone_at = "undone", uow.now
    batch.counts = {
        **batch.counts,
        "undone": {
            "removed": result.removed,
            "restored": result.restored,
            "ended": result.ended,
            "kept": list(result.kept),
        },
    }
    uow.record(RosterUndone(batch.id))
    return result


def discard(uow: UnitOfWork, *, batch_id: int) -> None:
    """Give up a preview; the uploaded file is deleted."""
    uow.authorize(Action.ROSTER_IMPORT)
    batch = _locked(uow.session, batch_id)
    if batch.state != "previewed":
        raise Conflict(
            Text("只能放弃尚未写入的预览。", "Only a preview can be discarded."),
            code="not_previewed",
        )
    _discard(uow.session, batch)


def _discard(session: Session, batch: RosterBatch) -> None:
    # names of people who never came here are nobody's to keep
    for lines in (RosterChange, RosterRefusal):
        session.execute(delete(lines).where(lines.batch_id == batch.id))
    uploads.forget(session, batch.id)
    batch.state = "discarded"


def _forget_old(uow: UnitOfWork) -> None:
    # a preview that nobody applied still has a file full of phones
    for batch in uow.session.scalars(
        select(RosterBatch).where(
            RosterBatch.state == "previewed",
            RosterBatch.created_at < uow.now - _PREVIEW_LIFE,
        )
    ):
        _discard(uow.session, batch)


def _stage(uow: UnitOfWork, path: Path, name: str) -> Format:
    codes: dict[str, str] = {}
    for org in uow.session.scalars(
        select(Organisation).where(Organisation.kind == "school").order_by(Organisation.id)
    ):
        codes.setdefault(org.name_zh, org.code)
        codes.setdefault(org.name_en, org.code)
    make_tables(uow.session)
    with reading(path, name, codes) as opened:
        fill(uow.session, opened.rows)
        return opened.format


def one_at_a_time(session: Session) -> None:
    """Let nobody else write a roster, or turn a school's year, until the end of this transaction."""
    session.execute(text("select pg_advisory_xact_lock(:k)"), {"k": _LOCK})


def _locked(session: Session, batch_id: int) -> RosterBatch:
    one_at_a_time(session)
    batch = session.get(RosterBatch, batch_id, with_for_update=True, populate_existing=True)
    if batch is None:
        raise NotFound()
    return batch


def _today(uow: UnitOfWork) -> date:
    return uow.now.astimezone(_zone).date()


def _last_day(today: date) -> date:
    # what has ended is over today, not only tomorrow
    return today - timedelta(days=1)
