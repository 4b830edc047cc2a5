"""Status reports of a provider, in any order and number: states move forwards only.

Must not know how a report came in, nor whether its signature held: that is checked before.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from notifications import suppressions
from notifications.models import DeliveryAttempt, OutboxMessage
from notifications.states import AttemptState, State, may_become
from notifications.values import PROOF

WORDS: dict[str, AttemptState] = {
    "accepted": AttemptState.ACCEPTED,
    "scheduled": AttemptState.ACCEPTED,
    "queued": AttemptState.ACCEPTED,
    "sending": AttemptState.ACCEPTED,
    "sent": AttemptState.ACCEPTED,
    "delivered": AttemptState.DELIVERED,
    "read": AttemptState.DELIVERED,
    "undelivered": AttemptState.UNDELIVERED,
    "failed": AttemptState.FAILED,
    "canceled": AttemptState.FAILED,
    # of a call: it is answered or not, and has ended
    "initiated": AttemptState.ACCEPTED,
    "ringing": AttemptState.ACCEPTED,
    "in-progress": AttemptState.ACCEPTED,
    "completed": AttemptState.DELIVERED,
    "busy": AttemptState.UNDELIVERED,
    "no-answer": AttemptState.UNDELIVERED,
}
_SETTLED = frozenset({AttemptState.DELIVERED, AttemptState.UNDELIVERED, AttemptState.FAILED})


def apply_status(
    session: Session,
    *,
    attempt_id: UUID | None = None,
    provider_id: str | None = None,
    channels: Collection[str] = (),
    status: str,
    error_code: str | None,
    at: datetime,
    strike: bool = False,
    opted_out: bool = False,
) -> bool:
    """Apply one report; False if the attempt or the word is unknown or nothing moved.

    `channels` are the names by which attempts know who reports: an id of one provider says nothing
    about the attempts of another. Empty: whoever has that id.

    With `strike` an undelivered report counts against the recipient's address; with `opted_out` it
    says that the recipient asked for no more.
    """
    after = WORDS.get(status.lower())
    if after is None:
        return False
    attempt = _locked_attempt(session, attempt_id, provider_id, channels)
    if attempt is None or (
        provider_id and attempt.provider_id and attempt.provider_id != provider_id
    ):
        return False
    before = AttemptState(attempt.state)
    if before in _SETTLED or (before is AttemptState.ACCEPTED and after is before):
        return False
    attempt.state = after
    attempt.provider_id = attempt.provider_id or provider_id
    attempt.code = error_code
    attempt.settled_at = at
    _move_message(session, attempt, after, error_code, at, strike=strike, opted_out=opted_out)
    session.flush()
    return True


def _locked_attempt(
    session: Session, attempt_id: UUID | None, provider_id: str | None, channels: Collection[str]
) -> DeliveryAttempt | None:
    """Lock the attempt, then its message: the order in which dispatch records."""
    query = select(DeliveryAttempt)
    if attempt_id is not None:
        query = query.where(DeliveryAttempt.id == attempt_id)
    elif provider_id is not None:
        query = query.where(DeliveryAttempt.provider_id == provider_id)
    else:
        return None
    if channels:
        query = query.where(DeliveryAttempt.channel.in_(channels))
    return session.scalars(
        # two providers may give the same id; the newer attempt is the one that is reported on
        query.order_by(DeliveryAttempt.intent_at.desc())
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def _move_message(
    session: Session,
    attempt: DeliveryAttempt,
    after: AttemptState,
    error_code: str | None,
    at: datetime,
    *,
    strike: bool,
    opted_out: bool,
) -> None:
    message = session.scalars(
        select(OutboxMessage)
        .where(OutboxMessage.id == attempt.message_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    own = message.message_class != PROOF
    if own and after is AttemptState.DELIVERED:
        suppressions.forgive(session, message.recipient_id, message.channel)
    elif after not in (AttemptState.ACCEPTED, AttemptState.DELIVERED):
        if strike and own:
            suppressions.strike(
                session, message.recipient_id, message.channel, error_code or after, at
            )
        if opted_out and own:
            suppressions.suppress(
                session, message.recipient_id, message.channel, suppressions.OPTED_OUT, at
            )
        if not _is_latest(session, attempt):
            # a newer attempt is under way: the old one's failure says nothing about it
            return
    if may_become(State(message.state), State(after.value)):
        message.state = State(after.value)
        message.provider_id = attempt.provider_id
        message.reason_code = error_code
        message.updated_at = at


def _is_latest(session: Session, attempt: DeliveryAttempt) -> bool:
    newest = session.scalar(
        select(DeliveryAttempt.id)
        .where(DeliveryAttempt.message_id == attempt.message_id)
        .order_by(DeliveryAttempt.intent_at.desc(), DeliveryAttempt.id)
        .limit(1)
    )
    return newest == attempt.id
