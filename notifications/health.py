"""How delivery is doing, in three numbers. Must not know who shows them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, func, select

from notifications import holding
from notifications.models import DeliveryAttempt, DeliveryCircuit, OutboxMessage
from notifications.states import OPEN_ATTEMPT, WAITING


def due_count(engine: Engine, now: datetime) -> int:
    """Count messages that could be claimed now."""
    with engine.connect() as connection:
        hold = holding.standing(connection)
        return connection.execute(
            select(func.count())
            .select_from(OutboxMessage)
            .where(
                OutboxMessage.state.in_(WAITING),
                OutboxMessage.next_at <= now,
                *([OutboxMessage.id > hold.upto] if hold else ()),
            )
        ).scalar_one()


def doubt_count(engine: Engine) -> int:
    """Count attempts of which nobody knows whether they were taken."""
    with engine.connect() as connection:
        return connection.execute(
            select(func.count())
            .select_from(DeliveryAttempt)
            .where(DeliveryAttempt.state.in_(OPEN_ATTEMPT))
        ).scalar_one()


def open_circuits(engine: Engine, now: datetime) -> dict[str, str]:
    """Return channel -> reason of the channels that are halted."""
    with engine.connect() as connection:
        rows = connection.execute(
            select(DeliveryCircuit.channel, DeliveryCircuit.reason).where(
                DeliveryCircuit.open_until > now
            )
        )
        return {row.channel: row.reason for row in rows}
