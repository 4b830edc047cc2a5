"""Write and read outbox messages, inside the caller's transaction.

Never commits, never calls a provider, never sees an address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    SmallInteger,
    Subquery,
    Text,
    any_,
    bindparam,
    column,
    func,
    literal,
    not_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, distinct_on, insert
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from notifications import clock, merged
from notifications.models import DeliveryAttempt, HeldMessage, MergedMessage, OutboxMessage
from notifications.states import WAITING, AttemptState, State
from notifications.values import PRIORITY, Outgoing

# bounds the size of one statement's parameter
CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Status:
    """Where one message stands, and why."""

    message_id: int
    recipient_id: int
    household_key: str | None
    template_key: str
    language: str
    channel: str
    state: State
    reason_code: str | None
    address_mask: str | None
    next_at: datetime
    updated_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One step in the life of a message."""

    at: datetime
    what: str
    reason: str | None
    address_mask: str | None = None
    provider_id: str | None = None
    # who carried it, if that is known
    channel: str | None = None
    # until when it waits
    until: datetime | None = None


def body_hash(body: str) -> str:
    """Return the hash that stays when a body is erased."""
    return hashlib.sha256(body.encode()).hexdigest()


def enqueue(session: Session, messages: Sequence[Outgoing]) -> int:
    """Write messages; one whose `dedupe_key` is known already is left as it is."""
    now = clock.now()
    written = 0
    for start in range(0, len(messages), CHUNK):
        rows = [row_of(message, now) for message in messages[start : start + CHUNK]]
        written += len(session.connection().execute(INSERT, {"rows": rows}).all())
    return written


# One parameter for all rows: the statement stays the same however many there are, and is neither
# built nor parsed anew. Some ten times faster than a list of values.
_TYPES: dict[str, TypeEngine[Any]] = {
    "dedupe_key": Text(),
    "recipient_id": BigInteger(),
    "household_key": Text(),
    "template_key": Text(),
    "language": Text(),
    "params": JSONB(),
    "body": Text(),
    "body_hash": Text(),
    "link": Text(),
    "message_class": Text(),
    "priority": SmallInteger(),
    "channel": Text(),
    "subject_type": Text(),
    "subject_id": BigInteger(),
    "next_at": DateTime(timezone=True),
    "valid_until": DateTime(timezone=True),
}
_ROWS = (
    func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
    .table_valued(*(column(name, type_) for name, type_ in _TYPES.items()))
    .render_derived(with_types=True)
)
INSERT = (
    insert(OutboxMessage)
    .from_select(list(_TYPES), select(*_ROWS.c), include_defaults=False)
    .on_conflict_do_nothing(index_elements=["dedupe_key"])
    .returning(OutboxMessage.id)
)


def cancel(session: Session, subject_type: str, subject_id: int) -> int:
    """Cancel what has not left yet; what a provider may hold already is not touched."""
    return sum(count for count, _ in withdraw(session, subject_type, subject_id))


def withdraw(session: Session, subject_type: str, subject_id: int) -> list[tuple[int, str]]:
    """Cancel likewise, and tell of how many texts of a language and length, with one as example.

    However many are cancelled, a handful of rows comes back.
    """
    # first what stands for itself: that waits for a worker who is merging it just now
    done = _cancel(session, subject_type, subject_id)
    if merged.part(session, subject_type, subject_id, clock.now()):
        done += _cancel(session, subject_type, subject_id)
    return done


def _cancel(session: Session, subject_type: str, subject_id: int) -> list[tuple[int, str]]:
    done = (
        update(OutboxMessage)
        .where(
            OutboxMessage.subject_type == subject_type,
            OutboxMessage.subject_id == subject_id,
            OutboxMessage.state.in_(WAITING),
        )
        .values(state=State.CANCELLED, reason_code="withdrawn", updated_at=clock.now())
        .returning(
            OutboxMessage.channel,
            OutboxMessage.language,
            func.coalesce(OutboxMessage.body, "").label("body"),
        )
        .cte("done")
    )
    rows = session.execute(
        select(func.count(), func.min(done.c.body))
        .where(done.c.channel == "sms")
        .group_by(done.c.language, func.length(done.c.body))
    )
    return [(count, body) for count, body in rows]


def look_again(session: Session, reasons: Collection[str], recipient_id: int | None = None) -> None:
    """Let what is held for one of these reasons, of all or of one reader, come to a claim now, which
    may hold it again."""
    now = clock.now()
    held = update(OutboxMessage).where(
        OutboxMessage.state == State.HELD,
        OutboxMessage.reason_code.in_(reasons),
        OutboxMessage.next_at > now,
    )
    if recipient_id is not None:
        held = held.where(OutboxMessage.recipient_id == recipient_id)
    session.execute(held.values(next_at=now))


