"""How often, and when again: every retry decision, as values. Must not know the database.

Doubt is never answered by sending again at once. Times count from the instant of the intent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from notifications.states import State
from notifications.values import PROOF, Refused

# settle time before the provider is asked: longer than the read timeout and its list's lag
CHECKS = (timedelta(minutes=2), timedelta(minutes=5), timedelta(minutes=15))
BACKOFF = tuple(timedelta(seconds=s) for s in (5, 20, 60, 180, 600, 1800, 3600))
MAX_TRIES = 12
# each time the provider was asked three times, and the sender could send no more: the last re-send is
# as safe as the first. A worker that is killed leaves its whole claim in doubt: of 100,000 messages
# under the fault plan 60 were in doubt more than three times, and one six times
MAX_RESENDS_AFTER_DOUBT = 7
STRIKES_TO_SUPPRESS = 3
HALT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a message becomes, when it is looked at again, and why."""

    state: State
    at: datetime
    reason: str


def after_refusal(
    refused: Refused,
    *,
    tries: int,
    now: datetime,
    valid_until: datetime | None,
    elsewhere: bool = False,
) -> Decision:
    """Decide after a definite no: nothing was taken, so sending again is safe.

    `elsewhere` says that another provider is asked next: there is nothing to wait for.
    """
    if refused.suppress:
        return Decision(State.SUPPRESSED, now, refused.code)
    if refused.permanent:
        return Decision(State.FAILED, now, refused.code)
    if elsewhere and tries < MAX_TRIES:
        return _again(now, refused.code, valid_until, now)
    if refused.halt:
        return _again(now + HALT, refused.code, valid_until, now)
    if tries >= MAX_TRIES:
        return Decision(State.NEEDS_HUMAN, now, refused.code)
    wait = BACKOFF[min(tries, len(BACKOFF)) - 1] if tries else BACKOFF[0]
    if refused.retry_after is not None:
        wait = max(wait, timedelta(seconds=refused.retry_after))
    return _again(now + wait, refused.code, valid_until, now)


def next_check(intent_at: datetime, checks: int) -> datetime | None:
    """Return when to ask the provider again, or None if it has been asked often enough."""
    return intent_at + CHECKS[checks] if checks < len(CHECKS) else None


def after_absence(
    *,
    message_class: str,
    resends: int,
    now: datetime,
    valid_until: datetime | None,
) -> Decision:
    """Decide when the last check did not find the message and its sender can no longer send."""
    if valid_until is not None and now >= valid_until:
        return Decision(State.EXPIRED, now, "too_late")
    if message_class in ("otp", PROOF):
        # the person has long asked for another code
        return Decision(State.EXPIRED, now, "too_late")
    if resends >= MAX_RESENDS_AFTER_DOUBT:
        return Decision(State.NEEDS_HUMAN, now, "doubt_again_and_again")
    return Decision(State.QUEUED, now, "not_found_at_provider")


def after_silence(now: datetime) -> Decision:
    """Decide when the provider could not be asked: a person has to look."""
    return Decision(State.NEEDS_HUMAN, now, "provider_cannot_be_asked")


def _again(at: datetime, reason: str, valid_until: datetime | None, now: datetime) -> Decision:
    if valid_until is not None and at >= valid_until:
        return Decision(State.EXPIRED, now, "too_late")
    return Decision(State.QUEUED, at, reason)
