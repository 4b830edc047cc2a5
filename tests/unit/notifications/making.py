"""Builders and real, in-memory parties for the tests of the library."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.orm import Session

from notifications import outbox
from notifications.models import DeliveryAttempt, OutboxMessage
from notifications.values import (
    Absent,
    Address,
    Answer,
    Attempt,
    DayLimit,
    Finding,
    Found,
    Outgoing,
    Pending,
    Sent,
    Skip,
)

NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def phone_of(recipient_id: int) -> str:
    return f"+86138{recipient_id:08d}"


def make_outgoing(number: int = 1, **changes: Any) -> Outgoing:
    base = Outgoing(
        recipient_id=number,
        household_key=None,
        template_key="notice_sent",
        language="zh",
        params={"school": "光明实验小学"},
        body=f"光明实验小学:明天放假。{number}",
        message_class="info",
        subject_type="notice",
        subject_id=1,
        dedupe_key=f"notice:1:{number}",
    )
    return replace(base, **changes)


def put(engine: Engine, *messages: Outgoing) -> list[int]:
    with Session(engine) as session:
        outbox.enqueue(session, messages)
        session.commit()
        return list(session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id)))


def states_of(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(OutboxMessage.state).order_by(OutboxMessage.id)))


def message_of(engine: Engine, message_id: int) -> OutboxMessage:
    with Session(engine, expire_on_commit=False) as session:
        return session.get_one(OutboxMessage, message_id)


def attempts_of(engine: Engine, message_id: int) -> list[DeliveryAttempt]:
    with Session(engine, expire_on_commit=False) as session:
        return list(
            session.scalars(
                select(DeliveryAttempt)
                .where(DeliveryAttempt.message_id == message_id)
                .order_by(DeliveryAttempt.intent_at)
            )
        )


@dataclass
class Phones:
    """The application's part: numbers, and who must be skipped."""

    skips: dict[int, Skip] = field(default_factory=dict)
    numbers: dict[int, str] = field(default_factory=dict)
    limit: DayLimit | None = None

    def resolve(
        self, conn: Connection, messages: Sequence[Pending]
    ) -> Mapping[int, Address | Skip]:
        return {
            message.id: self.skips.get(message.recipient_id)
            or self._address(self.numbers.get(message.recipient_id, phone_of(message.recipient_id)))
            for message in messages
        }

    def day_limit(self, conn: Connection, at: datetime) -> DayLimit | None:
        return self.limit

    @staticmethod
    def _address(number: str) -> Address:
        return Address("sms", number, hashlib.sha256(number.encode()).hexdigest())


@dataclass
class Provider:
    """A provider in memory: counts what it was asked to send, and keeps what it took."""

    name: str = "provider"
    kinds: frozenset[str] = frozenset({"sms"})
    answer: Callable[[Attempt], Answer] | None = None
    finding: Finding | None = None
    calls: list[Attempt] = field(default_factory=list)
    taken: dict[str, Attempt] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, attempt: Attempt) -> Answer:
        with self.lock:
            self.calls.append(attempt)
        if self.answer is not None:
            return self.answer(attempt)
        return self.take(attempt)

    def take(self, attempt: Attempt) -> Sent:
        sid = f"SM{attempt.id.hex}"
        with self.lock:
            self.taken[sid] = attempt
        return Sent(sid, 1)

    def find(self, attempt: Attempt, known: frozenset[str]) -> Finding:
        if self.finding is not None:
            return self.finding
        for sid, taken in self.taken.items():
            if sid not in known and taken.address == attempt.address:
                return Found(sid, "sent", 1)
        return Absent()