def waiting_count(session: Session, subject_type: str, subject_id: int) -> int:
    """How many messages of a subject have not left yet, those that another one says included."""
    into = merged.into()
    return (
        session.scalar(
            select(func.count())
            .select_from(OutboxMessage)
            .outerjoin(into, into.c.message_id == OutboxMessage.id)
            .where(
                OutboxMessage.subject_type == subject_type,
                OutboxMessage.subject_id == subject_id,
                merged.standing_of(into).in_(WAITING),
            )
        )
        or 0
    )


_UNSENT = (State.FAILED, State.SUPPRESSED, State.EXPIRED)


def ended_unsent(subject_type: str, since: datetime) -> Subquery:
    """The ids of texts about a kind of subject, written since then, that have ended and that no provider has
    taken, nor may have: for a statement."""
    taken = select(DeliveryAttempt.id).where(
        DeliveryAttempt.message_id == OutboxMessage.id,
        DeliveryAttempt.state.not_in((AttemptState.REFUSED, AttemptState.NOT_TAKEN)),
    )
    return (
        select(OutboxMessage.id)
        .where(
            OutboxMessage.state.in_(_UNSENT),
            OutboxMessage.channel == "sms",
            OutboxMessage.subject_type == subject_type,
            OutboxMessage.created_at > since,
            not_(taken.exists()),
        )
        .subquery("unsent")
    )


def bodies(session: Session, message_ids: Collection[int]) -> dict[int, str]:
    """What these messages say; without those whose text has been erased."""
    rows = session.execute(
        select(OutboxMessage.id, OutboxMessage.body).where(
            OutboxMessage.id.in_(message_ids), OutboxMessage.body.is_not(None)
        )
    )
    return {message_id: body for message_id, body in rows if body is not None}


def statuses(session: Session, subject_type: str, subject_id: int) -> list[Status]:
    """Return where each message of a subject stands."""
    rows = session.scalars(
        select(OutboxMessage)
        .where(
            OutboxMessage.subject_type == subject_type,
            OutboxMessage.subject_id == subject_id,
        )
        .order_by(OutboxMessage.id)
    )
    return [_status(row) for row in rows]


def tally(session: Session, subject_type: str, subject_id: int) -> dict[State, int]:
    """Count a subject's messages by state: the progress of a broadcast."""
    into = merged.into()
    standing = merged.standing_of(into)
    rows = session.execute(
        select(standing, func.count())
        .select_from(OutboxMessage)
        .outerjoin(into, into.c.message_id == OutboxMessage.id)
        .where(
            OutboxMessage.subject_type == subject_type,
            OutboxMessage.subject_id == subject_id,
        )
        .group_by(standing)
    )
    return {State(state): count for state, count in rows}


def standing(
    session: Session, subject_type: str, subject_ids: Sequence[int]
) -> dict[int, dict[State, int]]:
    """Count households by the state of their newest message, for many subjects at once."""
    into = merged.into()
    newest = (
        select(OutboxMessage.subject_id, merged.standing_of(into).label("state"))
        .outerjoin(into, into.c.message_id == OutboxMessage.id)
        .where(
            OutboxMessage.subject_type == subject_type,
            OutboxMessage.subject_id.in_(subject_ids),
        )
        .ext(distinct_on(OutboxMessage.subject_id, OutboxMessage.household_key))
        .order_by(OutboxMessage.subject_id, OutboxMessage.household_key, OutboxMessage.id.desc())
        .subquery()
    )
    found: dict[int, dict[State, int]] = {}
    for subject_id, state, count in session.execute(
        select(newest.c.subject_id, newest.c.state, func.count()).group_by(
            newest.c.subject_id, newest.c.state
        )
    ):
        found.setdefault(subject_id, {})[State(state)] = count
    return found


def newest(subject_type: str, subject_id: int) -> Subquery:
    """The newest message of each household of a subject, as rows for a statement.

    Columns: household_key, id, state, reason_code, updated_at, next_at, into_id. What another message
    says too stands where that one stands.
    """
    into = merged.into()
    return (
        select(
            OutboxMessage.household_key,
            OutboxMessage.id,
            merged.standing_of(into).label("state"),
            func.coalesce(into.c.reason_code, OutboxMessage.reason_code).label("reason_code"),
            func.coalesce(into.c.updated_at, OutboxMessage.updated_at).label("updated_at"),
            func.coalesce(into.c.next_at, OutboxMessage.next_at).label("next_at"),
            into.c.into_id,
        )
        .outerjoin(into, into.c.message_id == OutboxMessage.id)
        .where(OutboxMessage.subject_type == subject_type, OutboxMessage.subject_id == subject_id)
        .ext(distinct_on(OutboxMessage.household_key))
        .order_by(OutboxMessage.household_key, OutboxMessage.id.desc())
        .subquery("newest")
    )


def merged_into(session: Session, message_id: int) -> int | None:
    """The message that says this one too, if it was merged."""
    return session.scalar(
        select(MergedMessage.into_id).where(MergedMessage.message_id == message_id)
    )


