"""Erase what was said after the configured days; hash, times and states stay as proof.

Must not know why an installation keeps texts for how long.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from notifications.models import OutboxMessage, SimulatedMessage
from notifications.states import FINAL, State


def erase_bodies(
    session: Session, *, older_than_days: int, now: datetime, limit: int = 5000
) -> int:
    """Erase bodies, values and links of old messages that cannot be sent any more."""
    before = now - timedelta(days=older_than_days)
    over = [*FINAL, State.ACCEPTED, State.NEEDS_HUMAN]
    old = (
        select(OutboxMessage.id)
        .where(
            OutboxMessage.body.is_not(None),
            OutboxMessage.created_at < before,
            OutboxMessage.state.in_(over),
        )
        .order_by(OutboxMessage.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    done = session.execute(
        update(OutboxMessage)
        .where(OutboxMessage.id.in_(old))
        .values(body=None, params={}, link=None, erased_at=now)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    )
    session.execute(delete(SimulatedMessage).where(SimulatedMessage.at < before))
    return len(done.all())
