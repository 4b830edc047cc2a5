"""The audit trail: who changed which field of which row, from what to what, when.

Filled by the unit of work at every flush; bulk statements write one line by hand.
Encrypted and hashed columns appear as a mark only. Must not know any feature.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from sqlalchemy import Index, event, inspect
from sqlalchemy.dialects.postgresql import JSONB, Range
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.orm.attributes import get_history

from coordination.ground.orm import Base, Row

_MARK = "•"


class AuditEntry(Row, Base):
    """审计: one change of one row."""

    __tablename__ = "audit_entry"
    actor_id: Mapped[int | None]
    actor: Mapped[str]
    action: Mapped[str]
    table_name: Mapped[str]
    row_id: Mapped[int | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    reason: Mapped[str | None]
    at: Mapped[datetime]

    __table_args__ = (Index("ix_audit_entry_row", "table_name", "row_id"),)


def _plain(key: str, value: object) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return _MARK if value and key.endswith(("_hash", "password")) else value
    if isinstance(value, bytes | memoryview):
        return _MARK
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Range):
        return [_plain(key, value.lower), _plain(key, value.upper)]
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(key, v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(str(k), v) for k, v in value.items()}
    return str(value)


class Trail:
    """Collects what a session flushes and writes it as audit lines."""

    def __init__(self, session: Session, actor_id: int | None, actor: str, now: datetime) -> None:
        self.session, self.actor_id, self.actor, self.now = (
            session,
            actor_id,
            actor,
            now,
        )
        self._pending: list[tuple[str, Any, dict[str, Any] | None, dict[str, Any] | None]] = []
        event.listen(session, "before_flush", self._collect)

    def close(self) -> None:
        """Stop listening."""
        event.remove(self.session, "before_flush", self._collect)

    def _collect(self, session: Session, _context: object, _instances: object) -> None:
        for row in session.new:
            if isinstance(row, Base) and not isinstance(row, AuditEntry):
                self._pending.append(("add", row, None, None))
        for row in session.dirty:
            if not isinstance(row, Base) or not session.is_modified(row):
                continue
            before: dict[str, Any] = {}
            after: dict[str, Any] = {}
            for attr in inspect(row).mapper.column_attrs:
                history = get_history(row, attr.key)
                if history.has_changes():
                    old = history.deleted[0] if history.deleted else None
                    before[attr.key] = _plain(attr.key, old)
                    after[attr.key] = _plain(attr.key, getattr(row, attr.key))
            self._pending.append(("change", row, before, after))
        for row in session.deleted:
            if isinstance(row, Base):
                before = {
                    a.key: _plain(a.key, getattr(row, a.key))
                    for a in inspect(row).mapper.column_attrs
                }
                self._pending.append(("remove", row, before, None))

    def write(self) -> None:
        """Turn what was flushed so far into rows (call after a flush)."""
        pending, self._pending = self._pending, []
        for action, row, before, after in pending:
            if action == "add":
                after = {
                    a.key: _plain(a.key, getattr(row, a.key))
                    for a in inspect(row).mapper.column_attrs
                    if getattr(row, a.key, None) is not None
                }
            self.line(action, row.__tablename__, getattr(row, "id", None), before, after)

    def line(
        self,
        action: str,
        table: str,
        row_id: int | None,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
        reason: str | None = None,
    ) -> None:
        """One audit line, for statements the session does not see."""
        self.session.add(
            AuditEntry(
                actor_id=self.actor_id,
                actor=self.actor,
                action=action,
                table_name=table,
                row_id=row_id,
                before=before,
                after=after,
                reason=reason,
                at=self.now,
            )
        )
