"""What phones were given in a stretch of time, as providers took it, and what still waits for them.

Parts of statements only. Attempts stand in the order of time, so those of a week are found without an
index of their own, and whoever writes, claims and records knows nothing of who counts. Must not know
whose words they were.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    and_,
    any_,
    func,
    literal,
    select,
)
from sqlalchemy.orm import Session

from notifications.models import DeliveryAttempt, MergedMessage, OutboxMessage
from notifications.states import BURDENS, WAITING

# what waits for longer has a reason of its own
LOOK_BACK = timedelta(days=40)


def texts(
    session: Session, begin: datetime, end: datetime, keys: Collection[str]
) -> Select[int, str | None, str, str, int]:
    """Texts of these wordings that phones got, or may have got, from `begin` until before `end`: id,
    household_key, message_class, subject_type and subject_id.

    A text that says several messages is one; what never left, or certainly did not arrive, is none.
    """
    # what lies before and after in the outbox is not looked at, however much that is
    first, last, _ = session.execute(
        select(
            func.min(DeliveryAttempt.message_id),
            func.max(DeliveryAttempt.message_id),
            # or else the least would be looked for from the very first message on
            func.count(),
        ).where(_taken(begin, end))
    ).one()
    return (
        _texts(keys)
        .join(DeliveryAttempt, DeliveryAttempt.message_id == OutboxMessage.id)
        .where(_taken(begin, end), OutboxMessage.id.between(first or 0, last or 0))
    )


def texts_of(
    recipient_ids: Collection[int], begin: datetime, end: datetime, keys: Collection[str]
) -> Select[int, str | None, str, str, int]:
    """The same of some recipients only, found by them, however many there are of others."""
    return (
        _texts(keys)
        .join(DeliveryAttempt, DeliveryAttempt.message_id == OutboxMessage.id)
        .where(_taken(begin, end), _theirs(recipient_ids, begin))
    )


def _texts(keys: Collection[str]) -> Select[int, str | None, str, str, int]:
    return select(
        OutboxMessage.id,
        OutboxMessage.household_key,
        OutboxMessage.message_class,
        OutboxMessage.subject_type,
        OutboxMessage.subject_id,
    ).where(OutboxMessage.template_key.in_(keys))


def _taken(begin: datetime, end: datetime) -> ColumnElement[bool]:
    return and_(
        DeliveryAttempt.intent_at >= begin,
        DeliveryAttempt.intent_at < end,
        DeliveryAttempt.state.in_(BURDENS),
    )


def _theirs(recipient_ids: Collection[int], since: datetime) -> ColumnElement[bool]:
    return and_(
        OutboxMessage.recipient_id == any_(literal(list(recipient_ids), ARRAY(BigInteger))),
        OutboxMessage.created_at > since - LOOK_BACK,
    )


def subjects(of: Subquery) -> Select[int, str | None, str, int]:
    """What these texts were about, once for each message that one says: id and household_key of the
    text, subject_type and subject_id of the message."""
    said = OutboxMessage
    return (
        select(
            of.c.id,
            of.c.household_key,
            func.coalesce(said.subject_type, of.c.subject_type).label("subject_type"),
            func.coalesce(said.subject_id, of.c.subject_id).label("subject_id"),
        )
        .select_from(of)
        .outerjoin(MergedMessage, MergedMessage.into_id == of.c.id)
        .outerjoin(said, said.id == MergedMessage.message_id)
    )


def waiting(keys: Collection[str]) -> Select[str | None, str, str, datetime]:
    """Messages of these wordings that wait: household_key, message_class, subject_type and next_at."""
    return select(
        OutboxMessage.household_key,
        OutboxMessage.message_class,
        OutboxMessage.subject_type,
        OutboxMessage.next_at,
    ).where(OutboxMessage.state.in_(WAITING), OutboxMessage.template_key.in_(keys))


def waiting_of(
    recipient_ids: Collection[int], since: datetime, keys: Collection[str]
) -> Select[str | None, str, str, datetime]:
    """The same of some recipients only; what has waited since long before is not among them."""
    return waiting(keys).where(_theirs(recipient_ids, since))
