"""What a message's state may become. Must not know the database or any provider.

A final state never moves back. `unknown` is doubt: the provider may have taken the message,
so nothing leaves `unknown` towards `queued` without proof (see `reconciling`).
"""

from __future__ import annotations

from enum import StrEnum

from notifications.errors import ForbiddenMove


class State(StrEnum):
    """State of one outbox message."""

    QUEUED = "queued"
    HELD = "held"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    # said by another message, whose state is now its own (see `gathering`)
    MERGED = "merged"
    UNKNOWN = "unknown"
    NEEDS_HUMAN = "needs_human"


class AttemptState(StrEnum):
    """State of one attempt: one call to one provider."""

    INTENT = "intent"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_TAKEN = "not_taken"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"


FINAL = frozenset(
    {
        State.DELIVERED,
        State.UNDELIVERED,
        State.FAILED,
        State.SUPPRESSED,
        State.EXPIRED,
        State.CANCELLED,
        State.MERGED,
    }
)
WAITING = frozenset({State.QUEUED, State.HELD})
# a phone has it, or will, or may
BURDENS = frozenset(
    {AttemptState.INTENT, AttemptState.UNKNOWN, AttemptState.ACCEPTED, AttemptState.DELIVERED}
)
OPEN_ATTEMPT = frozenset({AttemptState.INTENT, AttemptState.UNKNOWN})

_AFTER_RECEIPT = frozenset({State.DELIVERED, State.UNDELIVERED, State.FAILED})
MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset(
        {
            State.HELD,
            State.SENDING,
            State.SUPPRESSED,
            State.EXPIRED,
            State.CANCELLED,
            State.MERGED,
            # a late receipt may prove that an attempt in doubt was taken after all
            State.ACCEPTED,
        }
        | _AFTER_RECEIPT
    ),
    State.HELD: frozenset(
        {
            State.QUEUED,
            State.SENDING,
            State.SUPPRESSED,
            State.EXPIRED,
            State.CANCELLED,
            State.MERGED,
            State.ACCEPTED,
        }
        | _AFTER_RECEIPT
    ),
    # back to queued only after a definite refusal: nothing was taken
    State.SENDING: frozenset(
        {
            State.QUEUED,
            State.ACCEPTED,
            State.UNKNOWN,
            State.SUPPRESSED,
            State.EXPIRED,
            State.NEEDS_HUMAN,
        }
        | _AFTER_RECEIPT
    ),
    State.UNKNOWN: frozenset(
        {State.QUEUED, State.ACCEPTED, State.EXPIRED, State.NEEDS_HUMAN} | _AFTER_RECEIPT
    ),
    State.NEEDS_HUMAN: frozenset(
        {State.QUEUED, State.ACCEPTED, State.EXPIRED, State.CANCELLED} | _AFTER_RECEIPT
    ),
    State.ACCEPTED: _AFTER_RECEIPT,
    **dict.fromkeys(FINAL, frozenset()),
}


def may_become(before: State, after: State) -> bool:
    """Tell whether `after` may follow `before`."""
    return after in MOVES[before]


def refuse_forbidden_move(before: State, after: State) -> None:
    """Raise unless `after` may follow `before`."""
    if not may_become(before, after):
        raise ForbiddenMove(f"{before} may not become {after}")
