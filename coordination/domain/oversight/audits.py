"""The audit trail as the administration reads it: filtered, and with people's data masked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.visibility import visible
from coordination.ground.actor import Actor
from coordination.ground.audit import AuditEntry
from coordination.ground.text import mask_name

_NAMES = frozenset({"name", "name_en", "signed_name", "actor"})
# what the software notes inside a value for its own use: nobody's change
_NOTED = frozenset({"digest", "label"})
# what identifies a phone, opens a page or was written by a family: only that it changed is shown
_HIDDEN = frozenset(
    {
        "household_key",
        "draft_key",
        "request_key",
        "pinyin",
        "note",
        "health",
        "allergies",
        "mask",
        "limit_reason",
    }
)
_MARK = "•"


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one row: from what to what."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One audited change as it is shown."""

    id: int
    at: datetime
    actor: str
    actor_id: int | None
    action: str
    table: str
    row_id: int | None
    changes: tuple[Change, ...]


def audit_query(
    actor: Actor, *, table: str = "", row_id: int | None = None, actor_id: int | None = None
) -> Select[AuditEntry]:
    """The entries the actor may read, newest first; nothing for whoever may read none."""
    query = visible(AuditEntry, actor, Action.AUDIT_READ)
    if table:
        query = query.where(AuditEntry.table_name == table)
    if row_id is not None:
        query = query.where(AuditEntry.row_id == row_id)
    if actor_id is not None:
        query = query.where(AuditEntry.actor_id == actor_id)
    return query.order_by(AuditEntry.id.desc())


def tables_changed(session: Session, actor: Actor) -> list[str]:
    """Names of the tables that have entries, for the filter."""
    seen = visible(AuditEntry, actor, Action.AUDIT_READ).subquery()
    return list(session.scalars(select(seen.c.table_name).distinct().order_by(seen.c.table_name)))


def audit_lines(entries: Sequence[AuditEntry]) -> list[AuditLine]:
    """Entries with their changes, masked."""
    return [
        AuditLine(
            id=e.id,
            at=e.at,
            actor=e.actor,  # whoever acts answers for it by name
            actor_id=e.actor_id,
            action=e.action,
            table=e.table_name,
            row_id=e.row_id,
            changes=tuple(_changes(e.before or {}, e.after or {})),
        )
        for e in entries
    ]


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[Change]:
    return [
        Change(name, _shown(name, before.get(name)), _shown(name, after.get(name)))
        for name in sorted({*before, *after} - {"id", "created_at", "updated_at"})
    ]


def _shown(name: str, value: object) -> str:
    if value is None:
        return ""
    if name in _HIDDEN or name.endswith(("_hash", "_enc", "_index", "token")):
        return _MARK
    if name in _NAMES and isinstance(value, str):
        return mask_name(value)
    if isinstance(value, dict):
        value = {key: inner for key, inner in value.items() if key not in _NOTED}
        if not value:
            return ""
    plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return plain if len(plain) <= 120 else plain[:119] + "…"
