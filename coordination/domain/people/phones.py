"""What the phone simulator shows: texts that the console channel delivered, phone by phone.

Only for installations that send nothing to anybody. Must not know pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from coordination.domain.people.models import Person
from notifications.models import DeliveryAttempt, OutboxMessage, SimulatedMessage

PHONES = 24
TEXTS = 30


@dataclass(frozen=True, slots=True)
class ShownText:
    """One text message on a phone, or what a voice said in a call."""

    body: str
    language: str
    at: datetime
    # of a call: by which a key is pressed in it
    call: UUID | None = None


@dataclass(frozen=True, slots=True)
class Phone:
    """A person's phone with its newest texts, oldest first."""

    person_id: int
    name: str
    mask: str
    texts: Sequence[ShownText]


def phones_with_texts(session: Session, *, name: str = "") -> list[Phone]:
    """Phones that received something, the latest first; at most 24 of them."""
    latest = (
        select(SimulatedMessage.recipient_id, func.max(SimulatedMessage.id).label("newest"))
        .join(Person, Person.id == SimulatedMessage.recipient_id)
        .group_by(SimulatedMessage.recipient_id)
        .order_by(func.max(SimulatedMessage.id).desc())
        .limit(PHONES)
    )
    if name:
        latest = latest.where(Person.name.contains(name, autoescape=True))
    recipients = [row.recipient_id for row in session.execute(latest)]
    place = (
        func.row_number()
        .over(
            partition_by=SimulatedMessage.recipient_id,
            order_by=SimulatedMessage.id.desc(),
        )
        .label("place")
    )
    numbered = (
        select(
            SimulatedMessage.id,
            SimulatedMessage.attempt_id,
            SimulatedMessage.recipient_id,
            SimulatedMessage.address_mask,
            SimulatedMessage.body,
            SimulatedMessage.language,
            SimulatedMessage.at,
            place,
        )
        .where(SimulatedMessage.recipient_id.in_(recipients))
        .subquery()
    )
    rows = session.execute(
        select(
            numbered,
            Person.name,
            case((OutboxMessage.channel == "voice", numbered.c.attempt_id)).label("call"),
        )
        .join(Person, Person.id == numbered.c.recipient_id)
        .outerjoin(DeliveryAttempt, DeliveryAttempt.id == numbered.c.attempt_id)
        .outerjoin(OutboxMessage, OutboxMessage.id == DeliveryAttempt.message_id)
        .where(numbered.c.place <= TEXTS)
        .order_by(numbered.c.id)
    ).all()
    phones: list[Phone] = []
    for recipient in recipients:
        own = [row for row in rows if row.recipient_id == recipient]
        texts = [ShownText(row.body, row.language, row.at, row.call) for row in own]
        phones.append(Phone(recipient, own[-1].name, own[-1].address_mask, texts))
    return phones
