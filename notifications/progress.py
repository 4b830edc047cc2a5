"""How far the messages of one subject have come: counts, pace and what is left, by two statements.

Lists no message, so it costs the same to look at a class and at a district. Must not know screens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from notifications import merged
from notifications.models import DeliveryAttempt, OutboxMessage
from notifications.states import AttemptState, State

WINDOW = timedelta(minutes=1)
# an attempt that ended thus has used up its message: it will not leave again
_GONE = frozenset(AttemptState) - {
    AttemptState.INTENT,
    AttemptState.REFUSED,
    AttemptState.NOT_TAKEN,
}


@dataclass(frozen=True, slots=True)
class Held:
    """How many messages wait for one reason, and until when the first of them."""

    reason_code: str | None
    count: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of messages by state, and how fast they leave."""

    states: Mapping[State, int]
    # left within the last `seconds`, which are fewer than a minute just after the start
    lately: int
    seconds: float
    held: tuple[Held, ...]

    def count(self, states: Collection[State]) -> int:
        """Messages in any of `states`."""
        return sum(self.states.get(state, 0) for state in states)

    @property
    def total(self) -> int:
        """All messages."""
        return sum(self.states.values())

    @property
    def per_minute(self) -> int:
        """How many leave in a minute at the present pace."""
        return round(self.lately * 60 / self.seconds) if self.lately else 0

    def minutes_for(self, more: int = 0) -> float | None:
        """How long the queue, and `more` beside it, will take; None while nothing moves.

        What is held until a certain hour is not counted: no pace makes it leave sooner.
        """
        left = self.count((State.QUEUED, State.SENDING)) + more
        return left / self.per_minute if self.per_minute else None


def progress(session: Session, subject_type: str, subject_id: int, now: datetime) -> Progress:
    """Look at all messages of a subject."""
    of_subject = (
        OutboxMessage.subject_type == subject_type,
        OutboxMessage.subject_id == subject_id,
    )
    # what another message says too stands where that one stands
    into = merged.into()
    state = merged.standing_of(into)
    reason = func.coalesce(into.c.reason_code, OutboxMessage.reason_code)
    rows = session.execute(
        select(
            state,
            case((state == State.HELD, reason)).label("why"),
            func.count(),
            func.min(func.coalesce(into.c.next_at, OutboxMessage.next_at)),
        )
        .select_from(OutboxMessage)
        .outerjoin(into, into.c.message_id == OutboxMessage.id)
        .where(*of_subject)
        .group_by(state, "why")
    ).all()
    states: Counter[State] = Counter()
    for found, _, count, _ in rows:
        states[State(found)] += count
    held = [Held(why, count, until) for found, why, count, until in rows if found == State.HELD]
    begun, lately = session.execute(
        select(func.min(DeliveryAttempt.intent_at), func.count())
        .join(OutboxMessage, OutboxMessage.id == DeliveryAttempt.message_id)
        .where(
            *of_subject,
            DeliveryAttempt.intent_at > now - WINDOW,
            DeliveryAttempt.state.in_(_GONE),
        )
    ).one()
    seconds = (now - begun).total_seconds() if begun else WINDOW.total_seconds()
    return Progress(
        states=states,
        lately=lately,
        seconds=min(max(seconds, 1.0), WINDOW.total_seconds()),
        held=tuple(sorted(held, key=lambda h: h.until)),
    )
