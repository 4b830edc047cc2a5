"""Messages that another one says too: where they stand, and how they part again. Sends nothing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Subquery, func, select, text
from sqlalchemy.orm import Session, aliased

from notifications.models import MergedMessage, OutboxMessage


def into() -> Subquery:
    """Merged messages with where the one stands that says them: message_id, into_id, state,
    reason_code, updated_at, next_at."""
    return (
        select(
            MergedMessage.message_id,
            MergedMessage.into_id,
            OutboxMessage.state,
            OutboxMessage.reason_code,
            OutboxMessage.updated_at,
            OutboxMessage.next_at,
        )
        .join(OutboxMessage, OutboxMessage.id == MergedMessage.into_id)
        .subquery("into")
    )


def standing_of(merged: Subquery) -> ColumnElement[str]:
    """Where a message stands, or the one that says it; `merged` is `into()`, joined from outside."""
    return func.coalesce(merged.c.state, OutboxMessage.state)


_PART = text(
    """
    with open as (
        select c.id from outbox_message c
        where c.state in ('queued', 'held') and exists (
            select 1 from merged_message g join outbox_message m on m.id = g.message_id
            where g.into_id = c.id and m.subject_type = :type and m.subject_id = :subject)
        order by c.id for update of c
    ), gone as (
        update outbox_message c set state = 'cancelled', reason_code = 'parted', updated_at = :at
        from open where c.id = open.id and c.state in ('queued', 'held')
        returning c.id
    ), freed as (
        delete from merged_message g using gone where g.into_id = gone.id returning g.message_id
    )
    update outbox_message m
    set state = 'queued', reason_code = null, next_at = :at, updated_at = :at
    from freed where m.id = freed.message_id
    returning m.id
    """
)


def part(session: Session, subject_type: str, subject_id: int, at: datetime) -> int:
    """Undo what was gathered with messages of a subject and has not left, so that those can be
    cancelled and the others still go; how many messages stand for themselves again."""
    freed = session.execute(_PART, {"type": subject_type, "subject": subject_id, "at": at})
    return len(freed.all())


def members(lead_ids: Collection[int]) -> Select[int, int, str, int]:
    """For messages whose first gathered one is among `lead_ids`: (lead, recipient, subject type and
    id) of each that they say."""
    first, other, message = aliased(MergedMessage), aliased(MergedMessage), OutboxMessage
    return (
        select(
            first.message_id.label("lead_id"),
            message.recipient_id,
            message.subject_type,
            message.subject_id,
        )
        .join(other, other.into_id == first.into_id)
        .join(message, message.id == other.message_id)
        .where(first.message_id.in_(lead_ids))
        .order_by(message.id)
    )
