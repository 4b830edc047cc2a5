"""Messages that a household gets one after the other about one thing, as a call is repeated.

Parts of statements only. Must not know what they say, nor when another is due.
"""

from __future__ import annotations

from sqlalchemy import Subquery, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from notifications.models import OutboxMessage


def of(subject_type: str, subject_id: int) -> Subquery:
    """How many a household has had about a subject, and how the last one stands.

    Columns: household_key, recipient_id, number, id, state, reason_code, updated_at.
    """
    message = OutboxMessage
    return (
        select(
            message.household_key,
            message.recipient_id,
            func.count().over(partition_by=message.household_key).label("number"),
            message.id,
            message.state,
            message.reason_code,
            message.updated_at,
        )
        .where(message.subject_type == subject_type, message.subject_id == subject_id)
        .ext(distinct_on(message.household_key))
        .order_by(message.household_key, message.id.desc())
        .subquery("series")
    )
