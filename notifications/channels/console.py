"""The channel of an installation without a provider: delivers into `simulated_message`.

The phone simulator page reads that table. Only a masked line is logged. Must not know the page.
"""

from __future__ import annotations

import logging

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from notifications import clock
from notifications.models import SimulatedMessage
from notifications.segments import segments
from notifications.values import Absent, Answer, Attempt, Finding, Found, Sent, mask

log = logging.getLogger(__name__)


class ConsoleChannel:
    """Delivers into the database of the installation and writes one masked log line."""

    name = "console"
    kinds = frozenset({"sms", "email", "voice"})

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def send(self, attempt: Attempt) -> Answer:
        """Store the message; a second call with the same attempt changes nothing."""
        count = segments(attempt.body).count
        with self._engine.begin() as connection:
            connection.execute(
                insert(SimulatedMessage)
                .values(
                    attempt_id=attempt.id,
                    recipient_id=attempt.recipient_id,
                    address_mask=mask(attempt.address),
                    body=attempt.body,
                    language=attempt.language,
                    at=clock.now(),
                )
                .on_conflict_do_nothing(index_elements=["attempt_id"])
            )
        log.info(
            "simulated %s to %s, %d segments",
            attempt.template_key,
            mask(attempt.address),
            count,
        )
        return Sent(f"console-{attempt.id}", count, delivered=True)

    def find(self, attempt: Attempt, _known: frozenset[str]) -> Finding:
        """Look the attempt up by its id."""
        with self._engine.connect() as connection:
            row = connection.execute(
                select(SimulatedMessage.id).where(SimulatedMessage.attempt_id == attempt.id)
            ).first()
        return Absent() if row is None else Found(f"console-{attempt.id}", "delivered")
