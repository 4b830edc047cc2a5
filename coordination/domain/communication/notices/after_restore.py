"""What of notices waited in a backup and may have been sent before that was restored.

Must not know how a backup is made, nor of messages: those are held by the library that sends them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice, NoticeRound
from coordination.domain.communication.notices.dispatch import RESTORED


@dataclass(frozen=True, slots=True)
class Stood:
    """Notices that were about to do something between the backup and the moment of the restore."""

    scheduled: int
    rounds: int
    ladders: int

    @property
    def any(self) -> bool:
        """Whether there is anything to decide."""
        return bool(self.scheduled or self.rounds or self.ladders)


_SCHEDULED = Notice.state == "scheduled"
_OPEN = NoticeRound.done_at.is_(None)


def stood(session: Session, since: datetime) -> Stood:
    """Count them."""
    scheduled = select(func.count()).where(_SCHEDULED, Notice.send_at <= since)
    rounds = select(func.count()).where(_OPEN, NoticeRound.started_at <= since)
    ladders = select(func.count()).where(Notice.ladder_at <= since)
    return Stood(*(session.scalar(count) or 0 for count in (scheduled, rounds, ladders)))


def leave_unsent(session: Session, since: datetime, now: datetime) -> Stood:
    """None of them goes on: their senders see it, and send anew what is still needed."""
    found = stood(session, since)
    for statement in (
        update(Notice)
        .where(_SCHEDULED, Notice.send_at <= since)
        .values(state="cancelled", unsent_reason=RESTORED),
        update(NoticeRound)
        .where(_OPEN, NoticeRound.started_at <= since)
        .values(done_at=now, reserved=0),
        update(Notice).where(Notice.ladder_at <= since).values(ladder_at=None),
    ):
        session.execute(statement.execution_options(synchronize_session=False))
    return found
