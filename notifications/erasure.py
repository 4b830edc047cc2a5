"""Erase what was said after the configured days; hash, times and states stay as proof.

Messages are gone through once, by their primary key, from a mark on that only rises: the outbox
bears no index for it. Must not know why an installation keeps texts for how long.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import takewhile

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from notifications.models import ErasureMark, OutboxMessage, SimulatedMessage
from notifications.states import FINAL, WAITING, State

CHUNK = 5000
_OVER = (*FINAL, State.ACCEPTED, State.NEEDS_HUMAN)


def erase_bodies(
    session: Session, *, older_than_days: int, now: datetime, limit: int = 50_000
) -> int:
    """Erase bodies, values and links of old messages that cannot be sent any more; how many.

    It goes on until about `limit` are erased; the next call does the rest.
    """
    before = now - timedelta(days=older_than_days)
    mark = _mark(session)
    erased, passed = _erase(session, mark.passed, now)
    upto = mark.upto
    while erased < limit:
        found = session.execute(
            select(OutboxMessage.id, OutboxMessage.created_at)
            .where(OutboxMessage.id > upto)
            .order_by(OutboxMessage.id)
            .limit(CHUNK)
        ).all()
        old = [row.id for row in takewhile(lambda row: row.created_at < before, found)]
        if not old:
            break
        count, left = _erase(session, old, now)
        erased, upto = erased + count, old[-1]
        passed += left
    mark.upto, mark.passed = upto, passed
    session.flush()
    session.execute(delete(SimulatedMessage).where(SimulatedMessage.at < before))
    return erased


def erase_bodies_of(session: Session, recipients: Collection[int], now: datetime) -> int:
    """Erase what was written to these people, whatever its age, and stop what has not left; how many.

    What a provider is being asked about keeps its text until that is settled, and then its time.
    """
    theirs = OutboxMessage.recipient_id.in_(recipients)
    session.execute(
        update(OutboxMessage)
        .where(theirs, OutboxMessage.state.in_(WAITING))
        .values(state=State.CANCELLED, reason_code="left", updated_at=now)
        .execution_options(synchronize_session=False)
    )
    done = session.execute(
        update(OutboxMessage)
        .where(theirs, OutboxMessage.body.is_not(None), OutboxMessage.state.in_(_OVER))
        .values(body=None, params={}, link=None, erased_at=now)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    )
    session.execute(delete(SimulatedMessage).where(SimulatedMessage.recipient_id.in_(recipients)))
    return len(done.all())


def _mark(session: Session) -> ErasureMark:
    """Where to go on, locked: of two that erase at once, the second finds nothing left to do."""
    session.execute(insert(ErasureMark).values(upto=0, passed=[]).on_conflict_do_nothing())
    return session.scalars(
        select(ErasureMark).with_for_update().execution_options(populate_existing=True)
    ).one()


def _erase(session: Session, ids: Collection[int], now: datetime) -> tuple[int, list[int]]:
    """How many of these were erased, and which may still be sent and keep their text."""
    if not ids:
        return 0, []
    mine = OutboxMessage.id.in_(ids)
    done = session.execute(
        update(OutboxMessage)
        .where(mine, OutboxMessage.body.is_not(None), OutboxMessage.state.in_(_OVER))
        .values(body=None, params={}, link=None, erased_at=now)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    )
    count = len(done.all())
    left = session.scalars(
        select(OutboxMessage.id)
        .where(mine, OutboxMessage.body.is_not(None))
        .order_by(OutboxMessage.id)
    )
    return count, list(left)
