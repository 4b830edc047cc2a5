"""Settle attempts in doubt by asking the provider, never by sending again at once.

Must not know any provider. An expired lease proves nothing: only a dead session does.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, or_, select, update
from sqlalchemy.exc import IntegrityError

from notifications import clock, retry
from notifications.channels.base import Channel
from notifications.models import DeliveryAttempt, OutboxMessage
from notifications.recording import close_attempt, move, record_acceptance
from notifications.resolving import Resolver, as_pending
from notifications.states import OPEN_ATTEMPT, AttemptState, State
from notifications.values import (
    Address,
    Attempt,
    Doubt,
    Finding,
    Found,
    Skip,
    mask,
)
from notifications.workers import is_dead

log = logging.getLogger(__name__)

# how long a provider may leave our questions without an answer before a person has to look; it counts
# from the first such question, not from the intent, which may be old when its turn comes
PATIENCE = timedelta(hours=1)
ASK_AGAIN = timedelta(minutes=1)
ASK_DAILY = timedelta(days=1)
# a batch has to be asked about before its checks are due again: `ASK_AGAIN`
ASK_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one round of asking came to."""

    found: int
    resent: int
    waiting: int
    needs_human: int
    # attempts that were looked at, those of living senders too
    seen: int


@dataclass(frozen=True, slots=True)
class _Question:
    channel: str
    attempt: Attempt
    checks: int
    silent_since: datetime | None
    doubts: int
    known: frozenset[str]
    wait_until: datetime | None
    blocked: str | None


def reconcile(
    engine: Engine,
    channels: Mapping[str, Channel],
    resolver: Resolver,
    *,
    limit: int = 100,
    now: datetime | None = None,
) -> Reconciled:
    """Ask the providers about attempts in doubt, and settle those that can be settled.

    `channels` are all that can be asked, by the name that an attempt has kept: also those by which
    nothing is sent any more. One that is missing leaves its attempts in doubt, for a person.
    """
    at = now or clock.now()
    found = resent = waiting = needs_human = 0
    questions, seen = _questions(engine, resolver, limit, at)
    for question, finding in zip(questions, _ask_all(channels, questions), strict=True):
        try:
            with engine.begin() as connection:
                outcome = _settle(connection, question, finding, at)
        except IntegrityError:
            # the provider's message was bound to another attempt meanwhile: ask again later
            outcome = None
        found += outcome is State.ACCEPTED
        resent += outcome is State.QUEUED
        needs_human += outcome is State.NEEDS_HUMAN
        waiting += outcome is None
    return Reconciled(found, resent, waiting, needs_human, seen)


def _questions(
    engine: Engine, resolver: Resolver, limit: int, at: datetime
) -> tuple[list[_Question], int]:
    """Pick attempts whose check is due; put the check off, so that one worker asks at a time."""
    with engine.begin() as connection:
        rows = connection.execute(
            select(
                OutboxMessage.__table__,
                DeliveryAttempt.id.label("attempt_id"),
                DeliveryAttempt.state.label("attempt_state"),
                # who was called, which need not be who would be called now
                DeliveryAttempt.channel.label("attempt_channel"),
                DeliveryAttempt.address_mask.label("attempt_mask"),
                DeliveryAttempt.worker_id,
                DeliveryAttempt.intent_at,
                DeliveryAttempt.checks,
                DeliveryAttempt.silent_since,
            )
            .join(OutboxMessage, OutboxMessage.id == DeliveryAttempt.message_id)
            .where(
                DeliveryAttempt.state.in_(OPEN_ATTEMPT),
                DeliveryAttempt.next_check_at <= at,
            )
            .order_by(DeliveryAttempt.next_check_at)
            .limit(limit)
            .with_for_update(skip_locked=True, of=DeliveryAttempt.__table__)
        ).all()
        if not rows:
            return [], 0
        _put_off(connection, [row.attempt_id for row in rows], at + ASK_AGAIN)
        intents = [row for row in rows if row.attempt_state == AttemptState.INTENT]
        dead = {w for w in {row.worker_id for row in intents} if is_dead(connection, w)}
        _bury(connection, [row for row in intents if row.worker_id in dead], at)
        # a sender that is alive, perhaps stopped, may still send
        alive = {row.attempt_id for row in intents if row.worker_id not in dead}
        asked = [row for row in rows if row.attempt_id not in alive]
        if not asked:
            return [], len(rows)
        answers = resolver.resolve(connection, as_pending(asked))
        known = _known(connection, asked)
        questions = [
            _question(row, answers.get(row.id), known[row.attempt_id], at) for row in asked
        ]
        _note_silence(connection, [q.attempt.id for q in questions if q.wait_until is None], at)
        return questions, len(rows)


def _put_off(connection: Connection, attempt_ids: Sequence[UUID], until: datetime) -> None:
    connection.execute(
        update(DeliveryAttempt)
        .where(DeliveryAttempt.id.in_(attempt_ids))
        .values(next_check_at=until)
    )


def _note_silence(connection: Connection, attempt_ids: Sequence[UUID], at: datetime) -> None:
    """Until an answer comes: noted before asking, so that a worker killed meanwhile counts too."""
    connection.execute(
        update(DeliveryAttempt)
        .where(DeliveryAttempt.id.in_(attempt_ids), DeliveryAttempt.silent_since.is_(None))
        .values(silent_since=at)
    )


def _bury(connection: Connection, rows: Sequence[Row[tuple[object, ...]]], at: datetime) -> None:
    if not rows:
        return
    connection.execute(
        update(DeliveryAttempt)
        .where(DeliveryAttempt.id.in_([row.attempt_id for row in rows]))
        .values(state=AttemptState.UNKNOWN, reason="sender_died", settled_at=at)
    )
    unknown = retry.Decision(State.UNKNOWN, at, "sender_died")
    for row in rows:
        move(connection, row.id, [State.SENDING], unknown, at)


