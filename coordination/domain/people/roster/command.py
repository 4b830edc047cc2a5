"""The roster import in a terminal: preview, refusals, and on request apply. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from coordination.domain.people.roster import batches, queries
from coordination.ground.actor import SYSTEM, Actor
from coordination.ground.errors import CoordinationError, Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

Begin = Callable[[Session, Actor], UnitOfWork]
_SHOWN = 20


def import_path(url: str, path: Path, *, apply: bool, begin: Begin) -> int:
    """Preview `path` and print what it would do; with `apply` write it. Returns the exit code.

    0: previewed or applied. 1: nothing could be taken or written. 2: the file as a whole cannot be read.
    """
    console = Console()
    engine = create_engine(url)
    try:
        try:
            with Session(engine) as session, begin(session, SYSTEM) as uow:
                batch_id = batches.preview(uow, path=path, name=path.name)
        except Invalid as refusal:
            _say(console, refusal.message)
            return 2
        with Session(engine) as session:
            nothing_taken = not _show(console, session, batch_id)
        if nothing_taken:
            _discard(engine, begin, batch_id)
            _say(
                console,
                Text(
                    "文件中没有一行可以采用，没有写入任何内容。请按上面的原因改正。",
                    "Not one line could be taken and nothing was written; correct what is named"
                    " above.",
                ),
            )
            return 1
        if not apply:
            _discard(engine, begin, batch_id)
            _say(
                console,
                Text(
                    "以上是预览，没有写入任何内容。加上 --apply 写入。",
                    "This was the preview; nothing was written. Add --apply to write it.",
                ),
            )
            return 0
        try:
            with Session(engine) as session, begin(session, SYSTEM) as uow:
                written = batches.apply(uow, batch_id=batch_id)
        except CoordinationError as refusal:
            _say(console, refusal.message)
            return 1
        _say(
            console,
            Text(
                f"已写入 {written} 行，编号 {batch_id}；可在“名册导入”页面撤销。",
                f"{written} rows written, batch {batch_id}; it can be undone on the imports page.",
            ),
        )
        return 0
    finally:
        engine.dispose()


def _discard(engine: Engine, begin: Begin, batch_id: int) -> None:
    with Session(engine) as session, begin(session, SYSTEM) as uow:
        batches.discard(uow, batch_id=batch_id)


def _say(console: Console, said: Text) -> None:
    console.print(f"{said.zh} {said.en}", highlight=False)


def _show(console: Console, session: Session, batch_id: int) -> bool:
    """Print a preview; False if there were refusals and nothing else."""
    summary = queries.batch_summary(session, batch_id)
    _say(console, summary.batch.format)
    table = Table("", *(f"{label.zh}\n{label.en}" for label in queries.OP_LABELS.values()))
    for line in summary.entities:
        counts = (line.add, line.change, line.end, line.same, line.refused)
        if any(counts):
            table.add_row(f"{line.label.zh} {line.label.en}", *(str(n) for n in counts))
    console.print(table)
    for op in ("change", "end"):
        named = queries.changes_page(session, batch_id, op=op, limit=_SHOWN)
        for change in named.lines:
            fields = "; ".join(f"{f.zh} {before} → {after}" for f, before, after in change.fields)
            console.print(
                f"  {change.op_label.zh} {change.op_label.en}  {change.entity_label.zh}"
                f"  {change.label}  {fields}",
                highlight=False,
                markup=False,
            )
    refused = queries.refusals_page(session, batch_id, limit=_SHOWN)
    for refusal in refused.lines:
        console.print(
            f"  ✗ {refusal.file}:{refusal.line} {refusal.column}  {refusal.reason.zh}"
            f" {refusal.reason.en}",
            highlight=False,
            markup=False,
        )
    rest = summary.batch.refusals - len(refused.lines)
    if rest > 0:
        _say(console, Text(f"  ……另有 {rest} 行被拒绝。", f"  … and {rest} more refused."))
    taken = any(e.add or e.change or e.end or e.same for e in summary.entities)
    return taken or not summary.batch.refusals
