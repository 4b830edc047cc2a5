"""Write down what a channel answered. Must not call a channel."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, literal, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from notifications import clock, retry, suppressions
from notifications.models import DeliveryAttempt, DeliveryCircuit, OutboxMessage
from notifications.states import OPEN_ATTEMPT, AttemptState, State
from notifications.values import (
    HALTED,
    PROOF,
    Answer,
    Attempt,
    Claimed,
    Doubt,
    Found,
    Refused,
    Sent,
)

log = logging.getLogger(__name__)


def record_patiently(
    engine: Engine, claimed: Claimed, answer: Answer, now: datetime | None
) -> None:
    """A database that is away for a moment must not turn an answer into doubt."""
    for pause in (0.2, 1.0, 5.0):
        try:
            record(engine, claimed, answer, now=now)
        except DBAPIError as error:
            log.warning("recording an answer failed: %s", type(error).__name__)
            time.sleep(pause)
        else:
            return
    log.error("attempt %s stays in doubt: its answer was not recorded", claimed.attempt.id)


def record_many(
    engine: Engine, answered: Sequence[tuple[Claimed, Answer]], *, now: datetime | None = None
) -> None:
    """Write down a batch of answers: acceptances first and alone, in one statement.

    If the batch cannot be written, each answer is tried by itself: one must not spoil the others.
    """
    sent = [(c, a) for c, a in answered if isinstance(a, Sent)]
    rest: list[tuple[Claimed, Answer]] = [(c, a) for c, a in answered if not isinstance(a, Sent)]
    if sent:
        try:
            with engine.begin() as connection:
                _record_acceptances(connection, sent, now or clock.now())
        except DBAPIError as error:
            log.warning("recording %d acceptances failed: %s", len(sent), type(error).__name__)
            rest = [*sent, *rest]
    for claimed, answer in rest:
        record_patiently(engine, claimed, answer, now)


# as one value: the statement stays the same however many there are
_ACCEPTED = text(
    """
    with told as (
        select * from jsonb_to_recordset(cast(:rows as jsonb))
            as t (id uuid, provider_id text, segments smallint, state text)
    ), taken as (
        update delivery_attempt a
        set state = t.state, provider_id = t.provider_id, segments = t.segments, settled_at = :at
        from told t where a.id = t.id and a.state = any(:open)
        returning a.message_id, a.provider_id, a.segments, a.state
    )
    update outbox_message m
    set state = t.state, reason_code = null, provider_id = t.provider_id,
        segments = t.segments, updated_at = :at
    from taken t
    where m.id = t.message_id and m.state in ('sending', 'unknown', 'needs_human')
    """
)


def _record_acceptances(
    connection: Connection, sent: Sequence[tuple[Claimed, Sent]], at: datetime
) -> None:
    connection.execute(
        _ACCEPTED,
        {
            "rows": json.dumps(
                [
                    {
                        "id": c.attempt.id.hex,
                        "provider_id": a.provider_id,
                        "segments": a.segments,
                        "state": _state_of(a),
                    }
                    for c, a in sent
                ]
            ),
            "open": [str(state) for state in OPEN_ATTEMPT],
            "at": at,
        },
    )


def _state_of(sent: Sent | Found) -> str:
    """Accepted or delivered: the same word for the attempt and for its message."""
    on_the_phone = isinstance(sent, Sent) and sent.delivered
    return State.DELIVERED if on_the_phone else State.ACCEPTED


def record(
    engine: Engine, claimed: Claimed, answer: Answer, *, now: datetime | None = None
) -> None:
    """Write down what a channel answered."""
    at = now or clock.now()
    with engine.begin() as connection:
        if isinstance(answer, Sent):
            record_acceptance(connection, claimed.attempt, answer, at)
        elif isinstance(answer, Refused):
            _record_refusal(connection, claimed, answer, at)
        else:
            _record_doubt(connection, claimed.attempt, answer, at)


def record_acceptance(
    connection: Connection, attempt: Attempt, sent: Sent | Found, at: datetime
) -> bool:
    """One statement for attempt and message, and nothing beside it that could fail."""
    taken = (
        update(DeliveryAttempt)
        .where(
            DeliveryAttempt.id == attempt.id,
            DeliveryAttempt.state.in_(OPEN_ATTEMPT),
        )
        .values(
            state=_state_of(sent),
            provider_id=sent.provider_id,
            segments=sent.segments,
            settled_at=at,
        )
        .returning(DeliveryAttempt.message_id)
        .cte("taken")
    )
    done = connection.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.id == taken.c.message_id,
            OutboxMessage.state.in_([State.SENDING, State.UNKNOWN, State.NEEDS_HUMAN]),
        )
        .values(
            state=_state_of(sent),
            reason_code=None,
            provider_id=literal(sent.provider_id),
            segments=sent.segments,
            updated_at=at,
        )
    )
    return done.rowcount == 1


def close_attempt(
    connection: Connection,
    attempt: Attempt,
    state: AttemptState,
    at: datetime,
    *,
    code: str | None,
    reason: str,
    provider_fault: bool = False,
) -> bool:
    """Close an attempt that is still open; False if somebody else has closed it."""
    done = connection.execute(
        update(DeliveryAttempt)
        .where(DeliveryAttempt.id == attempt.id, DeliveryAttempt.state.in_(OPEN_ATTEMPT))
        .values(state=state, code=code, reason=reason, settled_at=at, provider_fault=provider_fault)
    )
    return done.rowcount == 1


def move(
    connection: Connection,
    message_id: int,
    before: Collection[State],
    decision: retry.Decision,
    at: datetime,
) -> None:
    """Carry out a decision, if the message is still where it was when that was made."""
    connection.execute(
        update(OutboxMessage)
        .where(OutboxMessage.id == message_id, OutboxMessage.state.in_(before))
        .values(
            state=decision.state,
            reason_code=decision.reason,
            next_at=decision.at,
            updated_at=at,
        )
    )


def _record_refusal(
    connection: Connection, claimed: Claimed, refused: Refused, at: datetime
) -> None:
    attempt = claimed.attempt
    if not close_attempt(
        connection,
        attempt,
        AttemptState.REFUSED,
        at,
        code=refused.code,
        reason=refused.reason,
        provider_fault=refused.of_provider,
    ):
        return
    decision = retry.after_refusal(
        refused,
        tries=claimed.tries,
        now=at,
        valid_until=attempt.valid_until,
        elsewhere=_goes_elsewhere(claimed, refused),
    )
    move(connection, attempt.message_id, [State.SENDING, State.UNKNOWN], decision, at)
    # by the route, not by who carried it: the other provider must not write to them either
    who = (attempt.recipient_id, claimed.route)
    own = attempt.message_class != PROOF
    if refused.suppress and own:
        suppressions.suppress(connection, *who, refused.code, at)
    if refused.strike and own:
        suppressions.strike(connection, *who, refused.code, at)
    if refused.halt:
        open_circuit(connection, claimed.channel, refused.reason, at)


def _goes_elsewhere(claimed: Claimed, refused: Refused) -> bool:
    """Whether another channel takes it from here: then nothing has to be waited for."""
    if not claimed.spare:
        return False
    if refused.halt or refused.code == HALTED:
        return True
    return refused.of_provider and claimed.bears <= 1


def open_circuit(connection: Connection, channel: str, reason: str, at: datetime) -> None:
    """Stop a channel for a while; whoever is at the desk sees it."""
    values = {"reason": reason, "opened_at": at, "open_until": at + retry.HALT}
    connection.execute(
        postgresql.insert(DeliveryCircuit)
        .values(channel=channel, **values)
        .on_conflict_do_update(index_elements=["channel"], set_=values)
    )
    log.error("channel %s is halted: %s", channel, reason)


def _record_doubt(connection: Connection, attempt: Attempt, doubt: Doubt, at: datetime) -> None:
    done = connection.execute(
        update(DeliveryAttempt)
        .where(
            DeliveryAttempt.id == attempt.id,
            DeliveryAttempt.state == AttemptState.INTENT,
        )
        .values(state=AttemptState.UNKNOWN, reason=doubt.reason, settled_at=at)
    )
    if done.rowcount:
        move(
            connection,
            attempt.message_id,
            [State.SENDING],
            retry.Decision(State.UNKNOWN, at, doubt.reason),
            at,
        )