def _known(
    connection: Connection, rows: Sequence[Row[tuple[object, ...]]]
) -> dict[UUID, frozenset[str]]:
    """The provider's ids that belong to other messages of the same text to the same number; of calls,
    whose words no list shows, to any.

    One statement for all questions: the attempts of a day are read once, not once for each.
    """
    taken: dict[tuple[str | None, str], list[tuple[datetime, str]]] = defaultdict(list)
    for other in connection.execute(
        select(
            DeliveryAttempt.address_mask,
            OutboxMessage.body_hash,
            OutboxMessage.channel,
            DeliveryAttempt.intent_at,
            DeliveryAttempt.provider_id,
        )
        .join(OutboxMessage, OutboxMessage.id == DeliveryAttempt.message_id)
        .where(
            DeliveryAttempt.provider_id.is_not(None),
            DeliveryAttempt.address_mask.in_({row.attempt_mask for row in rows}),
            DeliveryAttempt.intent_at >= min(row.intent_at for row in rows) - ASK_DAILY,
            or_(
                OutboxMessage.body_hash.in_({row.body_hash for row in rows}),
                OutboxMessage.channel == "voice",
            ),
        )
    ):
        # by whichever provider: the ids of another are never among the answers of this one
        taken[_alike(other.address_mask, other)].append((other.intent_at, other.provider_id))
    return {
        row.attempt_id: frozenset(
            provider_id
            for intent_at, provider_id in taken[_alike(row.attempt_mask, row)]
            if intent_at >= row.intent_at - ASK_DAILY
        )
        for row in rows
    }


def _alike(address_mask: str | None, row: Any) -> tuple[str | None, str]:
    """What a provider's list cannot tell apart: texts that say the same, but any calls."""
    return address_mask, "voice" if row.channel == "voice" else row.body_hash


def _question(
    row: Row[tuple[object, ...]],
    answer: Address | Skip | None,
    known: frozenset[str],
    at: datetime,
) -> _Question:
    wait_until = blocked = None
    address = Address("none", "")
    if isinstance(answer, Address):
        address = answer
        if mask(address) != row.attempt_mask:
            blocked = "address_changed"
    elif isinstance(answer, Skip) and answer.until is not None and answer.until > at:
        wait_until = answer.until
    else:
        blocked = answer.reason_code if isinstance(answer, Skip) else "no_address"
    if row.body is None:
        blocked = "body_erased"
    attempt = Attempt(
        id=row.attempt_id,
        message_id=row.id,
        recipient_id=row.recipient_id,
        address=address,
        template_key=row.template_key,
        params=row.params,
        body=row.body or "",
        language=row.language,
        link=row.link,
        message_class=row.message_class,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        intent_at=row.intent_at,
        valid_until=row.valid_until,
    )
    return _Question(
        row.attempt_channel,
        attempt,
        row.checks,
        row.silent_since,
        row.doubts,
        known,
        wait_until,
        blocked,
    )


def _ask_all(channels: Mapping[str, Channel], questions: Sequence[_Question]) -> list[Finding]:
    if not questions:
        return []
    with ThreadPoolExecutor(min(ASK_AT_ONCE, len(questions)), "ask") as pool:
        return list(pool.map(lambda question: _ask(channels, question), questions))


def _ask(channels: Mapping[str, Channel], question: _Question) -> Finding:
    if question.wait_until is not None or question.blocked is not None:
        return Doubt(question.blocked or "held")
    channel = channels.get(question.channel)
    if channel is None:
        return Doubt("no_channel")
    try:
        return channel.find(question.attempt, question.known)
    except Exception as error:  # noqa: BLE001 - the provider boundary: anything is doubt
        log.error("channel %s raised %s", channel.name, type(error).__name__)
        return Doubt(type(error).__name__)


def _settle(
    connection: Connection, question: _Question, finding: Finding, at: datetime
) -> State | None:
    attempt = question.attempt
    if isinstance(finding, Found):
        return State.ACCEPTED if record_acceptance(connection, attempt, finding, at) else None
    if question.wait_until is not None:
        _put_off(connection, [attempt.id], question.wait_until)
        return None
    if isinstance(finding, Doubt):
        silence = at - (question.silent_since or at)
        if silence < PATIENCE:
            return None
        decision = retry.after_silence(at)
        # the attempt stays open: a receipt, or the provider when it is back, may still answer
        _put_off(connection, [attempt.id], at + min(silence / 6, ASK_DAILY))
        move(connection, attempt.message_id, [State.UNKNOWN], decision, at)
        return decision.state
    return _settle_absence(connection, question, at)


def _settle_absence(connection: Connection, question: _Question, at: datetime) -> State | None:
    attempt, checks = question.attempt, question.checks + 1
    again = retry.next_check(attempt.intent_at, checks)
    connection.execute(
        update(DeliveryAttempt)
        .where(DeliveryAttempt.id == attempt.id)
        .values(checks=checks, silent_since=None, next_check_at=max(again or at, at + ASK_AGAIN))
    )
    if again is not None:
        return None
    decision = retry.after_absence(
        message_class=attempt.message_class,
        resends=question.doubts,
        now=at,
        valid_until=attempt.valid_until,
    )
    if close_attempt(
        connection,
        attempt,
        AttemptState.NOT_TAKEN,
        at,
        code=None,
        reason="not_found_at_provider",
    ):
        connection.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id == attempt.message_id)
            .values(doubts=OutboxMessage.doubts + 1)
        )
        move(
            connection,
            attempt.message_id,
            [State.UNKNOWN, State.NEEDS_HUMAN],
            decision,
            at,
        )
    return decision.state
