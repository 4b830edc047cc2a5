"""What the screens show of roster imports: batches, their summary, refusals and changes.

Lines name people and classes; phones are never among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordination.domain.people.models import Person, RosterBatch, RosterChange, RosterRefusal
from coordination.domain.people.roster.findings import LABELS, MOST_NAMED, OPS
from coordination.domain.people.roster.values import Counts
from coordination.ground.errors import NotFound
from coordination.ground.text import Text

STATES = {
    "previewed": Text("待确认", "Preview"),
    "applied": Text("已写入", "Applied"),
    "undone": Text("已撤销", "Undone"),
    "discarded": Text("已放弃", "Discarded"),
}
OP_LABELS = {
    "add": Text("新增", "Added"),
    "change": Text("变更", "Changed"),
    "end": Text("离开或结束", "Left or ended"),
    "same": Text("不变", "Unchanged"),
    "refused": Text("拒绝", "Refused"),
}

_FIELDS = {
    "name": Text("姓名", "Name"),
    "name_zh": Text("中文名称", "Chinese name"),
    "name_en": Text("英文名称", "English name"),
    "school_id": Text("学校", "School"),
    "grade": Text("年级", "Grade"),
    "birth_month": Text("出生年月", "Birth month"),
    "relation": Text("关系", "Relation"),
    "status": Text("状态", "Status"),
    "active": Text("启用", "Active"),
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One import in the list."""

    id: int
    source_name: str
    format: Text
    state: str
    state_label: Text
    made_by: str
    made_at: datetime
    applied_at: datetime | None
    undone_at: datetime | None
    added: int
    changed: int
    ended: int
    refusals: int
    # a school's turn of the year: it is taken back on its own page
    of_year: bool = False


@dataclass(frozen=True, slots=True)
class EntityLine:
    """One kind of row in a batch's summary."""

    key: str
    label: Text
    add: int
    change: int
    end: int
    same: int
    refused: int


@dataclass(frozen=True, slots=True)
class UndoLine:
    """What an undo did, as kept with the batch."""

    removed: int
    restored: int
    ended: int
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """A batch with its counts; `named_up_to` is how many lines of a kind are named."""

    batch: BatchLine
    entities: tuple[EntityLine, ...]
    undone: UndoLine | None
    named_up_to: int = MOST_NAMED

    @property
    def writes(self) -> int:
        """How many rows an apply would write or has written."""
        return sum(e.add + e.change + e.end for e in self.entities)


@dataclass(frozen=True, slots=True)
class RefusalLine:
    """A line that was not taken: where it stands and why."""

    file: str
    line: int
    column: str
    code: str
    reason: Text


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """A row that is added, changed or ended; `fields` are (label, before, after) of a change."""

    entity: str
    entity_label: Text
    op: str
    op_label: Text
    label: str
    fields: tuple[tuple[Text, str, str], ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A slice of lines and how many there are."""

    lines: Sequence[T]
    total: int


def _line(batch: RosterBatch, made_by: str | None) -> BatchLine:
    entities: Counts = batch.counts.get("entities", {})
    zh, en = batch.counts.get("label", [batch.format, batch.format])

    def total(op: str) -> int:
        return sum(line.get(op, 0) for line in entities.values())

    return BatchLine(
        id=batch.id,
        source_name=batch.source_name,
        format=Text(zh, en),
        state=batch.state,
        state_label=STATES[batch.state],
        made_by=made_by or "",
        made_at=batch.created_at,
        applied_at=batch.applied_at,
        undone_at=batch.undone_at,
        added=total("add"),
        changed=total("change"),
        ended=total("end"),
        refusals=batch.counts.get("refusals", 0),
        of_year=batch.format == "year",
    )


def batches_page(session: Session, *, limit: int = 50, offset: int = 0) -> Page[BatchLine]:
    """The imports, newest first."""
    rows = session.execute(
        select(RosterBatch, Person.name)
        .outerjoin(Person, Person.id == RosterBatch.made_by_id)
        .order_by(RosterBatch.id.desc())
        .limit(limit)
        .offset(offset)
    )
    lines = [_line(batch, name) for batch, name in rows]
    return Page(lines, session.scalar(select(func.count()).select_from(RosterBatch)) or 0)


def batch_summary(session: Session, batch_id: int) -> BatchSummary:
    """One import with its counts by kind; NotFound if there is none."""
    row = session.execute(
        select(RosterBatch, Person.name)
        .outerjoin(Person, Person.id == RosterBatch.made_by_id)
        .where(RosterBatch.id == batch_id)
    ).one_or_none()
    if row is None:
        raise NotFound()
    batch, name = row
    entities: Counts = batch.counts.get("entities", {})
    undone = batch.counts.get("undone")
    return BatchSummary(
        batch=_line(batch, name),
        entities=tuple(
            EntityLine(key, LABELS[key], *(line.get(op, 0) for op in OPS))
            for key, line in ((k, entities.get(k, {})) for k in LABELS)
        ),
        undone=UndoLine(
            undone["removed"], undone["restored"], undone["ended"], tuple(undone["kept"])
        )
        if undone
        else None,
    )


def refusals_page(
    session: Session, batch_id: int, *, limit: int = 50, offset: int = 0
) -> Page[RefusalLine]:
    """The refused lines of a batch in the order of the file."""
    of_batch = RosterRefusal.batch_id == batch_id
    rows = session.scalars(
        select(RosterRefusal).where(of_batch).order_by(RosterRefusal.id).limit(limit).offset(offset)
    )
    lines = [
        RefusalLine(r.file, r.line, r.column, r.code, Text(r.reason_zh, r.reason_en)) for r in rows
    ]
    total = session.scalar(select(func.count()).select_from(RosterRefusal).where(of_batch))
    return Page(lines, total or 0)


def changes_page(
    session: Session,
    batch_id: int,
    *,
    op: str | None = None,
    entity: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page[ChangeLine]:
    """The named lines of a batch, of one op or one entity if asked."""
    wanted = [RosterChange.batch_id == batch_id]
    if op is not None:
        wanted.append(RosterChange.op == op)
    if entity is not None:
        wanted.append(RosterChange.table_name == entity)
    rows = session.scalars(
        select(RosterChange).where(*wanted).order_by(RosterChange.id).limit(limit).offset(offset)
    )
    lines = [
        ChangeLine(r.table_name, LABELS[r.table_name], r.op, OP_LABELS[r.op], r.label, _fields(r))
        for r in rows
    ]
    total = session.scalar(select(func.count()).select_from(RosterChange).where(*wanted))
    return Page(lines, total or 0)


def _fields(change: RosterChange) -> tuple[tuple[Text, str, str], ...]:
    if change.op != "change" or not change.before or not change.after:
        return ()
    return tuple(
        (label, _shown(change.before.get(key)), _shown(change.after.get(key)))
        for key, label in _FIELDS.items()
        if change.before.get(key) != change.after.get(key)
    )


def _shown(value: object) -> str:
    return "–" if value is None else str(value)