def merged_from(session: Session, message_id: int) -> list[int]:
    """The messages that this one says."""
    return list(
        session.scalars(
            select(MergedMessage.message_id)
            .where(MergedMessage.into_id == message_id)
            .order_by(MergedMessage.message_id)
        )
    )


def subjects_said_with(session: Session, lead_id: int) -> list[int]:
    """The ids of the subjects that the message says into which this one went first."""
    return [row.subject_id for row in session.execute(merged.members([lead_id]))]


def last_delivered(session: Session, recipient_ids: Collection[int]) -> dict[int, datetime]:
    """When the last text that is known to have arrived did so, of those to whom any has."""
    rows = session.execute(
        select(OutboxMessage.recipient_id, func.max(OutboxMessage.updated_at))
        .where(
            OutboxMessage.recipient_id == any_(literal(list(recipient_ids), ARRAY(BigInteger))),
            OutboxMessage.channel == "sms",
            OutboxMessage.state == State.DELIVERED,
        )
        .group_by(OutboxMessage.recipient_id)
    )
    return {recipient: at for recipient, at in rows}


def standing_of_recipients(
    session: Session, subject_type: str, subject_id: int, recipient_ids: Collection[int]
) -> dict[str, tuple[State, str | None]]:
    """Household -> state and reason of its newest message of a subject, for some recipients only."""
    into = merged.into()
    rows = session.execute(
        select(
            OutboxMessage.household_key,
            merged.standing_of(into),
            func.coalesce(into.c.reason_code, OutboxMessage.reason_code),
        )
        .outerjoin(into, into.c.message_id == OutboxMessage.id)
        .where(
            OutboxMessage.recipient_id == any_(literal(list(recipient_ids), ARRAY(BigInteger))),
            OutboxMessage.subject_type == subject_type,
            OutboxMessage.subject_id == subject_id,
        )
        .order_by(OutboxMessage.id)
    )
    return {household or "": (State(state), reason) for household, state, reason in rows}


def trace(session: Session, message_id: int) -> list[TraceLine]:
    """Tell why a message did, or did not, reach its recipient: oldest step first."""
    message = session.get(OutboxMessage, message_id)
    if message is None:
        return []
    held = session.scalars(select(HeldMessage).where(HeldMessage.message_id == message_id))
    attempts = session.scalars(
        select(DeliveryAttempt).where(DeliveryAttempt.message_id == message_id)
    )
    # what belongs to one attempt stays together, whatever its provider says of the time
    steps = [[TraceLine(h.at, State.HELD, h.reason_code, until=h.until)] for h in held]
    steps += [_lines_of(attempt, message.channel) for attempt in attempts]
    steps.sort(key=lambda lines: lines[0].at)
    lines = [
        TraceLine(message.created_at, State.QUEUED, None),
        *chain.from_iterable(steps),
    ]
    if message.state != lines[-1].what:
        lines.append(
            TraceLine(
                message.updated_at,
                message.state,
                message.reason_code,
                message.address_mask,
            )
        )
    return lines


def _lines_of(attempt: DeliveryAttempt, route: str) -> list[TraceLine]:
    # earlier attempts know only the route, which says nothing about who carried them
    by = attempt.channel if attempt.channel != route else None
    lines = [TraceLine(attempt.intent_at, State.SENDING, None, attempt.address_mask, channel=by)]
    if attempt.settled_at is not None:
        lines.append(
            TraceLine(
                attempt.settled_at,
                attempt.state,
                attempt.reason or attempt.code,
                attempt.address_mask,
                attempt.provider_id,
                by,
            )
        )
    return lines


def _status(row: OutboxMessage) -> Status:
    return Status(
        message_id=row.id,
        recipient_id=row.recipient_id,
        household_key=row.household_key,
        template_key=row.template_key,
        language=row.language,
        channel=row.channel,
        state=State(row.state),
        reason_code=row.reason_code,
        address_mask=row.address_mask,
        next_at=row.next_at,
        updated_at=row.updated_at,
        created_at=row.created_at,
    )


def row_of(message: Outgoing, now: datetime) -> dict[str, object]:
    return {
        "dedupe_key": message.dedupe_key,
        "recipient_id": message.recipient_id,
        "household_key": message.household_key,
        "template_key": message.template_key,
        "language": message.language,
        "params": dict(message.params),
        "body": message.body,
        "body_hash": body_hash(message.body),
        "link": message.link,
        "message_class": message.message_class,
        "priority": PRIORITY[message.queued_as or message.message_class],
        "channel": message.channel,
        "subject_type": message.subject_type,
        "subject_id": message.subject_id,
        "next_at": max(message.not_before or now, now).isoformat(),
        "valid_until": message.valid_until.isoformat() if message.valid_until else None,
    }
